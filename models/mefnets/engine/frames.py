"""Frames as the engine takes them: interleaved `(H, W, 3)` integers or floats, checked, ordered, compared.

Frames stay uint8, uint16 or float32 for as long as possible; only the strip or tile at hand becomes float.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefnets.engine.strategies import STRATEGIES
from mefnets.trouble import FramesError, UsageError

Frame = NDArray[Any]  # (H, W, 3) uint8 | uint16 | float32
Floats = NDArray[np.float32]

DTYPES: dict[int, type[np.generic]] = {8: np.uint8, 16: np.uint16, 32: np.float32}
FULL_SCALE: dict[str, float] = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
CV_TYPES = {"uint8": cv2.CV_8U, "uint16": cv2.CV_16U, "float32": cv2.CV_32F}


def empty_picture(height: int, width: int, depth: int) -> Frame:
    """An output picture, not yet filled; `depth` is 8, 16 or 32 (float)."""
    return np.empty((height, width, 3), DTYPES[depth])


def strips(height: int, rows: int) -> list[tuple[int, int]]:
    """Row ranges (top, bottom) that cover the picture."""
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


GRID_PX = 65536


def grid_of(frame: Frame) -> Frame:
    """About `GRID_PX` pixels from all over a frame, copied."""
    step = max(1, round((frame.shape[0] * frame.shape[1] / GRID_PX) ** 0.5))
    grid: Frame = frame[::step, ::step].copy()
    return grid


def mirrored(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Indices start..stop into a line of `size`, mirrored beyond its end as often as needed."""
    index = np.arange(start, stop)
    if size == 1:
        return np.zeros_like(index)
    index = index % (2 * size - 2)
    return np.minimum(index, 2 * size - 2 - index)


def as_floats(rows: Frame) -> Floats:
    """A strip of a frame as float32 in [0, 1], interleaved as it was."""
    floats = rows.astype(np.float32)
    scale = FULL_SCALE[rows.dtype.name]
    if scale != 1.0:
        floats *= np.float32(1.0 / scale)
    return floats


def store(floats: Floats, rows: Frame, white: float = 1.0) -> None:
    """Round and clamp interleaved floats, whose white is `white`, into a strip of the output."""
    scale = FULL_SCALE[rows.dtype.name] / white
    if rows.dtype == np.float32:
        np.multiply(floats, np.float32(scale), out=rows)
        np.clip(rows, 0.0, 1.0, out=rows)
        return
    line = (rows.shape[0], -1)  # one channel, so that one number scales all
    cv2.multiply(floats.reshape(line), scale, dst=rows.reshape(line), dtype=CV_TYPES[rows.dtype.name])


def convert(frame: Frame, depth: int) -> Frame:
    """One frame at another depth, without loss where the new depth holds the old."""
    height, width, _ = frame.shape
    if frame.dtype == DTYPES[depth]:
        same: Frame = frame.copy()
        return same
    out = empty_picture(height, width, depth)
    for top, bottom in strips(height, 256):
        store(as_floats(frame[top:bottom]), out[top:bottom])
    return out


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


def checked(frames: Sequence[Frame], depth: int, strategy: str, resolution: str) -> Sequence[Frame]:
    """The frames, or a refusal that names what cannot be fused."""
    if len(frames) < 2:
        raise FramesError(
            f"Fusion needs at least two frames; there {'is one' if frames else 'are none'}.",
            "Give two or more exposures of the same scene.",
        )
    for number, frame in enumerate(frames, 1):
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype.name not in FULL_SCALE:
            raise FramesError(
                f"Frame {number} is {frame.dtype.name} of shape {frame.shape}.",
                "Frames are (height, width, 3) arrays of uint8, uint16 or float32.",
            )
        if frame.shape != frames[0].shape:
            raise FramesError(
                f"Frame {number} has {frame.shape[1]} x {frame.shape[0]} pixels, the first one "
                f"{frames[0].shape[1]} x {frames[0].shape[0]}.",
                "All frames must have one size.",
            )
    if depth not in DTYPES:
        raise FramesError(f"There is no depth of {depth} bits.", "Choose 8, 16 or 32.")
    if strategy not in STRATEGIES:
        raise UsageError(f"There is no strategy {strategy!r}.", f"Choose one of: {', '.join(STRATEGIES)}.")
    if resolution not in ("auto", "native", "guided"):
        raise UsageError(f"There is no resolution mode {resolution!r}.", "Choose auto, native or guided.")
    return frames


def in_order(frames: Sequence[Frame], evs: Sequence[float] | None) -> list[Frame]:
    """Dark to bright: by `evs` where given, then by brightness, then by content, never by argument order."""
    if evs is not None and len(evs) != len(frames):
        raise FramesError(f"{len(frames)} frames came with {len(evs)} exposure values.", "Give one for each.")

    def key(index: int) -> tuple[Any, ...]:
        sample = frames[index][::61, ::67]
        return (evs[index] if evs is not None else 0.0, mean_brightness(frames[index]), sample.tobytes())

    return [frames[i] for i in sorted(range(len(frames)), key=key)]
