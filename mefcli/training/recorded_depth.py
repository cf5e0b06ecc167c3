"""Recorded pictures with their depth, as NYU v2: the same arrays as the simulator of depth hands out.

Colour and depth are the camera's own; what is simulated is only that few pixels of the depth were measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mefcli.training.depth import FACTORS, arrays_of, measured, random_factor
from mefcli.training.recorded import RecordedBrackets, SceneStore
from mefcli.training.simulator import Sample
from mefcli.training.validate import Held
from mefnets.recipe import Data


class RecordedDepth(RecordedBrackets):
    def with_data(self, data: Data) -> RecordedDepth:
        return RecordedDepth(self.scenes, data, seed=self.seed, part=self.part)

    def sample(self, index: int, frames: int | None = None) -> Sample:
        """`frames` is not asked: there is one."""
        rng = self.rng(0, index)
        number = int(rng.choice(self._numbers))
        entry = self.scenes.entries[number]
        crop = self._cut_of(entry, rng)
        colour = self._bytes(crop, self.scenes.frames(number)[0])
        depth = crop.cut(self.scenes.depth(number), self.data.crop_px)
        factor = random_factor(rng)
        low = measured(depth, factor, rng)
        return Sample(colour[None], (0.0,), f"x{factor}", entry.name, depth[..., None], low=low)

    def batch(self, step: int) -> dict[str, NDArray[np.generic]]:
        first = step * self.data.batch
        samples = [self.sample(first + k) for k in range(self.data.batch)]
        return arrays_of(samples, [self.rng(6, first + k) for k in range(len(samples))])


def held_out(store: SceneStore, short_side_px: int, most: int) -> list[Held]:
    """Squares from the middle of scenes to judge by, with their depth; x4, x8, x16 in turn."""
    found = []
    for number, factor in zip(store.of("val")[:most], FACTORS * most, strict=False):
        entry, colour, depth = store.entries[number], store.frames(number)[0], store.depth(number)
        side = min(short_side_px, entry.height, entry.width) // max(FACTORS) * max(FACTORS)
        top, left = (entry.height - side) // 2, (entry.width - side) // 2
        place = (slice(top, top + side), slice(left, left + side))
        low = measured(depth[place], factor, np.random.default_rng(0), ideal=True)
        found.append(Held(entry.name, (colour[place],), np.array(depth[place])[..., None], low=low))
    return found
