"""A scene that moved: its light by the word of a network, which says how far each frame is to be believed.

    L = sum(w x / t) / sum(w),   w = max(usable * signal^2, least) * e^trust

The first part is the one that the network was taught with (`mefnets.mgdn.light`), the second is its word,
found at reduced size and carried up; so detail is the frames' own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.hdr.merge import Floats, Radiance, as_levels, looked_up
from mefcli.motion.reduced import floats
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

    def _weighed(self, top: int, bottom: int) -> Floats:
        assert self.trust is not None
        believed = self.trust.rows(top, bottom, self.shape[1])
        total = np.zeros((bottom - top, self.shape[1], 3), np.float32)
        weights = np.zeros((*total.shape[:2], 1), np.float32)
        for index, (ev, least) in enumerate(zip(self.evs, LEAST, strict=True)):
            part = as_levels(self.frames[index][top:bottom])
            signal = floats(part) @ LUMA
            weight = np.maximum(self._opened(part) * signal * signal, np.float32(least))[..., None]
            weight *= believed[..., index, None]
            weights += weight
            weight = weight * np.float32(2.0**-ev)
            total += weight * looked_up(self.curves.light, part)
        total /= weights
        return total


@dataclass(frozen=True)
class Painted(Radiance):
    """Light that a network painted itself, 1 at the white of the darkest frame."""

    painted: Floats | None = None

    def _weighed(self, top: int, bottom: int) -> Floats:
        assert self.painted is not None
        return np.asarray(self.painted[top:bottom] * np.float32(self.curves.top * 2.0 ** -self.evs[0]))
