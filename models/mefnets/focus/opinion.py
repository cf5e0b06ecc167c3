"""A two-frame network as judge: what it makes of the picture and a new frame says which of them it followed.

Its own result is not taken. In every small window we ask which share of the new frame, beside the picture,
comes nearest to it (least squares); where that is more than half, the frame is chosen, and `border` draws the
choice. So whatever a network does to noise, colours or flat places, the result holds pixels of the camera,
and equal frames stay equal.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mefnets.engine.frames import Floats, Frame, as_floats
from mefnets.engine.fusion import Fusion, Progress
from mefnets.engine.threads import in_parallel
from mefnets.focus.border import border
from mefnets.focus.fold import Cover, Rows, Weights, rows_of

WINDOW_PX = 4  # half the side
RIDGE = 2e-5  # of differences between the frames, squared: below it neither is sharper


class Opinion:
    """`Judge` by a network that fuses pairs, near focus first."""

    def __init__(
        self, fusion: Fusion, max_memory_mb: float | None = None, on_step: Progress | None = None
    ) -> None:
        self.fusion = fusion
        self.max_memory_mb = max_memory_mb
        self.on_step = on_step

    def begin(self, first: Frame) -> None:
        """It looks at the picture itself."""

    def weigh(self, picture: Frame, frame: Frame, cover: Cover, nearer: bool) -> Weights:
        pair = (frame, picture) if nearer else (picture, frame)
        wish = self.fusion.fuse(
            pair,
            (0.0, 1.0),
            resolution="native",
            max_memory_mb=self.max_memory_mb,
            depth=32,
            on_step=self.on_step,
        )
        sharper = np.empty(picture.shape[:2], np.uint8)
        weights = np.empty(picture.shape[:2], np.float16)

        def follow(rows: Rows) -> None:
            top, bottom = max(0, rows[0] - WINDOW_PX), min(picture.shape[0], rows[1] + WINDOW_PX)
            part = slice(top, bottom)
            share = share_of(as_floats(picture[part]), as_floats(frame[part]), wish[part])
            chosen = share[rows[0] - top : rows[1] - top] > 0.5
            shown = cover(*rows)
            sharper[slice(*rows)] = chosen if shown is None else chosen & (shown > 0)

        def draw(rows: Rows) -> None:
            weights[slice(*rows)] = border(picture, frame, sharper, rows, cover)

        in_parallel(follow, rows_of(picture))
        in_parallel(draw, rows_of(picture))
        return weights

    def settle(self, taken: NDArray[np.bool_], rows: Rows) -> None:
        """Nothing is remembered."""


def share_of(one: Floats, other: Floats, wish: Floats) -> Floats:
    """The share of `other` beside `one` that comes nearest to `wish`, (H, W), of (H, W, 3) each."""
    apart = other - one
    towards = (apart * (wish - one)).sum(2)
    length = (apart * apart).sum(2)
    side = 2 * WINDOW_PX + 1
    towards, length = (
        cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT_101) for plane in (towards, length)
    )
    return np.asarray(towards / (length + RIDGE), np.float32)
