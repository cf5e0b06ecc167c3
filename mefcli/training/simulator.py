"""The bracket simulator: from scenes to what a camera would have stored, deterministic by seed.

Sample k of a run depends on (seed, part, k) alone, so a resumed run sees exactly what it would have seen, and
any number of workers may make batches in any order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import InputError
from mefcli.training import motion
from mefcli.training.camera import Bytes, Camera, Floats, random_camera
from mefcli.training.exposure import Placement, ev_for_mean, mean_by_ev, place
from mefcli.training.lens import random_circle
from mefcli.training.pack import Part
from mefcli.training.store import Store
from mefcli.training.targets import TargetBook
from mefnets.recipe import Data

# Share of samples from each kind of scene.
SHARES = {"panorama": 0.55, "radiance": 0.1, "photo": 0.35}
POOL = 512  # extreme patches kept ready; a batch takes some of them
NORMAL_MEAN, DARK_MEAN, BRIGHT_MEAN = (95.0, 145.0), (8.0, 50.0), (195.0, 246.0)  # of 255
CIRCLE_EV = (8.0, 13.0)  # a fisheye measures the light of a whole place: long brackets
FINER = (1.0, 2.2)  # a picture's pixels for each of a crisp piece's
MARGIN = 0.12  # of a crop's side, kept around it where motion is simulated


@dataclass(frozen=True)
class Sample:
    """One simulated bracket."""

    frames: Bytes  # (N, H, W, 3), dark to bright
    evs: tuple[float, ...]  # relative to the middle of the bracket
    kind: str  # "bracket", "two-under", "two-over"
    scene: str
    target: Floats | None = None  # (H, W, 3) display values
    moved: NDArray[np.bool_] | None = None  # (N, H, W): where a frame differs from the still scene
    clean: Floats | None = None  # (N, H, W, 3) display values before noise, rounding, compression, motion
    # (N, H, W, 3), of moving scenes: each frame's light, linear, as `target` then is
    lights: Floats | None = None
    low: Floats | None = None  # (h, w), of depth: what is measured of it; `target` is (H, W, 1) then
    depth: Floats | None = None  # (H, W), of focus stacks: that of what is in front, 0 far to 1 near


@dataclass(frozen=True)
class Crop:
    """Where a sample is cut from a view, in fractions of its width and height; the same for its target."""

    left: float
    top: float
    width: float
    height: float
    flip: bool = False
    turns: int = 0  # quarter turns

    def cut(self, pixels: NDArray[np.generic], out_px: int, margin_px: int = 0) -> Floats:
        """Cut and resize to a square of out_px + 2 margin; beyond the view the margin mirrors it."""
        import cv2

        height, width = pixels.shape[:2]
        size = out_px + 2 * margin_px
        mx, my = (self.width * width * margin_px / out_px, self.height * height * margin_px / out_px)
        x0, y0 = self.left * width - mx, self.top * height - my
        x1, y1 = (self.left + self.width) * width + mx, (self.top + self.height) * height + my
        left, top = max(0, int(np.floor(x0))), max(0, int(np.floor(y0)))
        right, bottom = min(width, int(np.ceil(x1))), min(height, int(np.ceil(y1)))
        part = pixels[top:bottom, left:right].astype(np.float32)
        if margin_px:
            above, below = round(max(0.0, -y0)), round(max(0.0, y1 - height))
            before, after = round(max(0.0, -x0)), round(max(0.0, x1 - width))
            part = cv2.copyMakeBorder(part, above, below, before, after, cv2.BORDER_REFLECT_101)
        if part.shape[:2] != (size, size):
            shrinks = part.shape[0] > size
            part = cv2.resize(
                part, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            )
        part = np.rot90(part, self.turns)
        return np.ascontiguousarray(part[:, ::-1] if self.flip else part, np.float32)


def _developed(camera: Camera, scene: Floats, placement: Placement) -> Floats:
    """(N, H, W, 3): the still scene at every exposure, as a camera without noise and compression has it."""
    white = np.array(camera.white, np.float32)
    return np.stack([camera.develop(scene * (white * np.float32(2.0**ev))) for ev in placement.evs])


class Simulator:
    needs_book = True  # targets come from a book of references

    def __init__(
        self,
        store: Store,
        data: Data,
        *,
        seed: int = 0,
        part: Part = "train",
        targets: TargetBook | None = None,
    ) -> None:
        self.store, self.data, self.seed, self.part = store, data, seed, part
        self.targets = targets
        if data.target and targets is None and self.needs_book:
            raise InputError("This recipe needs targets.", "Pass a TargetBook to the simulator.")
        self._scenes = {kind: store.indices(part, kind) for kind in SHARES}  # type: ignore[arg-type]
        self._scenes = {kind: found for kind, found in self._scenes.items() if found}
        if not self._scenes:
            raise InputError(f"The data holds no scenes for {part}.", "Pack the whole training folder.")
        shares = np.array([SHARES[kind] for kind in self._scenes])
        self._shares = np.cumsum(shares / shares.sum())
        self._extremes: Bytes | None = None

    def with_data(self, data: Data) -> Simulator:
        """The same scenes and seed, other pictures."""
        targets = self.targets or (TargetBook(self.store) if data.target else None)
        return Simulator(self.store, data, seed=self.seed, part=self.part, targets=targets)

    # ---- single samples --------------------------------------------------------------------------------

    def rng(self, stream: int, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, {"train": 0, "val": 1}[self.part], stream, index])

    def sample(self, index: int, frames: int | None = None) -> Sample:
        """Bracket number `index`."""
        rng = self.rng(0, index)
        view = self._pick(rng)
        count = frames or self._count(rng)
        return self.bracket(view, rng, count)

    def bracket(self, view: int, rng: np.random.Generator, frames: int) -> Sample:
        data = self.data
        camera = random_camera(rng, reduced=data.views == "whole")
        crop = self._crop(view, rng)
        circle = random_circle(rng) if data.fisheye and rng.random() < data.fisheye else None
        thumb = self.store.thumbs[view]
        spread = data.spread_ev
        if circle is not None:
            thumb, spread = circle.through(thumb), CIRCLE_EV
        placement = place(camera, thumb, frames, spread, data.lopsided, rng)
        moving = rng.random() < data.misaligned
        margin = round(data.crop_px * MARGIN) if moving else 0
        scene = crop.cut(self._pixels(view, crop), data.crop_px, margin)
        if circle is not None:
            scene = circle.through(scene)
        target = self._target(view, crop, camera)
        proper = placement
        if data.clean and placement.kind != "bracket":
            proper = place(camera, thumb, frames, spread, 0.0, rng)
        middle = (placement.evs[0] + placement.evs[-1]) / 2
        evs = tuple(ev - middle for ev in placement.evs)
        if not moving:
            shots = [camera.shoot(scene, ev, rng) for ev in placement.evs]
            name = self.store.entries[view].name
            clean = _developed(camera, scene, proper) if data.clean else None
            return Sample(np.stack(shots), evs, placement.kind, name, target, clean=clean)
        return self._moving(view, scene, margin, camera, placement, proper, evs, target, rng)

    def _moving(
        self,
        view: int,
        scene: Floats,
        margin: int,
        camera: Camera,
        placement: Placement,
        proper: Placement,
        evs: tuple[float, ...],
        target: Floats | None,
        rng: np.random.Generator,
    ) -> Sample:
        """Hand-held, with something that moves: every frame but the brightest, which is the reference."""
        other = self._pick(rng)
        patch = self._crop(other, rng).cut(self.store.level(other, 0), max(16, self.data.crop_px // 3))
        shaken = motion.shake(scene, patch, margin, len(placement.evs), rng)
        shots = [camera.shoot(still, ev, rng) for still, ev in zip(shaken.scenes, placement.evs, strict=True)]
        if target is not None and shaken.mover is not None:
            target = motion.with_mover(target, camera, shaken.mover, placement.evs[len(evs) // 2])
        name = self.store.entries[view].name
        clean = _developed(camera, shaken.scenes[-1], proper) if self.data.clean else None
        return Sample(np.stack(shots), evs, placement.kind, name, target, shaken.moved, clean)

    def _count(self, rng: np.random.Generator) -> int:
        """How many frames a bracket has."""
        fewest, most = self.data.frames
        if self.data.fewer == 1:
            return int(rng.integers(fewest, most + 1))
        return fewest + int((most + 1 - fewest) * rng.random() ** self.data.fewer)

    def _pick(self, rng: np.random.Generator) -> int:
        kind = list(self._scenes)[int(np.searchsorted(self._shares, rng.random(), side="right"))]
        return int(rng.choice(self._scenes[kind]))

    def _crop(self, view: int, rng: np.random.Generator) -> Crop:
        """A square: most of a view's short side ("whole"), or `crop_px` near native scale ("patches")."""
        full = self.store.entries[view].levels[0]
        short = min(full.height, full.width)
        if self.data.views == "whole":
            side = short * rng.uniform(0.82, 1.0)
            turns = 0
        else:
            side = min(self.data.crop_px * rng.uniform(1.0, 2.0), float(short))
            turns = self._turns(rng)
        width, height = side / full.width, side / full.height
        left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
        return Crop(left, top, width, height, flip=bool(rng.random() < 0.5), turns=turns)

    def _turns(self, rng: np.random.Generator) -> int:
        """Quarter turns of a patch."""
        return 4 // self.data.turns * int(rng.integers(self.data.turns))

    def _pixels(self, view: int, crop: Crop) -> NDArray[np.float16]:
        full = self.store.entries[view].levels[0]
        needed = self.data.crop_px / (crop.height * full.height) * min(full.height, full.width)
        return self.store.level(view, self.store.level_for(view, needed))

    def _target(self, view: int, crop: Crop, camera: Camera) -> Floats | None:
        if not self.data.target or self.targets is None:
            return None
        display = crop.cut(self.targets.picture(view), self.data.crop_px) / 255.0
        return self.targets.tinted(display, camera.white)

    def piece(self, view: int, rng: np.random.Generator, size: int) -> Floats:
        """A square of linear light from anywhere in a view, reduced enough to be crisp."""
        full = self.store.entries[view].levels[0]
        short = min(full.height, full.width)
        side = min(size * rng.uniform(*FINER), float(short))
        width, height = side / full.width, side / full.height
        left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
        crop = Crop(left, top, width, height, bool(rng.random() < 0.5), self._turns(rng))
        return crop.cut(self.store.level(view), size)

    # ---- batches ---------------------------------------------------------------------------------------

    def batch(self, step: int) -> dict[str, NDArray[np.generic]]:
        """Everything step number `step` needs, as arrays; `loader.to_batch` makes tensors of it."""
        data = self.data
        frames = self._count(self.rng(1, step))
        samples = [self.sample(step * data.batch + k, frames) for k in range(data.batch)]
        arrays: dict[str, NDArray[np.generic]] = {
            "frames": np.stack([s.frames for s in samples]),
            "evs": np.array([s.evs for s in samples], np.float32),
        }
        if data.target:
            arrays["target"] = np.stack([s.target for s in samples if s.target is not None])
        if data.clean:
            arrays["clean"] = np.stack([s.clean for s in samples if s.clean is not None])
        if data.windows:
            arrays["windows"] = self._windows(self.rng(5, step))
        if data.normals:
            rng = self.rng(2, step)
            arrays["normal"] = np.stack([self.normal(rng) for _ in range(data.normals)])
        if data.extremes:
            pool = self.extremes()
            arrays["extreme"] = pool[self.rng(3, step).integers(0, len(pool), data.extremes)]
        return arrays

    def _windows(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """(batch * windows, 4): which picture, top, left and side, anywhere in it."""
        data = self.data
        side = min(data.window_px, data.crop_px)
        items = np.repeat(np.arange(data.batch), data.windows)
        places = rng.integers(0, data.crop_px - side + 1, (len(items), 2))
        return np.column_stack((items, places, np.full(len(items), side)))

    def normal(self, rng: np.random.Generator) -> Bytes:
        """A well exposed picture of any scene: a photograph as taken, or a scene exposed for its middle."""
        ready = self.store.indices(self.part, "normal")
        if ready and rng.random() < 0.4:
            view = int(rng.choice(ready))
            crop = self._crop(view, rng)
            display = crop.cut(self._pixels(view, crop), self.data.crop_px)
            return (np.clip(display, 0, 1) * 255 + 0.5).astype(np.uint8)
        return self.exposed_for(NORMAL_MEAN, rng)

    def extremes(self) -> Bytes:
        """A fixed pool of badly exposed pictures of many scenes, half too dark, half too bright."""
        if self._extremes is None:
            rng = self.rng(4, 0)
            count = max(POOL, self.data.extremes)
            pool = [self.exposed_for(DARK_MEAN if k % 2 else BRIGHT_MEAN, rng) for k in range(count)]
            self._extremes = np.stack(pool)
        return self._extremes

    def exposed_for(self, means: tuple[float, float], rng: np.random.Generator) -> Bytes:
        """One frame of any scene, exposed for a mean of the whole view drawn from `means` (of 255)."""
        view = self._pick(rng)
        camera = random_camera(rng, reduced=True)
        crop = self._crop(view, rng)
        ev = ev_for_mean(mean_by_ev(camera, self.store.thumbs[view]), rng.uniform(*means))
        return camera.shoot(crop.cut(self._pixels(view, crop), self.data.crop_px), ev, rng)
