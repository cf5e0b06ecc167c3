"""The simulator of moving scenes: three frames of a scene that does not stand still, and its light.

Between the frames things pass that hide what is behind them, leaves and water stir, and the camera moves by
what alignment leaves of it. The middle frame is the reference: the target is the scene's light as it stood
then, linear, without noise, 1 at the white of the darkest frame. The network is shown each frame beside its
light through the camera's response, as `mef hdr` recovers it: nearly right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.training import defocus, motion
from mefcli.training.camera import SRGB, STEPS, Bytes, Camera, Floats, random_camera
from mefcli.training.exposure import place
from mefcli.training.focus import small_of
from mefcli.training.simulator import MARGIN, Sample, Simulator
from mefcli.training.store import Store
from mefcli.training.validate import Held
from mefnets.recipe import Data

FRAMES, REFERENCE = 3, 1
MOST_THINGS = 4
THING = (0.12, 0.7)  # of the picture's side: the square that a thing is drawn in
STEP_PX = (1.5, 32.0)  # from frame to frame, at most half the picture's side
TURN_DEG, GROWTH, ABSENT = 6.0, 0.04, 0.1  # likewise; the share of frames besides the reference it is not in
STIRRED, STIRS_PX = 0.3, (0.8, 5.0)  # share of scenes with leaves or water, and how far these move
RESIDUAL = (0.0, 1.0)  # of `motion.displaced`'s: what alignment leaves
OWN_VIEW = 0.5  # share of scenes that are exposed for what is seen of them, and not for the whole view
RESPONSE_ERROR = 0.02  # of the exponent of light
SPREAD_EV = (2.0, 7.0)
HELD, HELD_PX, HELD_RESIDUAL = 40, 320, 0.5
HELD_CAMERA = Camera(SRGB, full_well=6e4, read_noise=3.0, jpeg_quality=95)


@dataclass(frozen=True)
class Thing:
    light: Floats  # (s, s, 3) linear, times its cover
    cover: Floats  # (s, s), 0..1
    placed: tuple[NDArray[np.float32] | None, ...]  # (2, 3) into each frame; None: it is not there


class MovingSimulator(Simulator):
    needs_book = False
    fixed: Camera | None = None  # for all samples, instead of a random one for each, with its exact response
    residual: tuple[float, float] = RESIDUAL

    def with_data(self, data: Data) -> MovingSimulator:
        return MovingSimulator(self.store, data, seed=self.seed, part=self.part)

    def bracket(self, view: int, rng: np.random.Generator, frames: int) -> Sample:
        """`frames` is not asked: there are three."""
        data, size = self.data, self.data.crop_px
        margin = round(size * MARGIN)
        scene = self.piece(view, rng, size + 2 * margin)
        camera = self.fixed or random_camera(rng, reduced=True)
        own = rng.random() < OWN_VIEW
        seen = small_of(scene) if own else self.store.thumbs[view]
        placement = place(camera, seen, FRAMES, data.spread_ev, 0.0, rng)
        scenes, moved = self._passed(scene, margin, rng)
        shots = np.stack([camera.shoot(one, ev, rng) for one, ev in zip(scenes, placement.evs, strict=True)])
        darkest = placement.evs[0]
        white = np.array(camera.white, np.float32) * np.float32(2.0**darkest)
        target = np.clip(scenes[REFERENCE] * white, 0, 1)
        exponent = 1.0 if self.fixed else 1 + rng.normal(0, RESPONSE_ERROR)
        table = response_table(camera) ** np.float32(exponent)
        lights = np.stack(
            [
                table[shot] * np.float32(2.0 ** (darkest - ev))
                for shot, ev in zip(shots, placement.evs, strict=True)
            ]
        )
        middle = (placement.evs[0] + placement.evs[-1]) / 2
        evs = tuple(ev - middle for ev in placement.evs)
        name = self.store.entries[view].name
        return Sample(shots, evs, "moving", name, target.astype(np.float32), moved, lights=lights)

    def batch(self, step: int) -> dict[str, NDArray[np.generic]]:
        data = self.data
        return arrays_of([self.sample(step * data.batch + k, FRAMES) for k in range(data.batch)])

    # ---- what moves ------------------------------------------------------------------------------------

    def _passed(
        self, scene: Floats, margin: int, rng: np.random.Generator
    ) -> tuple[list[Floats], NDArray[np.bool_]]:
        """The scene as it stands in each frame, and where that differs from how it stood in the reference."""
        import cv2

        size = self.data.crop_px
        rows, cols = np.mgrid[0:size, 0:size].astype(np.float32) + margin
        shaken = rng.random() < self.data.misaligned
        strength = rng.uniform(*self.residual)
        stir = _Stir(size, rng) if rng.random() < STIRRED else None
        plain = scene[margin : margin + size, margin : margin + size]
        things = [self._thing(plain, rng) for _ in range(int(rng.integers(0, MOST_THINGS + 1)))]
        covers = np.zeros((FRAMES, size, size), np.float32)
        scenes = []
        for index in range(FRAMES):
            x, y = cols, rows
            if index != REFERENCE:
                if shaken:
                    x, y = motion.displaced(cols, rows, margin, size, rng, strength)
                if stir is not None:
                    dx, dy = stir.by(rng)
                    x, y = x + dx, y + dy
            still = cv2.remap(scene, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
            still = np.asarray(still, np.float32)
            for thing in things:
                matrix = thing.placed[index]
                if matrix is None:
                    continue
                light = cv2.warpAffine(thing.light, matrix, (size, size), flags=cv2.INTER_LINEAR)
                cover = cv2.warpAffine(thing.cover, matrix, (size, size), flags=cv2.INTER_LINEAR)
                still = np.asarray(still * (1 - cover[..., None]) + light, np.float32)
                covers[index] = np.maximum(covers[index], cover)
            scenes.append(still)
        moved = (covers > 0) | (covers[REFERENCE] > 0)
        moved[REFERENCE] = False
        return scenes, moved

    def _thing(self, scene: Floats, rng: np.random.Generator) -> Thing:
        size = scene.shape[0]
        side = max(10, round(size * rng.uniform(*THING)))
        cover = defocus.shape(side, rng)
        light = self.piece(self._pick(rng), rng, side)
        middle = float(np.median(scene))
        brightness = max(middle, 1e-4) / max(float(np.median(light)), 1e-4) * 2 ** rng.normal(0, 1.2)
        at = rng.uniform(0.0, 1.0, 2) * size
        most = min(STEP_PX[1], size / 2)
        step = np.exp(rng.uniform(np.log(STEP_PX[0]), np.log(most)))
        angle, turn = rng.uniform(0, 2 * np.pi), rng.normal(0, TURN_DEG)
        growth = rng.normal(0, GROWTH)
        placed: list[NDArray[np.float32] | None] = []
        for index in range(FRAMES):
            later = index - REFERENCE
            # Nobody walks evenly.
            uneven = rng.uniform(0.6, 1.4)
            there = at + step * later * uneven * np.array([np.cos(angle), np.sin(angle)])
            absent = later != 0 and rng.random() < ABSENT
            placed.append(None if absent else _placed(there, turn * later, 1 + growth * later, side))
        return Thing(
            np.asarray(light * np.float32(brightness) * cover[..., None], np.float32), cover, tuple(placed)
        )


class _Stir:
    """Leaves or water: some places of the picture move by a few pixels, each frame otherwise."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size = size
        self.where = np.clip(2 * defocus.smooth_depth(size, 0.0, 1.0, rng) - 0.8, 0, 1)
        self.far = np.exp(rng.uniform(*np.log(STIRS_PX)))
        self.cells = max(3, size // int(rng.integers(8, 33)))

    def by(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        import cv2

        coarse = rng.normal(0, self.far, (self.cells, self.cells, 2)).astype(np.float32)
        flow = cv2.resize(coarse, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        return self.where * flow[..., 0], self.where * flow[..., 1]


def _placed(centre: NDArray[np.float64], turn_deg: float, scale: float, side: int) -> NDArray[np.float32]:
    """From a thing's own square into the picture."""
    turn = np.radians(turn_deg)
    across, down = scale * np.cos(turn), scale * np.sin(turn)
    half = (side - 1) / 2
    x = centre[0] - across * half + down * half
    y = centre[1] - down * half - across * half
    return np.array([[across, -down, x], [down, across, y]], np.float32)


# ---- light -----------------------------------------------------------------------------------------------


def response_table(camera: Camera) -> Floats:
    """The light of each of 256 levels, 1 at white: the camera's response, inverted."""
    exposure = np.linspace(0.0, 1.0, STEPS) ** 2
    rising = camera.curve + np.linspace(0.0, 1e-6, STEPS)  # a toe may be flat
    return np.interp(np.arange(256) / 255, rising / rising[-1], exposure).astype(np.float32)


def shown(frames: Bytes, lights: Floats) -> Floats:
    """What the network sees: (N, H, W, 6)."""
    return np.concatenate((frames * np.float32(1 / 255), lights), axis=-1)


def arrays_of(samples: Sequence[Sample]) -> dict[str, NDArray[np.generic]]:
    """A batch: frames of six channels, float32, the picture and its light."""
    return {
        "frames": np.stack([shown(one.frames, lights_of(one)) for one in samples]),
        "evs": np.array([one.evs for one in samples], np.float32),
        "target": np.stack([one.target for one in samples if one.target is not None]),
    }


def lights_of(sample: Any) -> Floats:
    assert sample.lights is not None
    lights: Floats = sample.lights
    return lights


def held_out(store: Store, short_side_px: int = HELD_PX, count: int = HELD) -> list[Held]:
    """Moving scenes of held-out pictures with their light, always the same for one store."""
    data = Data(
        frames=(FRAMES, FRAMES), crop_px=short_side_px, stack="moving", misaligned=1.0, spread_ev=SPREAD_EV
    )
    simulator = MovingSimulator(store, data, part="val")
    simulator.fixed, simulator.residual = HELD_CAMERA, (0.0, HELD_RESIDUAL)
    made = [simulator.sample(index, FRAMES) for index in range(count)]
    return [Held(one.scene, tuple(one.frames), one.target, one.lights, one.evs) for one in made]
