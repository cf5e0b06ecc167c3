"""The simulator of visible and infrared pairs, from photographs alone.

A thermal camera sees the same outlines with other values. So the second frame is made of the scene's own: its
channels mixed at random, brightness drawn through curves that may fall, other ones in other places, texture
taken away; then things that are warm, some of which the visible frame hardly shows. By night the visible
frame is dark and noisy, the thermal one never is.

Here it is known what is warm, and both frames without noise: the target is the classic's composition of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mefcli.training import defocus
from mefcli.training.camera import SRGB, Bytes, Camera, Floats, random_camera, through_jpeg
from mefcli.training.exposure import ev_for_mean, mean_by_ev
from mefcli.training.focus import small_of
from mefcli.training.simulator import Sample, Simulator
from mefcli.training.store import Store
from mefcli.training.validate import Held
from mefnets.infrared.compose import composed
from mefnets.luma import BLUE, GREEN, RED
from mefnets.recipe import Data

MOST_THINGS = 5
THING = (0.12, 0.9)  # of the picture's side: the square that a thing is drawn in
WARM, SEEN = 0.75, 0.75  # shares of things that are warm, and that the visible frame shows
NIGHT = 0.4  # share of samples
DAY_MEAN, NIGHT_MEAN = (60.0, 160.0), (8.0, 45.0)  # of 255
KNOTS = 5  # of a curve from the scene's brightness to the thermal frame's
RANGE = (0.05, 0.22)  # standard deviation of the thermal frame without warm things
LEVEL = (0.2, 0.55)  # its mean
HEAT = (0.15, 0.6)  # how much brighter a warm thing is
HELD = 10
HELD_CAMERA = Camera(SRGB, full_well=2e5, read_noise=3.0, jpeg_quality=95)
RESIDUAL_PX = 0.4  # what laying the frames over each other leaves


@dataclass(frozen=True)
class Thing:
    cover: Floats  # (H, W), 0..1
    light: Floats | None  # (H, W, 3) linear; None: not to be seen
    warm: bool
    heat: float


@dataclass(frozen=True)
class Thermal:
    """How a thermal camera draws."""

    blur_px: float
    noise: float  # standard deviation
    rows: float  # likewise, of whole rows
    jpeg_quality: int  # 0: none


HELD_THERMAL = Thermal(blur_px=0.7, noise=0.01, rows=0.003, jpeg_quality=92)


class InfraredSimulator(Simulator):
    needs_book = False
    fixed: tuple[Camera, Thermal] | None = None  # for all samples, instead of random ones for each

    def with_data(self, data: Data) -> InfraredSimulator:
        return InfraredSimulator(self.store, data, seed=self.seed, part=self.part)

    def bracket(self, view: int, rng: np.random.Generator, frames: int) -> Sample:
        """The visible frame, then the thermal one; there are never more."""
        size = self.data.crop_px
        scene = self.piece(view, rng, size)
        things = [self._thing(scene, rng) for _ in range(int(rng.integers(0, MOST_THINGS + 1)))]
        camera, thermal = self.fixed or (random_camera(rng, reduced=True), random_thermal(rng))
        warmth = heated(scene, things, rng)
        for thing in things:
            if thing.light is not None:
                scene = scene + thing.cover[..., None] * (thing.light - scene)
        night = rng.random() < NIGHT
        ev = ev_for_mean(
            mean_by_ev(camera, small_of(scene)), rng.uniform(*(NIGHT_MEAN if night else DAY_MEAN))
        )
        white = np.array(camera.white, np.float32) * np.float32(2.0**ev)
        clean = camera.develop(scene * white)
        seen = camera.shoot(scene, ev, rng)
        if rng.random() < self.data.misaligned:
            warmth = _shifted(warmth, rng)
        drawn = drawn_by(thermal, warmth, rng)
        luma = clean @ np.array([RED, GREEN, BLUE], np.float32)
        warm = np.zeros_like(luma)
        for thing in things:
            warm = warm * (1 - thing.cover) + (thing.cover if thing.warm else 0)
        warm = np.asarray(warm, np.float32)
        fused = composed(luma, warmth, warm)
        target = np.clip(clean + (fused - luma)[..., None], 0, 1)
        name = self.store.entries[view].name
        return Sample(np.stack((seen, drawn)), (0.0, 0.0), "infrared", name, np.asarray(target, np.float32))

    def _thing(self, scene: Floats, rng: np.random.Generator) -> Thing:
        size = scene.shape[0]
        cover = placed_shape(size, rng)
        light: Floats | None = None
        if rng.random() < SEEN:
            other = self.piece(self._pick(rng), rng, size)
            around = float(np.median(scene[cover > 0.5])) if (cover > 0.5).any() else float(np.median(scene))
            middle = max(float(np.median(other)), 1e-4)
            light = other * np.float32(max(around, 1e-4) / middle * 2 ** rng.normal(-0.5, 1.0))
        return Thing(cover, light, bool(rng.random() < WARM), float(rng.uniform(*HEAT)))


def placed_shape(size: int, rng: np.random.Generator) -> Floats:
    """The outline of a thing somewhere in the picture, (H, W)."""
    side = max(12, round(size * rng.uniform(*THING) ** 1.5))
    cover = np.zeros((size, size), np.float32)
    part = defocus.shape(side, rng)
    top, left = (int(rng.integers(0, size - side + 1)) for _ in range(2))
    cover[top : top + side, left : left + side] = part
    return cover


def heated(scene: Floats, things: list[Thing], rng: np.random.Generator) -> Floats:
    """What a thermal camera would see without noise, (H, W) in [0, 1]."""
    import cv2

    size = scene.shape[0]
    stops = np.log2(np.maximum(scene, 1e-5))
    mixes = []
    for _ in range(2):
        mix = rng.normal(0.33, 0.5, 3).astype(np.float32)
        mixes.append(_through_curve(stops @ (mix / max(float(np.abs(mix).sum()), 0.3)), rng))
    where = defocus.smooth_depth(size, 0.0, 1.0, rng) if rng.random() < 0.7 else np.float32(0)
    picture = np.asarray(mixes[0] + where * (mixes[1] - mixes[0]), np.float32)
    if rng.random() < 0.8:  # paint and print have no temperature of their own
        radius, sigma = int(rng.integers(3, 8)), float(rng.uniform(0.3, 1.5))
        smooth = cv2.bilateralFilter(picture, radius, sigma, float(radius))
        picture = picture + np.float32(rng.uniform(0.5, 1.0)) * (smooth - picture)
    if rng.random() < 0.5:  # ground and sky
        picture = picture + defocus.smooth_depth(size, 0.0, float(rng.uniform(0, 2)), rng)
    picture = (picture - picture.mean()) / max(float(picture.std()), 0.3)
    picture = rng.uniform(*LEVEL) + np.clip(picture, -2.5, 2.5) * np.float32(rng.uniform(*RANGE))
    for thing in things:
        if thing.warm:
            inner = defocus.smooth_depth(size, -0.1, 0.1, rng)
            own = float(np.median(picture[thing.cover > 0.5])) if (thing.cover > 0.5).any() else 0.4
            picture = picture + thing.cover * (own + thing.heat + inner - picture)
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def _through_curve(values: Floats, rng: np.random.Generator) -> Floats:
    """Bent, and in places turned round: water is dark in one and light in the other."""
    low, high = np.percentile(values, (2, 98))
    at = np.linspace(low, max(high, low + 0.5), KNOTS)
    steps = rng.uniform(0.2, 1.0, KNOTS) * np.where(rng.random(KNOTS) < 0.35, -1, 1)
    return np.asarray(np.interp(values, at, np.cumsum(steps)), np.float32)


def random_thermal(rng: np.random.Generator) -> Thermal:
    quality = int(rng.integers(80, 98)) if rng.random() < 0.6 else 0
    return Thermal(rng.uniform(0, 1.2), 10 ** rng.uniform(-2.7, -1.5), 10 ** rng.uniform(-3, -2), quality)


def drawn_by(thermal: Thermal, warmth: Floats, rng: np.random.Generator) -> Bytes:
    """As it is stored: grey in three channels, (H, W, 3)."""
    import cv2

    picture = cv2.GaussianBlur(warmth, (0, 0), thermal.blur_px) if thermal.blur_px > 0.2 else warmth
    picture = picture + rng.standard_normal(warmth.shape, np.float32) * np.float32(thermal.noise)
    picture = picture + rng.standard_normal((warmth.shape[0], 1), np.float32) * np.float32(thermal.rows)
    grey = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    frame = np.repeat(grey[..., None], 3, axis=2)
    if not thermal.jpeg_quality:
        return frame
    coded = through_jpeg(frame, thermal.jpeg_quality)
    return np.repeat(coded[..., 1:2], 3, axis=2)


def _shifted(picture: Floats, rng: np.random.Generator) -> Floats:
    import cv2

    matrix = np.array([[1, 0, rng.normal(0, RESIDUAL_PX)], [0, 1, rng.normal(0, RESIDUAL_PX)]], np.float32)
    size = picture.shape[1::-1]
    return np.asarray(cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REFLECT_101), np.float32)


def held_out(store: Store, short_side_px: int, count: int = HELD) -> list[Held]:
    """Pairs of held-out scenes with their truths, always the same for one store."""
    data = Data(frames=(2, 2), crop_px=short_side_px, stack="infrared")
    simulator = InfraredSimulator(store, data, part="val")
    simulator.fixed = HELD_CAMERA, replace(HELD_THERMAL)
    made = [simulator.sample(index, 2) for index in range(count)]
    return [Held(one.scene, tuple(one.frames), one.target) for one in made]
