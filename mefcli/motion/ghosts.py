"""Finds what moved between exposures, and puts the mapped reference there.

A pixel is consistent when it lies in the range the reference allows: the mapped values of its 3 x 3
neighbourhood (so half a pixel of misalignment along an edge is no ghost), widened by the noise seen in the
static majority, and open-ended where the reference is clipped. What is left is cleaned into whole regions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.fill import small_rgb, small_size
from mefcli.motion.mapping import Mapping, estimate_mapping
from mefcli.motion.warp import mix
from mefcli.values import Pixels

GHOST_MP = 1.2
STRIP_ROWS = 256
AUTO_STRENGTH = 5
FEATHER_PX = 4
"""Working pixels over which a region's rim goes over; regions are widened by as much first."""

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Outline = tuple[tuple[int, int], ...]
"""A region's edge in source pixels, to a few pixels; a hole has one of its own inside it."""


@dataclass(frozen=True)
class Ghosts:
    """What moved in one frame, at working size."""

    score: Floats  # (h, w): how many standard deviations outside the allowed range
    mask: Mask  # (h, w): whole regions, rim included
    mapping: Mapping  # reference -> frame
    boxes: tuple[tuple[int, int, int, int], ...]  # left, top, right, bottom in source pixels
    outlines: tuple[Outline, ...]
    white: Floats  # (h, w, 3): how much of its leap the mapped reference takes where it is white

    @property
    def share(self) -> float:
        return float(self.mask.mean())


def find_ghosts(reference: Pixels, frame: Pixels, strength: int = AUTO_STRENGTH) -> Ghosts:
    """`strength` 1 (only gross movement) to 10 (eager); the threshold halves every three steps."""
    size = small_size(frame, GHOST_MP)
    still, other = small_rgb(reference, size), small_rgb(frame, size)
    threshold = 7.0 * 2.0 ** ((AUTO_STRENGTH - strength) / 3)
    # A first look at everything; then again without what moved, so that it has no say in the curve.
    mask = None
    for _ in range(2):
        mapping = estimate_mapping(still, other, None if mask is None else ~mask)
        score = _score(still, other, mapping)
        mask = _regions(score, threshold)
    assert mask is not None
    scale_x, scale_y = frame.shape[1] / size[0], frame.shape[0] / size[1]
    boxes, outlines = _boxes(mask, scale_x, scale_y), _outlines(mask, scale_x, scale_y)
    return Ghosts(score, mask, mapping, boxes, outlines, _white_about(still, other, mapping, mask))


def _score(still: Floats, other: Floats, mapping: Mapping) -> Floats:
    import cv2

    expected = mapping.apply(still)
    near = np.ones((3, 3), np.uint8)
    # A clipped reference only says "at least this bright", a black one "at most this dark". White holds walls
    # and the sun: the least bright of it goes on from what is just not clipped.
    low, high = cv2.erode(mapping.least(still), near), cv2.dilate(expected, near)
    high[cv2.dilate(still, near) > 0.985] = 1.0
    low[cv2.erode(still, near) < 0.008] = 0.0
    noise = np.maximum(mapping.noise(still), 0.006)
    excess = np.maximum(low - other, other - high) / noise
    worst: Floats = np.clip(excess, 0, 100).max(axis=2)
    smoothed: Floats = cv2.GaussianBlur(worst, (0, 0), 1.0)
    return smoothed


def _regions(score: Floats, threshold: float) -> Mask:
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


def _white_about(still: Floats, other: Floats, mapping: Mapping, mask: Mask) -> Floats:
    """What the reference's white was about each region: 1 is its usual value, 0 the least it can be.

    White may be a wall or the sun, and the curve knows but one value for both. The frame's own static pixels
    around a region tell which it was there; the nearest count most.
    """
    import cv2

    result = np.ones_like(still)
    whole = (slice(0, still.shape[0]), slice(0, still.shape[1]))
    least, leap = mapping.parts(still, *whole)
    if not leap[mask].any():
        return result
    known = leap * ~mask[..., None]
    agree, mass = (other - least) * known, leap * known
    enough = np.maximum(0.05 * mass.max(axis=(0, 1)), np.float32(1e-6))
    for radius in (160, 80, 40, 20, 10):
        side = (2 * radius + 1, 2 * radius + 1)
        near = cv2.blur(mass, side)
        found = np.clip(cv2.blur(agree, side) / np.maximum(near, np.float32(1e-9)), 0, 1.5)
        result += (found - result) * np.clip(near / enough, 0, 1)
    return result


def _disc(radius: int) -> NDArray[np.uint8]:
    import cv2

    disc: NDArray[np.uint8] = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return disc


def _boxes(mask: Mask, scale_x: float, scale_y: float) -> tuple[tuple[int, int, int, int], ...]:
    import cv2

    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return tuple(
        (round(x * scale_x), round(y * scale_y), round((x + w) * scale_x), round((y + h) * scale_y))
        for x, y, w, h, _ in stats[1:].tolist()
    )


def _outlines(mask: Mask, scale_x: float, scale_y: float) -> tuple[Outline, ...]:
    import cv2

    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    edges = [cv2.approxPolyDP(edge, 1.5, closed=True)[:, 0].tolist() for edge in found]
    return tuple(
        tuple((round((x + 0.5) * scale_x), round((y + 0.5) * scale_y)) for x, y in edge)
        for edge in edges
        if len(edge) > 2
    )


def replace_ghosts(reference: Pixels, frame: Pixels, ghosts: Ghosts) -> Pixels:
    """The frame with the mapped reference inside the mask; the same array when nothing moved.

    The hand-over lies inside the mask, in the rim of static pixels around what moved: every pixel outside
    keeps its bits, and nothing of the ghost shines through.
    """
    import cv2

    if not ghosts.mask.any():
        return frame
    depth = cv2.distanceTransform(np.pad(ghosts.mask, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 3)
    ramp = np.clip((depth[1:-1, 1:-1] - 0.5) / FEATHER_PX, 0, 1).astype(np.float32)
    height, width = frame.shape[:2]
    rows, columns = ghosts.mask.shape
    at_x = ((np.arange(width, dtype=np.float32) + 0.5) * (columns / width) - 0.5)[None]
    result: Pixels = frame.copy()
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        at_y = ((np.arange(top, bottom, dtype=np.float32) + 0.5) * (rows / height) - 0.5)[:, None]
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
        stand_in, leap = ghosts.mapping.parts(reference, *part)
        if leap.any():
            stand_in += leap * cv2.remap(
                ghosts.white,
                np.ascontiguousarray(map_x[:, part[1]], np.float32),
                np.ascontiguousarray(map_y[:, part[1]], np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            np.clip(stand_in, 0, 1, out=stand_in)
        result[part] = mix(frame[part], stand_in, 1 - weight[:, part[1], None])
    return result
