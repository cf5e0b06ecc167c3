"""The shape of the house network's work: levels, strips, memory. Numbers only; both engines follow them."""

from __future__ import annotations

import math

COARSEST_SIDE_PX = 2
STRIP_PIXELS = 80_000  # of all frames together: buffers stay in the cache
LEAST_ROWS = 4  # even; coarse levels compute four rows more than they keep
HULL_PX = 3  # around a pixel: what frames show in windows of 7 x 7 bounds it
EDGES = 3  # levels from either end of the pyramid that have something learned of their own


def pyramid_depth(height: int, width: int) -> int:
    """Levels until the shorter side is 2 or 3 pixels."""
    depth, side = 1, min(height, width)
    while side >= 2 * COARSEST_SIDE_PX:
        side = (side + 1) // 2
        depth += 1
    return depth


def levels_missing(reduced_by: float) -> int:
    """Levels that a picture has lost on its finest side by being reduced."""
    return max(0, round(math.log2(reduced_by)))


def place_of(level: int, depth: int) -> list[float]:
    """What the finest three and the coarsest three levels have of their own: 1 where it is this level's."""
    place = [0.0] * (2 * EDGES)
    for start, from_end in ((0, level), (EDGES, depth - 1 - level)):
        if from_end < EDGES:
            place[start + from_end] = 1.0
    return place


# How firmly a level keeps what is shown, where a pixel stands for two by two: texture has depth.
FINE = 0.4
LAST = 0.7  # at most, on a reduced picture's finest level: no finer one gives depth to what it lifts


def strength_of(level: int, role: int) -> float:
    """How firmly a level keeps what a frame shows from black and white (`bounds.py`).

    `role` is the level that it is in the picture before that was reduced.
    """
    strength = FINE if role == 1 else 1.0
    return min(strength, LAST) if level == 0 else strength


def strip_rows(row_pixels: int) -> int:
    """Rows of a strip, an even number."""
    return max(LEAST_ROWS, STRIP_PIXELS // row_pixels // 2 * 2)


def reach_of(level: int) -> int:
    """Rows around a strip that its result depends on: of two 3x3 layers; the finest level's are pointwise."""
    return 2 if level else 0


def held_bytes(frames: int, pixels: int) -> int:
    """What a fusion holds at its busiest: the pictures of all levels and the states above the finest, about
    50 bytes a pixel of a frame, and the buffers of one strip."""
    return 50 * frames * pixels + 60 * 2**20


# Kinds of level that a graph is exported for: which level stands for the kind, and what lies below it.
LEVEL = {"finest": 0, "upper": EDGES, "coarsest": EDGES, "only": 0}
HAS_BELOW = {"finest": True, "upper": True, "coarsest": False, "only": False}


def kind_of(level: int, depth: int) -> str:
    if level == depth - 1:
        return "coarsest" if level else "only"
    return "upper" if level else "finest"
