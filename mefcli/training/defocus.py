"""A scene in layers of depth, and what a lens makes of it at each of its focus distances.

A background whose depth varies smoothly, and things before it that hide it and each other. What is out of
focus becomes a disc of light, in linear light, so that lamps spread as lamps do; a disc of the foreground
covers what is sharp behind it, and what a thing hides comes into view beside its blurred edge. Depth is 0 far
away and 1 near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.training.camera import Floats

SLICE_PX = 1.0  # a layer is cut into slices whose discs differ by no more than this
MOST_SLICES = 9


@dataclass(frozen=True)
class Layer:
    light: Floats  # (H, W, 3) linear
    cover: Floats  # (H, W), 0..1
    depth: Floats  # (H, W), 0 far .. 1 near


@dataclass(frozen=True)
class Lens:
    """`disc_px` is the widest disc's diameter; within `field` of the focus everything counts as sharp."""

    disc_px: float
    field: float

    def disc(self, depth: float, focus: float) -> float:
        return self.disc_px * max(0.0, abs(depth - focus) - self.field) / max(1.0 - self.field, 1e-6)


def disc_kernel(diameter_px: float) -> Floats:
    """A disc with soft edges that sums to 1; below a pixel, the pixel itself."""
    radius = diameter_px / 2
    reach = int(np.ceil(radius + 0.5))
    across = np.arange(-reach, reach + 1, dtype=np.float32)
    away = np.hypot(across[:, None], across[None, :])
    kernel = np.clip(radius + 0.5 - away, 0.0, 1.0)
    return np.asarray(kernel / kernel.sum(), np.float32)


def photographed(layers: Sequence[Layer], lens: Lens, focus: float) -> Floats:
    """The layers, far to near, through the lens: linear light, (H, W, 3)."""
    picture = np.zeros_like(layers[0].light)
    for layer in layers:
        light, cover = _through(layer, lens, focus)
        picture = picture * (1 - cover) + light
    return np.asarray(picture, np.float32)


def all_in_focus(layers: Sequence[Layer]) -> Floats:
    picture = np.zeros_like(layers[0].light)
    for layer in layers:
        cover = layer.cover[..., None]
        picture = picture * (1 - cover) + layer.light * cover
    return np.asarray(picture, np.float32)


def depth_seen(layers: Sequence[Layer]) -> Floats:
    """The depth of what is in front, (H, W)."""
    depth = layers[0].depth
    for layer in layers[1:]:
        depth = np.where(layer.cover > 0.5, layer.depth, depth)
    return np.asarray(depth, np.float32)


def _through(layer: Layer, lens: Lens, focus: float) -> tuple[Floats, Floats]:
    """(light times cover, cover) of one layer, each slice of depth spread by its own disc."""
    import cv2

    low, high = float(layer.depth.min()), float(layer.depth.max())
    count = int(np.clip(np.ceil((high - low) * lens.disc_px / SLICE_PX) + 1, 1, MOST_SLICES))
    depths = np.linspace(low, high, count)
    step = max(high - low, 1e-6) / max(count - 1, 1)
    light = np.zeros_like(layer.light)
    cover = np.zeros_like(layer.cover)
    for depth in depths:
        share = layer.cover
        if count > 1:
            share = share * np.clip(1 - np.abs(layer.depth - depth) / step, 0.0, 1.0)
        kernel = disc_kernel(lens.disc(float(depth), focus))
        light += cv2.filter2D(layer.light * share[..., None], -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        cover += cv2.filter2D(share, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    # Neighbouring slices spread over each other: together they cover no more than everything.
    whole = cover[..., None]
    most = float(layer.cover.min()) == 1.0
    target = np.ones_like(whole) if most else np.minimum(whole, 1.0)
    return np.asarray(light * (target / np.maximum(whole, 1e-4)), np.float32), np.asarray(target, np.float32)


# ---- scenes ----------------------------------------------------------------------------------------------


def smooth_depth(size: int, low: float, high: float, rng: np.random.Generator) -> Floats:
    """A tilted plane with gentle hills, from `low` to `high`."""
    import cv2

    across = np.linspace(-1, 1, size, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    plane = np.cos(angle) * across[None, :] + np.sin(angle) * across[:, None]
    hills = cv2.resize(
        rng.standard_normal((4, 4)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
    )
    depth = plane + np.float32(rng.uniform(0, 0.8)) * hills
    depth = (depth - depth.min()) / max(float(np.ptp(depth)), 1e-6)
    return np.asarray(low + (high - low) * depth, np.float32)


def shape(size: int, rng: np.random.Generator) -> Floats:
    """The outline of a thing: a blob, a polygon, or a stick; edges of one pixel, (H, W)."""
    import cv2

    fine = 4
    canvas = np.zeros((size * fine, size * fine), np.uint8)
    centre = rng.uniform(0.1, 0.9, 2) * size * fine
    kind = rng.random()
    if kind < 0.55:  # a blob or a leaf: radius varies with the angle
        angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        radius = np.ones_like(angles)
        for wave in range(1, 6):
            radius += rng.normal(0, 0.28 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
        radius = np.clip(radius, 0.2, None) * rng.uniform(0.1, 0.34) * size * fine
        outline = (
            centre + np.stack((np.cos(angles), np.sin(angles) * rng.uniform(0.5, 1.0)), 1) * radius[:, None]
        )
    elif kind < 0.8:  # a polygon
        count = int(rng.integers(3, 7))
        angles = np.sort(rng.uniform(0, 2 * np.pi, count))
        radius = rng.uniform(0.15, 0.4, count) * size * fine
        outline = centre + np.stack((np.cos(angles), np.sin(angles)), 1) * radius[:, None]
    else:  # a stick or a stem, from border to border
        angle = rng.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)]) * 2 * size * fine
        beside = np.array([-along[1], along[0]]) / 2 * rng.uniform(0.01, 0.08)
        outline = np.stack(
            [
                centre + along + beside,
                centre + along - beside,
                centre - along - beside,
                centre - along + beside,
            ]
        )
    cv2.fillPoly(canvas, [np.round(outline).astype(np.int32)], 255)
    return np.asarray(
        cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA) / np.float32(255), np.float32
    )


def foci(layers: Sequence[Layer], frames: int) -> tuple[NDArray[np.float64], float]:
    """Where a photographer focuses, near first, and the half distance between two of these."""
    depth = depth_seen(layers)
    near, far = float(depth.max()), float(depth.min())
    half = (near - far) / (2 * frames)
    return np.linspace(near - half, far + half, frames), half
