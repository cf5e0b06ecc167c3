"""The simulator of guided depth: a colour picture, its depth seen by few pixels, and its depth in full.

A ground (a wall, a slope, the corner of a room) and things before it, cut from photographs, each with a depth
of its own. Colour and depth share outlines, but not all: posters and shadows have edges in colour alone, some
things have the colour of what is behind them, and every photograph is full of texture. The colour picture is
photographed with noise, slightly beside the depth. Depth is far or near in any unit, larger further away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefcli.depth.enlarge import nearest, resized
from mefcli.depth.guided import Known, shown
from mefcli.training import defocus
from mefcli.training.camera import SRGB, Camera, Floats, random_camera
from mefcli.training.exposure import ev_for_mean, mean_by_ev
from mefcli.training.focus import small_of
from mefcli.training.simulator import Sample, Simulator
from mefcli.training.store import Store
from mefcli.training.validate import Held
from mefnets.recipe import Data

FACTORS = (4, 8, 16)  # three of four samples; the others have any
OTHERS = (2, 16)
MOST_THINGS, MOST_POSTERS = 7, 3
ROOM, FLAT = 0.5, 0.15  # shares of scenes; the others have a hilly ground
HIDDEN = 0.12  # share of things in the colour of what is behind them
SHADOW = 0.3  # share of scenes with one
THING = (0.15, 1.5)  # of the picture's side: the square that a thing is drawn in
GAP = (0.03, 0.7)  # how much nearer a thing is than what is behind it, of the latter's depth
MEAN = (50.0, 170.0)  # of 255
PART = (0.25, 1.0)  # of the depth of the whole picture, what is seen of it
BESIDE_PX = 1.2  # how far colour lies beside depth
NOISE = (-4.0, -2.2)  # of the depth measured, as a power of ten of its range
HELD, HELD_PX = 24, 320
HELD_CAMERA = Camera(SRGB, full_well=6e4, read_noise=3.0, jpeg_quality=95)


class DepthSimulator(Simulator):
    needs_book = False
    fixed: Camera | None = None  # for all samples, instead of a random one for each; depth then has no noise
    factors: tuple[int, ...] = ()  # likewise, in turn

    def with_data(self, data: Data) -> DepthSimulator:
        return DepthSimulator(self.store, data, seed=self.seed, part=self.part)

    def sample(self, index: int, frames: int | None = None) -> Sample:
        rng = self.rng(0, index)
        factor = self.factors[index % len(self.factors)] if self.factors else random_factor(rng)
        return self.seen(self._pick(rng), rng, factor)

    def seen(self, view: int, rng: np.random.Generator, factor: int) -> Sample:
        size = self.data.crop_px
        light, depth = self.scene(view, rng, size)
        camera = self.fixed or random_camera(rng, reduced=True)
        if rng.random() < self.data.misaligned:
            light = _beside(light, rng)
        ev = ev_for_mean(mean_by_ev(camera, small_of(light)), rng.uniform(*MEAN))
        colour = camera.shoot(light, ev, rng)
        low = measured(depth, factor, rng, ideal=self.fixed is not None)
        name = self.store.entries[view].name
        return Sample(colour[None], (0.0,), f"x{factor}", name, depth[..., None], low=low)

    def batch(self, step: int) -> dict[str, NDArray[np.generic]]:
        first = step * self.data.batch
        samples = [self.sample(first + k) for k in range(self.data.batch)]
        return arrays_of(samples, [self.rng(6, first + k) for k in range(len(samples))])

    # ---- scenes ----------------------------------------------------------------------------------------

    def scene(self, view: int, rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
        """Linear light (H, W, 3) and depth (H, W), sharp in both."""
        light, depth = self._ground(view, rng, size)
        middle = max(float(np.median(light)), 1e-4)
        for _ in range(int(rng.integers(0, MOST_POSTERS + 1))):
            light = _over(light, self._like(middle, rng, size), outline(size, rng))
        things = int(rng.integers(1, MOST_THINGS + 1))
        low, high = np.log(GAP)
        for gap in np.sort(np.exp(rng.uniform(low, high, things))):
            cover = outline(size, rng)
            inside = cover > 0.5
            if not inside.any():
                continue
            if rng.random() >= HIDDEN:
                light = _over(light, self._like(middle, rng, size), cover)
            near = np.quantile(depth[inside], 0.1) * np.float32(1 - gap)
            depth = np.where(inside, _body(cover, near, rng), depth)
        if rng.random() < SHADOW:
            light = light * (1 - np.float32(rng.uniform(0.3, 0.8)) * outline(size, rng)[..., None])
        return np.asarray(light, np.float32), np.asarray(depth, np.float32)

    def _ground(self, view: int, rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
        light = self.piece(view, rng, size)
        kind = rng.random()
        if kind < ROOM:
            near, which = _room(size, rng)
            middle = max(float(np.median(light)), 1e-4)
            for plane in range(1, int(which.max()) + 1):
                if rng.random() < 0.7:
                    light = np.where((which == plane)[..., None], self._like(middle, rng, size), light)
            return light, np.asarray(1 / near, np.float32)
        high = 1.0 if kind < ROOM + FLAT else rng.uniform(1.0, 3.0)
        return light, defocus.smooth_depth(size, 1.0, high, rng)

    def _like(self, middle: float, rng: np.random.Generator, size: int) -> Floats:
        """A piece of another picture, about as bright."""
        other = self.piece(self._pick(rng), rng, size)
        brightness = middle / max(float(np.median(other)), 1e-4) * 2 ** rng.normal(0, 0.8)
        return np.asarray(other * np.float32(brightness), np.float32)


def arrays_of(
    samples: Sequence[Sample], rngs: Sequence[np.random.Generator]
) -> dict[str, NDArray[np.generic]]:
    """Frames of seven channels, float32: colour, and what is known of the depth."""
    frames, targets = [], []
    for one, rng in zip(samples, rngs, strict=True):
        assert one.low is not None
        assert one.target is not None
        known = Known(one.low, one.target.shape[:2], float(rng.uniform(*PART)))
        frames.append(shown(one.frames[0], known)[None])
        targets.append((one.target - np.float32(known.offset)) / np.float32(known.span))
    return {
        "frames": np.stack(frames),
        "evs": np.zeros((len(samples), 1), np.float32),
        "target": np.stack(targets).astype(np.float32),
    }


def outline(size: int, rng: np.random.Generator) -> Floats:
    """The outline of a thing anywhere in the picture or half out of it, (H, W)."""
    side = round(size * rng.uniform(*THING))
    part = defocus.shape(side, rng)
    cover = np.zeros((size, size), np.float32)
    top, left = (int(rng.integers(-side * 2 // 3, size - side // 3)) for _ in range(2))
    rows, cols = (slice(max(0, at), min(size, at + side)) for at in (top, left))
    cover[rows, cols] = part[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
    return cover


def random_factor(rng: np.random.Generator) -> int:
    if rng.random() < 0.75:
        return int(rng.choice(FACTORS))
    return int(rng.integers(OTHERS[0], OTHERS[1] + 1))


def _over(light: Floats, other: Floats, cover: Floats) -> Floats:
    return np.asarray(light + cover[..., None] * (other - light), np.float32)


def _room(size: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.intp]]:
    """Walls, floor and ceiling: inverse depth, and which of the planes is seen where.

    A plane's inverse depth is linear in the picture; seen is the nearest.
    """
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    planes = []
    for _ in range(int(rng.integers(2, 5))):
        angle, steep = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.5)
        planes.append(rng.uniform(0.3, 0.8) + steep * (np.cos(angle) * x + np.sin(angle) * y))
    stack = np.stack(planes).astype(np.float32)
    return np.maximum(stack.max(0), 0.15), stack.argmax(0)


def _body(cover: Floats, near: float, rng: np.random.Generator) -> Floats:
    """A thing's own depth, (H, W): flat, tilted or round, nearest at `near`'s side."""
    import cv2

    size = cover.shape[0]
    depth = np.full((size, size), near, np.float32)
    kind = rng.random()
    if kind < 0.45:
        depth = depth * (1 - defocus.smooth_depth(size, 0.0, rng.uniform(0.0, 0.5), rng))
    elif kind < 0.7:
        solid = (cover > 0.5).astype(np.uint8)
        away = cv2.distanceTransform(solid, cv2.DIST_L2, 3)
        away = away / max(float(away.max()), 1.0)
        depth = depth * (1 - np.float32(rng.uniform(0.02, 0.25)) * np.sqrt(1 - np.square(1 - away)))
    return np.asarray(depth, np.float32)


def _beside(light: Floats, rng: np.random.Generator) -> Floats:
    """Moved a little, here otherwise than there: two cameras, and a mapping between them nearly right."""
    import cv2

    size = light.shape[0]
    coarse = rng.normal(0, BESIDE_PX / 2, (3, 3, 2)).astype(np.float32)
    flow = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    moved = cv2.remap(
        light, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT_101
    )
    return np.asarray(moved, np.float32)


# ---- depth as it is measured -----------------------------------------------------------------------------


def measured(depth: Floats, factor: int, rng: np.random.Generator, *, ideal: bool = False) -> Floats:
    """The depth by few pixels: reduced as pictures are, or averaged, or sampled; noisy unless `ideal`."""
    import cv2

    side = max(4, round(depth.shape[0] / factor))
    how = 0.0 if ideal else rng.random()
    if how < 0.5:
        low = resized(depth, (side, side))
    elif how < 0.8:
        low = np.asarray(cv2.resize(depth, (side, side), interpolation=cv2.INTER_AREA), np.float32)
    else:
        at = nearest(side, depth.shape[0])
        low = depth[np.ix_(at, at)]
    if not ideal and rng.random() < 0.6:
        sigma = np.float32(10 ** rng.uniform(*NOISE) * float(np.ptp(low)))
        low = low + sigma * rng.standard_normal(low.shape, np.float32)
    return np.ascontiguousarray(low, np.float32)


def held_out(store: Store, short_side_px: int = HELD_PX, count: int = HELD, factor: int = 0) -> list[Held]:
    """Scenes of held-out pictures with their depth, always the same for one store; x4, x8, x16 in turn."""
    data = Data(frames=(1, 1), crop_px=short_side_px, stack="depth", misaligned=1.0)
    simulator = DepthSimulator(store, data, part="val")
    simulator.fixed, simulator.factors = HELD_CAMERA, (factor,) if factor else FACTORS
    made = [simulator.sample(index) for index in range(count)]
    return [Held(one.scene, (one.frames[0],), one.target, low=one.low) for one in made]
