"""How one frame moved against another, whatever their exposures: coarse to fine, simplest model that fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.geometry import IDENTITY, apply, distance, grid, is_plausible, rescale
from mefcli.motion.grey import Greys, Level, halve, joint_details, level
from mefcli.motion.refine import SHARED_NOISE, Fit, FitModel, choose_points, misfits, reach, refine
from mefcli.motion.start import global_starts
from mefcli.values import Matrix, MotionModel

ModelChoice = Literal["auto", "shift", "rigid", "homography"]
COARSE_SIDE_PX = 320
"""Long side of the level where the search starts: small enough for a fan of rotations."""


@dataclass(frozen=True)
class Motion:
    """Reference to frame, in pixels of the pictures it was measured on."""

    model: MotionModel
    matrix: Matrix
    confidence: float  # 0..1; below TRUSTED the motion is not to be used
    residual_px: float  # median disagreement of the picture's parts with the motion
    correlation: float
    support: float


TRUSTED = 0.35
CHANCE = 3.0
"""In standard errors. Wrong places, the best of all that were tried, reached 2.4 in 24 trials."""
POINTS = 60_000
APART_PX = 0.4
"""Brought together by motions that differ by less than this, a pair is the same pair."""
APART_UNSEARCHED_PX = 0.1
"""The same, for a pair that was first laid together as it is."""
WIDE_BOTH, WIDE_ONE = 0.5, 0.65
"""The detail that two frames share is wide where it reaches this far over the picture, along both axes or
along one; detail everywhere counts 1. From one bright window in a dark frame (at most 0.41 and 0.6 in an
office) a homography bends all the rest by guesswork; a horizon (0.71 to 1.1 along one axis) holds it."""
NARROW_PRICE = 2.0
"""On narrower detail a homography must be this many times better than what is simpler."""
STILL_COARSE_PX, STILL_CORRELATION, STILL_POINTS = 0.25, 0.85, 400
"""Moved by less than this at the coarsest size, agreeing by more than this over more points than this, a
frame needs no search: real frames from a tripod moved by at most 0.16 px there and agreed by 0.86 to 0.998,
and one that agrees by chance at the wrong place is far from it."""
PARAMETERS: dict[FitModel, int] = {"shift": 2, "rigid": 3, "similarity": 4, "homography": 8}
Verdict = tuple[list[float], float]
"""Of `misfits`: a loss for each motion, and over how many points."""
NOTHING = Motion("identity", IDENTITY, 0.0, float("nan"), 0.0, 0.0)


def levels(greys: Greys) -> list[Greys]:
    """Finest first, halved until the long side is at most COARSE_SIDE_PX."""
    planes = [greys]
    while max(planes[-1].shape[:2]) > COARSE_SIDE_PX and min(planes[-1].shape[:2]) >= 96:
        planes.append(halve(planes[-1]))
    return planes


def prepare(greys: Greys) -> list[Level]:
    """Averaging four pixels halves the noise, so each coarser level trusts darker pixels."""
    return [level(plane, max(0.04, 0.17 / 2**place)) for place, plane in enumerate(levels(greys))]


def estimate(
    reference: list[Level], frame: list[Level], choice: ModelChoice = "auto", *, scale: float = 1.0
) -> Motion:
    """Motion between two prepared pictures; `scale` is how many source pixels one of theirs stands for."""
    size = reference[0].size_px
    rough: FitModel = "shift" if choice == "shift" else "rigid"
    if _hardly_moved(reference[-1], frame[-1], rough):
        fits = _fits(reference[0], frame[0], IDENTITY, IDENTITY, choice, apart_px=APART_UNSEARCHED_PX)
    else:
        start, bent = _searched(reference, frame, rough, bends=choice in ("auto", "homography"))
        fits = _fits(reference[0], frame[0], start, bent, choice)
    if not fits:
        if len(reference) == 1:
            return NOTHING
        # Noise left too few clean pixels at this size; averaged ones may do.
        coarse = estimate(reference[1:], frame[1:], choice, scale=2 * scale)
        return replace(coarse, matrix=rescale(coarse.matrix, 2.0))
    chosen = _simplest(fits, grid(size), max(0.05 / scale, 0.015))
    best = fits[chosen]
    residual = best.spread_px * scale
    return Motion(chosen, best.matrix, _confidence(best, residual), residual, best.correlation, best.support)


def _hardly_moved(reference: Level, frame: Level, model: FitModel) -> bool:
    """Whether two frames lie on each other at the coarsest size, beyond doubt: those of a tripod do."""
    found = _refine(reference, frame, IDENTITY, model)
    if found is None or found.correlation < STILL_CORRELATION or found.points < STILL_POINTS:
        return False
    return float(distance(found.matrix, IDENTITY, grid(reference.size_px)).max()) < STILL_COARSE_PX


def _searched(
    reference: list[Level], frame: list[Level], rough: FitModel, *, bends: bool
) -> tuple[Matrix, Matrix]:
    """The motion followed from coarse to fine: rigid, and as a homography where it `bends`."""
    starts = global_starts(reference[-1], frame[-1])
    starts = _best(reference[-1], frame[-1], starts, rough, keep=3)
    bent: Matrix | None = None
    for place in range(len(reference) - 2, -1, -1):
        starts = [rescale(matrix, 2.0) for matrix in starts]
        bent = None if bent is None else rescale(bent, 2.0)
        if place == 0 and len(starts) == 1:
            break
        starts = _best(reference[place], frame[place], starts, rough, keep=1)
        if bends:
            # What is not rigid is followed from half size on: at full size it may be out of reach.
            tracks = [starts[0]] if bent is None else [bent, starts[0]]
            bent = _best(reference[place], frame[place], tracks, "homography", 1)[0]
    return starts[0], starts[0] if bent is None else bent


def _fits(
    reference: Level,
    frame: Level,
    matrix: Matrix,
    bent: Matrix,
    choice: ModelChoice,
    *,
    apart_px: float = APART_PX,
) -> dict[FitModel, Fit]:
    """Each model that pays at full working size, compared on one pair of pictures, already brought together.

    Where the pair turns out to have been off by more than a fraction of a pixel, it is made again.
    """
    size = reference.size_px
    places = grid(size)
    wanted = _wanted(choice)
    ground = matrix if choice == "auto" else bent
    fits: dict[FitModel, Fit] = {}
    for _ in range(4):
        one, other = joint_details(reference, frame, ground)
        points = choose_points(one, limit=POINTS)
        lesser, greater = reach(points)
        narrow = lesser < WIDE_BOTH and greater < WIDE_ONE
        fits, back = {}, np.linalg.inv(ground)
        for model in wanted:
            start = {"shift": _only_shift(matrix, size), "rigid": matrix, "homography": bent}[model]
            found = refine(points, other, back @ start, model)
            if found is None:
                continue
            whole = ground @ found.matrix
            if is_plausible(whole, size):
                fits[model] = replace(found, matrix=whole / whole[2, 2])
        if not fits:
            break
        found_motions = [fit.matrix for fit in fits.values()]
        verdicts = [misfits(points, other, [back @ motion for motion in found_motions])]
        if float(distance(ground, found_motions[-1], places).max()) >= apart_px:
            verdicts.append(_judged_on(found_motions[-1], reference, frame, found_motions))
        fits = _that_pay(fits, verdicts, NARROW_PRICE if narrow else 1.0)
        wanted = tuple(fits)
        matrix = fits["rigid"].matrix if "rigid" in fits else matrix
        bent = fits["homography"].matrix if "homography" in fits else bent
        previous, ground = ground, fits[wanted[-1]].matrix
        if float(distance(previous, ground, places).max()) < apart_px:
            break
    return fits


def _judged_on(ground: Matrix, reference: Level, frame: Level, motions: Sequence[Matrix]) -> Verdict:
    """How badly each motion explains a pair that was brought together by `ground`."""
    one, other = joint_details(reference, frame, ground)
    back = np.linalg.inv(ground)
    return misfits(choose_points(one, limit=POINTS), other, [back @ motion for motion in motions])


def _that_pay(
    fits: dict[FitModel, Fit], verdicts: Sequence[Verdict], bent_price: float = 1.0
) -> dict[FitModel, Fit]:
    """Without the richer models that explain no more than a simpler one, by Akaike's measure.

    Lights of a night that grow with exposure, or waves, would otherwise bend all the rest by guesswork. Each
    motion fits the points it was found on best, so where two sets of points differ both count alike.
    """
    told = [(np.array(losses), points) for losses, points in verdicts if losses]
    if not told:
        return fits
    parameters = np.array([PARAMETERS[model] for model in fits])
    price = np.array([math.log(bent_price) if model == "homography" else 0.0 for model in fits])
    costs = sum(
        np.log(losses.clip(1e-9)) + np.log1p(2 * parameters * SHARED_NOISE / points) + price
        for losses, points in told
    )
    models = list(fits)
    while len(models) > 1 and costs[len(models) - 1] >= min(costs[: len(models) - 1]):
        models.pop()
    return {model: fits[model] for model in models}


def _wanted(choice: ModelChoice) -> tuple[FitModel, ...]:
    return ("shift", "rigid", "homography") if choice == "auto" else (choice,)


def _best(reference: Level, frame: Level, starts: list[Matrix], model: FitModel, keep: int) -> list[Matrix]:
    """Each start refined, best agreement first; starts that cannot be judged at this size follow untouched.

    A frame that is nearly white may share so few pixels with the other that only a finer level has enough.
    """
    size = reference.size_px
    judged: list[tuple[float, Matrix]] = []
    unjudged: list[Matrix] = []
    for start in starts:
        start = _only_shift(start, size) if model == "shift" else start
        found = _refine(reference, frame, start, model)
        if found is None:
            unjudged.append(start)
        elif is_plausible(found.matrix, size):
            judged.append((found.correlation * np.sqrt(found.points), found.matrix))
    judged.sort(key=lambda pair: -pair[0])
    agreeing = [matrix for merit, matrix in judged if merit > 0]
    return [*agreeing, *unjudged][:keep] or [starts[0]]


def _refine(reference: Level, frame: Level, matrix: Matrix, model: FitModel) -> Fit | None:
    """Good enough for the next finer level to take over."""
    one, other = joint_details(reference, frame, matrix)
    found = refine(choose_points(one, limit=15_000), other, IDENTITY, model, steps=12, tolerance_px=0.02)
    if found is None:
        return None
    whole = matrix @ found.matrix
    return replace(found, matrix=whole / whole[2, 2])


def _only_shift(matrix: Matrix, size_px: tuple[int, int]) -> Matrix:
    """The pure shift that moves the picture's middle as `matrix` does."""
    middle = np.array([[(size_px[0] - 1) / 2, (size_px[1] - 1) / 2]])
    shift = np.eye(3)
    shift[:2, 2] = (apply(matrix, middle) - middle)[0]
    return shift


def _simplest(fits: dict[FitModel, Fit], places: NDArray[np.float64], tolerance_px: float) -> FitModel:
    """The simplest model that sends the grid to where the richest one does, within what noise allows."""
    order: list[FitModel] = [model for model in ("shift", "rigid", "homography") if model in fits]
    richest = fits[order[-1]]
    for model in order[:-1]:
        apart = distance(fits[model].matrix, richest.matrix, places)
        if float(np.sqrt((apart**2).mean())) < max(tolerance_px, 2.5 * richest.spread_px):
            return model
    return order[-1]


def _confidence(fit: Fit, spread_px: float) -> float:
    """Agreement of the two pictures, less what chance finds among as few points, and less where noise alone
    could move the result by a pixel.

    A nearly white frame agrees somewhere with anything, and the best of all places is the one kept.
    """
    apart = math.atanh(min(max(fit.correlation, 0.0), 0.9999))  # Fisher's z
    chance = CHANCE / math.sqrt(max(fit.points / SHARED_NOISE, 1.0))
    return math.tanh(max(apart - chance, 0.0)) / (1 + (spread_px / 2) ** 2)
