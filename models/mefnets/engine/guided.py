"""Carrying a fusion found at working size to full resolution, in one cheap pass over the camera's pixels.

At working size, in every small window, the fused picture is fitted as a linear function of the frames,
`fused = sum_i a_i frame_i + b`. The coefficients vary slowly, so they can be upsampled; applied to the
full-resolution frames they give a full-resolution picture whose every detail comes from a frame.

    small = reduce_frames(frames, factor)              # area averages, straight from the integers
    fused = network(small)
    coefficients = fit(small, fused)
    apply(frames, coefficients, factor, out)           # strip by strip
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mefnets.colour import BLUE, GREEN, RED
from mefnets.engine.pixels import FULL_SCALE, Frame, in_parallel, strips
from mefnets.engine.tiles import mirrored

RIDGE = 1e-5  # on the slopes; a window whose variance is below it counts as flat
RADIUS = 1  # of the windows, in working pixels
STRIP_PX = 300_000  # so that a strip's planes stay in a core's cache
FIT_STRIP_PX = 60_000


def factor_for(pixels: int, working_px: float) -> int:
    """The whole number by which both sides shrink to come near `working_px`."""
    return max(1, round(math.sqrt(pixels / working_px)))


def reduce_frames(frames: Sequence[Frame], factor: int) -> Tensor:
    """Area averages over `factor` x `factor` pixels, as float planes in [0, 1]: (N, 3, h, w).

    Rows and columns left over at the end are averaged among themselves.
    """
    height, width, _ = frames[0].shape
    h, w = -(-height // factor), -(-width // factor)
    out = torch.empty(len(frames), 3, h, w)
    kind = frames[0].dtype
    # Sums of `factor` rows fit in the next wider integer.
    total: type[np.generic] = np.float32
    if kind == np.uint8 and factor <= 256:
        total = np.uint16
    elif kind != np.float32:
        total = np.uint32
    across = np.full(w, factor)
    across[-1] = width - (w - 1) * factor
    full = width // factor  # columns that have all their pixels

    def reduce_rows(span: tuple[int, int]) -> None:
        top, bottom = span
        for index, frame in enumerate(frames):
            for y in range(top, bottom):
                rows = frame[y * factor : (y + 1) * factor]
                line = rows.sum(axis=0, dtype=total)  # (W, 3)
                sums = np.empty((w, 3), np.float32)
                whole = torch.from_numpy(line[: full * factor].astype(np.float32)).view(full, factor, 3)
                torch.sum(whole, 1, out=torch.from_numpy(sums[:full]))
                if full < w:
                    sums[full] = line[full * factor :].sum(0, dtype=np.float32)
                sums /= (across * (len(rows) * FULL_SCALE[kind.name]))[:, None]
                out[index, :, y] = torch.from_numpy(sums).t()

    in_parallel(reduce_rows, strips(h, max(1, 32)))
    return out


def fit(frames: Tensor, fused: Tensor, radius: int = RADIUS, ridge: float = RIDGE) -> Tensor:
    """Local linear coefficients: (N, C, h, w) and (C, h, w) -> (C, N + 1, h, w), the offset last.

    Every channel is fitted by itself. Finite on flat, clipped and identical frames: the ridge keeps every
    local system positive definite.
    """
    count, channels, h, w = frames.shape
    out = torch.empty(channels, count + 1, h, w)
    halo = 2 * radius  # one radius for the windows, one for smoothing the coefficients
    columns = torch.from_numpy(mirrored(-halo, w + halo, w))

    def fit_rows(span: tuple[int, int]) -> None:
        top, bottom = span
        rows = torch.from_numpy(mirrored(top - halo, bottom + halo, h))
        for channel in range(channels):
            x = frames[:, channel].index_select(1, rows).index_select(2, columns) - 0.5
            t = fused[channel].index_select(0, rows).index_select(1, columns) - 0.5
            # Variances are small differences of large means: in float32 the last bits of the network's
            # result, which depend on the number of threads, came out a thousandfold.
            slopes, offset = solve(x.double(), t.double(), radius, ridge)
            smooth = box(torch.cat((slopes, offset[None])), radius)
            # Back from centred values: t + 0.5 = sum a (x + 0.5 - 0.5) + b + 0.5.
            smooth[-1] += 0.5 - 0.5 * smooth[:-1].sum(0)
            out[channel, :, top:bottom] = smooth

    in_parallel(fit_rows, strips(h, max(8, FIT_STRIP_PX // w)))
    return out


def solve(x: Tensor, t: Tensor, radius: int, ridge: float) -> tuple[Tensor, Tensor]:
    """Slopes and offset in every window: (N, h, w), (h, w) -> (N, h - 2r, w - 2r), (h - 2r, w - 2r).

    Ridge regression by an LDL factorisation, each of its numbers a plane, so that any number of windows is
    solved at once for any number of frames.
    """
    count = x.shape[0]
    mean_x, mean_t = box(x, radius), box(t[None], radius)[0]
    right = box(x * t, radius) - mean_x * mean_t  # (N, ...)
    lower: list[list[Tensor]] = []  # rows of L, below its unit diagonal
    pivots: list[Tensor] = []
    for i in range(count):
        products = box(x[i] * x[: i + 1], radius)
        row: list[Tensor] = []
        for j in range(i):
            value = products[j].addcmul_(mean_x[i], mean_x[j], value=-1)
            for k in range(j):
                value.addcmul_(row[k], lower[j][k], value=-1)
            row.append(value)
        pivot = products[i].addcmul_(mean_x[i], mean_x[i], value=-1).clamp_(min=0.0).add_(ridge)
        for k in range(i):
            scaled = row[k] / pivots[k]
            pivot.addcmul_(row[k], scaled, value=-1)
            right[i].addcmul_(scaled, right[k], value=-1)
            row[k] = scaled
        pivots.append(pivot.clamp_(min=0.5 * ridge))  # rounding must not make it vanish
        lower.append(row)
    for i in range(count):
        right[i].div_(pivots[i])
    for i in reversed(range(count)):
        for k in range(i):
            right[k].addcmul_(lower[i][k], right[i], value=-1)
    return right, mean_t - (right * mean_x).sum(0)


def box(x: Tensor, radius: int) -> Tensor:  # (..., h, w) -> (..., h - 2r, w - 2r)
    """Window means."""
    size = 2 * radius + 1
    h, w = x.shape[-2] - 2 * radius, x.shape[-1] - 2 * radius
    down = x.narrow(-2, 0, h).clone()
    for shift in range(1, size):
        down.add_(x.narrow(-2, shift, h))
    across = down.narrow(-1, 0, w) * (1.0 / size**2)
    for shift in range(1, size):
        across.add_(down.narrow(-1, shift, w), alpha=1.0 / size**2)
    return across


class Lattice:
    """Coefficient planes (K, h, w) on the working grid, read bilinearly in strips of full-size rows."""

    def __init__(self, planes: Tensor, factor: int, width: int) -> None:
        self.planes, self.factor, self.width = planes, factor, width
        self.h = planes.shape[-2]

    def strip(self, top: int, bottom: int) -> tuple[Tensor, Tensor]:
        """Planes widened to full width, (K, rows, W), and the matrix that interpolates their rows."""
        at = (torch.arange(top, bottom, dtype=torch.float32).add_(0.5) / self.factor - 0.5).clamp_(
            0, self.h - 1
        )
        first = int(at[0])
        last = min(self.h, int(at[-1]) + 2)
        distance = at[:, None] - torch.arange(first, last, dtype=torch.float32)
        rows = self.planes[:, first:last]
        if self.factor > 1:
            wide = F.interpolate(rows, scale_factor=float(self.factor), mode="linear", align_corners=False)
        else:
            wide = rows
        return wide[..., : self.width].contiguous(), (1.0 - distance.abs()).clamp_(min=0.0)


def apply_luma(
    frames: Sequence[Frame],
    coefficients: Tensor,
    factor: int,
    out: Frame,
    on_progress: Callable[[float], None] | None = None,
) -> None:
    """Luminance by the coefficients (1, N + 1, h, w); chroma by its own rule at full resolution.

    The chroma rule |C - 0.5| needs no neighbours, so its exact result costs no more than an upsampled one.
    """
    height, width, _ = out.shape
    scale = FULL_SCALE[frames[0].dtype.name]
    lattice = Lattice(coefficients[0], factor, width)
    tiny = 1e-6 * scale

    def apply_rows(span: tuple[int, int]) -> None:
        top, bottom = span
        wide, lerp = lattice.strip(top, bottom)
        rgb = torch.empty(3, bottom - top, width)
        red, green, blue = rgb
        luma = torch.mm(lerp, wide[-1]).mul_(scale)
        y, size = torch.empty_like(luma), torch.empty_like(luma)
        sums = torch.zeros(4, bottom - top, width)
        for index, frame in enumerate(frames):
            np.copyto(rgb.numpy(), frame[top:bottom].transpose(2, 0, 1), casting="unsafe")
            torch.mul(red, RED, out=y).add_(green, alpha=GREEN).add_(blue, alpha=BLUE)
            luma.addcmul_(torch.mm(lerp, wide[index], out=size), y)
            for plane, (total, weight) in ((red, (sums[0], sums[1])), (blue, (sums[2], sums[3]))):
                plane.sub_(y)
                torch.abs(plane, out=size).add_(tiny)
                total.addcmul_(plane, size)
                weight.add_(size)
        torch.div(sums[0], sums[1], out=red).add_(luma)
        torch.div(sums[2], sums[3], out=blue).add_(luma)
        torch.mul(luma, 1.0 / GREEN, out=green).add_(red, alpha=-RED / GREEN).add_(blue, alpha=-BLUE / GREEN)
        _store(rgb, out[top:bottom], scale)
        if on_progress:
            on_progress(bottom / height)

    in_parallel(apply_rows, strips(height, max(8, STRIP_PX // width)))


def apply_rgb(
    frames: Sequence[Frame],
    coefficients: Tensor,
    factor: int,
    out: Frame,
    on_progress: Callable[[float], None] | None = None,
) -> None:
    """Each colour by its own coefficients, (3, N + 1, h, w)."""
    height, width, _ = out.shape
    scale = FULL_SCALE[frames[0].dtype.name]
    count = len(frames)
    lattice = Lattice(coefficients.reshape(3 * (count + 1), *coefficients.shape[-2:]), factor, width)

    def apply_rows(span: tuple[int, int]) -> None:
        top, bottom = span
        wide, lerp = lattice.strip(top, bottom)
        rgb, fused = torch.empty(3, bottom - top, width), torch.empty(3, bottom - top, width)
        slope = torch.empty(bottom - top, width)
        for channel in range(3):
            torch.mm(lerp, wide[channel * (count + 1) + count], out=fused[channel]).mul_(scale)
        for index, frame in enumerate(frames):
            np.copyto(rgb.numpy(), frame[top:bottom].transpose(2, 0, 1), casting="unsafe")
            for channel in range(3):
                torch.mm(lerp, wide[channel * (count + 1) + index], out=slope)
                fused[channel].addcmul_(slope, rgb[channel])
        _store(fused, out[top:bottom], scale)
        if on_progress:
            on_progress(bottom / height)

    in_parallel(apply_rows, strips(height, max(8, STRIP_PX // width)))


def _store(planes: Tensor, rows: Frame, scale: float) -> None:
    """Like `store_planes`, from planes whose white is `scale` rather than 1."""
    target = FULL_SCALE[rows.dtype.name]
    if target != scale:
        planes.mul_(target / scale)
    if target != 1.0:
        planes.add_(0.5)  # truncation then rounds to the nearest level
    planes.clamp_(0.0, target)
    np.copyto(rows, planes.numpy().transpose(1, 2, 0), casting="unsafe")
