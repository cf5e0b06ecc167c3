"""A camera for the rendered room: exposure, lens, sensor and film response, and the EXIF it would write.

frames = [photograph(scene, stops, seed=i) for i, stops in enumerate(STOPS)]   # uint8, dark to bright
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mefcli.demo.noise import Floats, floats

STOPS = (-4.0, -2.0, 0.0, 2.0, 4.0)
MIDDLE_S = Fraction(1, 15)  # exposure time at 0 stops
MIDDLE_GAIN = 0.7  # scene light that is 1.0 becomes this at 0 stops
APERTURE, ISO, FOCAL_MM = 8.0, 100, 24
MAKE, MODEL = "mef", "mef demo camera"
TAKEN = datetime(2024, 6, 21, 13, 30, 0)
PHOTONS = 14000.0  # at white, in one pixel: sets the grain
READ_NOISE = 3.0  # electrons
BAYER_GAINS = (0.52, 1.0, 0.66)  # how red, green and blue of daylight reach the sensor
BLACK, WHITE = 512, 16383  # levels of the RAW file


@dataclass(frozen=True)
class Exposure:
    stops: float
    number: int

    @property
    def seconds(self) -> Fraction:
        times = MIDDLE_S * Fraction(2) ** int(self.stops) if self.stops == int(self.stops) else None
        return times or Fraction(float(MIDDLE_S) * 2**self.stops).limit_denominator(8000)

    @property
    def taken_at(self) -> datetime:
        return TAKEN + timedelta(seconds=0.5 * self.number)


def through_lens(scene: Floats) -> Floats:
    """Darker corners, and a veil of light about what is bright, as in every lens."""
    height, width, _ = scene.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    corners = 1.0 / (1.0 + 0.12 * (x * x + y * y * (height / width) ** 2)) ** 2
    veil = scene.mean(axis=(0, 1)) * np.float32(0.0006)
    result: Floats = (scene * 0.997 * corners[..., None] + _glow(scene) * 0.003 + veil).astype(np.float32)
    return result


def _glow(scene: Floats) -> Floats:
    """A wide, cheap blur: means over blocks, spread smoothly."""
    height, width, _ = scene.shape
    block = max(4, width // 48)
    small = scene[: height // block * block, : width // block * block]
    small = small.reshape(height // block, block, width // block, block, 3).mean(axis=(1, 3))
    for _ in range(2):
        padded = np.pad(small, ((1, 1), (1, 1), (0, 0)), mode="edge")
        small = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
        small = (small[:, :-2] + 2 * small[:, 1:-1] + small[:, 2:]) / 4
    rows = np.clip((np.arange(height) + 0.5) / block - 0.5, 0, small.shape[0] - 1.001)
    columns = np.clip((np.arange(width) + 0.5) / block - 0.5, 0, small.shape[1] - 1.001)
    i, j = rows.astype(int), columns.astype(int)
    v, u = (rows - i)[:, None, None].astype(np.float32), (columns - j)[None, :, None].astype(np.float32)
    tall = small[i] * (1 - v) + small[i + 1] * v
    result: Floats = (tall[:, j] * (1 - u) + tall[:, j + 1] * u).astype(np.float32)
    return result


def expose(scene: Floats, stops: float, seed: int) -> Floats:
    """What the sensor counts, 1.0 at saturation, with the grain of light and the sensor's own."""
    grain = np.random.default_rng(1000 + seed)
    light = scene * np.float32(MIDDLE_GAIN * 2.0**stops)
    electrons = np.minimum(light, 1.0) * np.float32(PHOTONS)
    noise = grain.standard_normal(scene.shape, dtype=np.float32)
    electrons += noise * np.sqrt(electrons + np.float32(READ_NOISE**2))
    result: Floats = np.clip(electrons / np.float32(PHOTONS), 0.0, 1.0)
    return result


def develop(sensor: Floats) -> Floats:
    """The camera's own rendering: the sRGB curve with a gentle shoulder. Gamma encoded, in [0, 1]."""
    shoulder = sensor * (1.12 - 0.12 * sensor)
    low, high = shoulder * 12.92, 1.055 * np.maximum(shoulder, 1e-6) ** (1 / 2.4) - 0.055
    result: Floats = np.where(shoulder <= 0.0031308, low, high).astype(np.float32)
    return result


def photograph(scene: Floats, stops: float, seed: int) -> NDArray[np.float32]:
    """One frame as the camera renders it, float32 (H, W, 3) in [0, 1]."""
    return develop(expose(scene, stops, seed))


def mosaic(scene: Floats, stops: float, seed: int) -> NDArray[np.uint16]:
    """One frame as an RGGB mosaic of raw levels, uint16 (H, W)."""
    sensor = expose(scene * floats(BAYER_GAINS), stops, seed)
    height, width, _ = sensor.shape
    levels = np.empty((height, width), np.float32)
    levels[0::2, 0::2] = sensor[0::2, 0::2, 0]
    levels[0::2, 1::2] = sensor[0::2, 1::2, 1]
    levels[1::2, 0::2] = sensor[1::2, 0::2, 1]
    levels[1::2, 1::2] = sensor[1::2, 1::2, 2]
    return (levels * (WHITE - BLACK) + BLACK + 0.5).astype(np.uint16)
