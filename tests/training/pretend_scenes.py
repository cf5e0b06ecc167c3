"""Small data sets, laid out as they are distributed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def shot(path: Path, seed: int, stops: float = 0.0, size: tuple[int, int] = (80, 112)) -> None:
    """The scene number `seed`, exposed."""
    rng = np.random.default_rng(seed)
    light = cv2.resize(rng.uniform(0.05, 0.9, (6, 8, 3)).astype(np.float32), size[::-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    display = np.clip(light * 2.0**stops, 0, 1) ** (1 / 2.2) * 255
    depth = np.uint16 if path.suffix == ".tif" else np.uint8
    cv2.imwrite(str(path), (display * (257 if path.suffix == ".tif" else 1)).astype(depth))


def sice(folder: Path) -> None:
    for k in range(1, 7):
        for number, stops in enumerate((-3, -1, 0, 1), 1):
            shot(folder / "Dataset_Part1" / str(k) / f"{number}.JPG", k, stops)
        shot(folder / "Dataset_Part1" / "Label" / f"{k}.JPG", k)


def sice_as_unpacked(folder: Path) -> None:
    """The second part's archive holds its folder once more."""
    for part in ("Dataset_Part1", "Dataset_Part2/Dataset_Part2"):
        for k in range(1, 4):
            for number, stops in enumerate((-3, -1, 0, 1), 1):
                shot(folder / part / str(k) / f"{number}.JPG", k, stops)
            shot(folder / part / "Label" / f"{k}.JPG", k)


def kalantari(folder: Path) -> None:
    for part, count in (("Training", 4), ("Test", 2)):
        for k in range(count):
            place = folder / part / f"{k:03}"
            for number, stops in enumerate((-2, 0, 2)):
                shot(place / f"26290{number}.tif", k, stops)
            (place / "exposure.txt").write_text("-2.0\n0.0\n2.0\n")
            light = (cv2.imread(str(place / "262901.tif")) / 255.0) ** 2.2
            cv2.imwrite(str(place / "HDRImg.hdr"), light.astype(np.float32))


def numbered_scenes(folder: Path) -> None:
    """As our own hint has it, with numbers for names: 1/1.jpg, 1/2.jpg ... 2/1.jpg ..."""
    for k in range(1, 5):
        for number, stops in enumerate((-3, -1, 0, 1), 1):
            shot(folder / str(k) / f"{number}.jpg", k, stops)


def numbered_names(folder: Path) -> None:
    for k in range(4):
        for number, stops in enumerate((-3, -1, 0, 1, 2), 1):
            shot(folder / f"lake{k}-{number}.jpg", k, stops)


def parallel(folder: Path) -> None:
    for k in range(5):
        shot(folder / "under" / f"{k}.png", k, -2)
        shot(folder / "over" / f"{k}.jpg", k, 2)


def sides_in_names(folder: Path) -> None:
    for k in range(5):
        shot(folder / "imageA" / f"00{k}_A.png", k, -2)
        shot(folder / "imageB" / f"00{k}_B.png", k, 2)
        shot(folder / "GT" / f"gt-00{k}.png", k)


def multifocus(folder: Path) -> None:
    for k in range(5):
        for side in ("source_1", "source_2", "full_clear"):
            shot(folder / side / f"{k}.jpg", k)


def lytro(folder: Path) -> None:
    for k in range(4):
        shot(folder / f"lytro-{k:02}-A.jpg", k)
        shot(folder / f"lytro-{k:02}-B.jpg", k)


def plain(folder: Path) -> None:
    for k in range(4):
        for number, stops in enumerate((2, 0, -2)):  # bright first: light decides, not the name
            shot(folder / f"scene{k}" / f"{number}.png", k, stops)
        shot(folder / f"scene{k}" / "reference.png", k)
