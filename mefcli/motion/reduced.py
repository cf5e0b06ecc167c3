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
from mefcli.motion.sizes import reduction
from mefcli.values import Box, Curve, Matrix, Pixels, Reduced

CURVE_MP = 0.4
"""Pixels that a curve is told from; more tell nothing new."""

Mask = NDArray[np.bool_]


def reduce(frames: Sequence[Pixels], seen: Sequence[Mask | None] | None = None) -> Reduced:
    """`seen` tells of each where, at reduced size, it has pixels of its own; None is everywhere."""
    height, width = frames[0].shape[:2]
    factor = reduction((width, height))
    small = tuple(averaged(frame, factor) for frame in frames)
    return Reduced(small, factor, (width, height), tuple(seen) if seen else (None,) * len(frames))


def seen_by(matrix: Matrix, box: Box, size_px: tuple[int, int]) -> Mask:
    """Where, at reduced size, a frame of `size_px` has pixels once it is moved into `box`."""
    left, top, right, bottom = box
    factor = reduction((right - left, bottom - top))
    xs = left + (np.arange((right - left) // factor) + 0.5) * factor - 0.5
    ys = top + (np.arange((bottom - top) // factor) + 0.5) * factor - 0.5
    x, y = np.meshgrid(xs, ys)
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / w
    v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / w
    margin = factor / 2
    across, down = size_px[0] - 1 - margin, size_px[1] - 1 - margin
    return np.asarray((u >= margin) & (v >= margin) & (u <= across) & (v <= down))


def with_frames(reduced: Reduced, changed: dict[int, Pixels]) -> Reduced:
    """The same with some frames made anew from these source frames; curves stay."""
    small = list(reduced.frames)
    for index, frame in changed.items():
        small[index] = averaged(frame, reduced.factor)
    return replace(reduced, frames=tuple(small))


def averaged(frame: Pixels, factor: int) -> Pixels:
    """Means of factor x factor pixels: a whole factor keeps a rotation a rotation. In the frame's own depth,
    without a float copy of it."""
    import cv2

    if factor == 1:
        return frame
    height, width = frame.shape[0] // factor * factor, frame.shape[1] // factor * factor
    size = (width // factor, height // factor)
    small: Pixels = cv2.resize(frame[:height, :width], size, interpolation=cv2.INTER_AREA)
    return small


def curve_between(reduced: Reduced, source: int, target: int, use: Mask | None = None) -> Curve:
    """What a value of frame `source` is in frame `target`: estimated where both have pixels, then known.

    Frames are taken to be aligned. Given `use` (h, w), only there, and an earlier estimate is replaced.
    """
    if use is not None or (source, target) not in reduced.curves:
        one, other = reduced.frames[source], reduced.frames[target]
        for seen in (reduced.seen[source], reduced.seen[target]):
            use = seen if use is None else use if seen is None else use & seen
        step = max(1, round(math.sqrt(one.shape[0] * one.shape[1] / (CURVE_MP * 1e6))))
        thin = (slice(None, None, step), slice(None, None, step))
        part = None if use is None else use[thin]
        reduced.curves[source, target] = estimate_curve(one[thin], other[thin], part)
    return reduced.curves[source, target]
