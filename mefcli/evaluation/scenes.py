"""Folders of scenes for `mef eval`: pairs or sequences, their results, and a reference where there is one.

Plain layout: one folder a scene, two or more pictures in each; a picture whose name is `reference`, `target`,
`label` or `gt` (or ends in `_gt`) is the ground truth, a `.hdr` the light of the scene. Layout of the MEFB
benchmark as published: `input/<scene>/<scene>_A.*` and `_B.*`, results in one folder as
`<scene>_<method>.*`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import InputError, UnreadableError, named
from mefcli.formats.table import OPENCV_READS

Layout = Literal["plain", "mefb"]
USABLE = (12 / 255, 243 / 255)  # mean values between which a frame shows something
RADIANCE = ".hdr"
TRUTH = re.compile(r"(^|.*[_-])(gt|reference|target|label)$", re.IGNORECASE)


@dataclass(frozen=True)
class Scene:
    name: str
    inputs: tuple[Path, ...]  # as named; `read_scene` sorts them dark to bright
    reference: Path | None = None
    light: Path | None = None  # a radiance map of the scene


def pictures_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in OPENCV_READS and p.is_file())


def find_scenes(folder: Path, layout: Layout = "plain") -> list[Scene]:
    """Every subfolder with at least two pictures, by name."""
    if not folder.is_dir():
        raise InputError(
            f"{folder} is not a folder.", "Name the folder that holds one folder for each scene."
        )
    top = folder / "input" if layout == "mefb" and (folder / "input").is_dir() else folder
    scenes = []
    for place in sorted(p for p in top.iterdir() if p.is_dir()):
        files = pictures_in(place)
        truth = [p for p in files if TRUTH.match(p.stem)]
        inputs = [p for p in files if p not in truth]
        if layout == "mefb":
            inputs = [p for p in inputs if re.search(r"[_-][AB]$", p.stem, re.IGNORECASE)] or inputs
        if len(inputs) >= 2:
            light = sorted(p for p in place.iterdir() if p.suffix.lower() == RADIANCE and p.is_file())
            reference = truth[0] if truth else None
            scenes.append(Scene(place.name, tuple(inputs), reference, light[0] if light else None))
    if not scenes:
        raise InputError(
            f"{folder} holds no scenes.",
            f"A scene is a folder with two or more pictures; see {named('layout')}.",
        )
    return scenes


def find_fused(folder: Path, scenes: Sequence[Scene]) -> dict[str, dict[str, Path]]:
    """Results by method, then scene: `<scene>.*` or `<scene>_<method>.*`, also inside `<method>/`."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", f"{named('fused')} names the folder with the results.")
    found: dict[str, dict[str, Path]] = {}
    by_length = sorted((scene.name for scene in scenes), key=len, reverse=True)
    places = [(folder, folder.name), *((p, p.name) for p in sorted(folder.iterdir()) if p.is_dir())]
    for place, method in places:
        for path in pictures_in(place):
            # Longest names first: "House_2_x" belongs to House_2, not to House.
            scene = next((n for n in by_length if path.stem == n or path.stem.startswith(f"{n}_")), None)
            if scene is None:
                continue
            tail = path.stem[len(scene) + 1 :]
            name = tail if place == folder and tail and tail != "fused" else method
            found.setdefault(name, {})[scene] = path
    if not found:
        raise InputError(
            f"{folder} holds no result for these scenes.",
            f"Name results after their scenes, such as {scenes[0].name}.png.",
        )
    return found


def read_pixels(path: Path) -> NDArray[Any]:
    """Stored RGB values `(H, W, 3)`, uint8 or uint16, upright; the colour profile does not count here."""
    from mefcli.formats import decode

    pixels = decode(path).pixels
    if pixels.dtype == np.float32:
        raise UnreadableError(f"{path} is not a readable 8- or 16-bit picture.")
    return pixels


def read_light(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A radiance map, linear RGB, at the height and width of the frames by area averaging."""
    import cv2

    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read: {error.strerror}.") from error
    stored = cv2.imdecode(data, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR) if data.size else None
    if stored is None or stored.dtype != np.float32:
        raise UnreadableError(f"{path} is not a readable radiance map.")
    height, width = shape
    if abs(stored.shape[0] / stored.shape[1] - height / width) > 0.02 * height / width:
        raise InputError(
            f"{path} has {stored.shape[1]}x{stored.shape[0]} pixels, its frames {width}x{height}.",
            "A radiance map shows what the frames show.",
        )
    small = cv2.resize(stored, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., ::-1])


def read_scene(scene: Scene, max_pixels: float | None = None) -> list[NDArray[Any]]:
    """The inputs, dark to bright, reduced by area averaging to at most `max_pixels` megapixels."""
    frames = [reduced(read_pixels(path), max_pixels) for path in scene.inputs]
    return sorted(frames, key=lambda frame: float(frame.mean()))


def usable_ends(frames: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """The darkest and the brightest frame that show something: the ends of a pair as benchmarks have them."""
    lightest = 65535 if frames[0].dtype == np.uint16 else 255
    shares = [float(frame.mean()) / lightest for frame in frames]
    usable = [frame for frame, share in zip(frames, shares, strict=True) if USABLE[0] <= share <= USABLE[1]]
    frames = usable if len(usable) > 1 else frames
    return [frames[0], frames[-1]]


def reduced(pixels: NDArray[Any], max_megapixels: float | None) -> NDArray[Any]:
    height, width = pixels.shape[:2]
    if max_megapixels is None or height * width <= max_megapixels * 1e6:
        return pixels
    import cv2

    scale = (max_megapixels * 1e6 / (height * width)) ** 0.5
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    small = cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    stored: NDArray[Any] = np.floor(small + 0.5).astype(pixels.dtype)
    return stored
