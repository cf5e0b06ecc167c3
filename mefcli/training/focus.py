"""The simulator of focus stacks: layers of depth made of free pictures, photographed at several distances.

It is the bracket simulator with another way to make a sample: frames come near focus first, the target is the
same scene with everything in focus. Fewer frames than the depth asks for leave a little of it unsharp in
each, as they do in life.

A judge learns from targets with noise, at each place that of the frame in focus (`Data.as_recorded`): towards
one without, a network mixes frames where detail is faint, and says nothing of which is sharp.
"""

from __future__ import annotations

import numpy as np

from mefcli.training import defocus
from mefcli.training.camera import SRGB, Camera, Floats, random_camera
from mefcli.training.defocus import Layer, Lens
from mefcli.training.exposure import ev_for_mean, mean_by_ev
from mefcli.training.simulator import Sample, Simulator
from mefcli.training.store import THUMB_PX, Store
from mefcli.training.validate import Held
from mefnets.recipe import Data

MOST_THINGS = 4
MEAN = (80.0, 150.0)  # of 255
ALL_SHARP = 0.04  # share of samples in which every frame is sharp everywhere
FIELD = (0.85, 1.1)  # depth that counts as sharp, against half the distance between two frames
DRIFT_EV = 0.02
HELD, HELD_DISC_PX = 10, (6.0, 24.0)
HELD_PX = 320  # of an evaluation; a run is judged by smaller ones
HELD_CAMERA = Camera(SRGB, full_well=2e5, read_noise=3.0, jpeg_quality=95)
RESIDUAL_PX, RESIDUAL_SCALE = 0.25, 0.001  # what alignment leaves


class FocusSimulator(Simulator):
    needs_book = False
    camera: Camera | None = None  # one for all samples, instead of a random one for each

    def with_data(self, data: Data) -> FocusSimulator:
        return FocusSimulator(self.store, data, seed=self.seed, part=self.part)

    def bracket(self, view: int, rng: np.random.Generator, frames: int) -> Sample:
        size = self.data.crop_px
        layers = self.layers(view, rng, size)
        disc_px = 0.0 if rng.random() < ALL_SHARP else rng.uniform(*self.data.disc_px)
        camera = self.camera or random_camera(rng, reduced=True)
        sharp = defocus.all_in_focus(layers)
        ev = ev_for_mean(mean_by_ev(camera, small_of(sharp)), rng.uniform(*MEAN))
        distances, half = defocus.foci(layers, frames)
        lens = Lens(disc_px, half * rng.uniform(*FIELD))
        white = np.array(camera.white, np.float32) * np.float32(2.0**ev)
        shots, stops, noises = [], [], []
        for focus in distances:
            scene = defocus.photographed(layers, lens, float(focus))
            if rng.random() < self.data.misaligned:
                scene = _left_over(scene, rng)
            stops.append(float(rng.normal(0, DRIFT_EV)))
            shots.append(camera.shoot(scene, ev + stops[-1], rng))
            if self.data.as_recorded:
                noises.append(shots[-1] / np.float32(255) - camera.develop(scene * white * 2.0 ** stops[-1]))
        target = camera.develop(sharp * white)
        name = self.store.entries[view].name
        depth = defocus.depth_seen(layers)
        if noises:
            nearest = np.abs(depth[None] - distances[:, None, None]).argmin(0)
            target = target + np.take_along_axis(np.stack(noises), nearest[None, ..., None], 0)[0]
        return Sample(np.stack(shots), tuple(stops), "focus", name, target, depth=depth)

    def layers(self, view: int, rng: np.random.Generator, size: int) -> list[Layer]:
        """A background and up to `MOST_THINGS` things before it, far to near."""
        deep = rng.random() < 0.5  # a landscape reaches towards the camera; a wall does not
        high = rng.uniform(0.3, 0.8) if deep else rng.uniform(0.0, 0.15)
        light = self.piece(view, rng, size)
        layers = [Layer(light, np.ones((size, size), np.float32), defocus.smooth_depth(size, 0.0, high, rng))]
        middle = max(float(np.median(light)), 1e-4)
        for near in np.sort(rng.uniform(0.35, 1.0, int(rng.integers(0 if deep else 1, MOST_THINGS + 1)))):
            other = self.piece(self._pick(rng), rng, size)
            # A scene's neighbour may be a thousand times brighter.
            other = other * np.float32(middle / max(float(np.median(other)), 1e-4) * 2 ** rng.normal(0, 0.7))
            tilt = rng.uniform(0, 0.12)
            depth = defocus.smooth_depth(size, float(near) - tilt, float(near), rng)
            layers.append(Layer(other, defocus.shape(size, rng), depth))
        return layers


def small_of(scene: Floats) -> Floats:
    """The scene as small as the thumbnails that exposures are chosen by."""
    import cv2

    return np.asarray(cv2.resize(scene, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA), np.float32)


def _left_over(scene: Floats, rng: np.random.Generator) -> Floats:
    """Moved and scaled by what alignment cannot find."""
    import cv2

    scale = 1 + rng.normal(0, RESIDUAL_SCALE)
    centre = (scene.shape[0] - 1) / 2
    shift = rng.normal(0, RESIDUAL_PX, 2) + (1 - scale) * centre
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    return np.asarray(
        cv2.warpAffine(
            scene, matrix, scene.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        ),
        np.float32,
    )


def held_out(store: Store, short_side_px: int, frames: int = 2, count: int = HELD) -> list[Held]:
    """Stacks of held-out scenes with their truths, always the same for one store."""
    data = Data(frames=(frames, frames), crop_px=short_side_px, stack="focus", disc_px=HELD_DISC_PX)
    simulator = FocusSimulator(store, data, part="val")
    simulator.camera = HELD_CAMERA
    made = [simulator.sample(index, frames) for index in range(count)]
    return [Held(one.scene, tuple(one.frames), one.target, depth=one.depth) for one in made]
