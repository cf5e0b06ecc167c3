"""How frames of a focus stack lie to each other: shifted, turned, and larger or smaller.

A lens that focuses nearer shows a little less of the scene (it breathes), so beside the motion of a hand
there is scale, up to `MOST_SCALE`. Frames come one after another, outward from the reference; each is
measured against its neighbour on the way there, which is nearly as sharp in the same places, so only that
neighbour is kept.

Blur is not always even: at the border of a thing it spreads to one side, and a fit follows it by a fraction
of a pixel or more. A motion therefore counts only where it brings the blurred pictures nearer to each other.
Of five pairs taken with one shot of a light-field camera four were measured as moved, by 0.3 to 1.2 px; the
blurred difference rose or fell by less than 3 %. The fifth is turned by 0.1 degrees: it fell by 36 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mefcli.motion.chain import KEEP_PX, STILL_PX
from mefcli.motion.estimate import CHANCE, NOTHING, Motion, prepare
from mefcli.motion.geometry import IDENTITY, displacement, is_plausible, rescale
from mefcli.motion.grey import Detail, Level, detail, greys, joint_details
from mefcli.motion.refine import SHARED_NOISE, Fit, choose_points, refine
from mefcli.motion.start import ROTATIONS_DEG, peaks
from mefcli.values import Matrix, Pixels, Placed

MOST_SCALE = 0.05
SCALES = (1.0, 0.98, 1.02, 0.96, 1.04, 0.94, 1.06)  # looked for where the plain one leads nowhere
TRUSTED = 0.15  # confidence; two frames of unequal focus share little fine detail. Wrong places: 0
BLUR_PX, BETTER = 4.0, 0.93  # a motion leaves at most this share of the blurred difference, squared
SURE = 0.6  # correlation at the coarse level beyond which nothing else is tried; wrong places reach 0.57
COARSE_POINTS, POINTS = 15_000, 60_000


class Chain:
    """Places frames outward from the reference; `place` them in that order."""

    def __init__(self, reference: int, small: Pixels, factor: int, size_px: tuple[int, int]) -> None:
        """`small` is the reference, reduced by `factor` from `size_px`."""
        self.reference, self.factor, self.size_px = reference, factor, size_px
        still = Placed("identity", IDENTITY, 1.0, 0.0, 0.0, reference, True)
        picture = prepare(greys(small))
        # The outermost frame placed on either side, with its true motion.
        self.ends = {-1: (reference, picture, still), 1: (reference, picture, still)}

    def place(self, index: int, small: Pixels) -> Placed:
        side = 1 if index > self.reference else -1
        via, neighbour, base = self.ends[side]
        picture = prepare(greys(small))
        motion = measured(neighbour, picture)
        own = rescale(motion.matrix, self.factor)
        matrix = own @ base.matrix
        residual = motion.residual_px * self.factor
        if motion.confidence < TRUSTED or not self._believable(matrix):
            return Placed("identity", IDENTITY, motion.confidence, residual, 0.0, via, False)
        if _rms(own, self.size_px) < STILL_PX or not _nearer(neighbour[0], picture[0], motion.matrix):
            matrix = base.matrix
        moved = _rms(matrix, self.size_px)
        placed = Placed("similarity", matrix, motion.confidence, residual, moved, via, True)
        self.ends[side] = index, picture, placed
        return placed if moved >= KEEP_PX else replace(placed, model="identity", matrix=IDENTITY)

    def _believable(self, matrix: Matrix) -> bool:
        scale = float(np.sqrt(np.linalg.det(matrix[:2, :2])))
        return is_plausible(matrix, self.size_px) and abs(scale - 1) <= 1.5 * MOST_SCALE


def measured(reference: Sequence[Level], frame: Sequence[Level]) -> Motion:
    """Reference to frame, in pixels of their finest levels; coarse to fine, where blur does not count."""
    found = _started(reference[-1], frame[-1])
    if found is None:
        return NOTHING
    matrix = found.matrix
    for one, other in list(zip(reference, frame, strict=True))[-2::-1]:
        matrix = rescale(matrix, 2.0)
        finer = _fit(one, other, matrix, POINTS)
        if finer is None:
            return NOTHING
        found, matrix = finer, finer.matrix
    chance = CHANCE / np.sqrt(max(found.points / SHARED_NOISE, 1.0))
    apart = np.arctanh(min(max(found.correlation, 0.0), 0.9999)) - chance
    confidence = float(np.tanh(max(apart, 0.0)) / (1 + (found.spread_px / 2) ** 2))
    return Motion("similarity", matrix, confidence, found.spread_px, found.correlation, found.support)


def _started(reference: Level, frame: Level) -> Fit | None:
    best = _fit(reference, frame, IDENTITY, COARSE_POINTS)
    for scale in SCALES:
        if best is not None and best.correlation >= SURE:
            break
        grown = _scaling(scale, frame.size_px)
        around = detail(_moved(frame, grown))
        for _, guess in sorted(peaks(detail(reference), around, ROTATIONS_DEG[:3]), key=lambda one: -one[0])[
            :2
        ]:
            found = _fit(reference, frame, grown @ guess, COARSE_POINTS)
            if found is not None and (best is None or found.correlation > best.correlation):
                best = found
    return best


def _fit(reference: Level, frame: Level, start: Matrix, limit: int) -> Fit | None:
    """The similarity near `start`; brought together first, so that only little is left to find."""
    whole, found = start, None
    for _ in range(2):
        one, other = joint_details(reference, frame, whole)
        found = _refined(one, other, limit)
        if found is None:
            return None
        whole = whole @ found.matrix
        if _rms(found.matrix, reference.size_px) < 0.3:
            break
    assert found is not None
    return replace(found, matrix=whole / whole[2, 2])


def _refined(one: Detail, other: Detail, limit: int) -> Fit | None:
    return refine(choose_points(one, limit=limit), other, IDENTITY, "similarity", tolerance_px=0.01)


def _nearer(reference: Level, frame: Level, matrix: Matrix) -> bool:
    """Whether the blurred pictures come nearer to each other by this motion, away from the borders."""
    import cv2

    moved = _moved(frame, matrix)
    clear = (reference.trust > 0) & (frame.trust > 0) & (moved.trust > 0)
    blurred = [cv2.GaussianBlur(one.stops, (0, 0), BLUR_PX) for one in (reference, frame, moved)]
    rim = min(round(2 * BLUR_PX), min(clear.shape) // 4)
    inner = clear[rim : -rim or None, rim : -rim or None]
    if not inner.any():
        return False
    before, after = (
        float(np.square(blurred[0] - one)[rim : -rim or None, rim : -rim or None][inner].mean())
        for one in blurred[1:]
    )
    return after < BETTER * before


def _moved(level: Level, matrix: Matrix) -> Level:
    import cv2

    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    stops = cv2.warpPerspective(
        level.stops, matrix, level.size_px, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return Level(stops, cv2.warpPerspective(level.trust, matrix, level.size_px, flags=flags))


def _scaling(scale: float, size_px: tuple[int, int]) -> Matrix:
    x, y = (size_px[0] - 1) / 2, (size_px[1] - 1) / 2
    return np.array([[scale, 0, x - scale * x], [0, scale, y - scale * y], [0, 0, 1.0]])


def _rms(matrix: Matrix, size_px: tuple[int, int]) -> float:
    return float(np.sqrt((displacement(matrix, size_px) ** 2).mean()))
