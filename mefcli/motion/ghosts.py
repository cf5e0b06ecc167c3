"""Finds what moved between exposures, and puts the mapped reference there.

A pixel is consistent when it lies in the range the reference allows: the mapped values of its 3 x 3
neighbourhood (so half a pixel of misalignment along an edge is no ghost), widened by the noise seen in the
static majority, and open-ended where the reference is clipped. What is left is cleaned into whole regions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.mapping import floats, least, mapped, noise, parts, white_about
from mefcli.motion.reduced import curve_between
from mefcli.motion.warp import mix
from mefcli.values import Box, Curve, Ghost, Outline, Pixels, Reduced

STRIP_ROWS = 256
AUTO_STRENGTH = 5
AUTO_THRESHOLD = 7.0  # standard deviations
FEATHER_PX = 4
"""Working pixels over which a region's rim goes over; regions are widened by as much first."""

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Movement:
    """What moved in one frame, at reduced size."""

    score: Floats  # (h, w): how many standard deviations outside the allowed range
    mask: Mask  # (h, w): whole regions, rim included
    curve: Curve  # reference -> frame
    white: Floats  # (h, w, 3): how far the mapped reference leaps where it is white
    factor: int  # source pixels per reduced pixel

    @property
    def ghost(self) -> Ghost:
        return ghost_of(self.mask, self.factor)


def ghost_of(mask: Mask, factor: int) -> Ghost:
    return Ghost(float(mask.mean()), _boxes(mask, factor), _outlines(mask, factor))


def find_movement(reduced: Reduced, reference: int, index: int, strength: int = AUTO_STRENGTH) -> Movement:
    """`strength` 1 (only gross movement) to 10 (eager); the threshold halves every three steps."""
    still, other = (floats(reduced.frames[which]) for which in (reference, index))
    threshold = AUTO_THRESHOLD * 2.0 ** ((AUTO_STRENGTH - strength) / 3)
    curve = curve_between(reduced, reference, index)
    score = disagreement(still, other, curve)
    mask = regions(score, threshold)
    if mask.any():
        # A first look at everything; then again without what moved, so that it has no say in the curve.
        curve = curve_between(reduced, reference, index, ~mask)
        score = disagreement(still, other, curve)
        mask = regions(score, threshold)
    return Movement(score, mask, curve, white_about(curve, still, other, mask), reduced.factor)


def disagreement(still: Floats, other: Floats, curve: Curve) -> Floats:
    """How far each pixel of `other` is outside what `still` allows, in standard deviations (h, w)."""
    import cv2

    expected = mapped(curve, still)
    near = np.ones((3, 3), np.uint8)
    # A clipped reference only says "at least this bright", a black one "at most this dark". White holds walls
    # and the sun: the least bright of it goes on from what is just not clipped.
    low, high = cv2.erode(least(curve, still), near), cv2.dilate(expected, near)
    high[cv2.dilate(still, near) > 0.985] = 1.0
    low[cv2.erode(still, near) < 0.008] = 0.0
    spread = np.maximum(noise(curve, still), 0.006)
    excess = np.maximum(low - other, other - high) / spread
    worst: Floats = np.clip(excess, 0, 100).max(axis=2)
    smoothed: Floats = cv2.GaussianBlur(worst, (0, 0), 1.0)
    return smoothed


def regions(score: Floats, threshold: float) -> Mask:
    """Regions that hold a strong core, with the weaker parts joined to it, holes closed, widened by a rim."""
    import cv2

    candidate = (score > threshold / 2.5).astype(np.uint8)
    candidate = cv2.morphologyEx(candidate, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    candidate = cv2.morphologyEx(candidate, cv2.MORPH_CLOSE, _disc(4))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(candidate, connectivity=8)
    smallest = max(12, round(2.5e-5 * score.size))
    strong = np.bincount(labels.ravel(), weights=(score > threshold).ravel(), minlength=count)
    keep = (stats[:, cv2.CC_STAT_AREA] >= smallest) & (strong >= smallest / 3)
    keep[0] = False
    core = keep[labels].astype(np.uint8)
    contours, _ = cv2.findContours(core, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    small_hole = 0.002 * score.size
    filled = cv2.drawContours(core.copy(), contours, -1, 1, cv2.FILLED)
    holes, hole_labels, hole_stats, _ = cv2.connectedComponentsWithStats(filled - core, connectivity=4)
    fill = hole_stats[:, cv2.CC_STAT_AREA] < small_hole
    fill[0] = False
    core = core | fill[hole_labels].astype(np.uint8) if holes > 1 else core
    return np.asarray(cv2.dilate(core, _disc(FEATHER_PX + 3)) > 0)


def _disc(radius: int) -> NDArray[np.uint8]:
    import cv2

    disc: NDArray[np.uint8] = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return disc


def _boxes(mask: Mask, factor: int) -> tuple[Box, ...]:
    import cv2

    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return tuple(
        (x * factor, y * factor, (x + w) * factor, (y + h) * factor) for x, y, w, h, _ in stats[1:].tolist()
    )


def _outlines(mask: Mask, factor: int) -> tuple[Outline, ...]:
    import cv2

    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    edges = [cv2.approxPolyDP(edge, 1.5, closed=True)[:, 0].tolist() for edge in found]
    return tuple(
        tuple((round((x + 0.5) * factor), round((y + 0.5) * factor)) for x, y in edge)
        for edge in edges
        if len(edge) > 2
    )


def replace_moved(reference: Pixels, frame: Pixels, moved: Movement) -> Pixels:
    """The frame with the mapped reference inside the mask; the same array when nothing moved.

    The hand-over lies inside the mask, in the rim of static pixels around what moved: every pixel outside
    keeps its bits, and nothing of the ghost shines through.
    """
    import cv2

    if not moved.mask.any():
        return frame
    depth = cv2.distanceTransform(np.pad(moved.mask, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 3)
    ramp = np.clip((depth[1:-1, 1:-1] - 0.5) / FEATHER_PX, 0, 1).astype(np.float32)
    height, width = frame.shape[:2]
    at_x = ((np.arange(width, dtype=np.float32) + 0.5) / moved.factor - 0.5)[None]
    result: Pixels = frame.copy()
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        at_y = ((np.arange(top, bottom, dtype=np.float32) + 0.5) / moved.factor - 0.5)[:, None]
        map_x, map_y = np.broadcast_arrays(at_x, at_y)
        weight = cv2.remap(
            ramp,
            np.ascontiguousarray(map_x, np.float32),
            np.ascontiguousarray(map_y, np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        touched = np.flatnonzero(weight.any(axis=0))
        if not len(touched):
            continue
        part = (slice(top, bottom), slice(int(touched[0]), int(touched[-1]) + 1))
        lent, is_white = parts(moved.curve, reference, *part)
        if is_white.any():
            lent += is_white * cv2.remap(
                moved.white,
                np.ascontiguousarray(map_x[:, part[1]], np.float32),
                np.ascontiguousarray(map_y[:, part[1]], np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            np.clip(lent, 0, 1, out=lent)
        result[part] = mix(frame[part], lent, 1 - weight[:, part[1], None])
    return result
