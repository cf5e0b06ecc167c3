"""A focus stack in bounded memory: a picture that is sharp so far, into which one frame after another goes.

    fold = Fold(Sharpness(), first)
    for frame in others:
        fold.add(frame)
    fold.picture, fold.sharpest

Whoever judges says, pixel by pixel, how much of the new frame belongs into the picture; where that is nothing
the picture keeps its bits, where it is all the frame's are taken. So the result holds what the frames hold:
no level beyond theirs, no colour of its own, and equal frames give themselves back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mefnets.engine.frames import Frame, strips
from mefnets.engine.threads import in_parallel

Weights = NDArray[np.float16]  # (H, W), 0..1
Rows = tuple[int, int]
Cover = Callable[[int, int], "NDArray[np.float32] | None"]
"""Of rows from top to bottom, how far (h, w) the frame has pixels of its own there; None: everywhere."""

STRIP_PX = 400_000
TAKEN = 0.5  # from this weight on a place is the new frame's


class Judge(Protocol):
    def begin(self, first: Frame) -> None:
        """Remember what has to be known of the picture before any frame is added."""

    def weigh(self, picture: Frame, frame: Frame, cover: Cover, nearer: bool) -> Weights:
        """How much of `frame` belongs into `picture`. `nearer`: it was focused nearer than all before."""

    def settle(self, taken: NDArray[np.bool_], rows: Rows) -> None:
        """These pixels of these rows are the new frame's from now on."""


class Fold:
    def __init__(self, judge: Judge, first: Frame, number: int = 0) -> None:
        """`number` is the first frame's place in the stack, near focus first."""
        self.judge = judge
        self.picture = deep(first)
        if self.picture is first:
            self.picture = first.copy()
        self.sharpest = np.full(first.shape[:2], number, np.uint8)  # (H, W): whose pixel each is
        self.nearest = number
        judge.begin(self.picture)

    def add(self, frame: Frame, number: int, cover: Cover = lambda top, bottom: None) -> None:
        """`frame` in the picture's depth, aligned with it, number `number` of the stack."""
        nearer = number < self.nearest
        weights = self.judge.weigh(self.picture, frame, cover, nearer)
        self.nearest = min(self.nearest, number)

        def blend(rows: Rows) -> None:
            part = slice(*rows)
            weight = weights[part]
            if not weight.any():
                return
            mixed(self.picture[part], frame[part], weight)
            taken = weight > TAKEN
            self.sharpest[part][taken] = number
            self.judge.settle(taken, rows)

        in_parallel(blend, rows_of(self.picture))


def deep(frame: Frame) -> Frame:
    """A frame as the fold keeps it: 8 bits at 16, so that blending leaves no steps."""
    if frame.dtype == np.uint8:
        deeper: Frame = frame.astype(np.uint16) * np.uint16(257)
        return deeper
    return frame


def rows_of(picture: Frame) -> list[Rows]:
    height, width = picture.shape[:2]
    return strips(height, max(1, STRIP_PX // width))


def mixed(into: Frame, frame: Frame, weight: NDArray[np.floating[Any]]) -> None:
    """`into` becomes the frame where that has the whole weight, a blend where it has some; else it stays."""
    whole, some = weight >= 1, (weight > 0) & (weight < 1)
    into[whole] = frame[whole]
    share = weight[some].astype(np.float32)[:, None]
    blend = into[some] + (frame[some].astype(np.float32) - into[some]) * share
    into[some] = blend if into.dtype == np.float32 else np.rint(blend).astype(into.dtype)


def folded(frames: Sequence[Frame], judge: Judge) -> Fold:
    """Aligned frames of one depth, near focus first, folded."""
    fold = Fold(judge, frames[0])
    for number, frame in enumerate(frames[1:], 1):
        fold.add(deep(frame), number)
    return fold
