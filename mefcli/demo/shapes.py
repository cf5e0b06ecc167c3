"""Boxes, ellipsoids and cylinders that rays can hit. Metres: x to the right, y up, z into the room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mefcli.demo.noise import Floats, floats

# Surface at points (n, 3) with normals (n, 3) and pixel footprints (n,): albedo (n, 3) in linear light.
Paint = Callable[[Floats, Floats, Floats], Floats]
Triple = tuple[float, float, float]
FAR = np.float32(1e9)


@dataclass(frozen=True)
class Thing:
    """A solid of one paint within the box `low`..`high`."""

    low: Triple
    high: Triple
    paint: Paint
    form: Literal["box", "ellipsoid", "cylinder"] = "box"  # cylinders stand upright
    bevel: float = 0.0  # m; edges of boxes that catch the light
    gloss: float = 0.0  # share of a mirror's reflection
    glow: float = 0.0  # times albedo: light of its own
    casts: bool = False  # whether it counts for shadows

    def hit(self, origin: Floats, way: Floats) -> Floats:
        """Distance to the surface along each ray (n, 3); FAR where it is missed."""
        if self.form == "ellipsoid":
            return self._hit_round(origin, way, slice(0, 3))
        if self.form == "cylinder":
            return self._hit_cylinder(origin, way)
        near, far = self._slabs(origin, way)
        return np.where((far > near) & (near > 1e-4), near, FAR).astype(np.float32)

    def normal(self, point: Floats) -> Floats:
        low, high = floats(self.low), floats(self.high)
        middle, half = (low + high) / 2, (high - low) / 2
        local = point - middle
        if self.form == "ellipsoid":
            towards = local / half**2
        elif self.form == "cylinder":
            towards = local / half**2
            on_cap = np.abs(local[:, 1]) > half[1] - 1e-3
            towards = np.where(
                on_cap[:, None], np.sign(local) * floats([0, 1, 0]), towards * floats([1, 0, 1])
            )
        else:
            inside = half - np.abs(local)  # 0 on the face that was hit
            reach = max(self.bevel, 1e-4)
            towards = np.sign(local) * np.clip(1.0 - inside / reach, 0.0, 1.0) ** 2
        length = np.maximum(1e-6, np.sqrt((towards * towards).sum(axis=1, keepdims=True)))
        unit: Floats = (towards / length).astype(np.float32)
        return unit

    def _slabs(self, origin: Floats, way: Floats) -> tuple[Floats, Floats]:
        near, far = np.full(len(way), -FAR, np.float32), np.full(len(way), FAR, np.float32)
        for axis in range(3):
            component = way[:, axis]
            inverse = 1.0 / np.where(np.abs(component) < 1e-7, np.float32(1e-7), component)
            one = (np.float32(self.low[axis]) - origin[..., axis]) * inverse
            two = (np.float32(self.high[axis]) - origin[..., axis]) * inverse
            near, far = np.maximum(near, np.minimum(one, two)), np.minimum(far, np.maximum(one, two))
        return near, far

    def _hit_round(self, origin: Floats, way: Floats, axes: slice) -> Floats:
        low, high = floats(self.low)[axes], floats(self.high)[axes]
        middle, half = (low + high) / 2, (high - low) / 2
        o, d = (origin[..., axes] - middle) / half, way[:, axes] / half
        a, b = (d * d).sum(axis=1), (o * d).sum(axis=-1)
        c = (o * o).sum(axis=-1) - 1.0
        inside = b * b - a * c
        distance = (-b - np.sqrt(np.maximum(0.0, inside))) / np.maximum(a, 1e-9)
        nearest: Floats = np.where((inside > 0) & (distance > 1e-4), distance, FAR).astype(np.float32)
        return nearest

    def _hit_cylinder(self, origin: Floats, way: Floats) -> Floats:
        side = self._hit_round(origin, way, slice(0, 3, 2))
        y = origin[..., 1] + side * way[:, 1]
        side = np.where((y > self.low[1]) & (y < self.high[1]), side, FAR)
        rise = np.where(np.abs(way[:, 1]) < 1e-7, np.float32(1e-7), way[:, 1])
        cap = (np.float32(self.high[1]) - origin[..., 1]) / rise
        x, z = origin[..., 0] + cap * way[:, 0], origin[..., 2] + cap * way[:, 2]
        u = (2 * x - self.low[0] - self.high[0]) / (self.high[0] - self.low[0])
        v = (2 * z - self.low[2] - self.high[2]) / (self.high[2] - self.low[2])
        cap = np.where((cap > 1e-4) & (u * u + v * v < 1.0) & (way[:, 1] < 0), cap, FAR)
        nearest: Floats = np.minimum(side, cap).astype(np.float32)
        return nearest


def unit(vectors: Floats) -> Floats:
    result: Floats = vectors / np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
    return result
