"""One's own pictures: scenes of several exposures (or focus distances, or sensors), as data sets have them.

Recognised, in this order:

* depth             `rgb/` and `depth/` with the same names in both, or a folder a scene with a picture and
                    its `depth.png`, `.tif` or `.npy`; or NYU v2, as `nyu_depth_v2_labeled.mat` or as arrays
                    (`train_images_split.npy` and `train_depth_split.npy`, `test_images_v2.npy` and
                    `test_depth.npy`)
* SICE              numbered folders of exposures beside `Label/` with the chosen fusion of each (also in
                    `Dataset_Part1/`, `Dataset_Part2/`, which archives may hold twice: one in the other)
* Kalantari         a folder a scene with `exposure.txt` (stops), exposures, and `HDRImg.hdr`, the light of
                    the middle one
* parallel folders  `under/` and `over/` (or `A/` and `B/`, `source_1/`, `near/` ...) with the same names in
                    both, references in `gt/`, `label/` ... where there are any: DeepFuse's pairs, multi-focus
* named pairs       `NAME_A` and `NAME_B` (or `_under`, `_over` ...) in one folder: Lytro; of numbers
                    (`-1`, `-2`) all that follow are of the scene
* scene folders     a folder a scene with two or more pictures; one called `reference`, `gt`, `label` or
                    `target` is the reference

`train/`, `val/` and `test/` above any of these decide the split; otherwise a hash of a scene's name does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from mefcli.errors import InputError, UnreadableError
from mefcli.formats.table import OPENCV_READS
from mefcli.training import matlab
from mefcli.training.pack import Part

HELD_OUT = 0.12  # share of the scenes kept for validation
REFERENCE = re.compile(r"(.*[_-])?(reference|ref|gt|label|target|truth)", re.IGNORECASE)
REFERENCES = (
    "gt",
    "label",
    "labels",
    "reference",
    "references",
    "target",
    "groundtruth",
    "full_clear",
    "fusion",
)
PARTS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "val",
}
SIDES = (  # dark before bright, where light tells them apart
    ("under", "over"),
    ("ue", "oe"),
    ("low", "high"),
    ("dark", "bright"),
    ("a", "b"),
    ("source_1", "source_2"),
    ("source1", "source2"),
    ("imagea", "imageb"),
    ("near", "far"),
    ("ir", "vi"),
    ("infrared", "visible"),
    ("1", "2"),
)
SIDE_NAMES = frozenset(side for pair in SIDES for side in pair if not side.isdigit())
_WORDS = "|".join(re.escape(word) for word in (*REFERENCES, *sorted(SIDE_NAMES)))
SIDE_WORD = re.compile(rf"(?<=.)[_-](?:{_WORDS})$|^(?:{_WORDS})[_-](?=.)", re.IGNORECASE)
COLOURS, DEPTHS = ("rgb", "images", "image", "color", "colour"), ("depth", "depths")
DEPTH_READS = (".npy", ".png", ".tif", ".tiff")
ARRAYS: tuple[tuple[str, str, Part], ...] = (  # NYU v2, as papers on depth pass it on
    ("train_images_split.npy", "train_depth_split.npy", "train"),
    ("test_images_v2.npy", "test_depth.npy", "val"),
)
NYU = "nyu_depth_v2_labeled.mat"
NYU_TRAIN = 1000 / 1449  # papers on depth learn from the first thousand
LAYOUT = (
    "Give a folder with one folder for each scene: SCENE/1.jpg, SCENE/2.jpg, ... from dark to bright, with "
    "SCENE/reference.png where there is one."
)


@dataclass(frozen=True)
class Scene:
    name: str
    frames: tuple[Path, ...]  # as named; they are sorted by their light when they are read
    reference: Path | None = None
    evs: tuple[float, ...] = ()  # of `frames`, in stops, where the data set tells them
    light: Path | None = None  # linear, 1 at the white of an exposure of 0 stops; of the middle frame
    depth: Path | None = None  # of the one frame
    item: int | None = None  # which of the pictures, where frame and depth are arrays of many
    part: Part = "train"


@dataclass(frozen=True)
class Found:
    layout: str
    scenes: tuple[Scene, ...]

    def words(self) -> str:
        """What was found, in a sentence."""
        held = sum(scene.part == "val" for scene in self.scenes)
        if all(scene.depth for scene in self.scenes):
            return f"{self.layout}: {len(self.scenes)}, {held} held out."
        counts = sorted({len(scene.frames) for scene in self.scenes})
        frames = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        references = sum(scene.reference is not None for scene in self.scenes)
        told = {0: "no references", len(self.scenes): "a reference each"}
        lit = sum(scene.light is not None for scene in self.scenes)
        light = f", {'their' if lit == len(self.scenes) else f'of {lit} the'} light" if lit else ""
        return (
            f"{self.layout}: {len(self.scenes)} scenes of {frames} frames, "
            f"{told.get(references, f'{references} with a reference')}{light}, {held} held out."
        )


def find(folder: Path) -> Found:
    """The scenes of a folder, split; or a refusal that shows the layout."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", LAYOUT)
    parts = {path: PARTS[path.name.lower()] for path in _folders(folder) if path.name.lower() in PARTS}
    if parts:
        found = [(_laid_out(path), part) for path, part in parts.items()]
        layouts = {one.layout for one, _ in found if one}
        if layouts:
            scenes = [
                replace(scene, name=f"{path.name}/{scene.name}", part=part)
                for path, (one, part) in zip(parts, found, strict=True)
                if one
                for scene in one.scenes
            ]
            return _held_out(
                Found(" and ".join(sorted(layouts)), tuple(scenes)), chosen="val" in parts.values()
            )
    whole = _laid_out(folder)
    if whole is None:
        raise InputError(f"{folder} holds no scenes that are known here.", LAYOUT)
    return _held_out(whole, chosen=any(scene.part == "val" for scene in whole.scenes))


def _held_out(found: Found, chosen: bool) -> Found:
    """A hash of the name decides, the same on every machine; at least one scene is held out, one is not."""
    scenes = found.scenes
    if len(scenes) < 2:
        raise InputError("There is only one scene.", "Training needs one to learn from and one to judge by.")
    if not chosen:
        shares = {scene.name: _share(scene.name) for scene in scenes}
        bound = max(HELD_OUT, min(shares.values()))
        last = max(shares.values())
        scenes = tuple(
            replace(
                scene, part="val" if shares[scene.name] <= bound and shares[scene.name] < last else "train"
            )
            for scene in scenes
        )
    return replace(found, scenes=scenes)


def _share(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32


# ---- layouts ---------------------------------------------------------------------------------------------


def _laid_out(folder: Path) -> Found | None:
    for name, look in LAYOUTS.items():
        scenes = tuple(look(folder))
        if scenes:
            return Found(name, scenes)
    return None


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        (path for path in folder.iterdir() if path.suffix.lower() in OPENCV_READS and path.is_file()),
        key=_by_number,
    )


def _by_number(path: Path) -> list[tuple[int, str]]:
    """2.jpg before 10.jpg."""
    return [
        (int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name) if part
    ]


def _named(folder: Path, *names: str) -> Path | None:
    """The subfolder that has one of these names, whatever its case."""
    by_name = {path.name.lower(): path for path in _folders(folder)}
    return next((by_name[name] for name in names if name in by_name), None)


def _sice(folder: Path) -> Iterator[Scene]:
    for top in [folder, *_sice_parts(folder)]:
        labels = _named(top, "label", "labels")
        if labels is None:
            continue
        references = {path.stem: path for path in _pictures(labels)}
        for place in _folders(top):
            frames = _pictures(place)
            if place.name.isdigit() and len(frames) >= 2:
                name = place.name if top == folder else f"{top.name}/{place.name}"
                yield Scene(name, tuple(frames), references.get(place.name))


def _sice_parts(folder: Path) -> Iterator[Path]:
    for path in _folders(folder):
        if path.name.lower().startswith("dataset_part"):
            yield from (path, *_sice_parts(path))


def _kalantari(folder: Path) -> Iterator[Scene]:
    for place in _folders(folder):
        table = place / "exposure.txt"
        if not table.is_file():
            continue
        frames = _pictures(place)
        try:
            evs = tuple(float(word) for word in table.read_text().split())
        except (ValueError, UnicodeDecodeError) as error:
            raise InputError(
                f"{table} holds no exposures.", "It should hold one number of stops a frame."
            ) from error
        if len(frames) >= 2:
            if len(evs) != len(frames):
                raise InputError(f"{table} has {len(evs)} exposures for {len(frames)} frames.", "Mend it.")
            light = sorted(path for path in place.iterdir() if path.suffix.lower() == ".hdr")
            frames = [path for path in frames if path not in light]
            yield Scene(place.name, tuple(frames), evs=evs, light=light[0] if light else None)


def _parallel(folder: Path) -> Iterator[Scene]:
    for one, other in SIDES:
        first, second = _named(folder, one), _named(folder, other)
        if first is None or second is None:
            continue
        if one == "1" and sum(path.name.isdigit() for path in _folders(folder)) > 2:
            continue  # 1/, 2/, 3/ ...: a folder a scene
        references = _named(folder, *REFERENCES)
        given = _by_scene(_pictures(references)) if references else {}
        ones, others = _by_scene(_pictures(first)), _by_scene(_pictures(second))
        if len(one) > 1 and ones and others and not ones.keys() & others.keys():
            raise InputError(
                f"{first} and {second} share no scene: no two pictures in them have one name.",
                "Name both pictures of a scene alike.",
            )
        for scene, path in ones.items():
            if scene in others:
                yield Scene(scene, (path, others[scene]), given.get(scene))
        return


def _by_scene(paths: Sequence[Path]) -> dict[str, Path]:
    """Pictures by what their names say beside the side that they show: 001_A and A-001 are scene 001."""
    scenes = [SIDE_WORD.sub("", path.stem) for path in paths]
    unique = len(set(scenes)) == len(scenes)
    return {scene if unique else path.stem: path for scene, path in zip(scenes, paths, strict=True)}


def _pairs(folder: Path) -> Iterator[Scene]:
    by_stem = {path.stem.lower(): path for path in _pictures(folder)}
    for one, other in SIDES:
        found = False
        for stem, path in by_stem.items():
            tail = re.fullmatch(rf"(.*?)([_-]?){one}", stem)
            mate = by_stem.get(f"{tail[1]}{tail[2]}{other}") if tail and tail[1] and tail[2] else None
            if tail and mate:
                found = True
                truth = next(
                    (by_stem[s] for r in REFERENCES if (s := f"{tail[1]}{tail[2]}{r}") in by_stem), None
                )
                more = _after(by_stem, f"{tail[1]}{tail[2]}") if one == "1" else ()
                yield Scene(path.stem[: len(tail[1])], (path, mate, *more), truth)
        if found:
            return


def _after(by_stem: dict[str, Path], start: str) -> Iterator[Path]:
    """NAME-3, NAME-4 and so on, after NAME-1 and NAME-2."""
    for number in count(3):
        if f"{start}{number}" not in by_stem:
            return
        yield by_stem[f"{start}{number}"]


def _scene_folders(folder: Path) -> Iterator[Scene]:
    for place in _folders(folder):
        pictures = _pictures(place)
        reference = next((path for path in pictures if REFERENCE.fullmatch(path.stem)), None)
        frames = tuple(path for path in pictures if path != reference)
        if len(frames) >= 2:
            yield Scene(place.name, frames, reference)


def _with_depth(folder: Path) -> Iterator[Scene]:
    if (folder / NYU).is_file():
        yield from _of_matlab(folder / NYU)
        return
    arrays = [one for one in ARRAYS if all((folder / name).is_file() for name in one[:2])]
    for pictures, depths, part in arrays:
        for number in range(_length(folder / pictures)):
            frames = (folder / pictures,)
            yield Scene(f"{part}/{number:04d}", frames, depth=folder / depths, item=number, part=part)
    colours, maps = _named(folder, *COLOURS), _named(folder, *DEPTHS)
    if arrays or not (colours and maps):
        yield from () if arrays else _depth_folders(folder)
        return
    by_stem = {path.stem: path for path in maps.iterdir() if path.suffix.lower() in DEPTH_READS}
    scenes = [
        Scene(path.stem, (path,), depth=by_stem[path.stem])
        for path in _pictures(colours)
        if path.stem in by_stem
    ]
    if not scenes:
        raise InputError(
            f"{colours} and {maps} hold no picture and map of one name.",
            "Name them alike: rgb/0001.jpg, depth/0001.png.",
        )
    yield from scenes


def _of_matlab(path: Path) -> Iterator[Scene]:
    rooms = matlab.count(path)
    for number in range(rooms):
        part: Part = "train" if number < round(NYU_TRAIN * rooms) else "val"
        yield Scene(f"{number:04d}", (path,), depth=path, item=number, part=part)


def _length(array: Path) -> int:
    import numpy as np

    try:
        return int(np.load(array, mmap_mode="r", allow_pickle=False).shape[0])
    except (ValueError, OSError, EOFError, IndexError) as error:
        raise UnreadableError(
            f"{array} is cut off or damaged: it holds no array.", "Copy it again."
        ) from error


def _depth_folders(folder: Path) -> Iterator[Scene]:
    for place in _folders(folder):
        depth = next((path for path in place.glob("depth.*") if path.suffix.lower() in DEPTH_READS), None)
        frames = [path for path in _pictures(place) if path != depth]
        if depth and len(frames) == 1:
            yield Scene(place.name, (frames[0],), depth=depth)


LAYOUTS: dict[str, Callable[[Path], Iterator[Scene]]] = {
    "pictures with depth": _with_depth,
    "SICE": _sice,
    "Kalantari": _kalantari,
    "parallel folders": _parallel,
    "named pairs": _pairs,
    "scene folders": _scene_folders,
}
