"""How well focus stacks are folded: simulated ones, whose truth is known, and scenes of one's own.

Frames are folded as they lie, without alignment. Of simulated stacks PSNR to everything in focus is told, and
the veil about borders of depth: how much the result's 5 x 5 means differ from the truth's, by distance from
a border.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import InputError
from mefcli.evaluation.metrics import score
from mefcli.evaluation.scenes import find_scenes, read_pixels
from mefcli.training.validate import Held
from mefcli.values import Pixels

AVERAGE, ENFUSE = "average", "enfuse"
ENFUSE_SAYS = ("--contrast-weight=1", "--exposure-weight=0", "--saturation-weight=0", "--hard-mask")
BORDER = 0.05  # a step of depth, of its whole range, that is one
BESIDE_PX, FAR_PX = 5, (12, 20)  # where the veil is looked for, and where there is none
SEEN = 1.0  # levels of 255 above what is far away

Make = Callable[[Sequence[Pixels]], Pixels]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    name: str
    frames: tuple[Pixels, ...]  # near focus first
    truth: NDArray[np.float32] | None = None
    depth: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Row:
    scenes: str
    method: str
    count: int
    q_abf: float
    least_q_abf: float
    psnr: float | None = None  # mean, dB
    least_psnr: float | None = None
    veil: float | None = None  # levels of 255
    reach_px: int | None = None
    better: int | None = None  # scenes in which it is above enfuse, by PSNR, or Q_ABF where no truth is known


def simulated(held: Sequence[Held]) -> list[Scene]:
    return [Scene(Path(one.scene).stem, one.frames, one.truth, one.depth) for one in held]


def in_folder(folder: Path) -> list[Scene]:
    """Every folder in it: a stack, near focus first by name, with everything in focus where it is there."""
    found = []
    for one in find_scenes(folder, "plain"):
        truth = None if one.reference is None else _unit(read_pixels(one.reference))
        found.append(Scene(one.name, tuple(read_pixels(path) for path in one.inputs), truth))
    return found


def has_enfuse() -> bool:
    return shutil.which("enfuse") is not None


def makers(methods: Sequence[str], device: str = "auto") -> dict[str, Make]:
    """Models by name, the mean of the frames, and enfuse with its settings for focus stacks."""
    return {method: _maker(method, device) for method in methods}


def _maker(method: str, device: str) -> Make:
    if method == AVERAGE:
        return average
    if method == ENFUSE:
        if not has_enfuse():
            raise InputError("enfuse is not installed here.", "Install it, or leave it out.")
        return enfuse
    from mefcli import api
    from mefnets.focus.fold import folded
    from mefnets.focus.opinion import Opinion
    from mefnets.focus.sharpness import Sharpness

    fuser = api.load_fuser(method, device=device)

    def make(frames: Sequence[Pixels]) -> Pixels:
        judge = Opinion(fuser) if fuser.spec.learned else Sharpness()
        return _eight_bits(folded(frames, judge).picture)

    return make


def average(frames: Sequence[Pixels]) -> Pixels:
    return _eight_bits(np.mean(np.stack([_unit(frame) for frame in frames]), axis=0))


def enfuse(frames: Sequence[Pixels]) -> Pixels:
    import cv2

    with tempfile.TemporaryDirectory(prefix="mef-") as place:
        names = [f"{number}.png" for number in range(len(frames))]
        for name, frame in zip(names, frames, strict=True):
            cv2.imwrite(str(Path(place) / name), frame[..., ::-1])
        command = ["enfuse", *ENFUSE_SAYS, "-o", "out.tif", *names]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=600, check=False)
        made = cv2.imread(str(Path(place) / "out.tif"), cv2.IMREAD_COLOR)
        if done.returncode or made is None:
            raise InputError(f"enfuse failed: {done.stderr.strip()[-200:]}.", "Leave it out.")
    return np.ascontiguousarray(made[..., ::-1])


def measure(
    title: str,
    scenes: Sequence[Scene],
    methods: dict[str, Make],
    *,
    on_scene: Callable[[str], None] | None = None,
) -> Iterator[Row]:
    found: dict[str, list[tuple[float, float]]] = {}  # PSNR, Q_ABF
    veils: dict[str, list[Floats]] = {method: [] for method in methods}
    for method, make in methods.items():
        found[method] = []
        for number, scene in enumerate(scenes):
            made = make(scene.frames)
            q_abf = float(score(made, list(scene.frames), names=["Q_ABF"])["Q_ABF"])
            psnr = float("nan")
            if scene.truth is not None:
                psnr = _psnr(made, scene.truth)
                if scene.depth is not None:
                    veils[method].append(by_distance(made, scene.truth, scene.depth))
            found[method].append((psnr, q_abf))
            if on_scene:
                words = "" if scene.truth is None else f"{psnr:.1f} dB, "
                on_scene(f"{method}, {number + 1} of {len(scenes)}, {scene.name}: {words}Q_ABF {q_abf:.3f}")
    for method, values in found.items():
        yield _row(title, method, values, veils[method], found.get(ENFUSE), scenes)


def _row(
    title: str,
    method: str,
    values: list[tuple[float, float]],
    veils: list[Floats],
    others: list[tuple[float, float]] | None,
    scenes: Sequence[Scene],
) -> Row:
    psnr, q_abf = zip(*values, strict=True)
    row = Row(title, method, len(values), statistics.mean(q_abf), min(q_abf))
    known = all(scene.truth is not None for scene in scenes)
    if others is not None and method != ENFUSE:
        by = 0 if known else 1
        better = sum(one[by] > other[by] for one, other in zip(values, others, strict=True))
        row = replace(row, better=better)
    if known:
        row = replace(row, psnr=statistics.mean(psnr), least_psnr=min(psnr))
    if veils:
        veil, reach_px = veil_of(veils)
        row = replace(row, veil=veil, reach_px=reach_px)
    return row


def borders(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels beside a step of depth."""
    found = np.zeros(depth.shape, bool)
    across = np.abs(np.diff(depth, axis=1)) > BORDER
    down = np.abs(np.diff(depth, axis=0)) > BORDER
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found


def by_distance(made: Pixels, truth: NDArray[np.float32], depth: NDArray[np.float32]) -> Floats:
    """(2, distances): the sum of the differences of 5 x 5 means in levels, and how many, by whole pixels from
    the nearest border."""
    import cv2

    edge = borders(depth)
    if not edge.any():
        return np.zeros((2, FAR_PX[1] + 1))
    apart = np.abs(cv2.blur(_unit(made) - truth, (5, 5))).mean(axis=2) * 255
    away = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 5)
    at = np.minimum(away.astype(int), FAR_PX[1] + 1).ravel()
    size = FAR_PX[1] + 2
    sums = np.bincount(at, apart.ravel(), size), np.bincount(at, minlength=size)
    return np.stack(sums)[:, :-1].astype(np.float64)


def veil_of(by_scene: Sequence[Floats]) -> tuple[float, int]:
    """The worst mean within `BESIDE_PX` of a border, and how far more than `SEEN` above the far is seen."""
    sums, counts = np.sum(by_scene, axis=0)
    mean = sums / np.maximum(counts, 1)
    far = sums[slice(*FAR_PX)].sum() / max(counts[slice(*FAR_PX)].sum(), 1)
    seen = np.flatnonzero(mean > far + SEEN)
    return float(mean[: BESIDE_PX + 1].max()), int(seen.max()) if len(seen) else 0


def _psnr(made: Pixels, truth: NDArray[np.float32]) -> float:
    return float(-10 * np.log10(max(float(np.square(_unit(made) - truth).mean()), 1e-10)))


def _unit(picture: Pixels) -> NDArray[np.float32]:
    from mefcli.motion.mapping import floats

    return floats(picture)


def _eight_bits(picture: Pixels) -> Pixels:
    return np.asarray(_unit(picture) * 255 + 0.5).clip(0, 255).astype(np.uint8)
