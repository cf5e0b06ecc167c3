"""Small versions of a bracket's frames, and the brightness curves between them, made once for all stages.

Motion, ghosts, flow and what fills a moved frame's edge all look at these pictures and use these curves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.mapping import estimate_curve
from mefcli.values import Curve, Pixels, Reduced

REDUCED_MP = 0.6
"""On this, motion is measured to 0.02 px of the reduced picture, which is 0.15 px of one of 24 MP at most."""
CURVE_MP = 0.4
"""Pixels that a curve is told from; more tell nothing new."""

Floats = NDArray[np.float32]


def reduction(size_px: tuple[int, int], max_mp: float = REDUCED_MP) -> int:
    """The whole-number factor that brings a (width, height) picture to at most `max_mp` megapixels."""
    return max(1, math.ceil(math.sqrt(size_px[0] * size_px[1] / (max_mp * 1e6)) - 1e-9))


def reduce(frames: Sequence[Pixels]) -> Reduced:
    height, width = frames[0].shape[:2]
    factor = reduction((width, height))
    return Reduced(tuple(_averaged(frame, factor) for frame in frames), factor, (width, height))


def with_frames(reduced: Reduced, changed: dict[int, Pixels]) -> Reduced:
    """The same with some frames made anew from these source frames; curves stay."""
    small = list(reduced.frames)
    for index, frame in changed.items():
        small[index] = _averaged(frame, reduced.factor)
    return replace(reduced, frames=tuple(small))


def _averaged(frame: Pixels, factor: int) -> Pixels:
    """A whole factor keeps a rotation a rotation. In the frame's own depth, without a float copy of it."""
    import cv2

    if factor == 1:
        return frame
    height, width = frame.shape[0] // factor * factor, frame.shape[1] // factor * factor
    size = (width // factor, height // factor)
    small: Pixels = cv2.resize(frame[:height, :width], size, interpolation=cv2.INTER_AREA)
    return small


def floats(small: Pixels) -> Floats:
    """In [0, 1]."""
    scale = {"uint8": 1 / 255, "uint16": 1 / 65535}.get(small.dtype.name, 1.0)
    result: Floats = small.astype(np.float32) * np.float32(scale)
    return result


def curve_between(reduced: Reduced, source: int, target: int, use: NDArray[np.bool_] | None = None) -> Curve:
    """What a value of frame `source` is in frame `target`: estimated where `use` (h, w) allows, then known.

    Frames are taken to be aligned. Given `use`, an earlier estimate is replaced.
    """
    if use is not None or (source, target) not in reduced.curves:
        one, other = reduced.frames[source], reduced.frames[target]
        step = max(1, round(math.sqrt(one.shape[0] * one.shape[1] / (CURVE_MP * 1e6))))
        thin = (slice(None, None, step), slice(None, None, step))
        part = None if use is None else use[thin]
        reduced.curves[source, target] = estimate_curve(floats(one[thin]), floats(other[thin]), part)
    return reduced.curves[source, target]
