"""Moves a frame onto the reference once, in its own depth, and says which pixels it never saw.

Lanczos (8 x 8) keeps the detail that linear and OpenCV's cubic blur. Gentle motions are followed along rows,
then along columns (`resample`); others by OpenCV, which rounds positions to 1/32 px, below what alignment can
measure. Both work in small blocks, so nothing but the result is allocated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.resample import is_gentle, resample
from mefcli.values import Box, Matrix, Pixels

LEAST_FEATHER_PX, MOST_FEATHER_PX = 4.0, 24.0
CELL_PX, MOST_CELLS = 128, 8  # of a moved frame's rim, and of its pieces along an edge
EDGE_PX = 2.0  # where a resampled frame still shows that it ends
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


Place = tuple[slice, slice]


@dataclass(frozen=True)
class Tile:
    """A piece of a moved frame, near or beyond the frame's edge."""

    place: Place  # rows and columns of the box
    weight: NDArray[np.float32]  # (h, w, 1)
    beyond_px: NDArray[np.float32]  # (h, w, 1): pixels beyond the frame's edge


class Rim:
    """Where a moved frame ends, in pieces; what lies wholly inside is in none, nor is a frame not moved.

    Each is worked out as it is asked for: of long brackets all of them take more memory than a frame. The
    weight is 0 where the frame has no pixel, rising from almost 0 at its edge to 1 within it: at once where a
    pixel's breadth is missing, slowly where much is.
    """

    def __init__(self, matrix: Matrix, box: Box, size_px: tuple[int, int]) -> None:
        self.matrix, self.box, self.size_px = matrix, box, size_px
        left, top, right, bottom = box
        outer = np.meshgrid([left, right - 1], [top, bottom - 1])
        missing_px = -float(_depth(matrix, *outer, size_px).min())
        self.feather_px = float(np.clip(missing_px, LEAST_FEATHER_PX, MOST_FEATHER_PX))
        still = np.array_equal(matrix, np.eye(3)) and box == (0, 0, *size_px)
        self.places: list[Place] = [] if still else list(self._places())

    def _places(self) -> Iterator[Place]:
        """Cells along an edge in long pieces, for the work on each costs more than that on its pixels."""
        left, top, right, bottom = self.box
        xs, ys = np.arange(left, right, CELL_PX), np.arange(top, bottom, CELL_PX)
        x_ends, y_ends = np.minimum(xs + CELL_PX, right), np.minimum(ys + CELL_PX, bottom)
        corners = [np.meshgrid(x, y) for x in (xs, x_ends - 1) for y in (ys, y_ends - 1)]
        depths = zip(*(_depths(self.matrix, x, y, self.size_px) for x, y in corners), strict=True)
        sideways, upright = (np.min(list(one), axis=0) < self.feather_px for one in depths)
        for row, above_or_below in enumerate(upright & ~sideways):
            for first, last in _runs(above_or_below):
                yield slice(ys[row] - top, y_ends[row] - top), slice(xs[first] - left, x_ends[last] - left)
        for column, beside in enumerate((sideways & ~upright).T):
            for first, last in _runs(beside):
                rows = slice(ys[first] - top, y_ends[last] - top)
                yield rows, slice(xs[column] - left, x_ends[column] - left)
        for row, column in np.argwhere(upright & sideways).tolist():
            rows = slice(ys[row] - top, y_ends[row] - top)
            yield rows, slice(xs[column] - left, x_ends[column] - left)

    def holds(self, place: Place) -> bool:
        """Whether the frame has the whole weight at the corners of a place, and so everywhere in it."""
        (top, bottom), (left, right) = ((one.start, one.stop - 1) for one in place)
        x, y = np.meshgrid([left, right], [top, bottom])
        depth = _depth(self.matrix, x + self.box[0], y + self.box[1], self.size_px)
        return bool(depth.min() >= self.feather_px)

    def tile(self, place: Place) -> Tile:
        y, x = (
            np.arange(one.start, one.stop) + start
            for one, start in zip(place, (self.box[1], self.box[0]), strict=True)
        )
        depth = _depth(self.matrix, x[None], y[:, None], self.size_px)
        weight = np.clip(depth / self.feather_px, 0, 1).astype(np.float32)
        # Smoothstep: a linear ramp shows its two corners as faint lines.
        weight = weight * weight * (3 - 2 * weight)
        weight = np.where(depth > -0.5, np.maximum(weight, BARELY), 0)
        beyond_px = np.maximum(-depth, 0).astype(np.float32)
        return Tile(place, weight[..., None], beyond_px[..., None])


def _runs(near: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First and last of neighbours that are true, MOST_CELLS at most."""
    first = None
    for index, one in enumerate([*near.tolist(), False]):
        if first is not None and (not one or index - first == MOST_CELLS):
            yield first, index - 1
            first = None
        if one and first is None:
            first = index


def cover_of(matrix: Matrix, size_px: tuple[int, int], top: int, bottom: int) -> NDArray[np.float32]:
    """How far (h, w) a moved frame has pixels of its own in these rows of the reference: 0 at its edge and
    beyond, 1 from a few pixels inwards."""
    x, y = np.arange(size_px[0])[None], np.arange(top, bottom)[:, None]
    depth = _depth(matrix, x, y, size_px)
    return np.asarray(np.clip((depth - EDGE_PX) / LEAST_FEATHER_PX, 0.0, 1.0), np.float32)


def _depth(
    matrix: Matrix, x: NDArray[np.int64], y: NDArray[np.int64], size_px: tuple[int, int]
) -> NDArray[np.float64]:
    """Distance of places of the reference to the frame's edge, in the frame's pixels; negative outside."""
    result: NDArray[np.float64] = np.minimum(*_depths(matrix, x, y, size_px))
    return result


def _depths(
    matrix: Matrix, x: NDArray[np.int64], y: NDArray[np.int64], size_px: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same to its left or right edge, and to its upper or lower one."""
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / w
    v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / w
    return np.minimum(u, size_px[0] - 1.0 - u), np.minimum(v, size_px[1] - 1.0 - v)


def mix(frame: Pixels, stand_in: NDArray[np.float32], weight: NDArray[np.float32]) -> Pixels:
    """`weight` of the frame, the rest of the stand-in (given in [0, 1]); in the frame's depth."""
    if frame.dtype == np.float32:
        return (frame * weight + stand_in * (1 - weight)).astype(np.float32)
    top = 255 if frame.dtype == np.uint8 else 65535
    blended = np.rint(frame * weight + stand_in * np.float32(top) * (1 - weight))
    # Where the frame has the whole weight its own levels stay, whatever rounding does.
    result: Pixels = np.where(weight >= 1, frame, np.clip(blended, 0, top).astype(frame.dtype))
    return result
