"""From neighbours to the whole bracket: every frame's motion against one reference.

Neighbours in exposure share most detail, so motion is measured between them, outward from the reference,
and composed. A frame that does not agree with its neighbour is tried against the others already placed,
nearest first; one that agrees with none keeps still, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from mefcli.motion.estimate import NOTHING, TRUSTED, ModelChoice, Motion, estimate, prepare
from mefcli.motion.geometry import IDENTITY, displacement, is_plausible, rescale
from mefcli.motion.grey import Level, greys
from mefcli.motion.sizes import HELD, TRIES
from mefcli.values import Matrix, MotionModel, Placed, Reduced

KEEP_PX = 0.25
"""A frame that lies less than this off, rms over the picture, keeps its pixels: moving gains little there."""
STILL_PX = 0.1
"""Motion between neighbours below this is none."""


def place_all(
    reduced: Reduced,
    reference: int,
    choice: ModelChoice = "auto",
    on_frame: Callable[[int], None] | None = None,
) -> tuple[Placed, ...]:
    """Motions of all frames (dark to bright) against the reference's."""

    @lru_cache(maxsize=HELD)
    def picture(index: int) -> list[Level]:
        return prepare(greys(reduced.frames[index]))

    placed = {reference: Placed("identity", IDENTITY, 1.0, 0.0, 0.0, reference, True)}
    count = len(reduced.frames)
    outward = sorted((i for i in range(count) if i != reference), key=lambda i: abs(i - reference))
    for done, index in enumerate(outward):
        near = sorted((i for i in placed if placed[i].trusted), key=lambda i: abs(i - index))[:TRIES]
        best, via = NOTHING, near[0]
        for other in near:
            motion = estimate(picture(other), picture(index), choice, scale=reduced.factor)
            if motion.confidence > best.confidence:
                best, via = motion, other
            if best.confidence >= TRUSTED:
                break
        placed[index] = _compose(placed[via], best, via, reduced)
        if on_frame:
            on_frame(done + 1)
    return tuple(_kept_if_near(placed[index]) for index in range(count))


def _kept_if_near(one: Placed) -> Placed:
    """Only at the end: a neighbour's place is worth more digits than its pixels."""
    return one if one.moved_px >= KEEP_PX else replace(one, model="identity", matrix=IDENTITY)


def _compose(base: Placed, link: Motion, via: int, reduced: Reduced) -> Placed:
    size = reduced.size_px

    def at(model: MotionModel, matrix: Matrix, moved_px: float, trusted: bool = True) -> Placed:
        return Placed(model, matrix, link.confidence, link.residual_px, moved_px, via, trusted)

    own = rescale(link.matrix, reduced.factor)
    matrix = own @ base.matrix
    matrix = matrix / matrix[2, 2]
    if link.confidence < TRUSTED or not is_plausible(matrix, size):
        return at("identity", IDENTITY, 0.0, trusted=False)
    # A weak measurement of no motion is no motion: within a few times the error that noise explains
    # (dark frames have others), up to a limit.
    still_px = max(STILL_PX, min(5 * link.residual_px, 3 * STILL_PX))
    if _rms(own, size) < still_px:
        matrix = base.matrix
    moved = _rms(matrix, size)
    if moved < STILL_PX:
        return at("identity", IDENTITY, moved)
    order = ("identity", "shift", "rigid", "homography")
    return at(max(base.model, link.model, key=order.index), matrix, moved)


def _rms(matrix: Matrix, size_px: tuple[int, int]) -> float:
    return float(np.sqrt((displacement(matrix, size_px) ** 2).mean()))
