"""How small the pictures are that motion is measured on, and how many of them are at hand."""

from __future__ import annotations

import math

REDUCED_MP = 1.0
"""About: a whole factor comes as near as it can. Motion is measured to some 0.01 px of such a picture, which
is below 0.1 px of one of 24 MP. With fewer pixels, narrow detail in a nearly white frame no longer tells a
homography from a turn.
"""
TRIES = 3
"""Frames, nearest first, that a frame is compared with until it agrees with one."""
HELD = 2 * TRIES + 2
"""Pictures made ready and kept: of those that may be asked for next, on both sides of the reference."""


def reduction(size_px: tuple[int, int]) -> int:
    """The whole-number factor that brings a (width, height) picture nearest to REDUCED_MP."""
    return max(1, round(math.sqrt(size_px[0] * size_px[1] / (REDUCED_MP * 1e6))))
