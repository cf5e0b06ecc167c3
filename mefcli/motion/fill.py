"""Fills what a moved frame never saw from the reference (or a neighbour), in that frame's brightness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.geometry import Box, Matrix
from mefcli.motion.mapping import Mapping, estimate_mapping
from mefcli.motion.warp import missing_tiles, mix
from mefcli.values import Pixels

MAPPING_MP = 0.4


def small_rgb(frame: Pixels, size_px: tuple[int, int]) -> NDArray[np.float32]:
    """(h, w, 3) float32 in [0, 1], averaged to about `size_px`."""
    import cv2

    small = cv2.resize(frame, size_px, interpolation=cv2.INTER_AREA)
    scale = {"uint8": 1 / 255, "uint16": 1 / 65535}.get(small.dtype.name, 1.0)
    result: NDArray[np.float32] = small.astype(np.float32) * np.float32(scale)
    return result


def small_size(frame: Pixels, megapixels: float) -> tuple[int, int]:
    height, width = frame.shape[:2]
    factor = min(1.0, float(np.sqrt(megapixels * 1e6 / (height * width))))
    return max(1, round(width * factor)), max(1, round(height * factor))


def mapping_between(source: Pixels, target: Pixels) -> Mapping:
    """From small versions of two aligned frames."""
    size = small_size(source, MAPPING_MP)
    return estimate_mapping(small_rgb(source, size), small_rgb(target, size))


def fill_missing(
    frames: list[Pixels], matrices: Sequence[Matrix], box: Box, size_px: tuple[int, int], reference: int
) -> None:
    """Replaces, in place, the missing parts of moved frames; `frames` share the geometry of `box`.

    The reference fills the others; where the canvas is larger than the reference, the nearest frame that saw
    the place fills it, the reference itself included. What no frame saw repeats the edge.
    """
    order = list(range(len(frames)))
    seen = [_seen(matrix, box, size_px) for matrix in matrices]
    originals = list(frames)
    for index in order:
        near = sorted((i for i in order if i not in (index, reference)), key=lambda i: abs(i - index))
        donors = near if index == reference else [reference, *near]
        curves: dict[int, Mapping] = {}
        for corner, (tile, own) in seen[index].items():
            total, stand_in = own, np.zeros((*own.shape[:2], 3), np.float32)
            for donor in donors:
                if float(total.min()) >= 1:
                    break
                has = seen[donor][corner][1] if corner in seen[donor] else np.ones_like(own)
                if not has.any():
                    continue
                if donor not in curves:
                    curves[donor] = mapping_between(originals[donor], originals[index])
                share = (1 - total) * has
                stand_in += share * curves[donor].stand_in(originals[donor], *tile)
                total = total + share
            lent = total - own
            if not lent.any():
                continue
            if frames[index] is originals[index]:
                frames[index] = originals[index].copy()  # the caller's arrays are never changed
            # Weights fall to almost nothing at a frame's own edge: what there is shares the whole.
            weight = np.where(lent > 0, own / np.maximum(total, np.float32(1e-9)), np.float32(1))
            stand_in /= np.maximum(lent, np.float32(1e-9))
            frames[index][tile] = mix(originals[index][tile], stand_in, weight)


Tiles = dict[tuple[int, int], tuple[tuple[slice, slice], NDArray[np.float32]]]  # by top left corner


def _seen(matrix: Matrix, box: Box, size_px: tuple[int, int]) -> Tiles:
    if np.array_equal(matrix, np.eye(3)) and box == (0, 0, *size_px):
        return {}
    tiles = missing_tiles(matrix, box, size_px)
    return {(tile[0].start, tile[1].start): (tile, weight) for tile, weight in tiles}
