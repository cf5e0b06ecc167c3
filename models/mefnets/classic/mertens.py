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
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mefnets.engine.frames import Floats, Frame, as_floats, store, strips
from mefnets.engine.threads import in_parallel
from mefnets.luma import BLUE, GREEN, RED

if TYPE_CHECKING:
    from torch import nn

STRIP_PX = 100_000  # of a strip without its halo: small enough for a core's cache
SIGMA2 = 0.08  # 2 sigma^2 of well-exposedness, sigma 0.2
LEAST = 1e-6  # added to every weight; one of 255 levels times one of 255 weighs 1e-5


def down(x: Floats) -> Floats:  # (H, W, ...) -> (ceil(H/2), ceil(W/2), ...)
    """One step down a Gaussian pyramid: (1 4 6 4 1)/16 both ways, edges mirrored without repeating."""
    smaller: Floats = cv2.pyrDown(x)
    return smaller


def up(x: Floats, like: Floats) -> Floats:
    """One step up, to the size of `like`, 2h or 2h - 1: mirrored at the start, repeated at the end."""
    larger: Floats = cv2.pyrUp(x, dstsize=(like.shape[1], like.shape[0]))
    return larger


def contrast(grey: Floats) -> Floats:  # (H, W)
    """The size of the four-neighbour Laplacian, edges mirrored; exactly 0 where all five are equal."""
    out = np.zeros_like(grey)
    for line, total in ((grey, out), (grey.T, out.T)):
        if len(line) == 1:
            continue
        step = line[1:] - line[:-1]
        total[:-1] += step
        total[1:] -= step
        # Mirrored neighbours beyond both ends.
        total[0] += step[0]
        total[-1] -= step[-1]
    return np.abs(out, out=out)


def quality(rgb: Floats) -> Floats:  # (H, W, 3) -> (H, W)
    """How much a pixel is worth: contrast x saturation x well-exposedness, and a little more."""
    r, g, b = cv2.split(rgb)
    # In steps that round alike wherever a pixel lies: OpenCV's fused ones differ at the ends of a row.
    grey = r * np.float32(RED)
    for channel, share in ((g, GREEN), (b, BLUE)):
        grey += channel * np.float32(share)
    spread, off = np.zeros_like(grey), np.zeros_like(grey)
    for channel, other in ((r, g), (g, b), (b, r)):
        difference = channel - other  # a third of these squares is what deviations from the mean have
        spread += np.multiply(difference, difference, out=difference)
        np.subtract(channel, np.float32(0.5), out=difference)
        off += np.multiply(difference, difference, out=difference)
    spread *= np.float32(1 / 3)
    weight = contrast(grey)
    weight *= np.sqrt(spread, out=spread)
    off *= np.float32(-1 / SIGMA2)
    weight *= np.exp(off, out=off)
    weight += np.float32(LEAST)
    return weight


def weigh(frames: Sequence[Floats]) -> list[Floats]:
    """The frames' qualities, divided by their sum."""
    weights = [quality(frame) for frame in frames]
    total = weights[0].copy()
    for weight in weights[1:]:
        total += weight
    for weight in weights:
        weight /= total
    return weights


def depth_of(height: int, width: int) -> int:
    """Levels below the finest."""
    return max(0, min(height, width).bit_length() - 1)


def blend(frames: list[Floats], weights: list[Floats], levels: int, base: Floats | None = None) -> Floats:
    """Blend `frames` (each (H, W, 3)) by `weights` (each (H, W)) over `levels` pyramid steps.

    On the coarsest level the frames themselves are blended, unless `base` is the finished blend there.
    """
    if levels == 0 and base is not None:
        return base
    blended = np.zeros_like(frames[0])
    if levels == 0:
        for frame, weight in zip(frames, weights, strict=True):
            blended += frame * weight[..., None]
        return blended
    smaller = [down(frame) for frame in frames]
    for frame, small, weight in zip(frames, smaller, weights, strict=True):
        band = up(small, frame)
        np.subtract(frame, band, out=band)
        blended += np.multiply(band, weight[..., None], out=band)
    if base is not None and levels == 1:
        below = base
    else:
        below = blend(smaller, [down(weight) for weight in weights], levels - 1, base)
    blended += up(below, blended)
    return blended


class Mertens:
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
        h, w = -(-height // step), -(-width // step)
        coarse = [np.empty((h, w, 3), np.float32) for _ in frames]
        worth = [np.empty((h, w), np.float32) for _ in frames]

        def window(top: int, bottom: int) -> tuple[int, int, list[Floats]]:
            first, last = max(0, top - halo), min(height, bottom + halo)
            return first, last, [as_floats(frame[first:last]) for frame in frames]

        def go_down(span: tuple[int, int]) -> None:
            top, bottom = span
            first, _, pictures = window(top, bottom)
            start, stop = top // step, -(-bottom // step)
            skip = (top - first) // step
            for index, (small, weight) in enumerate(zip(pictures, weigh(pictures), strict=True)):
                for _ in range(fine):
                    small, weight = down(small), down(weight)
                coarse[index][start:stop] = small[skip : skip + stop - start]
                worth[index][start:stop] = weight[skip : skip + stop - start]
            if on_progress:
                on_progress(0.5 * bottom / height)

        spans = strips(height, rows)
        in_parallel(go_down, spans)
        base = blend(coarse, worth, levels - fine)

        def go_up(span: tuple[int, int]) -> None:
            top, bottom = span
            first, last, pictures = window(top, bottom)
            below = base[first // step : -(-last // step)]
            fused = blend(pictures, weigh(pictures), fine, below)
            store(np.ascontiguousarray(fused[top - first : bottom - first]), out[top:bottom])
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


def streams() -> Mertens:
    return Mertens()


def build() -> nn.Module:
    from mefnets.classic.module import Classic

    return Classic(Mertens())
