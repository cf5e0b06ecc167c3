"""Recorded scenes in place of simulated ones: one's own pictures, opened from a pack and cut into batches.

Packed by `recorded_pack.py`; opened as one memory-mapped file of 8-bit pixels. `RecordedBrackets` hands out
the same arrays as the simulator, drawn from what was photographed: pairs are mostly the ends of a sequence,
sometimes any two frames of it. Scenes whose frames are alike in light are focus stacks: they keep their order
(near focus first), and their reference is the picture with everything in focus. Of moving scenes the light is
kept beside the frames (`recorded_moving.py`), of pictures with depth their depth (`recorded_depth.py`).
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import InputError
from mefcli.training.camera import Bytes, Floats
from mefcli.training.pack import (
    Part,
    check_format,
    content_hash,
    damage_told,
    jpeg_in,
    shaped,
    sides,
)
from mefcli.training.recorded_pack import (
    BRIGHTEST,
    DEPTH,
    DEPTH_STEPS,
    FORMAT,
    LIGHT,
    LUMA,
    alike,
    hdr,
)
from mefcli.training.simulator import Crop, Sample, Simulator
from mefcli.training.store import put_in_place
from mefcli.training.targets import Weighting, blend, pyramids, settled
from mefcli.training.validate import SHORT_SIDE_PX, Held
from mefnets.recipe import Data

ENDS = 0.7  # share of pairs that are the darkest and the brightest frame


@dataclass(frozen=True)
class Entry:
    name: str
    part: Part
    evs: tuple[float, ...]  # dark to bright; of focus stacks in the order of their names
    reference: bool
    height: int
    width: int
    offset: int  # in bytes
    light: int | None = None  # where that of the middle frame begins, in bytes of its own file
    depth: int | None = None  # likewise, where the frame's depth begins

    @property
    def pictures(self) -> int:
        return len(self.evs) + self.reference

    @property
    def focus(self) -> bool:
        """Whether its frames can only differ by their focus."""
        return alike(self.evs)


class SceneStore:
    """Every picture of a pack, decoded."""

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "scenes.json").read_text(encoding="utf-8"))
        self.folder = folder
        self.data_hash: str = index["data_hash"]
        self.entries = [Entry(**{**row, "evs": tuple(row["evs"])}) for row in index["scenes"]]
        self.words = f"recorded scenes of one's own: {len(self.entries)}, {index['layout']}"
        self.licence = "that of the pictures it was trained on"
        self._pixels = np.memmap(folder / "pixels.u8", np.uint8, "r")
        self._lights, self._depths = folder / "lights.f16", folder / "depths.f32"

    def pictures(self, number: int) -> Bytes:  # (N or N + 1, H, W, 3): frames dark to bright, reference last
        entry = self.entries[number]
        shape = (entry.pictures, entry.height, entry.width, 3)
        return self._pixels[entry.offset : entry.offset + int(np.prod(shape))].reshape(shape)

    def frames(self, number: int) -> Bytes:
        return self.pictures(number)[: len(self.entries[number].evs)]

    def light(self, number: int) -> NDArray[np.float16]:  # (H, W, 3), 1 at the white of the darkest frame
        entry = self.entries[number]
        assert entry.light is not None
        shape = (entry.height, entry.width, 3)
        return np.memmap(self._lights, np.float16, "r", entry.light, shape)

    def depth(self, number: int) -> Floats:  # (H, W), in the map's own unit
        entry = self.entries[number]
        assert entry.depth is not None
        return np.memmap(self._depths, np.float32, "r", entry.depth, (entry.height, entry.width))

    def of(self, part: Part) -> list[int]:
        return [k for k, entry in enumerate(self.entries) if entry.part == part]

    def check(self, data: Data) -> None:
        """Refuse a recipe for other frames than these, or one whose target they lack."""
        total = len(self.entries)
        flat = sum(entry.depth is None for entry in self.entries)
        if data.stack == "depth" and flat:
            raise InputError(
                f"{flat} of {total} scenes have no depth.",
                "Lay them out as SCENE/rgb.jpg and SCENE/depth.png.",
            )
        if data.stack == "depth":
            return
        if flat < total:
            raise InputError(
                "These are pictures with depth, no exposures of one scene.", "mgdn-depth learns from them."
            )
        if data.stack == "exposures":
            return
        if data.stack not in ("moving", "focus"):
            raise InputError(
                "Scenes of your own are exposures, focus stacks, moving scenes or pictures with depth; this "
                "recipe learns from none.",
                "It needs mef's free pictures.",
            )
        if data.stack == "moving":
            if dark := sum(entry.light is None or len(entry.evs) < 3 for entry in self.entries):
                raise InputError(
                    f"{dark} of {total} scenes are not three exposures with the light of the middle one.",
                    "Lay them out as Kalantari's: SCENE/exposure.txt, three frames, SCENE/HDRImg.hdr.",
                )
            return
        if exposures := sum(not entry.focus for entry in self.entries):
            raise InputError(
                f"The frames of {exposures} of {total} scenes differ in exposure: these are no focus stacks.",
                "Train a model for exposures on them.",
            )
        missing = sum(not entry.reference for entry in self.entries)
        if data.target and missing:
            raise InputError(
                f"{missing} of {total} scenes have no picture with everything in focus to learn from.",
                "Lay one beside the frames (full_clear/, or SCENE/reference.png), or take the variant paper, "
                "which needs none.",
            )

    def held(
        self, frames: int = 2, short_side_px: int = SHORT_SIDE_PX, most: int = 8, *, truth: bool = False
    ) -> list[Held]:
        """Scenes to judge by: their ends and what lies evenly between, reduced. `truth`: beside what each
        ought to become, where every one has it."""
        import cv2

        truth = truth and all(self.entries[number].reference for number in self.of("val")[:most])
        found = []
        for number in self.of("val")[:most]:
            entry, shots = self.entries[number], self.frames(number)
            scale = min(1.0, short_side_px / min(entry.height, entry.width))
            size = (max(1, round(entry.width * scale)), max(1, round(entry.height * scale)))
            chosen = np.linspace(0, len(shots) - 1, min(frames, len(shots))).round().astype(int)
            small = tuple(
                np.asarray(cv2.resize(shots[k], size, interpolation=cv2.INTER_AREA), np.uint8) for k in chosen
            )
            known = None
            if truth:
                known = _unit(cv2.resize(self.pictures(number)[-1], size, interpolation=cv2.INTER_AREA))
            found.append(Held(entry.name, small, known))
        return found


def is_scene_pack(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "scenes.json" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def open_scenes(packed: Path, cache: Path) -> SceneStore:
    """The store of a pack under `cache`, decoded first where it is missing."""
    data_hash = content_hash(packed)
    folder = cache / f"scenes-{data_hash[:12]}-{FORMAT}"
    if not (folder / "scenes.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=folder.name, suffix=".part", dir=folder.parent))
        try:
            _decode(packed, data_hash, partial)
            put_in_place(partial, folder, "scenes.json")
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return SceneStore(folder)


def _decode(packed: Path, data_hash: str, partial: Path) -> None:
    with (
        zipfile.ZipFile(packed) as archive,
        (partial / "pixels.u8").open("wb") as file,
        (partial / "lights.f16").open("wb") as lights,
        (partial / "depths.f32").open("wb") as depths,
    ):
        with damage_told(packed, "its list of scenes"):
            index = json.loads(archive.read("scenes.json"))
            check_format(packed, index["format"], FORMAT)
            layout, rows = str(index["layout"]), list(index["scenes"])
            entries = [_entry(row) for row in rows]
        for number, (row, entry) in enumerate(zip(rows, entries, strict=True)):
            row["offset"] = file.tell()
            for k in range(entry.pictures):
                with damage_told(packed, entry.name):
                    picture = shaped(jpeg_in(archive, f"{number:05d}/{k}.jpg"), entry.width, entry.height)
                file.write(picture.tobytes())
            if row.get("light"):
                row["light"] = lights.tell()
                with damage_told(packed, entry.name):
                    found = hdr(archive.read(f"{number:05d}/{LIGHT}"))
                    assert found is not None
                    light = shaped(found, entry.width, entry.height)
                lights.write(np.clip(light, 0, BRIGHTEST).astype(np.float16).tobytes())
            if ends := row.get("depth"):
                row["depth"] = depths.tell()
                with damage_told(packed, entry.name):
                    coded = archive.read(f"{number:05d}/{DEPTH}")
                    steps = shaped(_png(coded), entry.width, entry.height, channels=())
                span = np.float32((ends[1] - ends[0]) / DEPTH_STEPS)
                depths.write((steps * span + np.float32(ends[0])).astype(np.float32).tobytes())
    words = json.dumps({"data_hash": data_hash, "layout": layout, "scenes": rows})
    (partial / "scenes.json").write_text(words, encoding="utf-8")


def _png(data: bytes) -> NDArray[np.uint16]:
    import cv2

    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16:
        raise ValueError("no map of depth")
    return np.asarray(found, np.uint16)


def _entry(row: dict[str, Any]) -> Entry:
    ends = row.get("depth")
    if ends is not None and not (len(ends) == 2 and all(math.isfinite(float(end)) for end in ends)):
        raise ValueError(f"a scene {row}")
    own = {"evs": tuple(float(ev) for ev in row["evs"]), "offset": 0, "depth": None if ends is None else 0}
    entry = Entry(**{**row, **own})
    known = entry.part in get_args(Part) and isinstance(entry.name, str) and type(entry.reference) is bool
    known = known and entry.light in (None, True)
    if not known or len(entry.evs) < (2 if ends is None else 1) or not sides(entry.height, entry.width):
        raise ValueError(f"a scene {row}")
    return entry


def _unit(pixels: NDArray[np.generic]) -> Floats:
    scaled: Floats = np.multiply(pixels, np.float32(1 / 255), dtype=np.float32)
    return scaled


class RecordedBrackets(Simulator):
    """Batches of recorded scenes. Nothing is simulated: no motion, no fisheye, no noise but what is there."""

    def __init__(self, scenes: SceneStore, data: Data, *, seed: int = 0, part: Part = "train") -> None:
        self.scenes, self.seed, self.part = scenes, seed, part
        self._extremes = None
        self._numbers = scenes.of(part)
        low, high = data.frames
        longest = max((len(scenes.entries[number].evs) for number in self._numbers), default=high)
        self.data = replace(data, frames=(low, max(low, min(high, longest))))

    def with_data(self, data: Data) -> RecordedBrackets:
        return RecordedBrackets(self.scenes, data, seed=self.seed, part=self.part)

    def sample(self, index: int, frames: int | None = None) -> Sample:
        rng = self.rng(0, index)
        low, high = self.data.frames
        count = frames or int(rng.integers(low, high + 1))
        long_enough = [k for k in self._numbers if len(self.scenes.entries[k].evs) >= count]
        number = int(rng.choice(long_enough or self._numbers))
        entry, shots = self.scenes.entries[number], self.scenes.frames(number)
        kind, chosen = self._choose(len(shots), count, rng)
        crop = self._cut_of(entry, rng)
        stored = np.stack([self._bytes(crop, shots[k]) for k in chosen])
        target = clean = None
        if self.data.target:
            target = _unit(crop.cut(self._reference(number), self.data.crop_px))
        if self.data.clean:
            ends = np.linspace(0, len(shots) - 1, count).round().astype(int)
            proper = chosen if kind == "bracket" else list(ends)
            clean = _unit(np.stack([crop.cut(shots[k], self.data.crop_px) for k in proper]))
        evs = tuple(entry.evs[k] for k in chosen)
        middle = (evs[0] + evs[-1]) / 2
        return Sample(stored, tuple(ev - middle for ev in evs), kind, entry.name, target, clean=clean)

    def _choose(self, frames: int, count: int, rng: np.random.Generator) -> tuple[str, list[int]]:
        """Which frames of a sequence, dark to bright; some more than once where it has too few."""
        if frames >= 4 and count == 2 and rng.random() < self.data.lopsided:
            return ("two-under", [0, 1]) if rng.random() < 0.5 else ("two-over", [frames - 2, frames - 1])
        if count >= frames or rng.random() < ENDS:
            return "bracket", [int(k) for k in np.linspace(0, frames - 1, count).round()]
        return "bracket", sorted(int(k) for k in rng.choice(frames, count, replace=False))

    def _cut_of(self, entry: Entry, rng: np.random.Generator) -> Crop:
        """A square, as the simulator cuts it: most of the short side ("whole"), or near native scale."""
        short = min(entry.height, entry.width)
        whole = self.data.views == "whole"
        wanted = short * rng.uniform(0.82, 1.0) if whole else self.data.crop_px * rng.uniform(1.0, 2.0)
        side = min(wanted, float(short))
        width, height = side / entry.width, side / entry.height
        left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
        turns = 0 if whole else self._turns(rng)
        return Crop(left, top, width, height, flip=bool(rng.random() < 0.5), turns=turns)

    def _bytes(self, crop: Crop, picture: NDArray[np.generic]) -> Bytes:
        return (crop.cut(picture, self.data.crop_px) + 0.5).clip(0, 255).astype(np.uint8)

    def _reference(self, number: int) -> Floats:
        """The scene's own reference, or Mertens' fusion of all its frames. 0..255."""
        if self.scenes.entries[number].reference:
            return np.asarray(self.scenes.pictures(number)[-1], np.float32)
        shots = _unit(self.scenes.frames(number))
        fused = blend(pyramids(shots), Weighting(1.0, 1.0, 1.0).weights(shots))
        return np.asarray(settled(fused) * 255, np.float32)

    def normal(self, rng: np.random.Generator) -> Bytes:
        """The frame of any scene whose light is nearest to a well exposed one."""
        return self._nearest(0.46, rng)

    def exposed_for(self, means: tuple[float, float], rng: np.random.Generator) -> Bytes:
        return self._nearest(rng.uniform(*means) / 255, rng)

    def _nearest(self, wanted: float, rng: np.random.Generator) -> Bytes:
        number = int(rng.choice(self._numbers))
        shots = self.scenes.frames(number)
        light = (shots[:, ::8, ::8] @ LUMA).mean((1, 2)) / 255
        crop = self._cut_of(self.scenes.entries[number], rng)
        return self._bytes(crop, shots[int(np.abs(light - wanted).argmin())])
