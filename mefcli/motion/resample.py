"""Lanczos resampling of nearly unmoved pictures in two passes: first along rows, then along columns.

Eight taps twice instead of 64 at once. What makes it possible: hand-held frames turn by a degree or so, so
over a run of rows, or of columns, the phase (the fraction of a pixel that they must move) is constant to
1/64 px, which is what OpenCV rounds positions to. Each run is then one call of a filter. Steeper motions have
runs of single pixels and gain nothing; `is_gentle` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mefcli.values import Matrix, Pixels

TAPS = 8
BEFORE = 3  # taps before the pixel that a position falls behind
PHASES = 32  # a position is rounded to 1/32 px: at most 1/64 off
TILE_ROWS = TILE_COLUMNS = 512
MOST_RUNS = 2500  # of a tile, turned by a good degree; with more OpenCV is as fast

Floats = NDArray[np.float64]
Plane = NDArray[np.float32]


def resample(frame: Pixels, matrix: Matrix, width: int, height: int) -> Pixels:
    """`matrix` maps pixels of the result to pixels of the frame; the frame's edges repeat beyond it."""
    import cv2

    result: Pixels = np.empty((height, width, frame.shape[2]), frame.dtype)
    depth = {"uint8": cv2.CV_8U, "uint16": cv2.CV_16U}.get(frame.dtype.name, cv2.CV_32F)
    for top in range(0, height, TILE_ROWS):
        for left in range(0, width, TILE_COLUMNS):
            tile = result[top : top + TILE_ROWS, left : left + TILE_COLUMNS]
            values = _tile(frame, matrix, left, top, *tile.shape[:2])
            # Rounds, and clips what overshoots, without a copy between.
            tile[...] = cv2.transpose(cv2.addWeighted(values, 1, values, 0, 0, dtype=depth))
    return result


def is_gentle(matrix: Matrix, width: int, height: int) -> bool:
    """Whether tiles fall into so few runs that two passes are the faster way."""
    x, y = np.meshgrid(np.linspace(0, width - 1, 5), np.linspace(0, height - 1, 5))
    u, v = _forward(matrix, x, y)
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    # du/dx - 1, and so on: how fast the shift changes.
    along, across = (matrix[0, 0] - u * matrix[2, 0]) / w - 1, (matrix[0, 1] - u * matrix[2, 1]) / w
    down, slant = (matrix[1, 1] - v * matrix[2, 1]) / w - 1, (matrix[1, 0] - v * matrix[2, 0]) / w
    if max(np.abs(change).max() for change in (along, across, down, slant)) > 0.1:
        return False
    # Along a row of the frame, not of the result, u also changes because y does.
    within_row = along - across * slant / (1 + down)
    blocks, bands, rows, columns = (
        1 + PHASES * side * np.abs(change).max()
        for side, change in (
            (TILE_COLUMNS, within_row),
            (TILE_ROWS, down),
            (TILE_ROWS, across),
            (TILE_COLUMNS, slant),
        )
    )
    return bool(blocks * rows + bands * columns <= MOST_RUNS)


def _tile(frame: Pixels, matrix: Matrix, left: int, top: int, rows: int, columns: int) -> Plane:
    """One tile of the result, transposed (columns, rows, channels), not rounded."""
    import cv2

    x = np.arange(left, left + columns, dtype=np.float64)
    y = np.arange(top, top + rows, dtype=np.float64)
    _, v_ends = _forward(matrix, *np.meshgrid(x[[0, -1]], y[[0, -1]]))
    first = int(np.floor(v_ends.min())) - BEFORE - 1
    v = np.arange(first, int(np.floor(v_ends.max())) + TAPS - BEFORE + 2, dtype=np.float64)
    shift_ends = np.stack([_u_of(matrix, x[0], v) - x[0], _u_of(matrix, x[-1], v) - x[-1]])
    first_column = left + int(np.floor(shift_ends.min())) - BEFORE - 1
    last_column = left + columns + int(np.floor(shift_ends.max())) + TAPS - BEFORE + 1
    source = _cut(frame, first, first + len(v), first_column, last_column)
    upright = _slide(
        source,
        left - first_column,
        columns,
        lambda middle: _u_of(matrix, left + middle, v) - (left + middle),
        float(np.abs(shift_ends[1] - shift_ends[0]).max()),
    )  # rows of the frame, columns of the result
    drift = (_forward(matrix, x, y[0])[1] - y[0]) - (_forward(matrix, x, y[-1])[1] - y[-1])
    return _slide(
        cv2.transpose(upright),
        top - first,
        rows,
        lambda middle: _forward(matrix, x, top + middle)[1] - (top + middle),
        float(np.abs(drift).max()),
    )


def _slide(
    source: Pixels, origin: int, length: int, shift_at: Callable[[float], Floats], drift_px: float
) -> Plane:
    """Every row moved along itself: `length` pixels of each from `origin` on, further by its shift.

    `shift_at` gives the shift of each row at a place of the result, `drift_px` how far it changes from end to
    end.
    """
    import cv2

    result = np.empty((source.shape[0], length, source.shape[2]), np.float32)
    for begin, end in _blocks(length, drift_px):
        for first, last, whole, taps in _runs(shift_at((begin + end - 1) / 2)):
            at = origin + begin + whole - BEFORE
            part = source[first:last, at : at + end - begin + TAPS - 1]
            done = cv2.sepFilter2D(part, cv2.CV_32F, taps, _ONE, anchor=(BEFORE, 0))
            result[first:last, begin:end] = done[:, BEFORE : BEFORE + end - begin]
    return result


_ONE = np.ones(1, np.float32)


def _forward(matrix: Matrix, x: Floats, y: Floats | float) -> tuple[Floats, Floats]:
    """(u, v) of the frame for (x, y) of the result."""
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / w
    return u, (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / w


def _u_of(matrix: Matrix, x: float, v: Floats) -> Floats:
    """u where column x of the result crosses the rows v of the frame."""
    y = (matrix[1, 0] * x + matrix[1, 2] - v * (matrix[2, 0] * x + matrix[2, 2])) / (
        v * matrix[2, 1] - matrix[1, 1]
    )
    u: Floats = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / (
        matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    )
    return u


def _blocks(length: int, drift_px: float) -> Iterator[tuple[int, int]]:
    """Even parts of a length, over each of which the shift changes by a phase at most."""
    count = min(length, max(1, int(np.ceil(drift_px * PHASES))))
    ends = np.linspace(0, length, count + 1).round().astype(int).tolist()
    yield from pairwise(ends)


def _runs(shift: Floats) -> Iterator[tuple[int, int, int, Plane]]:
    """(begin, end, whole pixels, taps): runs over which the shift, rounded to a phase, is one."""
    steps = np.rint(shift * PHASES).astype(np.int64)
    begins = np.flatnonzero(np.diff(steps, prepend=steps[0] - 1))
    wholes, phases = np.divmod(steps[begins], PHASES)
    ends = [*begins[1:].tolist(), len(shift)]
    # The choice of taps for all at once: a tile has hundreds of runs.
    return zip(begins.tolist(), ends, wholes.tolist(), _lanczos()[phases], strict=True)


@lru_cache(maxsize=1)
def _lanczos() -> Plane:  # (PHASES, TAPS)
    phase = np.arange(PHASES)[:, None] / PHASES
    distance = np.arange(-BEFORE, TAPS - BEFORE) - phase
    taps = np.sinc(distance) * np.sinc(distance / (TAPS / 2))
    return np.asarray(taps / taps.sum(axis=1, keepdims=True), np.float32)


def _cut(frame: Pixels, top: int, bottom: int, left: int, right: int) -> Pixels:
    """A part of the frame, or of its repeated edges."""
    import cv2

    height, width = frame.shape[:2]
    above, below = max(0, -top), max(0, bottom - height)
    before, after = max(0, -left), max(0, right - width)
    # Wholly beyond an edge, that edge is all there is.
    rows = slice(min(max(top, 0), height - 1), max(min(bottom, height), 1))
    columns = slice(min(max(left, 0), width - 1), max(min(right, width), 1))
    part = frame[rows, columns]
    if not (above or below or before or after):
        return part
    above, before = min(above, bottom - top - 1), min(before, right - left - 1)
    below, after = bottom - top - above - part.shape[0], right - left - before - part.shape[1]
    padded: Pixels = cv2.copyMakeBorder(part, above, below, before, after, cv2.BORDER_REPLICATE)
    return padded
