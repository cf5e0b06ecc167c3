"""Small visible and infrared pairs: a textured wall, and a warm thing before it that only one frame shows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]
THING = (slice(60, 90), slice(100, 116))


def visible(height: int = 120, width: int = 180, level: float = 110.0) -> Bytes:
    """Coloured texture; nothing of the warm thing."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(0, 30, (height // 12, width // 12, 3)).astype(np.float32)
    fine = rng.normal(0, 12, (height, width, 1)).astype(np.float32)
    light = level + cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) + fine
    return np.clip(light, 5, 250).astype(np.uint8)


def thermal(height: int = 120, width: int = 180, background: int = 80, heat: int = 210) -> Bytes:
    """Grey (H, W), with the warm thing and a little noise."""
    rng = np.random.default_rng(1)
    picture = np.full((height, width), background, np.float32) + rng.normal(0, 2, (height, width))
    picture[THING] = heat
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 0.8), 0, 255).astype(np.uint8)


def saved(folder: Path, one: Bytes, two: NDArray[np.integer], suffix: str = "png") -> tuple[Path, Path]:
    paths = folder / "day.png", folder / f"warm.{suffix}"
    Image.fromarray(one).save(paths[0])
    if two.dtype == np.uint16:
        cv2.imwrite(str(paths[1]), two)
    else:
        Image.fromarray(two).save(paths[1])
    return paths


def luma(picture: NDArray[np.floating]) -> NDArray[np.floating]:
    return picture @ np.array([0.299, 0.587, 0.114])
