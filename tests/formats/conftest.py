"""Small pictures with known content and EXIF, and the collection of real files where it is at hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared/data/dev"


def photo(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    """A smooth gradient with a bright corner, uint8: JPEG changes it little, no turn maps it to itself."""
    rows, columns = np.mgrid[0:height, 0:width]
    picture = np.stack([rows * 200 // height, columns * 200 // width, np.full_like(rows, 30 + seed)], axis=2)
    picture[: height // 4, : width // 4] += 40
    return picture.astype(np.uint8)


def exif_bytes(orientation: int = 1, **extra: object) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Testmaker", "Testmaker One", orientation
    sub = exif.get_ifd(0x8769)
    sub[0x829A], sub[0x829D], sub[0x8827] = 0.008, 5.6, 200
    sub[0x9003], sub[0x9291] = "2024:05:06 07:08:09", "25"
    sub[0xA434], sub[0xA431] = "Lens 24mm", "S123"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2], gps[3], gps[4] = "N", (47.0, 30.0, 15.0), "E", (8.0, 15.0, 30.0)
    gps[7] = (6.0, 8.0, 9.0)
    return exif.tobytes()


@pytest.fixture
def jpeg(tmp_path: Path) -> Path:
    path = tmp_path / "Foto Zürich 1.jpg"
    Image.fromarray(photo()).save(path, quality=95, exif=exif_bytes())
    return path


@pytest.fixture
def exiftool() -> str:
    found = shutil.which("exiftool")
    if found is None:
        pytest.skip("exiftool is not installed: the validity of written metadata was NOT checked")
    return found


@pytest.fixture
def samples() -> Path:
    if not SAMPLES.is_dir():
        pytest.skip("the collection of real files is not beside the repository")
    return SAMPLES
