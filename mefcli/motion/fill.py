"""Fills what a moved frame never saw from its neighbours in exposure, in that frame's brightness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.mapping import stand_in
from mefcli.motion.reduced import curve_between
from mefcli.motion.warp import missing_tiles, mix
from mefcli.values import Box, Matrix, Pixels, Reduced


def fill_missing(
    frames: Sequence[Pixels],
    matrices: Sequence[Matrix],
    box: Box,
    size_px: tuple[int, int],
    reduced: Reduced,
) -> dict[int, Pixels]:
    """Moved frames whose missing parts are replaced, by index; `frames` share the geometry of `box`.

    `size_px` is the frames' size before they were moved; `reduced` shows them as given, and carries the
    curves. The frame nearest in exposure that saw the place fills it: a longer step would bring more noise,
    or white where there is detail. What no frame saw repeats the edge.
    """
    order = list(range(len(frames)))
    seen = [_seen(matrix, box, size_px) for matrix in matrices]
    filled: dict[int, Pixels] = {}
    for index in order:
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
                given += share * stand_in(curve_between(reduced, donor, index), frames[donor], *tile)
                total = total + share
            lent = total - own
            if not lent.any():
                continue
            if index not in filled:
                filled[index] = frames[index].copy()  # the caller's arrays are never changed
            # Weights fall to almost nothing at a frame's own edge: what there is shares the whole.
            weight = np.where(lent > 0, own / np.maximum(total, np.float32(1e-9)), np.float32(1))
            given /= np.maximum(lent, np.float32(1e-9))
            filled[index][tile] = mix(frames[index][tile], given, weight)
    return filled


Tiles = dict[tuple[int, int], tuple[tuple[slice, slice], NDArray[np.float32]]]  # by top left corner


def _seen(matrix: Matrix, box: Box, size_px: tuple[int, int]) -> Tiles:
    if np.array_equal(matrix, np.eye(3)) and box == (0, 0, *size_px):
        return {}
    tiles = missing_tiles(matrix, box, size_px)
    return {(tile[0].start, tile[1].start): (tile, weight) for tile, weight in tiles}
