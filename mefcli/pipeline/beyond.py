"""Stack and picture -> gain map: the light that the bracket holds and the picture does not show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mefcli.errors import MismatchError, named
from mefcli.values import Fused, GainMap, Pixels, Stack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mefcli.formats.spaces import Matrix

REDUCED = 4  # sides of the picture to those of the map
STRIP_ROWS = 16  # of the map
PLACES = 4000  # a camera's curve is right to 0.02 stops with so few
NOTHING = "nothing in the scene is brighter than the picture shows it: it holds no light beyond white"


def beyond_white(stack: Stack, pixels: Pixels, headroom: float) -> tuple[GainMap | None, tuple[str, ...]]:
    """The gain map of a stack's picture, at a quarter of its sides; and what is to be said of it."""
    from mefcli.formats.icc import icc_profile
    from mefcli.hdr.beyond import gain_map, looked_at
    from mefcli.hdr.curves import levels_of, picture_curves
    from mefcli.hdr.merge import Radiance, gains_of
    from mefcli.pipeline.light import response_of

    matrix = matrix_for(stack.icc)
    icc = stack.icc or icc_profile("srgb")
    response, evs = response_of(stack, icc, places=PLACES)
    radiance = Radiance(
        _reduced(stack.frames),
        picture_curves(response.light, levels_of(stack.frames[0].dtype)),
        tuple(evs.tolist()),
        gains_of([shot.iso for shot in stack.bracket.shots]),
        None,
    )
    (small,) = _reduced([pixels])
    light = _light_by_colour(small, matrix)
    found = gain_map(light, radiance.by_colour(looked_at(light)), headroom)
    return found, () if found is not None else (NOTHING,)


def brightened(fused: Fused) -> NDArray[np.float32]:
    """A picture with all its light: linear, in its own primaries, 1 at its white."""
    return Bright(fused)[:]


class Bright:
    """The same by rows, as they are asked for: `bright[top:bottom]`."""

    def __init__(self, fused: Fused) -> None:
        self.pixels, self.gains = fused.pixels, fused.gains
        self.matrix = matrix_for(fused.icc)

    @property
    def shape(self) -> tuple[int, int, int]:
        height, width, _ = self.pixels.shape
        return height, width, 3

    @property
    def dtype(self) -> np.dtype[np.float32]:
        return np.dtype(np.float32)

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        start, stop, _ = rows.indices(self.shape[0])
        light = _light_of(self.pixels[start:stop], self.matrix)
        if self.gains is None:
            return light
        stops = _enlarged(self.gains.levels, self.shape, start, stop)
        stops *= np.float32(self.gains.most / 255)
        offset = np.float32(self.gains.offset)
        return np.asarray((light + offset) * np.exp2(stops) - offset, np.float32)


def _enlarged(
    levels: NDArray[np.uint8], shape: tuple[int, int, int], start: int, stop: int
) -> NDArray[np.float32]:
    """Rows of a map that is stretched over the picture, bilinear."""
    import cv2

    last = levels.shape[0] - 1
    at = np.clip((np.arange(start, stop) + 0.5) * levels.shape[0] / shape[0] - 0.5, 0, last)
    above = at.astype(np.int64)
    below = np.minimum(above + 1, last)
    share = (at - above).astype(np.float32)[:, None, None]
    mixed = levels[above] * (1 - share) + levels[below] * share
    wide: NDArray[np.float32] = cv2.resize(mixed, (shape[1], stop - start), interpolation=cv2.INTER_LINEAR)
    return wide


def matrix_for(icc: bytes | None) -> Matrix:
    """What a profile's colours mean as light, or a refusal."""
    from mefcli.formats.icc import icc_profile
    from mefcli.formats.spaces import matrix_of, space_name

    found = matrix_of(icc or icc_profile("srgb"))
    if found is None:
        raise MismatchError(
            f"The frames' profile, {space_name(icc)}, has tables: how much light a colour means is not told.",
            f"Export them as sRGB or Display P3, or leave out {named('hdr')}.",
        )
    return found


def _light_of(pixels: Pixels, matrix: Matrix) -> NDArray[np.float32]:
    from mefcli.hdr.merge import as_levels, looked_up

    levels = as_levels(pixels)
    return looked_up(_light(matrix, levels.dtype), levels)


def _light_by_colour(pixels: Pixels, matrix: Matrix) -> NDArray[np.float32]:
    """(3, h, w)"""
    from mefcli.hdr.merge import as_levels, by_plane, planes_of

    planes = planes_of(as_levels(pixels))
    return by_plane(_light(matrix, planes.dtype), planes)


def _light(matrix: Matrix, dtype: np.dtype[Any]) -> NDArray[np.float32]:
    """A table over levels."""
    from mefcli.hdr.curves import columns, levels_of

    return columns(matrix.light(np.linspace(0.0, 1.0, levels_of(dtype))))


def _reduced(pictures: Sequence[Pixels]) -> tuple[Pixels, ...]:
    """At a quarter of their sides, halved twice: any other way takes three to ten times as long.

    Sides of no whole quarters leave up to three pixels over, half of them at either end; stretched over the
    picture, the map is off by that much there.
    """
    height, width = pictures[0].shape[:2]
    rows, columns = (max(1, side // REDUCED) for side in (height, width))
    top, left = max(0, height - REDUCED * rows) // 2, max(0, width - REDUCED * columns) // 2
    whole = (slice(top, top + REDUCED * rows), slice(left, left + REDUCED * columns))
    return tuple(_quartered(picture[whole], rows, columns) for picture in pictures)


def _quartered(picture: Pixels, rows: int, columns: int) -> Pixels:
    """Strip by strip, so that what lies between is never written out to memory."""
    small = np.empty((rows, columns, 3), picture.dtype)
    for row in range(0, rows, STRIP_ROWS):
        end = min(row + STRIP_ROWS, rows)
        # The last strip of a picture of less than a quarter's side has fewer rows than four.
        part = picture[REDUCED * row : REDUCED * end]
        half = _halved(part, 2 * (end - row), 2 * columns)
        small[row:end] = _halved(half, end - row, columns)
    return small


def _halved(picture: Pixels, rows: int, columns: int) -> Pixels:
    import cv2

    half: Pixels = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    return half
