"""Depth maps made larger and smaller by cubic interpolation, as Pillow and MATLAB's imresize do it.

OpenCV's own cubic has other weights and, where pictures shrink, skips pixels. A map of depth is float32,
(h, w). A pixel of the small map covers a rectangle of the large one.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Span = tuple[int, int]
SHARPNESS = -0.5  # of Keys' cubic
BOUNDS_PX = 5  # side of the window in which a pixel's least and greatest depth are looked for


def resized(
    depth: Floats, size: tuple[int, int], rows: Span | None = None, cols: Span | None = None
) -> Floats:
    """`depth` at `size` (height, width), or only these rows and columns of that."""
    height, width = size
    return _along(_along(depth, 0, height, rows or (0, height)), 1, width, cols or (0, width))


def bounds(low: Floats) -> tuple[Floats, Floats]:
    """The least and the greatest depth around every pixel."""
    window = np.ones((BOUNDS_PX, BOUNDS_PX), np.uint8)
    return np.asarray(cv2.erode(low, window)), np.asarray(cv2.dilate(low, window))


def nearest(length: int, own: int) -> NDArray[np.intp]:
    """Which of `own` pixels each of `length` pixels lies in."""
    return ((np.arange(length) + 0.5) * own / length).astype(np.intp)


def _along(picture: Floats, axis: int, length: int, span: Span) -> Floats:
    """Along one axis at `length`, of which `span` is wanted; beyond the ends the last pixel counts."""
    own = picture.shape[axis]
    scale = own / length
    stretch = max(1.0, scale)
    at = (np.arange(*span) + 0.5) * scale - 0.5
    first = np.ceil(at - 2 * stretch).astype(np.intp)
    taps = [first + tap for tap in range(int(np.ceil(4 * stretch)))]
    weights = np.stack([_cubic(np.abs(tap - at) / stretch) for tap in taps])
    weights = (weights / weights.sum(0)).astype(np.float32)
    shape = (len(picture), len(at)) if axis else (len(at), picture.shape[1])
    out = np.zeros(shape, np.float32)
    for tap, weight in zip(taps, weights, strict=True):
        out += np.take(picture, np.clip(tap, 0, own - 1), axis) * (weight if axis else weight[:, None])
    return out


def _cubic(away: NDArray[np.float64]) -> NDArray[np.float64]:
    a = SHARPNESS
    near = ((a + 2) * away - (a + 3)) * away**2 + 1
    far = a * (((away - 5) * away + 8) * away - 4)
    return np.where(away <= 1, near, np.where(away < 2, far, 0.0))
