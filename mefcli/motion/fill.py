"""Fills what a moved frame never saw from its neighbours in exposure, in that frame's brightness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.mapping import floats, parts, uncertain, white_about
from mefcli.motion.reduced import curve_between
from mefcli.motion.sizes import HELD
from mefcli.motion.warp import Place, Rim, mix
from mefcli.values import Box, Matrix, Pixels, Reduced

EDGE_OFF = 0.03
EDGE_OFF_PER_PX = 0.01
"""How far a repeated edge is off at the edge, and how much more with each reduced pixel away from it."""
ENOUGH = 0.98
"""Of a place's weight, given by the nearest frames: what all the others would add is not seen."""
LEAST_SHARE = 0.01
"""A frame that is black or white all over a place tells nothing of it, and is not looked at further."""
THIN = 2
"""Every other pixel of the reduced pictures tells what white stands for; fewer leave a step at the edge."""


def fill_missing(
    frames: list[Pixels],
    matrices: Sequence[Matrix],
    box: Box,
    size_px: tuple[int, int],
    reduced: Reduced,
) -> list[int]:
    """Replaces, in place, the missing parts of moved frames, all in the geometry of `box`; says of which.

    `size_px` is the frames' size before they were moved; `reduced` shows them as given, and carries the
    curves. The frame nearest in exposure that saw the place fills it, as far as its value tells anything: of
    black it would be coloured speckle. What no frame tells repeats the edge, which moved frames bring along.
    """
    order = list(range(len(frames)))
    rims = [Rim(matrix, box, size_px) for matrix in matrices]
    filled: list[int] = []
    for index in order:
        white: dict[int, NDArray[np.float32]] = {}
        donors = sorted((i for i in order if i != index), key=lambda i: abs(i - index))
        for place in rims[index].places:
            whole = rims[index].tile(place)
            part = _box_of(whole.weight < 1)
            if part is None:
                continue
            tile = _within(whole.place, part)
            own, beyond_px = whole.weight[part], whole.beyond_px[part]
            edge_off = EDGE_OFF + EDGE_OFF_PER_PX / reduced.factor * beyond_px
            given = np.zeros((*own.shape[:2], 3), np.float32)
            lent, cover = np.zeros_like(own), own.copy()
            for donor in donors:
                lacking = _box_of(own + lent < ENOUGH)
                if lacking is None:
                    break
                place = _within(tile, lacking)
                rim = rims[donor]
                has = np.float32(1) if rim.holds(place) else rim.tile(place).weight
                curve = curve_between(reduced, donor, index)
                tells = 1 / (1 + (uncertain(curve, frames[donor][place]) / edge_off[lacking]) ** 2)
                share = (1 - own[lacking] - lent[lacking]) * has * tells
                if float(share.max()) >= LEAST_SHARE:
                    lower, is_white = parts(curve, frames[donor], *place)
                    if float((is_white * share).max()) >= LEAST_SHARE:
                        if donor not in white:
                            if len(white) == HELD:
                                white.pop(next(iter(white)))
                            white[donor] = _white(reduced, donor, index)
                        lower += is_white * _at(white[donor], place, reduced.factor * THIN)
                    given[lacking] += share * np.clip(lower, 0, 1)
                    lent[lacking] += share
                cover[lacking] += (1 - cover[lacking]) * has
            if not lent.any():
                continue
            if index not in filled:
                filled.append(index)
            # Weights fall to almost nothing at a frame's own edge: what there is shares the whole.
            weight = 1 - lent / np.maximum(cover, np.maximum(lent, np.float32(1e-9)))
            given /= np.maximum(lent, np.float32(1e-9))
            frames[index][tile] = mix(frames[index][tile], given, weight)
    return filled


def _box_of(mask: NDArray[np.bool_]) -> Place | None:
    """The rectangle of a mask (h, w, 1) outside of which it is nowhere true."""
    rows, columns = np.flatnonzero(mask.any(axis=(1, 2))), np.flatnonzero(mask[..., 0].any(axis=0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _within(outer: Place, inner: Place) -> Place:
    """A part of a place, in that place's own terms."""
    rows, columns = (
        slice(one.start + part.start, one.start + part.stop) for one, part in zip(outer, inner, strict=True)
    )
    return rows, columns


def _white(reduced: Reduced, donor: int, index: int) -> NDArray[np.float32]:
    """What the donor's white is in the frame, along the frame's own edge."""
    seen = reduced.seen[index]
    thin = (slice(None, None, THIN), slice(None, None, THIN))
    still, other = (floats(reduced.frames[which][thin]) for which in (donor, index))
    missing = np.zeros(still.shape[:2], bool) if seen is None else ~seen[thin]
    missing[[0, -1]] = missing[:, [0, -1]] = True  # what is narrower than a reduced pixel
    return white_about(curve_between(reduced, donor, index), still, other, missing, thin=THIN)


def _at(small: NDArray[np.float32], tile: tuple[slice, slice], factor: int) -> NDArray[np.float32]:
    """A tile's pixels out of the reduced picture thinned."""
    import cv2

    y, x = ((np.arange(one.start, one.stop, dtype=np.float32) + 0.5) / factor - 0.5 / THIN for one in tile)
    map_x, map_y = (np.asarray(one, np.float32) for one in np.meshgrid(x, y))
    result: NDArray[np.float32] = cv2.remap(
        small, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return result
