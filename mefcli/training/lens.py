"""A fisheye's circle: the scene inside, and around it the glow of the lens' own barrel, falling to black.

Such pictures are mostly surround, black in the dark frames and white in the bright ones. Networks that
normalise by statistics of the whole picture must have met them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mefcli.training.camera import Floats


@dataclass(frozen=True)
class Circle:
    """In fractions of the picture's side; light in stops."""

    x: float
    y: float
    radius: float
    glow: float  # of the rim, against the mean of the scene
    fall: float  # per side of the picture, outwards
    tint: tuple[float, float, float]

    def through(self, scene: Floats) -> Floats:
        """The linear scene, (H, W, 3), as this lens shows it."""
        height, width = scene.shape[:2]
        side = max(height, width)
        rows = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height - self.y
        cols = (np.arange(width, dtype=np.float32)[None, :] + 0.5) / width - self.x
        outwards = np.sqrt(rows**2 + cols**2) - self.radius  # (H, W)
        barrel = np.float32(scene.mean()) * np.exp2(self.glow - self.fall * np.maximum(outwards, 0.0))
        inside = np.clip(0.5 - outwards * side / 3.0, 0.0, 1.0)[..., None]  # an edge of three pixels
        around = barrel[..., None] * np.array(self.tint, np.float32)
        return np.asarray(inside * scene + (1 - inside) * around, np.float32)


def random_circle(rng: np.random.Generator) -> Circle:
    red, blue = np.exp2(rng.normal(0, 0.15, 2))
    return Circle(
        x=rng.uniform(0.44, 0.56),
        y=rng.uniform(0.44, 0.56),
        radius=rng.uniform(0.28, 0.5),
        glow=rng.uniform(-7.0, -2.0),
        fall=rng.uniform(4.0, 18.0),
        tint=(float(red), 1.0, float(blue)),
    )
