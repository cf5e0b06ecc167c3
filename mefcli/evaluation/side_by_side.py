"""What `mef compare` compares: frames made ready once, whatever the task, and how each model fuses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from mefcli import api
from mefcli.errors import ModelError, UsageError, named
from mefcli.evaluation.scenes import reduced
from mefcli.job import Job
from mefcli.values import Bracket, OnStep, Pixels, silent
from mefnets.spec import Task

if TYPE_CHECKING:
    from mefnets.engine.fusion import Fusion

FOCUS_METRICS = ("Q_ABF", "AG", "SF", "outside")  # edges kept, and how sharp the result is
PAIR_METRICS = ("Q_ABF", "MI", "EN", "VIF", "SD", "outside")
Frames = Sequence[NDArray[Any]]
Make = Callable[["Fusion", Job], Callable[[Frames], Pixels]]


@dataclass(frozen=True)
class Material:
    """One scene, ready to be fused by any model of its task."""

    bracket: Bracket
    frames: tuple[Pixels, ...]
    labels: tuple[str, ...]
    make: Make
    metrics: tuple[str, ...] | None = None  # None: those of exposures


def task_of_models(names: Sequence[str], task: Task | None) -> Task:
    """The one task of these models, which is the one asked for."""
    from mefcli.checkpoints import find_model

    each = {name: find_model(name).task for name in names}
    tasks = set(each.values())
    if task is not None:
        tasks.add(task)
    if len(tasks) > 1:
        words = ", ".join(f"{name} ({its})" for name, its in each.items())
        raise ModelError(
            f"These models are not all for {task or 'one task'}: {words}.",
            f"Name models of one task, or leave out {named('models')}.",
        )
    return tasks.pop()


def planned(task: Task, files: Sequence[Path], job: Job, evs: Sequence[float] | None) -> Bracket:
    if task == "focus":
        return api.plan_focus(files, job=job)
    if task == "infrared":
        return api.plan_infrared(*_two(files))
    return api.plan(files, ev=evs, job=job)


def _two(files: Sequence[Path]) -> tuple[Path, Path]:
    if len(files) != 2:
        raise UsageError(
            f"Visible and infrared are two files, not {len(files)}.", "Give the visible one first."
        )
    return files[0], files[1]


def material_of(
    task: Task, bracket: Bracket, job: Job, megapixels: float, on_step: OnStep = silent
) -> Material:
    how = {"exposure": _exposures, "focus": _stack, "infrared": _pair}
    return how[task](bracket, job, megapixels, on_step)


def _exposures(bracket: Bracket, job: Job, megapixels: float, on_step: OnStep) -> Material:
    stack = api.prepare(bracket, job=job, on_step=on_step)
    stack = replace(stack, frames=tuple(reduced(frame, megapixels) for frame in stack.frames))

    def make(fuser: Fusion, job: Job) -> Callable[[Frames], Pixels]:
        def fused(frames: Frames) -> Pixels:
            ready = replace(stack, frames=tuple(frames))
            return api.fuse_stack(ready, fuser=fuser, job=job, depth=8).pixels

        return fused

    labels = [f"{p.name}  {e:+.1f} EV" for p, e in zip(bracket.paths, bracket.evs, strict=True)]
    return Material(bracket, tuple(stack.frames), tuple(labels), make)


def _stack(bracket: Bracket, job: Job, megapixels: float, on_step: OnStep) -> Material:
    from mefcli.pipeline.focus import fold_laid, prepared

    frames, laid = prepared(bracket, job, megapixels, on_step)

    def make(fuser: Fusion, job: Job) -> Callable[[Frames], Pixels]:
        return lambda _: fold_laid(laid, fuser, job)

    labels = [
        shot.path.name + (f"  {shot.focus_m:.3g} m" if shot.focus_m is not None else "")
        for shot in bracket.shots
    ]
    return Material(bracket, tuple(frames), tuple(labels), make, FOCUS_METRICS)


def _pair(bracket: Bracket, job: Job, megapixels: float, on_step: OnStep) -> Material:
    from mefcli.pipeline.infrared import fused_by, prepared

    frames = [reduced(frame, megapixels) for frame in prepared(bracket, job, on_step)[0]]

    def make(fuser: Fusion, job: Job) -> Callable[[Frames], Pixels]:
        return lambda frames: fused_by(fuser, frames, job, silent, 8)

    labels = tuple(path.name for path in bracket.paths)
    return Material(bracket, tuple(frames), labels, make, PAIR_METRICS)
