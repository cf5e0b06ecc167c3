"""Moves a frame onto the reference once, in its own depth, and says which pixels it never saw.

Lanczos (8 x 8) keeps the detail that linear and OpenCV's cubic blur. Gentle motions are followed along rows,
then along columns (`resample`); others by OpenCV, which rounds positions to 1/32 px, below what alignment can
measure. Both work in small blocks, so nothing but the result is allocated.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.geometry import apply
from mefcli.motion.resample import is_gentle, resample
from mefcli.values import Box, Matrix, Pixels

LEAST_FEATHER_PX, MOST_FEATHER_PX = 4.0, 24.0
TILE_PX = 256
BARELY = np.float32(1e-3)  # the weight of a frame's outermost pixels: enough where no other frame has any


def warp(frame: Pixels, matrix: Matrix, box: Box) -> Pixels:
    """The frame as the reference's camera saw it, within `box` of the reference; edges repeat outside."""
    import cv2

    left, top, right, bottom = box
    onto_frame = matrix @ np.array([[1, 0, left], [0, 1, top], [0, 0, 1.0]])
    width, height = right - left, bottom - top
    result: Pixels
    if is_gentle(onto_frame, width, height):
        result = resample(frame, onto_frame, width, height)
    else:
        result = cv2.warpPerspective(
            frame,
            onto_frame,
            (width, height),
            flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    if result.dtype == np.float32:
        np.clip(result, 0, 1, out=result)
    return result


def missing_tiles(
    matrix: Matrix, box: Box, size_px: tuple[int, int]
) -> Iterator[tuple[tuple[slice, slice], NDArray[np.float32]]]:
    """Tiles of the result near or beyond the frame's edge, with the weight (h, w, 1) of the frame there.

    0 where the frame has no pixel, rising from almost 0 at its edge to 1 within it: at once where a pixel's
    breadth is missing, slowly where much is. Tiles wholly inside are left out.
    """
    left, top, right, bottom = box
    outer = np.array([[left, top], [right - 1, top], [left, bottom - 1], [right - 1, bottom - 1]], np.float64)
    missing_px = -float(_inside(apply(matrix, outer), size_px).min())
    feather_px = float(np.clip(missing_px, LEAST_FEATHER_PX, MOST_FEATHER_PX))
    for y in range(top, bottom, TILE_PX):
        for x in range(left, right, TILE_PX):
            y_end, x_end = min(y + TILE_PX, bottom), min(x + TILE_PX, right)
            corners = np.array(
                [[x, y], [x_end - 1, y], [x, y_end - 1], [x_end - 1, y_end - 1]], dtype=np.float64
            )
            if _inside(apply(matrix, corners), size_px).min() >= feather_px:
                continue
            xs, ys = np.meshgrid(np.arange(x, x_end, dtype=np.float64), np.arange(y, y_end, dtype=np.float64))
            depth = _inside(apply(matrix, np.stack([xs.ravel(), ys.ravel()], axis=1)), size_px)
            weight = np.clip(depth / feather_px, 0, 1).reshape(xs.shape).astype(np.float32)
            # Smoothstep: a linear ramp shows its two corners as faint lines.
            weight = weight * weight * (3 - 2 * weight)
            weight = np.where(depth.reshape(xs.shape) > -0.5, np.maximum(weight, BARELY), 0)
            yield (slice(y - top, y_end - top), slice(x - left, x_end - left)), weight[..., None]


def _inside(points: NDArray[np.float64], size_px: tuple[int, int]) -> NDArray[np.float64]:
    """Distance to the frame's edge, px; negative outside."""
    far = np.minimum(points, np.array([size_px[0] - 1.0, size_px[1] - 1.0]) - points)
    result: NDArray[np.float64] = far.min(axis=1)
    return result


def mix(frame: Pixels, stand_in: NDArray[np.float32], weight: NDArray[np.float32]) -> Pixels:
    """`weight` of the frame, the rest of the stand-in (given in [0, 1]); in the frame's depth."""
    if frame.dtype == np.float32:
        return (frame * weight + stand_in * (1 - weight)).astype(np.float32)
    top = 255 if frame.dtype == np.uint8 else 65535
    blended = np.rint(frame * weight + stand_in * np.float32(top) * (1 - weight))
    # Where the frame has the whole weight its own levels stay, whatever rounding does.
    result: Pixels = np.where(weight >= 1, frame, np.clip(blended, 0, top).astype(frame.dtype))
    return result
