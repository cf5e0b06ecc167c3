"""The test picture of the metric definitions: two exposures and a result, made of integer arithmetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def make_vector(height: int = 96, width: int = 128) -> tuple[Bytes, Bytes, Bytes]:
    """Dark, bright and fused, uint8 `(H, W, 3)`."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    t = (7 * x + 3 * y + 50 * c + 60 * ((x // 8 + y // 8) % 2) + ((x**2 + 2 * y**2) // 64 % 97)) % 256
    dark = t**2 // 765
    bright = 255 - (255 - t) ** 2 // 400
    fused = (dark + bright + 1) // 2
    return dark.astype(np.uint8), bright.astype(np.uint8), fused.astype(np.uint8)
