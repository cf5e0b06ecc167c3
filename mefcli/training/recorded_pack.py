"""One's own scenes packed into one zip whose bytes depend on the pictures alone, as the free pictures are.

`recorded.py` opens it. Frames lie dark to bright; those alike in light are a focus stack, in their own order.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli import storage
from mefcli.errors import InputError, UnreadableError
from mefcli.formats.source import RESTORE
from mefcli.training import matlab
from mefcli.training.camera import Bytes, Floats
from mefcli.training.pack import PHOTO_QUALITY, zip_entry
from mefcli.training.related import check_related
from mefcli.training.scenes import Found, Scene

FORMAT = 1
LIGHT, BRIGHTEST = "light.hdr", 6e4  # its member's name; what half floats hold
DEPTH, DEPTH_STEPS = "depth.png", 65535  # its member's name; from the nearest to the farthest
MOST_DEPTH_PX = 100_000_000
LONG_SIDE_PX = 768  # larger pictures are reduced to this
GAMMA = 2.2  # of pictures whose exposures nobody tells
ALIKE_EV = 0.5  # frames of a focus stack differ by less; by GAMMA this is a sixth of the light
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def pack_scenes(found: Found, out: Path) -> None:
    """Pack scenes into `out`; replaces it only when complete."""
    check_related(found)
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    with storage.written(out) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for number, scene in enumerate(found.scenes):
            rows.append(_packed(scene, number, archive))
        index = {"format": FORMAT, "layout": found.layout, "scenes": rows}
        archive.writestr(zip_entry("scenes.json"), json.dumps(index, indent=1, ensure_ascii=False))


def _packed(scene: Scene, number: int, archive: zipfile.ZipFile) -> dict[str, Any]:
    import cv2

    frames = [_read(path, scene.item) for path in scene.frames]
    light = [float((frame @ LUMA).mean()) for frame in frames]
    evs = scene.evs or tuple(GAMMA * float(np.log2(max(mean, 1.0) / 255)) for mean in light)
    order = list(range(len(frames)))
    if not alike(evs):
        order.sort(key=lambda k: (evs[k], light[k]))
    pictures = [frames[k] for k in order] + ([_read(scene.reference)] if scene.reference else [])
    for k, picture in enumerate(pictures):
        if picture.shape != pictures[0].shape:
            one, other = (
                scene.frames[order[0]].name,
                (*(scene.frames[i].name for i in order), "its reference")[k],
            )
            raise InputError(f"Scene {scene.name}: {other} and {one} differ in size.", "Crop them alike.")
        coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, PHOTO_QUALITY])[1]
        archive.writestr(zip_entry(f"{number:05d}/{k}.jpg"), coded.tobytes())
    height, width = pictures[0].shape[:2]
    if scene.light:
        # 1 at the white of the darkest frame, whatever the stops of the set count from.
        light = _read_light(scene.light, height, width) * np.float32(2.0 ** evs[order[0]])
        coded = cv2.imencode(".hdr", light[..., ::-1])[1]
        archive.writestr(zip_entry(f"{number:05d}/{LIGHT}"), coded.tobytes())
    ends = None
    if scene.depth:
        depth = _read_depth(scene.depth, scene.item, height, width)
        ends = float(depth.min()), float(depth.max())
        steps = (depth - np.float32(ends[0])) * np.float32(DEPTH_STEPS / max(ends[1] - ends[0], 1e-12))
        coded = cv2.imencode(".png", np.rint(steps).astype(np.uint16))[1]
        archive.writestr(zip_entry(f"{number:05d}/{DEPTH}"), coded.tobytes())
    middle = (evs[order[0]] + evs[order[-1]]) / 2
    return {
        "name": scene.name,
        "part": scene.part,
        "evs": [round(evs[k] - middle, 3) for k in order],
        "reference": scene.reference is not None,
        "height": height,
        "width": width,
        **({"light": True} if scene.light else {}),
        **({"depth": ends} if ends else {}),
    }


def _read_light(path: Path, height: int, width: int) -> Floats:
    import cv2

    light = hdr(path.read_bytes())
    if light is None:
        raise UnreadableError(f"{path} is not a readable radiance map.", "Remove it from the data.")
    if abs(light.shape[0] / light.shape[1] - height / width) > 0.02 * height / width:
        raise InputError(f"{path} has another shape than the frames beside it.", "Crop them alike.")
    return np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _read_depth(path: Path, item: int | None, height: int, width: int) -> Floats:
    """Depth in any unit, in full: a hole would be learned."""
    import cv2

    from mefcli.depth.files import read

    if item is None:
        depth = read(path, MOST_DEPTH_PX)
        numbers, holes = depth.numbers, bool(depth.holes.any())
    else:
        numbers = np.squeeze(_of_array(path, "depths", item))
        holes = numbers.dtype.kind not in "fiu" or not np.isfinite(numbers).all()
    which = path.name if item is None else f"{path.name}, number {item},"
    if holes:
        raise InputError(f"{path.parent / which} has holes, so it is no truth to learn from.", "Fill them.")
    if numbers.ndim != 2 or abs(numbers.shape[0] / numbers.shape[1] - height / width) > 0.02 * height / width:
        raise InputError(
            f"{path.parent / which} has another shape than the picture beside it.", "Crop them alike."
        )
    floats = np.ascontiguousarray(numbers, np.float32)
    if floats.shape == (height, width):
        return floats
    # No mean of near and far, which is nowhere.
    return np.asarray(cv2.resize(floats, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.float32)


def _of_array(path: Path, member: matlab.Member, item: int) -> NDArray[Any]:
    """One of the pictures of an array file, or of their depths, which are another file but in a .mat."""
    if path.suffix.lower() == ".mat":
        return matlab.item(path, member, item)
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)[item])
    except (ValueError, OSError, EOFError, IndexError) as error:
        raise UnreadableError(f"{path} has no number {item}: it is cut off or damaged.", RESTORE) from error


def hdr(data: bytes) -> Floats | None:
    """Linear RGB of a Radiance file."""
    import cv2

    coded = np.frombuffer(data, np.uint8)
    found = cv2.imdecode(coded, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR) if coded.size else None
    if found is None or found.dtype != np.float32 or not np.isfinite(found).all():
        return None
    return np.ascontiguousarray(found[..., ::-1])


def alike(evs: tuple[float, ...]) -> bool:
    return max(evs) - min(evs) < ALIKE_EV


def _read(path: Path, item: int | None = None) -> Bytes:
    """RGB, at most LONG_SIDE_PX a side; `item` of an array of pictures."""
    import cv2

    picture: NDArray[Any] | None
    if item is None:
        coded = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(coded, cv2.IMREAD_COLOR) if coded.size else None
    else:
        picture = _bytes_of(_of_array(path, "images", item))
    if picture is None:
        raise UnreadableError(f"{path} is not a readable picture.", "Remove it from the data.")
    scale = LONG_SIDE_PX / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(picture[..., ::-1], np.uint8)


def _bytes_of(picture: NDArray[Any]) -> Bytes | None:
    """BGR of an array's RGB, in levels or from 0 to 1."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype.kind not in "fu":
        return None
    levels = picture if picture.dtype == np.uint8 else np.clip(picture * 255.0 + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(levels[..., ::-1])
