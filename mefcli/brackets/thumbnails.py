"""Pictures that record no exposure: what their small versions tell of brightness and scene.

Two exposures of one scene keep the order of their pixels' brightness, whatever the exposure; two scenes do
not. So neighbours are compared by the rank correlation of thumbnails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.brackets.brightness import full_scale, small_picture
from mefcli.errors import MefError
from mefcli.values import Shot

SIDE_PX = 128
CELLS = 24  # a hand moves less than a cell
# Neighbours of one scene in our test brackets agree by 0.76 and more, of two by 0.65 at most; where one is
# darker than a thousandth of white, noise of 8 bits leaves 0.59.
SAME_SCENE = 0.7
SAME_DARK_SCENE = 0.5
DARK_EV = -10.0


@dataclass(frozen=True, eq=False)
class Thumbnail:
    brightness_ev: float  # log2 of the mean of linear light
    cells: NDArray[np.float32]  # (CELLS, CELLS) mean grey, display-referred


def thumbnail_of(shot: Shot) -> Thumbnail | None:
    """None where the picture cannot be read; whoever fuses it will be told why."""
    from mefcli.formats.decoding import shrunk

    try:
        pixels = shrunk(small_picture(shot), SIDE_PX)
    except (MefError, OSError):
        return None
    grey = pixels.astype(np.float32).mean(axis=2) / full_scale(pixels)
    linear = float((np.clip(grey, 0, 1) ** 2.2).mean())
    return Thumbnail(float(np.log2(linear + 1e-5)), _cells(grey))


def _cells(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = np.array_split(grey, min(CELLS, grey.shape[0]), axis=0)
    return np.array(
        [[part.mean() for part in np.array_split(row, min(CELLS, row.shape[1]), axis=1)] for row in rows],
        dtype=np.float32,
    )


def same_scene(one: Thumbnail, two: Thumbnail) -> bool:
    dark = min(one.brightness_ev, two.brightness_ev) < DARK_EV
    return likeness(one, two) >= (SAME_DARK_SCENE if dark else SAME_SCENE)


def likeness(one: Thumbnail, two: Thumbnail) -> float:
    """Rank correlation of the cells that are clipped in neither picture, -1 to 1."""
    if one.cells.shape != two.cells.shape:
        return -1.0
    usable = (one.cells < 0.97) & (two.cells < 0.97) & (one.cells > 0.004) & (two.cells > 0.004)
    if usable.sum() < 20:
        usable = np.ones_like(usable)
    a, b = _ranks(one.cells[usable]), _ranks(two.cells[usable])
    spread = float(a.std() * b.std())
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
