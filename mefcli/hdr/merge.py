"""Frames of one scene as its radiance: every frame's light, weighed by how sure it is of it.

    L = sum(w x / t) / sum(w),   w = usable * t^2 / variance(x)

with x the light of a frame and t its exposure. Variances are those of the light that all frames together
expect, not of each frame's own: a pixel that noise made darker would otherwise count for more. The radiance
is made strip by strip as it is asked for; nothing of the picture's size is kept beside the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.hdr.curves import SURE_STEPS, Curves
from mefcli.values import Pixels

Floats = NDArray[np.float32]
Levels = NDArray[np.uint8] | NDArray[np.uint16]

STRIP_ROWS = 32
LAST_RESORT = 1e-6  # what the darkest frame counts where even it is clipped
GRID_PX = 1 << 20  # pixels looked at to say how much is clipped


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
        parts = [self._strip(at, min(at + STRIP_ROWS, stop)) for at in range(start, stop, STRIP_ROWS)]
        return np.concatenate(parts) if len(parts) != 1 else parts[0]

    def whole(self) -> Floats:
        """All of it, in memory, made by as many threads as there are."""
        from mefnets.engine.threads import in_parallel

        result = np.empty(self.shape, np.float32)

        def fill(top: int) -> None:
            result[top : top + STRIP_ROWS] = self[top : top + STRIP_ROWS]

        in_parallel(fill, range(0, self.shape[0], STRIP_ROWS))
        return result

    def _strip(self, top: int, bottom: int) -> Floats:
        total = self._weighed(top, bottom)
        total *= np.float32(self.scale)
        if self.ceiling is not None:
            np.minimum(total, np.float32(self.ceiling * self.scale * 2.0 ** -self.evs[0]), out=total)
        if self.matrix is not None:
            total = total @ self.matrix.T
        np.maximum(total, 0, out=total)  # colours beyond the primaries
        return np.asarray(total, np.float32)

    def _weighed(self, top: int, bottom: int) -> Floats:
        """The frames' light, in their own colours, 1 at the signal's end in the reference."""
        times = [np.float32(2.0**ev) for ev in self.evs]
        light, usable = zip(*(self._frame(index, top, bottom) for index in range(len(times))), strict=True)
        expected = sum((u * x for u, x in zip(usable, light, strict=True)), np.float32(0))
        expected /= sum((u * t for u, t in zip(usable, times, strict=True)), np.float32(0))
        root = np.sqrt(expected, out=expected)
        total = np.zeros_like(root)
        weights = np.zeros_like(root)
        for x, u, t, gain in zip(light, usable, times, self.gains, strict=True):
            weight = self._certainty(root * np.sqrt(t))
            weight *= u
            weight *= t * t / np.float32(gain)
            weights += weight
            weight *= x
            weight *= 1 / t
            total += weight
        total /= weights
        return np.asarray(total, np.float32)

    def _frame(self, index: int, top: int, bottom: int) -> tuple[Floats, Floats]:
        """Light (h, w, 3), and how far it may be believed, (h, w, 1 or 3)."""
        import cv2

        frame = self.frames[index]
        first, last = max(0, top - 1), min(frame.shape[0], bottom + 1)
        part = as_levels(frame[first:last])
        opened = self._opened(part)
        # A neighbour of what is clipped holds some of it, by demosaicing, compression or resampling.
        opened = cv2.erode(opened, np.ones((3, 3), np.uint8))[top - first :][: bottom - top, :, None]
        if index == 0:  # what clips here clips everywhere, and is the best there is
            opened = np.maximum(opened, np.float32(LAST_RESORT))
        part = part[top - first :][: bottom - top]
        if self.curves.shown is not None:
            opened = opened * looked_up(self.curves.shown, part)
        return looked_up(self.curves.light, part), opened

    def _opened(self, levels: Levels) -> Floats:
        """(h, w): of the colour that is nearest to its end."""
        if self.curves.open.shape[1] == 1:
            return looked_up(self.curves.open, _most(levels))
        return _least(looked_up(self.curves.open, levels))

    def _certainty(self, root: Floats) -> Floats:
        """One by the variance of so much light, given by its square root."""
        root *= np.float32((SURE_STEPS - 1) / self.curves.top**0.5)
        found: Floats = self.curves.certainty.take(root.astype(np.intp), mode="clip")
        return found

    def shares(self) -> tuple[float, float]:
        """Of the picture: clipped even in the darkest frame, and black even in the brightest."""
        height, width, _ = self.shape
        step = max(1, round((height * width / GRID_PX) ** 0.5))
        dark, bright = (as_levels(self.frames[index][::step, ::step]) for index in (0, -1))
        clipped = self._opened(dark) <= 0.01
        black = looked_up(self.curves.light, bright).max(axis=2) < self.curves.dark
        return float(clipped.mean()), float(black.mean())


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


def _least(colours: Floats) -> Floats:
    """Over the last axis, a tenth of the time that numpy's own takes over three numbers."""
    return np.minimum(np.minimum(colours[..., 0], colours[..., 1]), colours[..., 2])


def _most(levels: Levels) -> Levels:
    most: Levels = np.maximum(np.maximum(levels[..., 0], levels[..., 1]), levels[..., 2])
    return most


def gains_of(isos: Sequence[float | None]) -> tuple[float, ...]:
    known = [iso for iso in isos if iso]
    least = min(known, default=1.0)
    return tuple((iso or least) / least for iso in isos)
