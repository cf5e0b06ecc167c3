"""The classic for visible and infrared: nothing learned. What is warm is told by how far it stands out.

Only luminance is fused; each pixel's difference goes to its three channels alike, so that the visible frame's
colours (Cb and Cr) stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mefnets.engine.frames import Floats, Frame, as_floats, store, strips
from mefnets.infrared.compose import TRUST, beside, blended, depth_for, down, eased, falling, glowing, lit
from mefnets.luma import BLUE, GREEN, RED

if TYPE_CHECKING:
    from torch import nn

STRIP_PX = 500_000
HELD_PX = 640  # short side up to which a picture is held whole
SEEN_PX = 320  # short side at which warmth is told
# Robust deviations above what surrounds a place, and above the middle of the frame: from where on it begins
# to count as warm, and from where on it does in full. A wall before a cold sky is no warm thing.
STANDS_OUT, ABOVE = (1.6, 3.0), (0.0, 0.8)
LEAST_SPREAD = 0.02


def luminance(rgb: Floats) -> Floats:  # (H, W, 3) -> (H, W)
    return np.asarray(cv2.transform(rgb, np.array([[RED, GREEN, BLUE]], np.float32)), np.float32)


def warmth(thermal: Floats) -> Floats:
    """From 0 to 1, how surely each place is warmer than what surrounds it, (H, W), of a small frame."""
    smooth = cv2.GaussianBlur(thermal, (0, 0), 0.8)
    stands_out = _ramp(smooth - beside(thermal, np.zeros_like(thermal)), *STANDS_OUT)
    above = _ramp(smooth - np.median(thermal), *ABOVE)
    return np.asarray(stands_out * above, np.float32)


def _ramp(above: Floats, begin: float, full: float) -> Floats:
    spread = max(1.4826 * float(np.median(np.abs(above - np.median(above)))), LEAST_SPREAD)
    share = np.clip((above / np.float32(spread) - begin) / (full - begin), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


class Layered:
    def stream(
        self,
        frames: Sequence[Frame],
        out: Frame,
        budget_bytes: int | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        """Fuse two whole frames, the visible one first, into `out`, strip by strip.

        In large pictures the scales at which a thermal camera sees nothing are streamed; the others are small
        enough to be held.
        """
        visible, thermal = frames[0], frames[-1]
        height, width, _ = out.shape
        fine = max(0, int(np.ceil(np.log2(min(height, width) / HELD_PX))))
        step = 1 << fine
        halo = 4 * step  # rows that a cut edge reaches, rounded up
        rows = max(step, STRIP_PX // width // step * step)
        small = _small(thermal)
        warm = warmth(small)
        around, seen_around = beside(small, warm), beside(_small(visible), warm)
        coarse = np.empty((2, -(-height // step), -(-width // step)), np.float32)

        def window(top: int, bottom: int) -> tuple[int, Floats, Floats, Floats]:
            first, last = max(0, top - halo), min(height, bottom + halo)
            colours, heat = as_floats(visible[first:last]), luminance(as_floats(thermal[first:last]))
            return first, colours, luminance(colours), heat

        def maps(first: int, rows: int, *small: Floats) -> list[Floats]:
            return [_part(one, (height, width), first, first + rows) for one in small]

        for top, bottom in strips(height, rows):
            first, _, seen, heat = window(top, bottom)
            calm = eased(heat, *maps(first, len(heat), warm, around))
            for index, plane in enumerate((seen, calm)):
                for _ in range(fine):
                    plane = down(plane)
                skip, start, stop = (top - first) // step, top // step, -(-bottom // step)
                coarse[index, start:stop] = plane[skip : skip + stop - start]
            if on_progress:
                on_progress(0.4 * bottom / height)
        base = blended(coarse[0], coarse[1], falling(depth_for(min(coarse.shape[1:]))))
        for top, bottom in strips(height, rows):
            first, colours, seen, heat = window(top, bottom)
            here, own, others = maps(first, len(heat), warm, around, seen_around)
            calm = eased(heat, here, own)
            below = base[first // step : first // step + -(-seen.shape[0] // step)]
            fused = lit(blended(seen, calm, [TRUST] * fine, below), seen, heat)
            fused = glowing(fused, heat, here, own, others)
            colours += (fused - seen)[..., None]
            store(np.ascontiguousarray(colours[top - first : bottom - first]), out[top:bottom])
            if on_progress:
                on_progress(0.4 + 0.6 * bottom / height)


def _small(frame: Frame) -> Floats:
    """Luminance, the short side no longer than `SEEN_PX`."""
    height, width, _ = frame.shape
    factor = SEEN_PX / min(height, width)
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return luminance(as_floats(frame))


def _part(small: Floats, size: tuple[int, int], first: int, last: int) -> Floats:
    """Rows of a small map at the size (height, width) of the picture."""
    height, width = size
    h, w = small.shape
    if (h, w) == size:
        return small[first:last]
    x = np.broadcast_to((np.arange(width, dtype=np.float32) + 0.5) * w / width - 0.5, (last - first, width))
    y = (np.arange(first, last, dtype=np.float32) + 0.5) * h / height - 0.5
    rows = np.broadcast_to(y[:, None], (last - first, width))
    part = cv2.remap(
        small,
        np.ascontiguousarray(x),
        np.ascontiguousarray(rows),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(part, np.float32)


def streams() -> Layered:
    return Layered()


def build() -> nn.Module:
    from mefnets.classic.module import Classic

    return Classic(Layered())
