"""Fills what a moved frame never saw from its neighbours in exposure, in that frame's brightness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.mapping import parts, white_about
from mefcli.motion.reduced import curve_between, floats
from mefcli.motion.warp import missing_tiles, mix
from mefcli.values import Box, Matrix, Pixels, Reduced

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
    curves. The frame nearest in exposure that saw the place fills it: a longer step would bring more noise,
    or white where there is detail. What no frame saw repeats the edge.
    """
    import cv2

    order = list(range(len(frames)))
    seen = [_seen(matrix, box, size_px) for matrix in matrices]
    filled: list[int] = []
    for index in order:
        white: dict[int, NDArray[np.float32]] = {}
        donors = sorted((i for i in order if i != index), key=lambda i: abs(i - index))
        for corner, (tile, own) in seen[index].items():
            total, given = own, np.zeros((*own.shape[:2], 3), np.float32)
            for donor in donors:
                if float(total.min()) >= 1:
                    break
                has = seen[donor][corner][1] if corner in seen[donor] else np.ones_like(own)
                if not has.any():
                    continue
                share = (1 - total) * has
                lower, is_white = parts(curve_between(reduced, donor, index), frames[donor], *tile)
                if is_white.any():
                    if donor not in white:
                        white[donor] = _white(reduced, donor, index)
                    lower += is_white * cv2.remap(
                        white[donor],
                        *_places(tile, reduced.factor * THIN),
                        cv2.INTER_LINEAR,
                        borderMode=cv2.BORDER_REPLICATE,
                    )
                given += share * np.clip(lower, 0, 1)
                total = total + share
            lent = total - own
            if not lent.any():
                continue
            if index not in filled:
                filled.append(index)
            # Weights fall to almost nothing at a frame's own edge: what there is shares the whole.
            weight = np.where(lent > 0, own / np.maximum(total, np.float32(1e-9)), np.float32(1))
            given /= np.maximum(lent, np.float32(1e-9))
            frames[index][tile] = mix(frames[index][tile], given, weight)
    return filled


def _white(reduced: Reduced, donor: int, index: int) -> NDArray[np.float32]:
    """What the donor's white is in the frame, along the frame's own edge."""
    seen = reduced.seen[index]
    thin = (slice(None, None, THIN), slice(None, None, THIN))
    still, other = (floats(reduced.frames[which][thin]) for which in (donor, index))
    missing = np.zeros(still.shape[:2], bool) if seen is None else ~seen[thin]
    missing[[0, -1]] = missing[:, [0, -1]] = True  # what is narrower than a reduced pixel
    return white_about(curve_between(reduced, donor, index), still, other, missing, thin=THIN)


def _places(tile: tuple[slice, slice], factor: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where a tile's pixels are in the reduced picture thinned: x, y."""
    y, x = ((np.arange(one.start, one.stop, dtype=np.float32) + 0.5) / factor - 0.5 / THIN for one in tile)
    map_x, map_y = np.meshgrid(x, y)
    return np.asarray(map_x, np.float32), np.asarray(map_y, np.float32)


Tiles = dict[tuple[int, int], tuple[tuple[slice, slice], NDArray[np.float32]]]  # by top left corner


def _seen(matrix: Matrix, box: Box, size_px: tuple[int, int]) -> Tiles:
    if np.array_equal(matrix, np.eye(3)) and box == (0, 0, *size_px):
        return {}
    tiles = missing_tiles(matrix, box, size_px)
    return {(tile[0].start, tile[1].start): (tile, weight) for tile, weight in tiles}
