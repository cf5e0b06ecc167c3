"""From neighbours to the whole bracket: every frame's motion against one reference.

Neighbours in exposure share most detail, so motion is measured between them, outward from the reference,
and composed. A frame that does not agree with its neighbour is tried against the others already placed,
nearest first; one that agrees with none keeps still, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mefcli.motion.estimate import NOTHING, TRUSTED, ModelChoice, Motion, estimate, prepare
from mefcli.motion.geometry import IDENTITY, Matrix, displacement, is_plausible, rescale
from mefcli.motion.grey import reduced_grey, reduction
from mefcli.values import Pixels

WORKING_MP = 1.6
STILL_PX = 0.1
TRIES = 3


@dataclass(frozen=True)
class Placed:
    """One frame's motion against the reference, in source pixels."""

    motion: Motion
    via: int  # the frame it was measured against
    moved_px: float  # rms over the picture
    trusted: bool

    @property
    def matrix(self) -> Matrix:
        return self.motion.matrix


def place_all(
    frames: Sequence[Pixels],
    reference: int,
    choice: ModelChoice = "auto",
    on_frame: Callable[[int], None] | None = None,
) -> list[Placed]:
    """Motions of all frames (dark to bright) against frames[reference]."""
    size = (frames[0].shape[1], frames[0].shape[0])
    factor = reduction(size, WORKING_MP)
    pictures = [prepare(reduced_grey(frame, factor)) for frame in frames]
    anchor = Placed(replace(NOTHING, confidence=1.0, residual_px=0.0), reference, 0.0, True)
    placed: dict[int, Placed] = {reference: anchor}
    outward = sorted((i for i in range(len(frames)) if i != reference), key=lambda i: abs(i - reference))
    for done, index in enumerate(outward):
        near = sorted((i for i in placed if placed[i].trusted), key=lambda i: abs(i - index))[:TRIES]
        best, via = NOTHING, near[0]
        for other in near:
            motion = estimate(pictures[other], pictures[index], choice, scale=factor)
            if motion.confidence > best.confidence:
                best, via = motion, other
            if best.confidence >= TRUSTED:
                break
        placed[index] = _compose(placed[via], best, via, factor, size)
        if on_frame:
            on_frame(done + 1)
    return [placed[index] for index in range(len(frames))]


def _compose(base: Placed, link: Motion, via: int, factor: int, size_px: tuple[int, int]) -> Placed:
    own = rescale(link.matrix, factor)
    matrix = own @ base.matrix
    matrix = matrix / matrix[2, 2]
    if link.confidence < TRUSTED or not is_plausible(matrix, size_px):
        still = replace(link, model="identity", matrix=IDENTITY)
        return Placed(still, via, 0.0, False)
    # A weak measurement of no motion is no motion: within a few times the error that noise explains
    # (dark frames have others), up to a limit.
    still_px = max(STILL_PX, min(5 * link.residual_px, 3 * STILL_PX))
    if _rms(own, size_px) < still_px:
        matrix = base.matrix
    moved = _rms(matrix, size_px)
    if moved < STILL_PX:
        return Placed(replace(link, model="identity", matrix=IDENTITY), via, 0.0, True)
    order = ("identity", "shift", "rigid", "homography")
    model = max(base.motion.model, link.model, key=order.index)
    return Placed(replace(link, model=model, matrix=matrix), via, moved, True)


def _rms(matrix: Matrix, size_px: tuple[int, int]) -> float:
    return float(np.sqrt((displacement(matrix, size_px) ** 2).mean()))
