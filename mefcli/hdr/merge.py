"""Frames of one scene as its radiance: every frame's light, weighed by how sure it is of it.

    L = sum(w x / t) / sum(w),   w = usable * t^2 / variance(x)

with x the light of a frame and t its exposure. Variances are those of the light that all frames together
expect, not of each frame's own: a pixel that noise made darker would otherwise count for more. The radiance
is made strip by strip as it is asked for; nothing of the picture's size is kept beside the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.hdr.curves import Curves
from mefcli.values import Pixels

Floats = NDArray[np.float32]
Levels = NDArray[np.uint8] | NDArray[np.uint16]
Mask = NDArray[np.bool_]
Places = NDArray[np.intp]

STRIP_PX, MOST_ROWS = 1 << 15, 32  # of a strip: all frames' light of so many pixels stays in the cache
LAST_RESORT = 1e-6  # what the darkest frame counts where even it is clipped
MOSTLY = 0.8  # share of a strip from which on to pick places costs more than to take them all
GRID_PX = 1 << 20  # pixels looked at to say how much is clipped
# Light as an index that needs no logarithm: the upper bits of a float, so many to an octave.
OCTAVE_BITS, OCTAVES = 7, (-24, 24)


@dataclass(frozen=True)
class Radiance:
    """Linear light, float32 `(H, W, 3)`, by rows: `radiance[top:bottom]`. 1 is white in the reference."""

    frames: Sequence[Pixels]  # dark to bright
    curves: Curves
    evs: tuple[float, ...]  # exact exposures in stops from the reference
    gains: tuple[float, ...]  # of the sensors, from the least: fewer photons stand behind the same signal
    matrix: Floats | None  # (3, 3): from the frames' colours to those of the result; None: the same
    ceiling: float | None = None  # all colours end at this much light of the darkest frame
    scale: float = 1.0  # of the frames' light: what is white becomes 1

    @property
    def shape(self) -> tuple[int, int, int]:
        height, width, _ = self.frames[0].shape
        return height, width, 3

    @property
    def dtype(self) -> np.dtype[np.float32]:
        return np.dtype(np.float32)

    @property
    def most(self) -> float:
        """No pixel is brighter, but by the colours' conversion."""
        return float(self.curves.top * self.scale * 2.0 ** -self.evs[0])

    def __getitem__(self, rows: slice) -> Floats:
        start, stop, _ = rows.indices(self.shape[0])
        result = np.empty((max(0, stop - start), *self.shape[1:]), np.float32)
        step = self._strip_rows
        for top in range(start, stop, step):
            bottom = min(top + step, stop)
            result[top - start : bottom - start] = self._strip(top, bottom).transpose(1, 2, 0)
        return result

    def whole(self) -> Floats:
        """All of it, in memory, made by as many threads as there are."""
        result = np.empty(self.shape, np.float32)
        self._fill(result.transpose(2, 0, 1), None)
        return result

    def by_colour(self, where: Mask | None = None) -> Floats:
        """The same as (3, H, W); with `where`, only there, and 0 elsewhere."""
        height, width, _ = self.shape
        result = np.zeros((3, height, width), np.float32)
        self._fill(result, where)
        return result

    def _fill(self, result: Floats, where: Mask | None) -> None:
        from mefnets.engine.threads import in_parallel

        step = self._strip_rows

        def fill(top: int) -> None:
            bottom = min(top + step, self.shape[0])
            strip = result[:, top:bottom]
            places = None if where is None else np.flatnonzero(where[top:bottom])
            if places is None or len(places) > MOSTLY * strip[0].size:
                strip[:] = self._strip(top, bottom)
            elif len(places):
                for plane, light in zip(strip, self._strip(top, bottom, places), strict=True):
                    plane.reshape(-1)[places] = light

        in_parallel(fill, range(0, self.shape[0], step))

    @property
    def _strip_rows(self) -> int:
        return max(1, min(MOST_ROWS, STRIP_PX // self.shape[1]))

    def _strip(self, top: int, bottom: int, places: Places | None = None) -> Floats:
        """(3, h, w), or of places by their number (3, n)."""
        total = self._weighed(top, bottom, places)
        total *= np.float32(self.scale)
        if self.ceiling is not None:
            np.minimum(total, np.float32(self.ceiling * self.scale * 2.0 ** -self.evs[0]), out=total)
        if self.matrix is not None:
            total = (self.matrix @ total.reshape(3, -1)).reshape(total.shape)
        np.maximum(total, 0, out=total)  # colours beyond the primaries
        return np.asarray(total, np.float32)

    def _weighed(self, top: int, bottom: int, places: Places | None) -> Floats:
        """The frames' light in their own colours, 1 at the signal's end in the reference: as `_strip`.

        Colour by colour, so that what all three of a pixel have in common costs no inner loop.
        """
        found = [one for index in range(len(self.evs)) if (one := self._frame(index, top, bottom, places))]
        total = np.zeros(found[0].light.shape, np.float32)
        weights = np.zeros_like(total)
        for frame in found:
            weights += frame.usable
            total += frame.usable * frame.light
        total /= weights
        at = _octave_of(total)
        total[:] = weights[:] = 0
        for frame in found:
            weight = frame.certainty.take(at, mode="clip")
            weight *= frame.usable
            weights += weight
            weight *= frame.light
            total += weight
        total /= weights
        return np.asarray(total, np.float32)

    def _frame(self, index: int, top: int, bottom: int, places: Places | None) -> _Seen | None:
        """None where all of it is clipped, and a darker frame says what there is."""
        import cv2

        frame = self.frames[index]
        first, last = max(0, top - 1), min(frame.shape[0], bottom + 1)
        planes = planes_of(as_levels(frame[first:last]))
        inner = slice(top - first, bottom - first)
        table = self._tables[index]
        usable = table.time
        opened = self._opened(planes)
        if opened is not None:
            # A neighbour of what is clipped holds some of it, by demosaicing, compression or resampling.
            opened = cv2.erode(opened, np.ones((3, 3), np.uint8))[inner]
            opened = opened if places is None else opened.ravel()[places]
            if index == 0:  # what clips here clips everywhere, and is the best there is
                opened = np.maximum(opened, np.float32(LAST_RESORT))
            elif not opened.any():
                return None
            usable = usable * opened
        planes = planes[:, inner]
        if places is not None:
            planes = np.stack([plane.ravel()[places] for plane in planes])
        black = self.curves.shown is not None and planes.min() < self._shown_from
        levels = planes if planes.dtype == np.uint8 else planes.astype(np.intp)
        if black:
            assert self.curves.shown is not None
            usable = usable * by_plane(self.curves.shown, levels)
        return _Seen(by_plane(table.light, levels), usable, table.certainty)

    def _opened(self, planes: Levels) -> Floats | None:
        """(h, w): of the colour that is nearest to its end; None: all of it says something."""
        most = planes.max(axis=0)
        if most.max() < self._open_to:
            return None
        table = self.curves.open
        if table.shape[1] == 1:
            return looked_up(table, most)
        return np.asarray(by_plane(table, planes).min(axis=0), np.float32)

    @cached_property
    def _tables(self) -> tuple[_Table, ...]:
        """Of each frame; all that is the same for all its pixels is in them."""
        start, end = OCTAVES
        bits = np.arange((end - start) << OCTAVE_BITS, dtype=np.int32) + ((127 + start) << OCTAVE_BITS)
        expected = ((2 * bits + 1) << (22 - OCTAVE_BITS)).view(np.float32)  # the middle of each step
        last = len(self.curves.certainty) - 1
        tables = []
        for ev, gain in zip(self.evs, self.gains, strict=True):
            time = np.float32(2.0**ev)
            share = np.minimum(expected * (time / np.float32(self.curves.top)), 1)
            certainty = self.curves.certainty[(np.sqrt(share) * last).astype(np.intp)]
            tables.append(_Table(self.curves.light / time, certainty * (time / np.float32(gain)), time))
        return tuple(tables)

    @cached_property
    def _open_to(self) -> int:
        """The least level at which a pixel counts less, as it nears its end."""
        less = np.flatnonzero((self.curves.open < 1).any(axis=1))
        return int(less[0]) if len(less) else len(self.curves.open)

    @cached_property
    def _shown_from(self) -> int:
        """The least level that is not nearly black."""
        assert self.curves.shown is not None
        return int((self.curves.shown[:, 0] >= 1).argmax())

    def shares(self) -> tuple[float, float]:
        """Of the picture: clipped even in the darkest frame, and black even in the brightest."""
        height, width, _ = self.shape
        step = max(1, round((height * width / GRID_PX) ** 0.5))
        dark, bright = (as_levels(self.frames[index][::step, ::step]) for index in (0, -1))
        opened = self._opened(planes_of(dark))
        clipped = np.zeros(1) if opened is None else opened <= 0.01
        black = looked_up(self.curves.light, bright).max(axis=2) < self.curves.dark
        return float(clipped.mean()), float(black.mean())


@dataclass(frozen=True)
class _Table:
    light: Floats  # (levels, 1 or 3), for the exposure of the reference
    certainty: Floats  # by `_octave_of` the radiance that all frames together expect
    time: np.float32  # exposure: one of the reference's


@dataclass(frozen=True)
class _Seen:
    """A strip of one frame."""

    light: Floats  # (3, h, w), for the exposure of the reference
    usable: Floats | np.float32  # (h, w), (3, h, w) or of all: how far it may be believed, times the exposure
    certainty: Floats


def as_levels(frame: Pixels) -> Levels:
    """Floating point as 16-bit levels, which is finer than any of its sources."""
    if frame.dtype != np.float32:
        return frame  # type: ignore[return-value]
    levels: Levels = np.rint(np.clip(frame, 0, 1) * np.float32(65535)).astype(np.uint16)
    return levels


def looked_up(table: Floats, levels: Levels) -> Floats:
    """(h, w, 3), or (h, w), through a table of each colour or of all."""
    import cv2

    result: Floats
    if levels.dtype == np.uint8:
        result = cv2.LUT(np.ascontiguousarray(levels), np.ascontiguousarray(table)[None])
    elif table.shape[1] == 1:
        result = table[:, 0].take(levels, mode="clip")
    else:
        result = np.empty(levels.shape, np.float32)
        for colour in range(3):
            result[..., colour] = table[:, colour].take(levels[..., colour], mode="clip")
    return result


def planes_of(levels: Levels) -> Levels:
    """(3, h, w), each colour in one piece."""
    return np.ascontiguousarray(levels.transpose(2, 0, 1))


def by_plane(table: Floats, planes: NDArray[Any]) -> Floats:
    """(3, h, w) through a table of each colour or of all."""
    import cv2

    if table.shape[1] == 1 and planes.dtype != np.uint8:
        return np.asarray(table[:, 0].take(planes, mode="clip"), np.float32)
    result = np.empty(planes.shape, np.float32)
    for colour, plane in enumerate(planes):
        column = np.ascontiguousarray(table[:, colour % table.shape[1]])
        if planes.dtype == np.uint8:
            result[colour] = cv2.LUT(plane, column).reshape(plane.shape)
        else:
            column.take(plane, mode="clip", out=result[colour])
    return result


def _octave_of(light: Floats) -> NDArray[np.intp]:
    """Where in a table of even steps of log2 each light stands; what is beyond it has to be clipped."""
    at = np.right_shift(light.view(np.int32), 23 - OCTAVE_BITS) - ((127 + OCTAVES[0]) << OCTAVE_BITS)
    return np.asarray(at, np.intp)


def gains_of(isos: Sequence[float | None]) -> tuple[float, ...]:
    known = [iso for iso in isos if iso]
    least = min(known, default=1.0)
    return tuple((iso or least) / least for iso in isos)
