"""From interleaved integer frames to float planes and back, a strip at a time.

Frames stay `(H, W, 3)` uint8, uint16 or float32 for as long as possible; only the strip or tile at hand
becomes `(3, rows, cols)` float32 in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Frame = NDArray[Any]  # (H, W, 3) uint8 | uint16 | float32

DTYPES: dict[int, type[np.generic]] = {8: np.uint8, 16: np.uint16, 32: np.float32}
FULL_SCALE: dict[str, float] = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}


def empty_picture(height: int, width: int, depth: int) -> Frame:
    """An output picture, not yet filled; `depth` is 8, 16 or 32 (float)."""
    return np.empty((height, width, 3), DTYPES[depth])


def load_planes(rows: Frame, out: Tensor | None = None) -> Tensor:
    """A strip of a frame, (rows, cols, 3) of any depth, as float32 planes in [0, 1]: (3, rows, cols)."""
    height, width, _ = rows.shape
    if out is None:
        out = torch.empty(3, height, width)
    np.copyto(out.numpy(), rows.transpose(2, 0, 1), casting="unsafe")
    scale = FULL_SCALE[rows.dtype.name]
    return out if scale == 1.0 else out.mul_(1.0 / scale)


def store_planes(planes: Tensor, rows: Frame) -> None:
    """Round and clamp (3, rows, cols) float planes into a strip of the output. Overwrites `planes`."""
    scale = FULL_SCALE[rows.dtype.name]
    planes.clamp_(0.0, 1.0)
    if scale != 1.0:
        planes.mul_(scale).add_(0.5)  # truncation then rounds to the nearest level
    np.copyto(rows, planes.numpy().transpose(1, 2, 0), casting="unsafe")


def convert(frame: Frame, depth: int) -> Frame:
    """One frame at another depth, without loss where the new depth holds the old."""
    height, width, _ = frame.shape
    if frame.dtype == DTYPES[depth]:
        same: Frame = frame.copy()
        return same
    out = empty_picture(height, width, depth)
    for top, bottom in strips(height, 256):
        store_planes(load_planes(frame[top:bottom]), out[top:bottom])
    return out


def strips(height: int, rows: int) -> list[tuple[int, int]]:
    """Row ranges (top, bottom) that cover the picture."""
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def in_parallel(job: Callable[[tuple[int, int]], None], ranges: Iterable[tuple[int, int]]) -> None:
    """Run `job` on every row range, one range to a thread.

    Whole strips per thread, each with torch's own threads off: strips are too small for several threads
    to share one operation, and threads that wait for each other there burn CPU time.
    """
    todo = list(ranges)
    workers = min(torch.get_num_threads(), len(todo))
    if workers <= 1:
        for one in todo:
            job(one)
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for _ in pool.map(torch.no_grad()(job), todo):  # the mode is per thread
                pass
    finally:
        torch.set_num_threads(before)


def mean_brightness(frame: Frame) -> float:
    """The mean of a sparse grid of pixels, in [0, 1]; exact integer arithmetic for integer frames."""
    height, width, _ = frame.shape
    step = max(1, int((height * width / 65536) ** 0.5))
    grid = frame[::step, ::step]
    total = grid.sum(dtype=np.float64 if grid.dtype == np.float32 else np.uint64)
    return float(total) / (grid.size * FULL_SCALE[frame.dtype.name])


def all_identical(frames: Sequence[Frame]) -> bool:
    """Whether every frame equals the first. A sparse look decides at once for ordinary brackets."""
    first = frames[0]
    return all(
        np.array_equal(first[::97, ::89], other[::97, ::89]) and np.array_equal(first, other)
        for other in frames[1:]
    )


def distinct(frames: Sequence[Frame]) -> list[Frame]:
    """The frames without exact duplicates, in their order."""
    kept: list[Frame] = []
    for frame in frames:
        if not any(all_identical((other, frame)) for other in kept):
            kept.append(frame)
    return kept
