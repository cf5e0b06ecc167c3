"""Camera shake and moving things, with the truth about where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.training.camera import Camera, Floats

TURN_DEG = 0.8
SHIFT = 0.02  # of the side
LOCAL_PX = 1.2  # at a side of 128
MOVER_CHANCE = 0.5


@dataclass(frozen=True)
class Mover:
    """A thing in the reference frame: its light, and how much of each pixel it covers."""

    light: Floats  # (H, W, 3) linear
    cover: Floats  # (H, W, 1), 0..1


@dataclass(frozen=True)
class Shaken:
    scenes: list[Floats]  # (H, W, 3) each, linear, one per frame
    moved: NDArray[np.bool_]  # (N, H, W)
    mover: Mover | None


def shake(scene: Floats, patch: Floats, margin: int, frames: int, rng: np.random.Generator) -> Shaken:
    """`frames` versions of a scene with a margin; the last is unmoved and is the reference."""
    import cv2

    size = scene.shape[0] - 2 * margin
    rows, cols = np.mgrid[0:size, 0:size].astype(np.float32) + margin
    has_mover = rng.random() < MOVER_CHANCE
    at, speed = rng.uniform(0.2, 0.8, 2) * size, rng.normal(0, 0.06, 2) * size
    radii = rng.uniform(0.06, 0.16, 2) * size
    # A scene's neighbour may be a thousand times brighter; a mover has the light of where it passes.
    patch = patch * (np.median(scene) / max(float(np.median(patch)), 1e-4))
    scenes, covers = [], []
    lights: list[Floats] = []
    for index in range(frames):
        if index == frames - 1:
            x, y = cols, rows
        else:
            x, y = displaced(cols, rows, margin, size, rng)
        still = cv2.remap(scene, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        still = np.asarray(still, np.float32)
        if has_mover:
            light, cover = _mover(patch, size, at + speed * (index - (frames - 1)), radii)
            still = still * (1 - cover) + light * cover
            covers.append(cover)
            lights.append(light)
        scenes.append(still)
    moved = np.zeros((frames, size, size), bool)
    if has_mover:
        reference = covers[-1][..., 0] > 0.05
        for index in range(frames - 1):
            moved[index] = reference | (covers[index][..., 0] > 0.05)
        return Shaken(scenes, moved, Mover(lights[-1], covers[-1]))
    return Shaken(scenes, moved, None)


def displaced(
    x: Floats, y: Floats, margin: int, size: int, rng: np.random.Generator, strength: float = 1.0
) -> tuple[Floats, Floats]:
    """Homography around the centre plus a smooth local flow, kept within the margin."""
    import cv2

    centre = margin + (size - 1) / 2
    turn = np.radians(rng.normal(0, strength * TURN_DEG / 2))
    zoom = 1 + rng.normal(0, strength * 0.004)
    dx, dy = rng.normal(0, strength * SHIFT / 2, 2) * size
    tilt = rng.normal(0, strength * 0.01, 2) / size
    u, v = x - centre, y - centre
    depth = 1 + tilt[0] * u + tilt[1] * v
    nx = zoom * (np.cos(turn) * u - np.sin(turn) * v) / depth + centre + dx
    ny = zoom * (np.sin(turn) * u + np.cos(turn) * v) / depth + centre + dy
    coarse = rng.normal(0, strength * LOCAL_PX * size / 128, (4, 4, 2)).astype(np.float32)
    flow = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(nx + flow[..., 0], np.float32), np.asarray(ny + flow[..., 1], np.float32)


def _mover(
    patch: Floats, size: int, at: NDArray[np.float64], radii: NDArray[np.float64]
) -> tuple[Floats, Floats]:
    """A soft-edged ellipse filled with a piece of another scene, which moves with it."""
    import cv2

    rows, cols = np.mgrid[0:size, 0:size].astype(np.float32)
    u, v = (cols - at[0]) / radii[0], (rows - at[1]) / radii[1]
    cover = np.clip((1.0 - np.hypot(u, v)) * 6.0, 0.0, 1.0)[..., None]
    side = patch.shape[0]
    light = cv2.remap(
        patch,
        ((u + 1) / 2 * side).astype(np.float32),
        ((v + 1) / 2 * side).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(light, np.float32), np.asarray(cover, np.float32)


def with_mover(target: Floats, camera: Camera, mover: Mover, ev: float) -> Floats:
    """The target of a scene with the reference frame's mover in it, at the middle exposure."""
    shown = camera.develop(mover.light * (np.array(camera.white, np.float32) * np.float32(2.0**ev)))
    return np.asarray(target * (1 - mover.cover) + shown * mover.cover, np.float32)
