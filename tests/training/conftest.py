"""A tiny training folder, packed and rendered once for all tests here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mefcli.training.pack import pack
from mefcli.training.store import Store, open_store


def _panorama(seed: int) -> np.ndarray:
    """A dim room with texture, a bright window and a lamp: about 12 stops."""
    rng = np.random.default_rng(seed)
    light = cv2.resize(rng.uniform(0.02, 0.6, (8, 16, 3)).astype(np.float32), (192, 96))
    light *= rng.uniform(0.8, 1.2, light.shape).astype(np.float32)
    light[30:55, 40:70] = 25.0 + 5 * rng.random((25, 30, 3))
    light[20:24, 120:124] = 300.0
    return light.astype(np.float32)


@pytest.fixture(scope="session")
def training_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("free")
    names = {"hdr_panoramas": ["a", "b", "c"], "hdr_photographs": ["d", "LatLong"]}
    for collection, stems in names.items():
        (folder / collection).mkdir()
        (folder / collection / "LICENCE.txt").write_text("CC0")
        for seed, stem in enumerate(stems):
            picture = _panorama(seed + len(collection))
            cv2.imwrite(str(folder / collection / f"{stem}.hdr"), picture)
    (folder / "photos_kodak").mkdir()
    (folder / "normal_light_crops").mkdir()
    rng = np.random.default_rng(5)
    for index in range(3):
        photo = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (160, 120))
        cv2.imwrite(str(folder / "photos_kodak" / f"k{index}.png"), photo)
        cv2.imwrite(str(folder / "normal_light_crops" / f"a_{index}.jpg"), photo // 2 + 60)
    (folder / "split.csv").write_text("file,part\nhdr_panoramas/a.hdr,train\nhdr_panoramas/c.hdr,val\n")
    return folder


@pytest.fixture(scope="session")
def packed(training_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "train.mefdata"
    pack(training_folder, out)
    return out


@pytest.fixture(scope="session")
def store(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(packed, tmp_path_factory.mktemp("cache"))
