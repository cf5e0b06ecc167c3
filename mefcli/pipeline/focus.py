"""A focus stack from files to one picture: frames are read, aligned, evened and folded in one after another.

The frame in the middle comes first and gives the geometry, then its neighbours, outward on both sides. At any
time there are the picture so far, the frame at hand and the one being read, however many the stack has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mefcli.clock import Clock, peak_memory_mb
from mefcli.job import Job
from mefcli.pipeline import to_files
from mefcli.pipeline.lay import Laid, laid
from mefcli.pipeline.read import as_float, decoded_one_by_one, one_profile
from mefcli.pipeline.results import Done
from mefcli.tasks import check_task
from mefcli.values import Alignment, Bracket, Fused, OnStep, Pixels, Placed, Record, Sharp, Step, silent

if TYPE_CHECKING:
    from mefcli.formats import Picture
    from mefnets.engine.fusion import Fusion
    from mefnets.focus.fold import Fold, Judge

MAP_PX = 240  # long side of the map of frames
OnFrame = Callable[[int, "Picture"], None]


def ignored(index: int, picture: Picture) -> None:
    """The default `on_frame`."""


@dataclass(frozen=True)
class Folded:
    """A stack with all its frames in one picture."""

    fold: Fold
    placed: tuple[Placed, ...]  # near focus first
    pictures: tuple[Picture, ...]  # their profiles and notes; pixels are gone
    notes: tuple[str, ...]


def check(bracket: Bracket, outputs: Sequence[Path], job: Job, fuser: Fusion | None = None) -> Fusion | None:
    """Refuse a run that cannot end well. The engine, if it is given or had to be loaded to be sure of it."""
    from mefcli.pipeline.check import check as check_all

    check_task("focus", job)
    return check_all(bracket, outputs, job, fuser, "focus")


def run(
    bracket: Bracket, outputs: Sequence[Path], job: Job, on_step: OnStep = silent, fuser: Fusion | None = None
) -> Done:
    """One stack from files to files. What can fail is checked before the first pixel is decoded."""
    return to_files(check, make, bracket, outputs, job, on_step, fuser)


def make(
    bracket: Bracket,
    job: Job,
    on_step: OnStep = silent,
    fuser: Fusion | None = None,
    *,
    depth: int | None = None,
    clock: Clock | None = None,
    on_frame: OnFrame = ignored,
) -> Fused:
    """One stack from files to a picture in memory.

    `on_frame` is shown each frame as it was read; holding it would cost its memory.
    """
    from mefcli.pipeline.check import check_engine, check_frames
    from mefcli.pipeline.fuse import load_fuser, weights_of
    from mefnets.engine import opencv
    from mefnets.engine.frames import convert

    check_task("focus", job)
    check_frames(bracket, job)
    clock = clock or Clock()
    fuser = fuser or check_engine(job, "focus")
    with clock("load"):
        fuser = fuser or load_fuser(job.model, weights=job.weights, device=job.device, half=job.half)
    with opencv.THREADS.settled(most=1):
        found = _folded(bracket, job, _judge(fuser, job), on_step, clock, on_frame)
    with clock("fuse"):
        pixels = convert(found.fold.picture, depth or job.bit_depth or 16)
    record = Record(
        model=fuser.spec.name,
        weights_sha256=weights_of(fuser),
        settings=job.settings,
        seconds=clock.seconds,
        peak_memory_mb=peak_memory_mb(),
        notes=found.notes,
        sources=tuple(path.name for path in bracket.paths),
    )
    height, width = found.fold.picture.shape[:2]
    alignment = None if job.align == "off" else Alignment(found.placed, (0, 0, width, height))
    sharp = _sharp(found.fold.sharpest, len(bracket.shots))
    icc = one_profile(bracket, found.pictures)
    return Fused(bracket, pixels, icc, record, alignment, sharp=sharp)


def _judge(fuser: Fusion, job: Job) -> Judge:
    from mefnets.focus.opinion import Opinion
    from mefnets.focus.sharpness import Sharpness

    return Opinion(fuser, job.max_memory) if fuser.spec.learned else Sharpness()


def _folded(
    bracket: Bracket, job: Job, judge: Judge, on_step: OnStep, clock: Clock, on_frame: OnFrame
) -> Folded:
    from mefnets.focus.fold import Fold

    count, names = len(bracket.shots), [path.name for path in bracket.paths]
    read = decoded_one_by_one(bracket, job)
    pictures: dict[int, Picture] = {}

    def decoded(index: int) -> Pixels:
        picture = read(index)
        on_frame(index, picture)
        pictures[index] = replace(picture, pixels=np.empty((0, 0, 3), np.uint8))
        return picture.pixels

    def begin(number: int, name: str) -> None:
        on_step(Step("fuse", number / count, name))

    placed: dict[int, Placed] = {}
    evened_count, fold = 0, None
    for one in laid(bracket, job, decoded, clock, begin):
        placed[one.index] = one.placed
        evened_count += one.evened
        with clock("fuse"):
            if fold is None:
                fold = Fold(judge, one.frame, one.index)
            else:
                fold.add(_like(one.frame, fold.picture), one.index, one.shown)
    assert fold is not None
    on_step(Step("fuse", 1.0))
    notes = dict.fromkeys(
        (*bracket.notes, *(note for index in sorted(pictures) for note in pictures[index].notes))
    )
    lost = [names[index] for index in sorted(placed) if not placed[index].trusted]
    told = [f"{name}: not aligned, too little detail in common with its neighbour." for name in lost]
    if evened_count:
        told.append(f"Brightness was evened in {evened_count} of {count} frames.")
    return Folded(
        fold,
        tuple(placed[index] for index in range(count)),
        tuple(pictures[index] for index in range(count)),
        (*notes, *told),
    )


def prepared(
    bracket: Bracket, job: Job, megapixels: float, on_step: OnStep = silent
) -> tuple[list[Pixels], list[Laid]]:
    """The frames of a stack, reduced, and as they are laid on the reference: for whoever folds it often."""
    from mefcli.evaluation.scenes import reduced

    read = decoded_one_by_one(bracket, job)
    count = len(bracket.shots)

    def decoded(index: int) -> Pixels:
        return reduced(read(index).pixels, megapixels)

    def begin(number: int, name: str) -> None:
        on_step(Step("read", number / count, name))

    found = list(laid(bracket, job, decoded, Clock(), begin))
    return [one.frame for one in sorted(found, key=lambda one: one.index)], found


def fold_laid(found: Sequence[Laid], fuser: Fusion, job: Job) -> Pixels:
    """What `prepared` laid, folded."""
    from mefnets.focus.fold import Fold

    fold = Fold(_judge(fuser, job), found[0].frame, found[0].index)
    for one in found[1:]:
        fold.add(_like(one.frame, fold.picture), one.index, one.shown)
    picture: Pixels = fold.picture
    return picture


def _like(frame: Pixels, picture: Pixels) -> Pixels:
    """In the depth of the picture."""
    from mefnets.focus.fold import deep

    if picture.dtype == np.float32:
        return as_float(frame)
    if frame.dtype == np.float32:
        return np.asarray(np.rint(np.clip(frame, 0, 1) * 65535), np.uint16)
    deeper: Pixels = deep(frame)
    return deeper


def _sharp(sharpest: NDArray[np.uint8], count: int) -> Sharp:
    step = max(1, -(-max(sharpest.shape) // MAP_PX))
    shares = np.bincount(sharpest.ravel(), minlength=count)[:count] / sharpest.size
    return Sharp(tuple(shares.tolist()), sharpest[step // 2 :: step, step // 2 :: step].copy())
