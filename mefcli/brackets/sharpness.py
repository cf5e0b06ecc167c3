"""Whether frames are sharp in different places: a focus stack, where they are equally bright."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mefcli.brackets.brightness import full_scale
from mefcli.errors import MefError
from mefcli.values import Shot

SIDE_PX = 1024  # blur of a few pixels is gone in smaller ones
CELL_PX = 24
FRAMES = 4  # so many are looked at
MUCH = 4.0  # the power of fine detail against the other frame's
SHARE = 0.04  # of the places that have any, in each of the two
NOISE = 1e-5  # power of detail that is none

Cells = NDArray[np.float32]


def sharp_in_turn(shots: Sequence[Shot]) -> bool:
    """Whether of two frames each is much sharper than the other in some places; not if one is unreadable."""
    step = max(1, -(-len(shots) // FRAMES))
    try:
        cells = [_detail(shot) for shot in shots[::step]]
    except (MefError, OSError):
        return False
    return any(_in_turn(one, two) for one, two in combinations(cells, 2) if one.shape == two.shape)


def _in_turn(one: Cells, two: Cells) -> bool:
    textured = np.maximum(one, two) > 2 * NOISE
    if textured.sum() < 8:
        return False
    ratio = (one[textured] + NOISE) / (two[textured] + NOISE)
    return bool(min((ratio > MUCH).mean(), (ratio < 1 / MUCH).mean()) > SHARE)


def _detail(shot: Shot) -> Cells:
    """The mean square of fine detail in each cell of a small version."""
    import cv2

    from mefcli import formats

    pixels = formats.decode_reduced(shot.path, SIDE_PX).pixels
    grey = pixels.astype(np.float32).mean(axis=2) / np.float32(full_scale(pixels))
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 1.5)
    rows, columns = (max(1, side // CELL_PX) for side in grey.shape)
    return np.asarray(cv2.resize(fine * fine, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
