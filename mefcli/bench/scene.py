"""A bracket of any size with detail at every scale, the same bytes every time.

Run as `python -m mefcli.bench.scene FOLDER MEGAPIXELS COUNT [moved]`: `mef bench` makes its pictures in a
process of their own, because a child's peak memory, as the kernel counts it, starts at its parent's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SCALES_PX = (6, 24, 90, 350, 1400)  # of the noise that stands for texture, at any picture size
SPREAD_EV = 4.0
TINTS = (1.1, 1.0, 0.85)  # of the light, in red, green and blue


def write_bracket(folder: Path, megapixels: float, count: int, *, moved: bool = False) -> list[Path]:
    """JPEG exposures (quality 95) of one made-up scene, dark to bright, from -2 to +2 stops.

    `moved` as from the hand: each a little shifted and turned.
    """
    import imagecodecs

    width = int((megapixels * 1.5e6) ** 0.5) // 2 * 2
    height = int(width / 1.5) // 2 * 2
    light = radiance(height, width)
    paths = []
    for index, ev in enumerate(np.linspace(-SPREAD_EV / 2, SPREAD_EV / 2, count)):
        path = folder / f"{megapixels:g}MP_{count}_{index:02d}.jpg"
        seen = from_the_hand(light, index) if moved else light
        path.write_bytes(imagecodecs.jpeg8_encode(expose(seen, float(ev), index), level=95))
        paths.append(path)
    return paths


def radiance(height: int, width: int, seed: int = 20) -> NDArray[np.float32]:
    """Log-light of a landscape of smooth noise, with hard-edged shapes that reach six stops apart."""
    import cv2

    rng = np.random.default_rng(seed)
    light = np.zeros((height, width), np.float32)
    for scale in SCALES_PX:
        grid = rng.standard_normal((max(2, height // scale), max(2, width // scale))).astype(np.float32)
        light += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * (scale / 1400) ** 0.35
    for _ in range(40):
        corner = (int(rng.integers(width)), int(rng.integers(height)))
        level = float(rng.normal(0.0, 1.6))
        if rng.random() < 0.5:
            cv2.circle(light, corner, int(rng.integers(2, max(3, width // 9))), level, -1, cv2.LINE_AA)
        else:
            far = (corner[0] + width // 10, corner[1] + height // 7)
            cv2.rectangle(light, corner, far, level, -1)
    return light


def from_the_hand(light: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Shifted by up to half a percent and turned by up to half a degree; its edges are mirrored."""
    import cv2

    rng = np.random.default_rng(seed)
    height, width = light.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-0.5, 0.5)), 1.0)
    turn[:, 2] += rng.uniform(-0.005, 0.005, 2) * width
    seen: NDArray[np.float32] = cv2.warpAffine(
        light, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return seen


def expose(light: NDArray[np.float32], ev: float, seed: int) -> NDArray[np.uint8]:
    """One 8-bit photograph: clipped, gamma encoded, a little noise."""
    rng = np.random.default_rng(seed)
    out = np.empty((*light.shape, 3), np.uint8)
    for top in range(0, light.shape[0], 256):
        rows = light[top : top + 256]
        for channel, tint in enumerate(TINTS):
            linear = np.exp(rows) * np.float32(0.25 * tint * 2.0**ev)
            shown = np.clip(linear, 0, 1) ** np.float32(1 / 2.2) * 255
            shown += rng.standard_normal(rows.shape, dtype=np.float32)
            out[top : top + 256, :, channel] = np.clip(shown, 0, 255)
    return out


if __name__ == "__main__":
    write_bracket(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), moved="moved" in sys.argv[4:])
