"""Small focus stacks with a known truth: a textured wall, each part of it sharp in one frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]


def wall(height: int = 120, width: int = 180, seed: int = 0) -> Bytes:
    """Texture of every size, as things have it."""
    rng = np.random.default_rng(seed)
    light = np.full((height, width, 3), 125.0, np.float32)
    for size in (1, 2, 4, 8, 16, 32):
        noise = rng.normal(0, 14 + 8 * (size == 1), (height // size + 2, width // size + 2, 3))
        light += cv2.resize(noise.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(light, 5, 250).astype(np.uint8)


def stack(truth: Bytes, frames: int = 2, sigma: float = 3.0) -> list[Bytes]:
    """Frame k is sharp in the k-th vertical band only."""
    blurred = cv2.GaussianBlur(truth, (0, 0), sigma)
    made = []
    for k in range(frames):
        frame = blurred.copy()
        band = slice(k * truth.shape[1] // frames, (k + 1) * truth.shape[1] // frames)
        frame[:, band] = truth[:, band]
        made.append(frame)
    return made


def scaled(frame: Bytes, scale: float, shift: tuple[float, float] = (0.0, 0.0)) -> Bytes:
    x, y = (frame.shape[1] - 1) / 2, (frame.shape[0] - 1) / 2
    matrix = np.array([[scale, 0, x - scale * x + shift[0]], [0, scale, y - scale * y + shift[1]]])
    return np.asarray(
        cv2.warpAffine(
            frame, matrix, frame.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
    )


def saved(
    frames: list[Bytes], folder: Path, metres: list[float] | None = None, kind: str = "png"
) -> list[Path]:
    """Files `f0`, `f1`, ...; JPEGs record focus distances where they are given."""
    paths = []
    for number, frame in enumerate(frames):
        path = folder / f"f{number}.{kind}"
        picture = Image.fromarray(frame)
        if kind == "png":
            picture.save(path)
        else:
            exif = Image.Exif()
            facts = exif.get_ifd(0x8769)
            facts[0x829A] = (1, 100)
            facts[0x9003] = f"2024:05:01 12:00:{number:02d}"
            if metres is not None:
                facts[0x9206] = metres[number]
            picture.save(path, quality=98, subsampling=0, exif=exif)
        paths.append(path)
    return paths


def psnr(one: NDArray[np.float32], other: Bytes) -> float:
    return float(-10 * np.log10(np.mean((one - other / np.float32(255)) ** 2)))
