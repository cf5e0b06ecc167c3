"""Carrying a fusion found at working size to full resolution, in one cheap pass over the camera's pixels.

At working size, in every small window, the fused picture is fitted as a linear function of the frames,
`fused = sum_i a_i frame_i + b`. The coefficients vary slowly, so they can be upsampled; applied to the
full-resolution frames they give a full-resolution picture whose every detail comes from a frame.

    small = reduce_frames(frames, factor)              # area averages, straight from the integers
    fused = network(small)
    coefficients = fit(small, fused)
    apply(frames, coefficients, factor, out)           # strip by strip

numpy and OpenCV, whoever ran the network: 24 MP x 3 take 0.35 CPU-s to apply, with torch's operations 0.8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefnets.engine.frames import FULL_SCALE, Floats, Frame, mirrored, store, strips
from mefnets.engine.spent import Spent
from mefnets.engine.threads import in_parallel
from mefnets.luma import BLUE, GREEN, RED
from mefnets.taste import SHADOW_BELOW

RIDGE = 1e-5  # on the slopes; a window whose variance is below it counts as flat
RADIUS = 1  # of the windows, in working pixels
CALM_PX = 2
STRIP_PX = 150_000  # so that a strip's planes stay in a core's cache
FIT_STRIP_BYTES = 1 << 21

Planes = NDArray[Any]  # (..., h, w) float32 or float64


def factor_for(pixels: int, working_px: float) -> int:
    """The whole number by which both sides shrink to come near `working_px`."""
    return max(1, round(math.sqrt(pixels / working_px)))


def halving_for(pixels: int, working_px: float) -> int:
    """The same for a pyramid, a power of two: its levels are then those of the whole picture.

    The least that gives a picture of at most 1.6 times `working_px`; of a large picture at least 0.4 times.
    """
    halvings = max(0, math.ceil(math.log2(pixels / (1.6 * working_px)) / 2))
    return 1 << halvings


def reduce_frames(frames: Sequence[Frame], factor: int) -> Floats:
    """Area averages over `factor` x `factor` pixels, as planes in [0, 1]: (N, 3, h, w).

    Rows and columns left over at the end are averaged among themselves.
    """
    height, width, _ = frames[0].shape
    h, w = -(-height // factor), -(-width // factor)
    out = np.empty((len(frames), 3, h, w), np.float32)
    kind = frames[0].dtype
    # Sums of `factor` rows fit in the next wider integer.
    total: type[np.generic] = np.float32
    if kind == np.uint8 and factor <= 256:
        total = np.uint16
    elif kind != np.float32:
        total = np.uint32
    full = width // factor  # columns that have all their pixels
    scale = 1.0 / FULL_SCALE[kind.name]

    def reduce_rows(span: tuple[int, int]) -> None:
        top, bottom = span
        lines = np.empty((bottom - top, width, 3), np.float32)
        small = np.empty((bottom - top, w, 3), np.float32)
        for index, frame in enumerate(frames):
            for y in range(top, bottom):
                rows = frame[y * factor : (y + 1) * factor]
                np.multiply(rows.sum(axis=0, dtype=total), np.float32(scale / len(rows)), out=lines[y - top])
            if full:
                whole = lines[:, : full * factor]
                small[:, :full] = cv2.resize(whole, (full, bottom - top), interpolation=cv2.INTER_AREA)
            if full < w:
                small[:, full] = lines[:, full * factor :].mean(1)
            out[index, :, top:bottom] = small.transpose(2, 0, 1)

    in_parallel(reduce_rows, strips(h, 8))
    return out


def fit(frames: Planes, fused: Planes, radius: int = RADIUS, ridge: float = RIDGE) -> Floats:
    """Local linear coefficients: (N, C, h, w) and (C, h, w) -> (N + 1, h, w, C), the offset last.

    Every channel is fitted by itself. Finite on flat, clipped and identical frames: the ridge keeps every
    local system positive definite.
    """
    count, channels, h, w = frames.shape
    out = np.empty((count + 1, h, w, channels), np.float32)
    halo = 2 * radius  # one radius for the windows, one for smoothing the coefficients
    columns = mirrored(-halo, w + halo, w)
    held = count * (count + 7) // 2 * 8 * w  # bytes of a row's planes

    def fit_rows(span: tuple[int, int]) -> None:
        top, bottom = span
        window = np.ix_(mirrored(top - halo, bottom + halo, h), columns)
        for channel in range(channels):
            # Variances are small differences of large means: in float32 the last bits of the network's
            # result, which depend on the number of threads, came out a thousandfold.
            x = np.stack([frame[channel][window] for frame in frames]).astype(np.float64)
            t = fused[channel][window].astype(np.float64)
            x -= 0.5
            t -= 0.5
            slopes, offset = solve(x, t, radius, ridge)
            smooth = box(np.concatenate((slopes, offset[None])), radius)
            # Back from centred values: t + 0.5 = sum a (x + 0.5 - 0.5) + b + 0.5.
            smooth[-1] += 0.5 - 0.5 * smooth[:-1].sum(0)
            out[:, top:bottom, :, channel] = smooth

    in_parallel(fit_rows, strips(h, max(8, FIT_STRIP_BYTES // held)))
    return out


def solve(x: Planes, t: Planes, radius: int, ridge: float) -> tuple[Planes, Planes]:
    """Slopes and offset in every window: (N, h, w), (h, w) -> (N, h - 2r, w - 2r), (h - 2r, w - 2r).

    Ridge regression by an LDL factorisation, each of its numbers a plane, so that any number of windows is
    solved at once for any number of frames.
    """
    count = x.shape[0]
    mean_x, mean_t = box(x, radius), box(t, radius)
    right = box(x * t, radius)  # (N, ...)
    right -= mean_x * mean_t
    lower: list[list[Planes]] = []  # rows of L, below its unit diagonal
    pivots: list[Planes] = []
    spare = np.empty_like(mean_t)
    for i in range(count):
        products = box(x[i] * x[: i + 1], radius)
        row: list[Planes] = []
        for j in range(i):
            value = products[j]
            value -= np.multiply(mean_x[i], mean_x[j], out=spare)
            for k in range(j):
                value -= np.multiply(row[k], lower[j][k], out=spare)
            row.append(value)
        pivot = products[i]
        pivot -= np.multiply(mean_x[i], mean_x[i], out=spare)
        np.maximum(pivot, 0.0, out=pivot)
        pivot += ridge
        for k in range(i):
            scaled = row[k] / pivots[k]
            pivot -= np.multiply(row[k], scaled, out=spare)
            right[i] -= np.multiply(scaled, right[k], out=spare)
            row[k] = scaled
        pivots.append(np.maximum(pivot, 0.5 * ridge, out=pivot))  # rounding must not make it vanish
        lower.append(row)
    for i in range(count):
        right[i] /= pivots[i]
    for i in reversed(range(count)):
        for k in range(i):
            right[k] -= np.multiply(lower[i][k], right[i], out=spare)
    return right, mean_t - (right * mean_x).sum(0)


def box(x: Planes, radius: int) -> Planes:  # (..., h, w) -> (..., h - 2r, w - 2r)
    """Window means."""
    size = 2 * radius + 1
    h, w = x.shape[-2] - 2 * radius, x.shape[-1] - 2 * radius
    down = x[..., :h, :] + x[..., 1 : 1 + h, :]
    for shift in range(2, size):
        down += x[..., shift : shift + h, :]
    across: Planes = down[..., :w] + down[..., 1 : 1 + w]
    for shift in range(2, size):
        across += down[..., shift : shift + w]
    across *= 1.0 / size**2
    return across


class Lattice:
    """Coefficient planes (K, h, w, C) on the working grid, read bilinearly in strips of full-size rows."""

    def __init__(self, planes: Floats, factor: int, height: int, width: int) -> None:
        self.planes = planes
        self.factor, self.height, self.width = factor, height, width

    def strips(self, pixels: int) -> list[tuple[int, int]]:
        """Row ranges of about so many pixels, which start where a working pixel does."""
        return strips(self.height, max(1, pixels // self.width // self.factor) * self.factor)

    def strip(self, plane: int, top: int, bottom: int, times: float = 1.0) -> Floats:
        """One plane at full size, times a number: (rows, W, C)."""
        factor, h = self.factor, self.planes.shape[1]
        # With one working pixel more on every side, the edge's own beyond it.
        first, last = top // factor - 1, -(-bottom // factor) + 1
        rows: Floats = self.planes[plane, max(first, 0) : min(last, h)]
        above, below, channels = max(-first, 0), max(last - h, 0), rows.shape[2]
        rows = cv2.copyMakeBorder(rows, above, below, 1, 1, cv2.BORDER_REPLICATE)
        rows = rows.reshape(*rows.shape[:2], channels)  # OpenCV drops an axis of one channel
        if times != 1.0:
            rows *= np.float32(times)
        if factor == 1:
            return rows[1:-1, 1:-1].astype(np.float32)
        wide = cv2.resize(rows, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
        inside: Floats = wide.reshape(*wide.shape[:2], channels)[
            factor : factor + bottom - top, factor : factor + self.width
        ]
        return inside


def apply_rgb(
    frames: Sequence[Frame],
    coefficients: Floats,
    factor: int,
    out: Frame,
    on_progress: Callable[[float], None] | None = None,
    ripple: float = 0.0,
    *,
    spend: bool = False,
) -> None:
    """Each colour by its own coefficients, (N + 1, h, w, 3).

    `ripple`: as `calm` has it, of white. `spend`: the frames are lost on the way (`Spent`).
    """
    height, width, _ = out.shape
    halo = -(-CALM_PX // factor) * factor if ripple else 0
    spent = Spent(frames if spend else (), halo)
    white = FULL_SCALE[frames[0].dtype.name]
    lattice = Lattice(coefficients, factor, height, width)

    def apply_rows(span: tuple[int, int]) -> None:
        top, bottom = max(0, span[0] - halo), min(height, span[1] + halo)
        fused = np.ascontiguousarray(lattice.strip(len(frames), top, bottom, white))
        for index, frame in enumerate(frames):
            rows = frame[top:bottom].astype(np.float32)
            cv2.accumulateProduct(lattice.strip(index, top, bottom), rows, fused)
        if ripple:
            calm(fused, ripple * white, white)
        top, bottom, fused = *span, fused[span[0] - top : span[1] - top]
        store(fused, out[top:bottom], white)
        spent.done(top, bottom)
        if on_progress:
            on_progress(bottom / height)

    in_parallel(apply_rows, lattice.strips(STRIP_PX))


def calm(rows: Floats, ripple: float, white: float) -> None:
    """Without ripples as small as `ripple` where it is dark, in place: noise, where shadows were opened.

    Of the finest detail, what differs from the mean over CALM_PX pixels around.
    """
    side = 2 * CALM_PX + 1
    smooth = cv2.blur(rows, (side, side))
    rows -= smooth
    squared = cv2.transform(rows * rows, np.full((1, 3), 1 / 3, np.float32))
    start, end = SHADOW_BELOW
    light = cv2.transform(smooth, np.array([[RED, GREEN, BLUE]], np.float32))
    light = np.clip((light / np.float32(white) - np.float32(start)) / np.float32(end - start), 0, 1)
    small = np.float32(ripple) * (1 - light * light * (3 - 2 * light))
    rows *= (squared / np.maximum(squared + small * small, np.float32(1e-9)))[..., None]
    rows += smooth


def apply_luma(
    frames: Sequence[Frame],
    coefficients: Floats,
    factor: int,
    out: Frame,
    on_progress: Callable[[float], None] | None = None,
    *,
    spend: bool = False,
) -> None:
    """Luminance by the coefficients (N + 1, h, w, 1); chroma by its own rule at full resolution.

    The chroma rule |C - 0.5| needs no neighbours, so its exact result costs no more than an upsampled one.
    `spend`: the frames are lost on the way (`Spent`).
    """
    height, width, _ = out.shape
    white = FULL_SCALE[frames[0].dtype.name]
    lattice = Lattice(coefficients, factor, height, width)
    spent = Spent(frames if spend else ())
    tiny = 1e-6 * white
    # To (Y, R - Y, B - Y) and back.
    split = np.array([[RED, GREEN, BLUE], [1 - RED, -GREEN, -BLUE], [-RED, -GREEN, 1 - BLUE]], np.float32)
    join = np.linalg.inv(split.astype(np.float64)).astype(np.float32)

    def apply_rows(span: tuple[int, int]) -> None:
        top, bottom = span
        luma = np.ascontiguousarray(lattice.strip(len(frames), top, bottom, white)[..., 0])
        sums = np.zeros((bottom - top, width, 3), np.float32)
        weights = np.full_like(sums, 1e-30)
        for index, frame in enumerate(frames):
            seen = cv2.transform(frame[top:bottom].astype(np.float32), split)
            size = lattice.strip(index, top, bottom)[..., 0]
            cv2.accumulateProduct(size, np.ascontiguousarray(seen[..., 0]), luma)
            weight = np.abs(seen)
            weight += np.float32(tiny)
            cv2.accumulateProduct(seen, weight, sums)
            weights += weight
        sums /= weights
        sums[..., 0] = luma
        store(cv2.transform(sums, join), out[top:bottom], white)
        spent.done(top, bottom)
        if on_progress:
            on_progress(bottom / height)

    in_parallel(apply_rows, lattice.strips(STRIP_PX))
