"""A simulated camera: white balance, photon and read noise, clipping, response curve, 8 bits, JPEG.

The response family is made to look like measured ones: sRGB, plain gammas and a film-like shoulder, mixed,
with more or less S-shaped contrast and a toe that draws deep shadows to black, as cameras' own JPEGs have it.
All are monotone and map [0, 1] onto [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

TOE = (-0.05, 0.3)  # below 0: none
STEPS = 4096  # of a curve's table, spaced by the square root of exposure


def srgb_encode(linear: Floats) -> Floats:
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).astype(
        np.float32
    )


def response_curve(base: float, gamma: float, shoulder: float, contrast: float, toe: float = 0.0) -> Floats:
    """A table of the response: `base` mixes sRGB (0) with gamma-and-shoulder (1), `toe` comes out halved."""
    exposure = np.linspace(0.0, 1.0, STEPS, dtype=np.float64) ** 2
    film = np.log1p(shoulder * exposure) / np.log1p(shoulder)
    mixed = (1 - base) * srgb_encode(exposure.astype(np.float32)) + base * film ** (1 / gamma)
    # An S around the middle; |contrast| <= 0.5 keeps it monotone.
    curve = mixed + contrast * mixed * (1 - mixed) * (2 * mixed - 1)
    if toe:
        curve = curve**3 / (curve**2 + toe**2) * (1 + toe**2)
    return np.asarray(np.maximum.accumulate(curve), np.float32)


SRGB = response_curve(0.0, 2.2, 1.0, 0.0)


@dataclass(frozen=True)
class Camera:
    """One camera as set for one bracket."""

    curve: Floats  # (STEPS,)
    white: tuple[float, float, float] = (1.0, 1.0, 1.0)  # channel gains before clipping
    full_well: float = 1e9  # electrons at exposure 1: fewer is noisier
    read_noise: float = 0.0  # electrons
    jpeg_quality: int = 0  # 0: stored without loss

    def develop(self, exposed: Floats) -> Floats:
        """Exposure to display values, noise-free, not quantised."""
        at = np.sqrt(np.clip(exposed, 0.0, 1.0)) * (STEPS - 1) + 0.5
        return self.curve[at.astype(np.uint16)]

    def shoot(self, scene: Floats, ev: float, rng: np.random.Generator) -> Bytes:
        """One frame, (H, W, 3) uint8, of a linear scene at an exposure in stops."""
        exposed = scene * (np.array(self.white, np.float32) * np.float32(2.0**ev))
        if self.full_well < 1e8:
            # Sensors count light before white balance; the gains are near 1, so their share is left out.
            variance = exposed * np.float32(1 / self.full_well) + np.float32(
                (self.read_noise / self.full_well) ** 2
            )
            noise = rng.standard_normal(exposed.shape, np.float32)
            exposed = exposed + np.sqrt(variance) * noise
        frame = (self.develop(exposed) * 255.0 + 0.5).astype(np.uint8)
        return through_jpeg(frame, self.jpeg_quality) if self.jpeg_quality else frame


def through_jpeg(frame: Bytes, quality: int) -> Bytes:
    import cv2

    _, coded = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


def random_camera(rng: np.random.Generator, *, reduced: bool) -> Camera:
    """A camera with a plausible response. Reduced pictures are cleaner: noise and blocks average out."""
    curve = SRGB
    if rng.random() < 0.75:
        curve = response_curve(
            rng.uniform(0, 1),
            rng.uniform(1.7, 2.3),
            10 ** rng.uniform(-1, 0.8),
            rng.uniform(-0.1, 0.4),
            max(0.0, rng.uniform(*TOE)),
        )
    warmth, tint = rng.normal(0, 0.10), rng.normal(0, 0.03)
    white = (float(2.0**warmth), float(2.0**tint), float(2.0**-warmth))
    full_well = 10 ** (rng.uniform(4.3, 6.0) if reduced else rng.uniform(3.7, 5.2))
    quality = 0
    if rng.random() < 0.7:
        quality = int(rng.integers(90, 98) if reduced else rng.integers(75, 98))
    return Camera(curve, white, full_well, rng.uniform(1, 6), quality)
