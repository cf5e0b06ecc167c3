"""How near to the truth enlarged depth comes: a map is made smaller and enlarged again.

Made smaller as papers do it with NYU v2: by antialiased cubic interpolation. Scenes are simulated from
pictures that no network is trained on, or a folder's own maps with their colour pictures.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mefcli.depth.enlarge import Floats, resized
from mefcli.depth.guided import Guide, filtered
from mefcli.errors import InputError, MismatchError, UnreadableError
from mefcli.training.validate import Held
from mefcli.values import Pixels

METHODS = ("bicubic", "guided", "model")
FACTORS = (4, 8, 16)
MAPS = ("depth.npy", "depth.tif", "depth.png")
PICTURES = ("rgb.jpg", "rgb.png", "rgb.tif")


@dataclass(frozen=True)
class Scene:
    name: str
    colour: Pixels
    depth: Floats  # (H, W), without holes
    scale: float = 1.0  # of an error, as it is told


@dataclass(frozen=True)
class Row:
    scenes: str
    factor: int
    method: str
    count: int
    rmse: float  # mean over the scenes
    worst: float
    better: int  # scenes in which it is below bicubic


def simulated(held: Sequence[Held]) -> list[Scene]:
    """Errors in per cent of each scene's range."""
    found = []
    for one in held:
        assert one.truth is not None
        depth = one.truth[..., 0]
        found.append(Scene(Path(one.scene).stem, one.frames[0], depth, 100 / float(np.ptp(depth))))
    return found


def in_folder(folder: Path, max_pixels: int = 100_000_000) -> list[Scene]:
    """Every folder in it with a map, `depth.npy`, and a picture, `rgb.jpg`; errors in the maps' own unit."""
    from mefcli import formats
    from mefcli.depth.files import read

    found = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else ():
        maps = [place / name for name in MAPS if (place / name).is_file()]
        pictures = [place / name for name in PICTURES if (place / name).is_file()]
        if not maps or not pictures:
            continue
        depth, picture = read(maps[0], max_pixels), formats.decode(pictures[0], max_pixels=max_pixels)
        if depth.holes.any():
            raise UnreadableError(f"{maps[0]} has holes, so it is no truth to compare with.", "Leave it out.")
        if picture.pixels.shape[:2] != depth.numbers.shape:
            raise MismatchError(f"{maps[0]} and {pictures[0].name} are not of one size.", "Leave them out.")
        found.append(Scene(place.name, picture.pixels, depth.numbers.astype(np.float32)))
    if not found:
        raise InputError(
            f"{folder} holds no folders with depth.npy and rgb.jpg.", "Name the folder above such folders."
        )
    return found


def measure(
    title: str,
    scenes: Sequence[Scene],
    guide: Guide | None,
    methods: Sequence[str] = METHODS,
    factors: Sequence[int] = FACTORS,
    *,
    on_scene: Callable[[str], None] | None = None,
) -> Iterator[Row]:
    for factor in factors:
        errors: dict[str, list[float]] = {method: [] for method in methods}
        plain: list[float] = []
        for scene in scenes:
            low = reduced(scene.depth, factor)
            plain.append(error(resized(low, scene.depth.shape), scene))
            for method in methods:
                errors[method].append(error(enlarged(low, scene.colour, method, guide), scene))
            if on_scene:
                words = ", ".join(f"{method} {values[-1]:.3g}" for method, values in errors.items())
                on_scene(f"x{factor}, {scene.name}: {words}")
        for method, values in errors.items():
            better = sum(one < other for one, other in zip(values, plain, strict=True))
            yield Row(title, factor, method, len(values), statistics.mean(values), max(values), better)


def reduced(depth: Floats, factor: int) -> Floats:
    height, width = depth.shape
    return resized(depth, (max(1, round(height / factor)), max(1, round(width / factor))))


def enlarged(low: Floats, colour: Pixels, method: str, guide: Guide | None) -> Floats:
    if method == "bicubic":
        return resized(low, (colour.shape[0], colour.shape[1]))
    if method == "guided":
        return filtered(low, colour)
    assert guide is not None
    return guide.enlarged(low, colour)


def error(found: Floats, scene: Scene) -> float:
    """The root of the mean square error."""
    off = found.astype(np.float64) - scene.depth
    return scene.scale * float(np.sqrt(np.square(off).mean()))
