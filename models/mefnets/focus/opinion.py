"""A two-frame network as judge: what it makes of the picture and a new frame says which of them it followed.

Its own result is not taken. We ask which share of the new frame, beside the picture, comes nearest to it
(least squares), in a narrow window, and in a wide one, of little weight, that tells flat places; where both
together say more than half, the frame is chosen, and `drawn` draws the choice. So whatever a network does to
noise, colours or flat places, the result holds pixels of the camera, and equal frames stay equal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mefnets.engine.frames import Floats, Frame, as_floats
from mefnets.engine.fusion import Fusion, Progress
from mefnets.engine.threads import in_parallel
from mefnets.focus.border import box, drawn
from mefnets.focus.fold import Cover, Rows, Weights, rows_of
from mefnets.focus.sharpness import wide_px

NARROW_PX = 3  # half window; a network is surer of a border than the classic judge is
WIDE_WEIGHT = 0.1  # beside the narrow window's 1: it decides where the narrow one is even
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
        leaning = np.empty(picture.shape[:2], np.float16)
        wide = wide_px(picture)

        def follow(rows: Rows) -> None:
            top, bottom = max(0, rows[0] - wide), min(picture.shape[0], rows[1] + wide)
            part = slice(top, bottom)
            seen = leaning_of(as_floats(picture[part]), as_floats(frame[part]), wish[part], wide)
            leaning[slice(*rows)] = seen[rows[0] - top : rows[1] - top]

        in_parallel(follow, rows_of(picture))
        return drawn(picture, frame, leaning, cover, wide)

    def settle(self, taken: NDArray[np.bool_], rows: Rows) -> None:
        """Nothing is remembered."""


def leaning_of(one: Floats, other: Floats, wish: Floats, wide: int) -> Floats:
    """Towards `other` (above 0) or `one`, (H, W), of (H, W, 3) each: how far beyond an even mix of both the
    share of `other` lies that comes nearest to `wish`, in both windows."""
    apart = other - one
    length = (apart * apart).sum(2)
    beyond = (apart * (wish - one)).sum(2) - 0.5 * length
    leaning: Floats = np.zeros_like(length)
    for half, weight in ((NARROW_PX, 1.0), (wide, WIDE_WEIGHT)):
        leaning += np.float32(weight) * box(beyond, half) / (box(length, half) + np.float32(RIDGE))
    return leaning
