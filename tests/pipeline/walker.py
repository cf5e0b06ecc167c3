"""A textured scene and somebody who walks through it, for tests of what moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GAINS = (0.06, 0.25, 1.0)  # of the three exposures


def scene(size: tuple[int, int], scales: tuple[int, ...], seed: int = 4) -> np.ndarray:
    """Radiance (H, W, 3) with structure of these sizes in pixels."""
    import cv2

    rng = np.random.default_rng(seed)
    stops = np.zeros((size[1], size[0], 3), np.float32)
    for scale in scales:
        noise = rng.standard_normal((size[1] // scale + 3, size[0] // scale + 3, 1)).astype(np.float32)
        stops += cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)[..., None] * (0.3 + scale / 60)
    tint = np.array([1.0, 0.9, 0.7], np.float32)
    return np.asarray(np.exp2(np.clip(stops - 0.5, -3.5, 2.5)) * tint, np.float32)


@dataclass(frozen=True)
class Person:
    middle: int  # of the body, from the top
    half: tuple[int, int]  # of the body, across and down
    head: int  # its middle, from the top
    radius: int  # of the head

    def stands(self, radiance: np.ndarray, x: int) -> np.ndarray:
        import cv2

        shown = radiance.copy()
        red, skin = (0.9, 0.25, 0.2), (1.3, 1.0, 0.8)
        cv2.ellipse(shown, (x, self.middle), self.half, 0, 0, 360, red, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(shown, (x, self.head), self.radius, skin, cv2.FILLED, cv2.LINE_AA)
        return shown
