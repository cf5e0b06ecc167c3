"""The classic judge: a place belongs to the frame that has the most detail around it, seen in two windows.

Detail is what a small Gaussian takes away from luminance; its mean square in a narrow window tells borders,
in a wide one flat places, and both are compared relative to their sum, so that neither noise nor contrast
decides by itself. Then `drawn` cleans the choice and draws it.

The wide window grows with the picture, since a lens' discs do; a disc wider than the window would let the
blurred rim of a bright edge pass for detail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from mefnets.engine.frames import FULL_SCALE, Floats, Frame, store
from mefnets.engine.threads import in_parallel
from mefnets.focus.border import box, drawn, luminance
from mefnets.focus.fold import Cover, Rows, Weights, folded, rows_of

if TYPE_CHECKING:
    from torch import nn

FINE_SIGMA = 1.0  # of the Gaussian that detail is told from
NARROW_PX, WIDE_PX = 4, 10  # half windows
WIDE_SHARE = 0.008  # of the short side, where that is more
WIDE_WEIGHT = 0.5  # beside the narrow window's 1
NOISE = 1.5e-3  # amplitude of detail, in [0, 1], that is none

Plane = NDArray[np.float16]


def wide_px(picture: Frame) -> int:
    """Half the wide window."""
    short: int = min(picture.shape[:2])
    return max(WIDE_PX, round(WIDE_SHARE * short))


class Sharpness:
    """`Judge` by detail; keeps of the picture, in half floats, how much of it each window sees."""

    def __init__(self) -> None:
        self.best: tuple[Plane, ...] = ()
        self.new: tuple[Plane, ...] = ()
        self.windows = (NARROW_PX, WIDE_PX)

    def begin(self, first: Frame) -> None:
        height, width = first.shape[:2]
        self.windows = (NARROW_PX, wide_px(first))
        self.best = tuple(np.empty((height, width), np.float16) for _ in self.windows)
        self.new = tuple(np.empty((height, width), np.float16) for _ in self.windows)

        def measure(rows: Rows) -> None:
            for plane, amplitude in zip(self.best, self._detail(first, rows), strict=True):
                plane[slice(*rows)] = amplitude

        in_parallel(measure, rows_of(first))

    def weigh(self, picture: Frame, frame: Frame, cover: Cover, nearer: bool) -> Weights:
        leaning = np.empty(picture.shape[:2], np.float16)

        def compare(rows: Rows) -> None:
            part = slice(*rows)
            ahead = np.zeros(leaning[part].shape, np.float32)
            for best, new, amplitude, share in zip(
                self.best, self.new, self._detail(frame, rows), (1.0, WIDE_WEIGHT), strict=True
            ):
                new[part] = amplitude
                theirs = np.square(new[part].astype(np.float32))
                ours = np.square(best[part].astype(np.float32))
                ahead += share * (theirs - ours) / (theirs + ours + NOISE**2)
            leaning[part] = ahead

        in_parallel(compare, rows_of(picture))
        return drawn(picture, frame, leaning, cover, self.windows[1])

    def settle(self, taken: NDArray[np.bool_], rows: Rows) -> None:
        for best, new in zip(self.best, self.new, strict=True):
            best[slice(*rows)][taken] = new[slice(*rows)][taken]

    def _detail(self, frame: Frame, rows: Rows) -> list[Floats]:
        """Root mean square of detail in each window, for these rows."""
        margin = max(self.windows) + round(4 * FINE_SIGMA)
        top, bottom = max(0, rows[0] - margin), min(frame.shape[0], rows[1] + margin)
        grey = luminance(frame[top:bottom])
        fine = grey - cv2.GaussianBlur(grey, (0, 0), FINE_SIGMA, borderType=cv2.BORDER_REFLECT_101)
        energy = fine * fine
        inner = slice(rows[0] - top, rows[1] - top)
        return [np.sqrt(np.maximum(box(energy, half)[inner], 0)) for half in self.windows]


class Focus:
    """The same for frames that lie in memory, as the engine hands them over."""

    def stream(
        self,
        frames: Sequence[Frame],
        out: Frame,
        budget_bytes: int | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        fold = folded(frames, Sharpness())
        white = FULL_SCALE[fold.picture.dtype.name]

        def give(rows: Rows) -> None:
            store(fold.picture[slice(*rows)].astype(np.float32), out[slice(*rows)], white)
            if on_progress:
                on_progress(rows[1] / out.shape[0])

        in_parallel(give, rows_of(out))


def streams() -> Focus:
    return Focus()


def build() -> nn.Module:
    from mefnets.classic.module import Classic

    return Classic(Focus())
