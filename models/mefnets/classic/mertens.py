"""Exposure fusion after Mertens, Kautz and Van Reeth (2007), with the paper's weights (1, 1, 1).

Each pixel of each frame is weighted by contrast x saturation x well-exposedness; Laplacian pyramids of the
frames are blended with Gaussian pyramids of the weights. The same function as OpenCV's
`createMergeMertens(1, 1, 1)` on float frames scaled to 0..255, clamped to [0, 1], but for one number: the
least weight. Where frames are flat, grey or clipped the product is zero in all of them, and what is added to
it decides. OpenCV's 1e-12 is less than a float32 product is off by, so that rounding would. Here zero is
exactly zero (flats and greys are told by differences of stored values), and the least weight is a tenth of
what one level of contrast and one of saturation weigh: below it, frames count alike.

The finest levels of a pyramid hold nearly all its memory. `stream` therefore works in two passes: the first
goes down the fine levels strip by strip and keeps only a coarse level of frames and weights, which is
blended as a whole; the second goes through the strips again and builds the fine levels on top of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mefnets.colour import BLUE, GREEN, RED
from mefnets.engine.pixels import Frame, in_parallel, load_planes, store_planes, strips

STRIP_PX = 200_000  # of a strip without its halo: small enough for a core's cache
SIGMA2 = 0.08  # 2 sigma^2 of well-exposedness, sigma 0.2
LEAST = 1e-6  # added to every weight; one of 255 levels times one of 255 weighs 1e-5


def down(x: Tensor) -> Tensor:  # (..., H, W) -> (..., ceil(H/2), ceil(W/2))
    """One step down a Gaussian pyramid: (1 4 6 4 1)/16 both ways, edges mirrored without repeating."""
    x = _down_along(-2, x[..., 0::2, :], x[..., 1::2, :])
    # Arithmetic on every second column is slow; copying them apart first is not.
    return _down_along(-1, x[..., 0::2].contiguous(), x[..., 1::2].contiguous())


def _down_along(dim: int, even: Tensor, odd: Tensor) -> Tensor:
    """Output i sees even[i-1], odd[i-1], even[i], odd[i], even[i+1]."""
    half, count = even.shape[dim], odd.shape[dim]  # count is half, or half - 1
    if half == 1 and count == 0:
        return even
    out = even * 0.375
    out.narrow(dim, 0, count).add_(odd, alpha=0.25)
    out.narrow(dim, 1, half - 1).add_(odd.narrow(dim, 0, half - 1), alpha=0.25)
    out.narrow(dim, 1, half - 1).add_(even.narrow(dim, 0, half - 1), alpha=0.0625)
    out.narrow(dim, 0, half - 1).add_(even.narrow(dim, 1, half - 1), alpha=0.0625)
    # Mirrored neighbours beyond both ends.
    first, last = out.narrow(dim, 0, 1), out.narrow(dim, half - 1, 1)
    first.add_(odd.narrow(dim, 0, 1), alpha=0.25)
    first.add_(even.narrow(dim, min(1, half - 1), 1), alpha=0.0625)
    if count < half:
        last.add_(odd.narrow(dim, count - 1, 1), alpha=0.25)
        last.add_(even.narrow(dim, half - 2, 1), alpha=0.0625)
    else:
        last.add_(even.narrow(dim, half - 1, 1), alpha=0.0625)
    return out


def up(x: Tensor, height: int, width: int) -> Tensor:  # (..., h, w) -> (..., height, width)
    """One step up, to a size of 2h or 2h - 1: mirrored at the start, repeated at the end, as OpenCV does."""
    lead = x.shape[:-2]
    across = x.new_empty(*lead, x.shape[-2], width)
    even, odd = _up_along(x, -1, width)
    across[..., 0::2], across[..., 1::2] = even, odd
    out = x.new_empty(*lead, height, width)
    out[..., 0::2, :], out[..., 1::2, :] = _up_along(across, -2, height)
    return out


def _up_along(x: Tensor, dim: int, size: int) -> tuple[Tensor, Tensor]:
    """The even and the odd outputs of a step up to `size`."""
    half, count = x.shape[dim], size // 2  # count is half, or half - 1
    if size == 1:
        return x, x.narrow(dim, 0, 0)
    even = x * 0.75
    even.narrow(dim, 1, half - 1).add_(x.narrow(dim, 0, half - 1), alpha=0.125)
    even.narrow(dim, 0, half - 1).add_(x.narrow(dim, 1, half - 1), alpha=0.125)
    even.narrow(dim, 0, 1).add_(x.narrow(dim, min(1, half - 1), 1), alpha=0.125)
    even.narrow(dim, half - 1, 1).add_(x.narrow(dim, half - 1, 1), alpha=0.125)
    odd = x.narrow(dim, 0, count) * 0.5
    reach = min(count, half - 1)
    odd.narrow(dim, 0, reach).add_(x.narrow(dim, 1, reach), alpha=0.5)
    if count == half:
        odd.narrow(dim, half - 1, 1).add_(x.narrow(dim, half - 1, 1), alpha=0.5)
    return even, odd


def contrast(grey: Tensor) -> Tensor:  # (..., H, W)
    """The size of the four-neighbour Laplacian, edges mirrored; exactly 0 where all five are equal."""
    out = torch.zeros_like(grey)
    for dim in (-2, -1):
        size = grey.shape[dim]
        if size == 1:
            continue
        step = grey.narrow(dim, 1, size - 1) - grey.narrow(dim, 0, size - 1)
        out.narrow(dim, 0, size - 1).add_(step)
        out.narrow(dim, 1, size - 1).sub_(step)
        # Mirrored neighbours beyond both ends.
        out.narrow(dim, 0, 1).add_(step.narrow(dim, 0, 1))
        out.narrow(dim, size - 1, 1).sub_(step.narrow(dim, size - 2, 1))
    return out.abs_()


def grey_of(r: Tensor, g: Tensor, b: Tensor) -> Tensor:
    """Luminance in steps that round alike wherever a pixel lies: fused ones differ at the ends of a row."""
    scaled = g * GREEN
    grey = (r * RED).add_(scaled)
    return grey.add_(torch.mul(b, BLUE, out=scaled))


def quality(rgb: Tensor) -> Tensor:  # (..., 3, H, W) -> (..., H, W)
    """How much a pixel is worth: contrast x saturation x well-exposedness, and a little more."""
    r, g, b = rgb.unbind(-3)
    spread, off = torch.zeros_like(r), torch.zeros_like(r)
    for channel, other in ((r, g), (g, b), (b, r)):
        difference = channel - other  # a third of these squares is what deviations from the mean have
        spread.addcmul_(difference, difference)
        torch.sub(channel, 0.5, out=difference)
        off.addcmul_(difference, difference)
    weight = contrast(grey_of(r, g, b)).mul_(spread.mul_(1.0 / 3.0).sqrt_())
    return weight.mul_(off.mul_(-1.0 / SIGMA2).exp_()).add_(LEAST)


def weigh(frames: Sequence[Tensor]) -> list[Tensor]:
    """The frames' qualities, divided by their sum."""
    weights = [quality(frame) for frame in frames]
    total = weights[0].clone()
    for weight in weights[1:]:
        total.add_(weight)
    return [weight.div_(total) for weight in weights]


def depth_of(height: int, width: int) -> int:
    """Levels below the finest."""
    return max(0, min(height, width).bit_length() - 1)


def blend(frames: list[Tensor], weights: list[Tensor], levels: int, base: Tensor | None = None) -> Tensor:
    """Blend `frames` (each (..., 3, H, W)) by `weights` (each (..., H, W)) over `levels` pyramid steps.

    On the coarsest level the frames themselves are blended, unless `base` is the finished blend there.
    """
    if levels == 0 and base is not None:
        return base
    if levels == 0:
        blended = frames[0] * weights[0].unsqueeze(-3)
        for frame, weight in zip(frames[1:], weights[1:], strict=True):
            blended.addcmul_(frame, weight.unsqueeze(-3))
        return blended
    height, width = frames[0].shape[-2:]
    smaller = [down(frame) for frame in frames]
    blended = torch.zeros_like(frames[0])
    for frame, small, weight in zip(frames, smaller, weights, strict=True):
        blended.addcmul_(up(small, height, width).neg_().add_(frame), weight.unsqueeze(-3))
    if base is not None and levels == 1:
        below = base
    else:
        below = blend(smaller, [down(weight) for weight in weights], levels - 1, base)
    return blended.add_(up(below, height, width))


class Mertens(nn.Module):
    def forward(self, frames: Tensor) -> Tensor:  # (B, N, 3, H, W) -> (B, 3, H, W)
        each = list(frames.unbind(1))
        levels = depth_of(frames.shape[-2], frames.shape[-1])
        return blend(each, weigh(each), levels).clamp_(0.0, 1.0)

    def stream(
        self,
        frames: Sequence[Frame],
        out: Frame,
        budget_bytes: int | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        """Fuse whole frames into `out`, holding only strips of the fine levels at a time."""
        height, width, _ = out.shape
        levels = depth_of(height, width)
        fine = min(levels, _fine_levels(height * width, len(frames), budget_bytes))
        step = 1 << fine
        halo = 3 * step  # rows that wrong values creep in from a strip's cut edges, rounded up
        rows = max(step, STRIP_PX // width // step * step)
        coarse_size = (-(-height // step), -(-width // step))
        coarse = torch.empty(len(frames), 4, *coarse_size)  # planes 0..2 the frame, 3 its weight

        def window(top: int, bottom: int) -> tuple[int, int, list[Tensor]]:
            first, last = max(0, top - halo), min(height, bottom + halo)
            return first, last, [load_planes(frame[first:last]) for frame in frames]

        def go_down(span: tuple[int, int]) -> None:
            top, bottom = span
            first, _, planes = window(top, bottom)
            weights = weigh(planes)
            start, stop = top // step, -(-bottom // step)
            skip = (top - first) // step
            for index in range(len(frames)):
                small, weight = planes[index], weights[index]
                for _ in range(fine):
                    small, weight = down(small), down(weight)
                coarse[index, :3, start:stop] = small[:, skip : skip + stop - start]
                coarse[index, 3, start:stop] = weight[skip : skip + stop - start]
            if on_progress:
                on_progress(0.5 * bottom / height)

        spans = strips(height, rows)
        in_parallel(go_down, spans)
        base = blend(
            [coarse[i, :3] for i in range(len(frames))],
            [coarse[i, 3] for i in range(len(frames))],
            levels - fine,
        )

        def go_up(span: tuple[int, int]) -> None:
            top, bottom = span
            first, last, planes = window(top, bottom)
            below = base[:, first // step : -(-last // step)]
            fused = blend(planes, weigh(planes), fine, below)
            store_planes(fused[:, top - first : bottom - first], out[top:bottom])
            if on_progress:
                on_progress(0.5 + 0.5 * bottom / height)

        in_parallel(go_up, spans)


def _fine_levels(pixels: int, frames: int, budget_bytes: int | None) -> int:
    """How many levels to stream, so that the coarse rest fits in the budget."""
    budget = budget_bytes if budget_bytes is not None else 256 << 20
    for fine in range(1, 5):
        # Frames and weights, their next levels, and the blend with its temporaries.
        if pixels / 4**fine * 4 * (4 * frames * 1.75 + 12) <= budget:
            return fine
    return 5


def build() -> Mertens:
    return Mertens()
