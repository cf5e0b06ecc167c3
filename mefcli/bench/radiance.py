"""How exactly the light of a scene is found: brackets simulated from radiance maps, and what is left.

A map is photographed as RAW (a mosaic of 14 bits, with the noise of photons and of reading) or as JPEG,
through one of five responses. Judged is what any frame shows, neither clipped nor black; one factor for the
whole picture is free, for a bracket cannot know it. OpenCV's two methods get the same files, RAW as LibRaw
develops them to 8 bits, which is what they take.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import UsageError
from mefcli.job import Job

Floats = NDArray[np.float32]

FULL_WELL, READ_NOISE = 25_000.0, 5.0  # electrons of the simulated camera
BLACK, WHITE = 512, 16383
SEEN_RAW = (0.001, 0.95)  # of full scale, without noise: what a frame shows
SEEN_JPEG = (2.5 / 255, 252.5 / 255)
LENS_PX = 0.7  # the blur of a lens: maps are sharper than any, down to single pixels that no mosaic can tell
MIDDLE = 0.18  # where the middle frame puts the scene's median
STEPS = {3: 2.0, 5: 1.5, 7: 1.0, 9: 1.0}
QUALITY, SUBSAMPLED = 95, "4:2:2"
SENSOR_GAINS = (0.5, 1.0, 0.65)  # how much of white red, green and blue get
# base, gamma, shoulder, contrast, toe of `mefcli.training.camera.response_curve`
RESPONSES: dict[str, tuple[float, float, float, float, float]] = {
    "srgb": (0.0, 2.2, 1.0, 0.0, 0.0),
    "power": (1.0, 2.2, 0.01, 0.0, 0.0),
    "shoulder": (1.0, 1.9, 4.0, 0.0, 0.0),
    "contrast": (0.4, 2.0, 1.0, 0.4, 0.0),
    "toe": (0.5, 2.1, 2.0, 0.2, 0.12),
}
Method = Callable[[Sequence[Path], Sequence[float]], Floats]


@dataclass(frozen=True)
class Row:
    source: str  # raw, or jpeg and its response
    frames: int
    method: str
    brackets: int
    median_stops: float  # of the brackets' medians
    worst_stops: float  # bracket
    p95_stops: float  # median of the brackets' 95th percentiles


def maps(folder: Path | None, count: int, width: int) -> list[tuple[str, Floats]]:
    """So many of the folder's maps, evenly spread over it; without one, the demo's room."""
    from mefcli.demo import scene
    from mefcli.training.radiance import read_radiance

    if folder is None:
        return [("room", _cut(scene(width), width))]
    found = sorted(folder.rglob("*.hdr"))
    if not found:
        raise UsageError(f"{folder} holds no radiance maps.", "Give a folder of .hdr files.")
    chosen = [found[round(place)] for place in np.linspace(0, len(found) - 1, min(count, len(found)))]
    return [(path.stem, _cut(read_radiance(path), width)) for path in chosen]


def _cut(light: Floats, width: int) -> Floats:
    """The middle of a map, through a lens, with even sides, as a mosaic has them."""
    import cv2

    height = min(light.shape[0], width * 2 // 3) // 2 * 2
    width = min(light.shape[1], width) // 2 * 2
    top, left = (light.shape[0] - height) // 2, (light.shape[1] - width) // 2
    seen = np.ascontiguousarray(light[top : top + height, left : left + width])
    return np.asarray(cv2.GaussianBlur(seen, (0, 0), LENS_PX), np.float32)


def measure(
    scenes: Sequence[tuple[str, Floats]],
    counts: Sequence[int],
    folder: Path,
    *,
    seed: int = 7,
    peers: bool = True,
    on_case: Callable[[str], None] | None = None,
) -> Iterator[Row]:
    """A row for each kind of source, number of frames and method; files are made below `folder`."""
    methods: dict[str, Method] = {"mef hdr": ours}
    if peers:
        methods |= {"OpenCV MergeDebevec": debevec, "OpenCV MergeRobertson": robertson}
    for kind, count in itertools.product(("raw", *RESPONSES), counts):
        left: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
        for number, (_, light) in enumerate(scenes):
            rng = np.random.default_rng((seed, count, number))
            paths, evs, truth, seen = photograph(light, kind, count, folder, rng)
            for name, method in methods.items():
                left[name].append(error(method(paths, evs), truth, seen))
            for path in paths:
                path.unlink()
        if on_case:
            on_case(f"{kind}, {count} frames")
        for name, errors in left.items():
            medians = [one for one, _ in errors]
            yield Row(
                "raw" if kind == "raw" else f"jpeg {kind}",
                count,
                name,
                len(errors),
                statistics.median(medians),
                max(medians),
                statistics.median(p95 for _, p95 in errors),
            )


def photograph(
    light: Floats, kind: str, count: int, folder: Path, rng: np.random.Generator
) -> tuple[list[Path], list[float], Floats, NDArray[np.bool_]]:
    """Files dark to bright, their exposures, the light they were made from, and what any of them shows."""
    evs = [STEPS.get(count, 1.0) * (index - (count - 1) / 2) for index in range(count)]
    light = light * np.float32(MIDDLE / max(1e-9, float(np.median(light))))
    if kind == "raw":
        paths = [folder / f"{index}.dng" for index in range(count)]
        for path, ev in zip(paths, evs, strict=True):
            _write_raw(path, light * np.float32(2.0**ev), rng)
        shown = [(light * 2.0**ev, SEEN_RAW) for ev in evs]
    else:
        from mefcli.training.camera import Camera, response_curve

        camera = Camera(response_curve(*RESPONSES[kind]), (1.15, 1.0, 0.9), FULL_WELL, READ_NOISE)
        light = light * np.array(camera.white, np.float32)
        plain = Camera(camera.curve, (1.0, 1.0, 1.0), FULL_WELL, READ_NOISE)
        paths = [folder / f"{index}.jpg" for index in range(count)]
        for path, ev in zip(paths, evs, strict=True):
            _write_jpeg(path, plain.shoot(light, ev, rng))
        shown = [(plain.develop(light * np.float32(2.0**ev)), SEEN_JPEG) for ev in evs]
    seen = np.any([(values > low) & (values < high) for values, (low, high) in shown], axis=0)
    return paths, evs, light, seen


def _write_raw(path: Path, light: Floats, rng: np.random.Generator) -> None:
    from mefcli import formats
    from mefcli.formats.dng import SRGB_CAMERA

    sensor = light * np.array(SENSOR_GAINS, np.float32)
    mosaic = np.empty(sensor.shape[:2], np.float32)
    for row, column, colour in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = sensor[row::2, column::2, colour]
    electrons = mosaic * np.float32(FULL_WELL)
    electrons += rng.standard_normal(mosaic.shape, np.float32) * np.sqrt(
        electrons + np.float32(READ_NOISE**2)
    )
    levels = np.clip(np.rint(electrons / FULL_WELL * (WHITE - BLACK) + BLACK), 0, WHITE).astype(np.uint16)
    matrix = [value * SENSOR_GAINS[place // 3] for place, value in enumerate(SRGB_CAMERA)]
    formats.write_dng(
        path,
        levels,
        black_level=BLACK,
        white_level=WHITE,
        colour_matrix=matrix,
        as_shot_neutral=SENSOR_GAINS,
    )


def _write_jpeg(path: Path, pixels: NDArray[np.uint8]) -> None:
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(pixels)).save(path, quality=QUALITY, subsampling=SUBSAMPLED)


def error(found: Floats, truth: Floats, seen: NDArray[np.bool_]) -> tuple[float, float]:
    """Median and 95th percentile of |log2 of the ratio|, in stops, with the best factor for the whole."""
    seen = seen & (truth > 0)
    stops = np.log2(np.maximum(found[seen], 1e-9)) - np.log2(truth[seen])
    left = np.abs(stops - np.median(stops))
    return float(np.median(left)), float(np.percentile(left, 95))


def ours(paths: Sequence[Path], evs: Sequence[float]) -> Floats:
    from mefcli import api
    from mefcli.pipeline import light

    job = Job()
    return light.make(api.plan(list(paths), ev=list(evs), job=job), job).radiance.whole()


def debevec(paths: Sequence[Path], evs: Sequence[float]) -> Floats:
    import cv2

    return _opencv(cv2.createCalibrateDebevec(), cv2.createMergeDebevec(), paths, evs)


def robertson(paths: Sequence[Path], evs: Sequence[float]) -> Floats:
    import cv2

    return _opencv(cv2.createCalibrateRobertson(), cv2.createMergeRobertson(), paths, evs)


def _opencv(calibrate: object, merge: object, paths: Sequence[Path], evs: Sequence[float]) -> Floats:
    from mefcli import formats
    from mefcli.formats.pixels import to_depth

    frames = [np.ascontiguousarray(to_depth(formats.decode(path).pixels, 8)) for path in paths]
    times = np.array([2.0**ev for ev in evs], np.float32)
    response = calibrate.process(frames, times)  # type: ignore[attr-defined]
    found: Floats = merge.process(frames, times, response)  # type: ignore[attr-defined]
    return found
