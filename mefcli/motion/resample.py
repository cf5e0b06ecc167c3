"""Lanczos resampling of nearly unmoved pictures in two passes: first along rows, then along columns.

Eight taps twice instead of 64 at once: about half the time of OpenCV's. What makes it possible: hand-held
frames turn by a degree or so, so in a block the phase (the fraction of a pixel that a row or a column must
move) is constant to 1/64 px, which is what OpenCV rounds positions to. Steeper motions have small blocks and
gain nothing; `is_gentle` tells.
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
PHASES = 1024
STEPS_A_PX = 32  # blocks end where the phase has changed by 1/32 px: at most 1/64 from the block's middle
TILE_ROWS, TILE_COLUMNS = 128, 512
MOST_PIECES = 24  # of a tile; with more OpenCV is faster

Floats = NDArray[np.float64]
Plane = NDArray[np.float32]


def resample(frame: Pixels, matrix: Matrix, width: int, height: int) -> Pixels:
    """`matrix` maps pixels of the result to pixels of the frame; the frame's edges repeat beyond it."""
    result: Pixels = np.empty((height, width, frame.shape[2]), frame.dtype)
    for top in range(0, height, TILE_ROWS):
        for left in range(0, width, TILE_COLUMNS):
            tile = result[top : top + TILE_ROWS, left : left + TILE_COLUMNS]
            values = _tile(frame, matrix, left, top, *tile.shape[:2])
            if tile.dtype != np.float32:
                highest = 255 if tile.dtype == np.uint8 else 65535
                np.clip(np.rint(values, out=values), 0, highest, out=values)
            tile[...] = values.reshape(tile.shape)
    return result


def is_gentle(matrix: Matrix, width: int, height: int) -> bool:
    """Whether tiles fall into so few pieces that two passes are the faster way."""
    x, y = np.meshgrid(np.linspace(0, width - 1, 5), np.linspace(0, height - 1, 5))
    u, v = _forward(matrix, x, y)
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    along = np.abs((matrix[0, 0] - u * matrix[2, 0]) / w - 1)  # du/dx - 1, and so on
    across = np.abs((matrix[0, 1] - u * matrix[2, 1]) / w)
    down = np.abs((matrix[1, 1] - v * matrix[2, 1]) / w - 1)
    slant = np.abs((matrix[1, 0] - v * matrix[2, 0]) / w)
    if max(along.max(), across.max(), down.max(), slant.max()) > 0.1:
        return False
    # Along a row of the frame, not of the result, u also changes because y does.
    blocks = 1 + STEPS_A_PX * TILE_COLUMNS * (along + across * slant).max()
    bands = 1 + STEPS_A_PX * TILE_ROWS * down.max()
    runs_of_rows, runs_of_columns = 1 + TILE_ROWS * across.max(), 1 + TILE_COLUMNS * slant.max()
    return bool(blocks * runs_of_rows + bands * runs_of_columns <= MOST_PIECES)


def _tile(frame: Pixels, matrix: Matrix, left: int, top: int, rows: int, columns: int) -> Plane:
    """One tile of the result, (rows, columns * channels), not rounded."""
    x = np.arange(left, left + columns, dtype=np.float64)
    y = np.arange(top, top + rows, dtype=np.float64)
    edges = np.meshgrid(x[[0, -1]], y[[0, -1]])
    _, v_ends = _forward(matrix, *edges)
    first = int(np.floor(v_ends.min())) - BEFORE - 1
    v = np.arange(first, int(np.floor(v_ends.max())) + TAPS - BEFORE + 2, dtype=np.float64)
    shift_ends = np.stack([_u_of(matrix, x[0], v) - x[0], _u_of(matrix, x[-1], v) - x[-1]])
    first_column = left + int(np.floor(shift_ends.min())) - BEFORE - 1
    last_column = left + columns + int(np.floor(shift_ends.max())) + TAPS - BEFORE + 1
    source = _cut(frame, first, first + len(v), first_column, last_column)  # (len(v), more columns, C)
    channels = frame.shape[2]
    source = source.reshape(len(v), -1)

    upright = np.empty((len(v), columns * channels), np.float32)  # rows of the frame, columns of the result
    scratch = np.empty_like(upright)
    for begin, end in _blocks(columns, float(np.abs(shift_ends[1] - shift_ends[0]).max())):
        middle = left + (begin + end - 1) / 2
        shift = _u_of(matrix, middle, v) - middle
        for r0, r1, whole, taps in _runs(shift):
            at = (left + begin + whole - BEFORE - first_column) * channels
            size = (end - begin) * channels
            into = upright[r0:r1, begin * channels : end * channels]
            _add_up(
                lambda k, r0=r0, r1=r1, at=at, size=size: source[  # type: ignore[misc]
                    r0:r1, at + k * channels : at + k * channels + size
                ],
                taps[..., None],
                into,
                scratch[: r1 - r0, :size],
            )

    result = np.empty((rows, columns * channels), np.float32)
    drift = (_forward(matrix, x, y[0])[1] - y[0]) - (_forward(matrix, x, y[-1])[1] - y[-1])
    for begin, end in _blocks(rows, float(np.abs(drift).max())):
        middle = top + (begin + end - 1) / 2
        shift = _forward(matrix, x, middle)[1] - middle
        for c0, c1, whole, taps in _runs(shift):
            at = top + begin + whole - BEFORE - first
            span = slice(c0 * channels, c1 * channels)
            _add_up(
                lambda k, at=at, span=span, n=end - begin: upright[  # type: ignore[misc]
                    at + k : at + k + n, span
                ],
                np.repeat(taps, channels, axis=1)[:, None],
                result[begin:end, span],
                scratch[: end - begin, : (c1 - c0) * channels],
            )
    return result


def _add_up(tap: Callable[[int], Plane], weights: Plane, into: Plane, scratch: Plane) -> None:
    """into = sum over k of weights[k] * tap(k)."""
    np.multiply(tap(0), weights[0], out=into)
    for k in range(1, TAPS):
        np.multiply(tap(k), weights[k], out=scratch)
        np.add(into, scratch, out=into)


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
    """Even parts of a length, over each of which the shift changes by 1/STEPS_A_PX px at most."""
    count = min(length, max(1, int(np.ceil(drift_px * STEPS_A_PX))))
    ends = np.linspace(0, length, count + 1).round().astype(int).tolist()
    yield from pairwise(ends)


def _runs(shift: Floats) -> Iterator[tuple[int, int, int, Plane]]:
    """(begin, end, whole pixels, taps (TAPS, end - begin)), the whole part of the shift being one number."""
    steps = np.rint(shift * PHASES).astype(np.int64)
    whole, phase = np.divmod(steps, PHASES)
    taps = _lanczos()[:, phase]
    ends = [0, *(np.flatnonzero(np.diff(whole)) + 1).tolist(), len(shift)]
    for begin, end in pairwise(ends):
        yield begin, end, int(whole[begin]), taps[:, begin:end]


@lru_cache(maxsize=1)
def _lanczos() -> Plane:  # (TAPS, PHASES)
    phase = np.arange(PHASES) / PHASES
    distance = np.arange(-BEFORE, TAPS - BEFORE)[:, None] - phase
    taps = np.sinc(distance) * np.sinc(distance / (TAPS / 2))
    return np.asarray(taps / taps.sum(axis=0), np.float32)


def _cut(frame: Pixels, top: int, bottom: int, left: int, right: int) -> Plane:
    """A part of the frame, or of its repeated edges, as floats."""
    height, width = frame.shape[:2]
    if top >= 0 and left >= 0 and bottom <= height and right <= width:
        return frame[top:bottom, left:right].astype(np.float32)
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    return frame[rows[:, None], columns].astype(np.float32)
