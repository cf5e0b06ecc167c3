"""A scene that moved: its light by the word of a network, which says how far each frame is to be believed.

    L = sum(w x / t) / sum(w),   w = max(usable * signal^2, least) * e^trust

The first part is the one that the network was taught with (`mefnets.mgdn.light`), the second is its word,
found at reduced size and carried up; so detail is the frames' own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.hdr.merge import Floats, Places, Radiance, as_levels, by_plane, planes_of
from mefcli.motion.mapping import floats
from mefnets.luma import BLUE, GREEN, RED

LUMA = np.array([RED, GREEN, BLUE], np.float32)
# What a pixel still counts that says nothing, dark to bright: where all are clipped, the darkest is nearest.
LEAST = (1e-3, 1e-5, 1e-6)


@dataclass(frozen=True)
class Trust:
    logarithm: Floats  # (h, w, frames), reduced
    factor: int  # source pixels per reduced pixel

    def rows(self, top: int, bottom: int, width: int) -> Floats:
        """e to it for these rows of the picture, (bottom - top, width, frames), bilinear; the most is 1."""
        small = self.logarithm
        above, below, down = self._between(np.arange(top, bottom), small.shape[0])
        left, right, across = self._between(np.arange(width), small.shape[1])
        rows = small[above] + (small[below] - small[above]) * down[:, None, None]
        wide = rows[:, left] + (rows[:, right] - rows[:, left]) * across[None, :, None]
        return np.asarray(np.exp(wide - wide.max(axis=2, keepdims=True)))

    def _between(
        self, at: NDArray[np.signedinteger], count: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        place = np.clip((at + 0.5) / self.factor - 0.5, 0, count - 1)
        first = place.astype(np.intp)
        return first, np.minimum(first + 1, count - 1), (place - first).astype(np.float32)


@dataclass(frozen=True)
class Believed(Radiance):
    """`Radiance` of three frames, each counted as far as it is believed."""

    trust: Trust | None = None

    def _weighed(self, top: int, bottom: int, places: Places | None) -> Floats:
        assert self.trust is not None
        believed = self.trust.rows(top, bottom, self.shape[1])
        total = np.zeros((3, bottom - top, self.shape[1]), np.float32)
        weights = np.zeros(total.shape[1:], np.float32)
        for index, (ev, least) in enumerate(zip(self.evs, LEAST, strict=True)):
            levels = as_levels(self.frames[index][top:bottom])
            planes = planes_of(levels)
            signal = floats(levels) @ LUMA
            weight = signal * signal
            opened = self._opened(planes)
            if opened is not None:
                weight *= opened
            weight = np.maximum(weight, np.float32(least)) * believed[..., index]
            weights += weight
            total += weight * np.float32(2.0**-ev) * by_plane(self.curves.light, planes)
        total /= weights
        return _picked(total, places)


@dataclass(frozen=True)
class Painted(Radiance):
    """Light that a network painted itself, 1 at the white of the darkest frame."""

    painted: Floats | None = None

    def _weighed(self, top: int, bottom: int, places: Places | None) -> Floats:
        assert self.painted is not None
        light = self.painted[top:bottom].transpose(2, 0, 1)
        return _picked(light * np.float32(self.curves.top * 2.0 ** -self.evs[0]), places)


def _picked(light: Floats, places: Places | None) -> Floats:
    """(3, h, w), or of places by their number (3, n)."""
    return light if places is None else light.reshape(3, -1)[:, places]
