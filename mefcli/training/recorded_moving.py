"""Recorded moving scenes, as Kalantari's: three frames that do not agree, and the light of the middle one.

The same arrays as the simulator of moving scenes hands out: each frame beside its light, by the exponent that
such sets are made with (x^2.2 over the exposure), 1 at the white of the darkest frame, as the target is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mefcli.training.camera import Bytes, Floats
from mefcli.training.moving import FRAMES, arrays_of
from mefcli.training.recorded import RecordedBrackets, SceneStore
from mefcli.training.recorded_pack import GAMMA
from mefcli.training.simulator import Sample
from mefcli.training.validate import Held
from mefnets.recipe import Data


class RecordedMoving(RecordedBrackets):
    def with_data(self, data: Data) -> RecordedMoving:
        return RecordedMoving(self.scenes, data, seed=self.seed, part=self.part)

    def sample(self, index: int, frames: int | None = None) -> Sample:
        """`frames` is not asked: there are three."""
        rng = self.rng(0, index)
        number = int(rng.choice(self._numbers))
        entry = self.scenes.entries[number]
        crop = self._cut_of(entry, rng)
        shots, evs = three(self.scenes, number)
        stored = np.stack([self._bytes(crop, shot) for shot in shots])
        target = crop.cut(self.scenes.light(number), self.data.crop_px).clip(0, 1)
        return Sample(stored, evs, "moving", entry.name, target, lights=lights(stored, evs))

    def batch(self, step: int) -> dict[str, NDArray[np.generic]]:
        size = self.data.batch
        return arrays_of([self.sample(step * size + k) for k in range(size)])


def three(store: SceneStore, number: int) -> tuple[Bytes, tuple[float, ...]]:
    """The darkest, the middle and the brightest frame, and their stops."""
    evs, shots = store.entries[number].evs, store.frames(number)
    chosen = [0, len(evs) // 2, len(evs) - 1]
    assert len(chosen) == FRAMES
    return shots[chosen], tuple(evs[k] for k in chosen)


def lights(shots: NDArray[np.uint8], evs: tuple[float, ...]) -> Floats:  # (N, H, W, 3)
    linear = (shots * np.float32(1 / 255)) ** np.float32(GAMMA)
    gains = np.exp2(evs[0] - np.array(evs, np.float32))
    return np.asarray(linear * gains[:, None, None, None], np.float32)


def held_out(store: SceneStore, short_side_px: int, most: int) -> list[Held]:
    """Scenes to judge by, reduced."""
    import cv2

    found = []
    for number in store.of("val")[:most]:
        entry = store.entries[number]
        scale = min(1.0, short_side_px / min(entry.height, entry.width))
        size = (max(1, round(entry.width * scale)), max(1, round(entry.height * scale)))
        shots, evs = three(store, number)
        small = np.stack([cv2.resize(shot, size, interpolation=cv2.INTER_AREA) for shot in shots])
        truth = cv2.resize(store.light(number).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        known = np.asarray(truth, np.float32).clip(0, 1)
        found.append(Held(entry.name, tuple(small.astype(np.uint8)), known, lights(small, evs), evs))
    return found
