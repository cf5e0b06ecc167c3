"""Textures from nothing: value noise that depends on position and seed only, so every render is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[Any]  # float32; NumPy's types are stricter than its arithmetic


def floats(values: ArrayLike) -> Floats:
    result: Floats = np.asarray(values, np.float32)
    return result


def hashed(x: NDArray[np.int32], y: NDArray[np.int32], seed: int) -> Floats:
    """A number in [0, 1) for every lattice point, without visible order."""
    n = x.astype(np.uint32) * np.uint32(374761393) + y.astype(np.uint32) * np.uint32(668265263)
    n += np.uint32((seed * 2246822519 + 3266489917) & 0xFFFFFFFF)
    n = (n ^ (n >> np.uint32(13))) * np.uint32(1274126177)
    n ^= n >> np.uint32(16)
    result: Floats = (n >> np.uint32(8)).astype(np.float32) * np.float32(1.0 / (1 << 24))
    return result


def noise(x: Floats, y: Floats, seed: int = 0) -> Floats:
    """Smooth noise in [0, 1) with features one unit wide."""
    left, bottom = np.floor(x), np.floor(y)
    i, j = left.astype(np.int32), bottom.astype(np.int32)
    fx, fy = x - left, y - bottom
    fx = fx * fx * (3 - 2 * fx)
    fy = fy * fy * (3 - 2 * fy)
    one = np.int32(1)
    low = hashed(i, j, seed) * (1 - fx) + hashed(i + one, j, seed) * fx
    high = hashed(i, j + one, seed) * (1 - fx) + hashed(i + one, j + one, seed) * fx
    result: Floats = low * (1 - fy) + high * fy
    return result


def fractal(x: Floats, y: Floats, seed: int = 0, octaves: int = 4, footprint: Floats | float = 0.0) -> Floats:
    """Noise on several scales, mean 0.5. Scales finer than `footprint`, in units, fade to their mean."""
    total = np.zeros(x.shape, np.float32)
    weight, norm, scale = 1.0, 0.0, 1.0
    for octave in range(octaves):
        fade = np.clip(1.5 - 2.0 * scale * np.asarray(footprint, np.float32), 0.0, 1.0)
        total += weight * (0.5 + fade * (noise(x * scale, y * scale, seed + 17 * octave) - 0.5))
        norm += weight
        weight *= 0.5
        scale *= 2.03
    result: Floats = (total / norm).astype(np.float32)
    return result


def step(edge0: float, edge1: float, x: Floats) -> Floats:
    """0 below edge0, 1 above edge1, smooth between."""
    t = np.clip((x - edge0) / (edge1 - edge0), 0.0, 1.0)
    result: Floats = (t * t * (3 - 2 * t)).astype(np.float32)
    return result


def colour(*rgb: float) -> Floats:
    """An sRGB colour, 0..255, as linear light."""
    encoded = np.asarray(rgb, np.float32) / 255.0
    result: Floats = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4).astype(
        np.float32
    )
    return result


def mix(a: Floats, b: Floats, t: Floats) -> Floats:
    """Between two colours, by a share for each point: (n, 3)."""
    result: Floats = a + (b - a) * t[:, None]
    return result
