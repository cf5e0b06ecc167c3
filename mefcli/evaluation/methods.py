"""Score a folder of scenes: results that are there, or models run now."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mefcli.errors import InputError, ModelError
from mefcli.evaluation.metrics import LIGHT_NAMES, REFERENCE_NAMES, Picture, score
from mefcli.evaluation.ranking import Row
from mefcli.evaluation.scenes import (
    Scene,
    find_fused,
    read_light,
    read_pixels,
    read_scene,
    reduced,
    usable_ends,
)
from mefnets.spec import Task

Frames = list[NDArray[Any]]
Maker = Callable[[Scene, Frames], NDArray[Any] | None]  # None: no result for this scene


def from_folder(folder: Path, scenes: Sequence[Scene]) -> dict[str, Maker]:
    """Methods whose results lie in a folder."""

    def maker(paths: dict[str, Path]) -> Maker:
        def make(scene: Scene, frames: Frames) -> NDArray[Any] | None:
            if scene.name not in paths:
                return None
            pixels = read_pixels(paths[scene.name])
            return reduced(pixels, frames[0].shape[0] * frames[0].shape[1] / 1e6)

        return make

    return {method: maker(paths) for method, paths in find_fused(folder, scenes).items()}


QUICK_S = 2.0
"""CPU seconds a megapixel that a quick model takes at most; the slowest takes twenty times as many."""


def all_models(task: Task = "exposure", *, quick: bool = False) -> tuple[list[str], dict[str, str]]:
    """What 'all' stands for, and for each model that is left out of it the reason."""
    from mefcli.checkpoints import is_ready, known_models

    chosen: list[str] = []
    left_out: dict[str, str] = {}
    for name, spec in known_models(task).items():
        if not is_ready(spec):
            left_out[name] = "it has no trained weights on this machine"
        elif spec.aligns:
            left_out[name] = (
                "it aligns frames by itself, the others are given aligned ones; name it to see it"
            )
        elif quick and (spec.cost is None or spec.cost.cpu_s > QUICK_S):
            cost = f"it takes {spec.cost.cpu_s:g} CPU-s a megapixel" if spec.cost else "its cost is not known"
            left_out[name] = f"{cost}, which is not fast"
        else:
            chosen.append(name)
    return chosen, left_out


def chosen_models(text: str) -> list[str]:
    """'all' (what can run here and leaves alignment to mef), or a list with commas, of names and of files."""
    from mefcli.checkpoints import find_model

    if text == "all":
        return all_models()[0]
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        find_model(name)
    return names


def labelled(names: Sequence[str]) -> dict[str, str]:
    """Every model by what a table calls it: a file of weights by its name alone, where no other has it."""
    from mefcli.checkpoints import is_file

    short = [Path(name).stem if is_file(name) else name for name in names]
    return {one if short.count(one) == 1 else name: name for one, name in zip(short, names, strict=True)}


def from_models(
    names: Sequence[str],
    *,
    device: str = "auto",
    on_missing: Callable[[str, ModelError], None] | None = None,
) -> dict[str, Maker]:
    """Methods that are our models. One that cannot be loaded is told to `on_missing`, where there is one."""
    from mefcli import api

    makers: dict[str, Maker] = {}
    for label, name in labelled(names).items():
        try:
            fuser = api.load_fuser(name, device=device)
        except ModelError as error:
            if on_missing is None:
                raise
            on_missing(name, error)
            continue

        def make(scene: Scene, frames: Frames, fuser: Any = fuser) -> NDArray[Any]:
            result: NDArray[Any] = fuser.fuse(frames, depth=8)
            return result

        makers[label] = make
    if not makers:
        raise ModelError("None of the models could be loaded.", "mef models shows what is here.")
    return makers


def trained_on(models: Iterable[str], names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """By model, those of the measures `names` that its weights were trained on: a table flatters it there."""
    from mefcli.checkpoints import weights_of
    from mefcli.training.lineage import asked_of

    table, found = tuple(names), {}
    for model in models:
        path = weights_of(model)
        asked = asked_of(path) if path else ()
        if shared := tuple(name for name in table if name in asked):
            found[model] = shared
    return found


def trained_words(found: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence for each model that has seen some of a table's measures."""
    return [f"{model} was trained on {', '.join(names)}" for model, names in found.items()]


def evaluate(
    scenes: Sequence[Scene],
    makers: dict[str, Maker],
    *,
    names: Sequence[str] | None = None,
    max_pixels: float | None = None,
    ends: bool = False,
    on_row: Callable[[float, str], None] = lambda done, note: None,
) -> Iterator[Row]:
    """One row for each scene and method that has a result; `ends`: of its two usable ends."""
    total, count = len(scenes) * len(makers), 0
    for scene in scenes:
        frames = read_scene(scene, max_pixels)
        frames = usable_ends(frames) if ends else frames
        inputs = [Picture(frame) for frame in frames]
        truth = Picture(reduced(read_pixels(scene.reference), max_pixels)) if scene.reference else None
        light = read_light(scene.light, frames[0].shape[:2]) if scene.light else None
        for method, make in makers.items():
            on_row(count / total, f"{scene.name}, {method}")
            count += 1
            pixels = make(scene, frames)
            if pixels is None:
                continue
            if pixels.shape[:2] != frames[0].shape[:2]:
                raise InputError(
                    f"The result of {method} for {scene.name} is {pixels.shape[1]}x{pixels.shape[0]} pixels,"
                    f" its inputs {frames[0].shape[1]}x{frames[0].shape[0]}.",
                    "Metrics compare pictures of one size.",
                )
            yield Row(scene.name, method, _scored(pixels, inputs, names, truth, light))
    on_row(1.0, "")


def _scored(
    pixels: NDArray[Any],
    inputs: list[Picture],
    names: Sequence[str] | None,
    truth: Picture | None,
    light: NDArray[Any] | None,
) -> dict[str, float]:
    if names is None:
        return score(pixels, inputs, reference=truth, light=light)
    missing = (*(REFERENCE_NAMES if truth is None else ()), *(LIGHT_NAMES if light is None else ()))
    possible = [name for name in names if name not in missing]
    scores = score(pixels, inputs, names=possible, reference=truth, light=light)
    return {name: scores.get(name, math.nan) for name in names}
