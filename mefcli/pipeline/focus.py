"""A focus stack from files to one picture: frames are read, aligned, evened and folded in one after another.

The frame in the middle comes first and gives the geometry, then its neighbours, outward on both sides. At any
time there are the picture so far, the frame at hand and the one being read, however many the stack has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mefcli.clock import Clock, peak_memory_mb
from mefcli.errors import AlignmentError, UsageError, named
from mefcli.job import Job
from mefcli.motion.breathing import Chain
from mefcli.motion.geometry import IDENTITY
from mefcli.motion.reduced import reduce, seen_by
from mefcli.motion.warp import cover_of, warp
from mefcli.pipeline import to_files
from mefcli.pipeline.even import NONE, evened, gains_between
from mefcli.pipeline.read import as_float, decoded_one_by_one, one_profile, same_size
from mefcli.pipeline.results import Done
from mefcli.values import Alignment, Bracket, Fused, OnStep, Pixels, Placed, Record, Sharp, Step, silent

if TYPE_CHECKING:
    from mefcli.formats import Picture
    from mefnets.engine.fusion import Fusion
    from mefnets.focus.fold import Fold, Judge

MAP_PX = 240  # long side of the map of frames
ALIGNS = ("auto", "off")


@dataclass(frozen=True)
class Folded:
    """A stack with all its frames in one picture."""

    fold: Fold
    placed: tuple[Placed, ...]  # near focus first
    pictures: tuple[Picture, ...]  # their profiles and notes; pixels are gone
    notes: tuple[str, ...]


def check_job(job: Job) -> None:
    """What a stack has no use for, told early."""
    if job.align not in ALIGNS:
        raise UsageError(
            f"{named('align')} cannot be {job.align!r} for a focus stack.",
            "Frames are shifted, turned and scaled: choose auto or off.",
        )


def check(bracket: Bracket, outputs: Sequence[Path], job: Job, fuser: Fusion | None = None) -> Fusion | None:
    """Refuse a run that cannot end well. The engine, if it is given or had to be loaded to be sure of it."""
    from mefcli.pipeline.check import check as check_all

    check_job(job)
    return check_all(bracket, outputs, job, fuser, "focus")


def run(
    bracket: Bracket, outputs: Sequence[Path], job: Job, on_step: OnStep = silent, fuser: Fusion | None = None
) -> Done:
    """One stack from files to files. What can fail is checked before the first pixel is decoded."""
    fuser = check(bracket, outputs, job, fuser)
    clock = Clock()

    def made(depth: int) -> Fused:
        return make(bracket, job, on_step, fuser, depth=depth, clock=clock)

    return to_files(outputs, job, on_step, clock, made)


def outward(count: int, reference: int) -> list[int]:
    """The reference, then its neighbours by turns."""
    return sorted(range(count), key=lambda index: (abs(index - reference), index))


def make(
    bracket: Bracket,
    job: Job,
    on_step: OnStep = silent,
    fuser: Fusion | None = None,
    *,
    depth: int | None = None,
    clock: Clock | None = None,
) -> Fused:
    """One stack from files to a picture in memory."""
    from mefcli.pipeline.check import check_engine, check_frames
    from mefcli.pipeline.fuse import load_fuser, weights_of
    from mefnets.engine import opencv
    from mefnets.engine.frames import convert

    check_job(job)
    check_frames(bracket, job)
    clock = clock or Clock()
    fuser = fuser or check_engine(job, "focus")
    with clock("load"):
        fuser = fuser or load_fuser(job.model, weights=job.weights, device=job.device, half=job.half)
    with opencv.THREADS.settled(most=1):
        found = _folded(bracket, job, _judge(fuser, job), on_step, clock)
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


def _folded(bracket: Bracket, job: Job, judge: Judge, on_step: OnStep, clock: Clock) -> Folded:
    from mefnets.focus.fold import Fold

    count, names = len(bracket.shots), [path.name for path in bracket.paths]
    order = outward(count, bracket.reference)
    pictures: dict[int, Picture] = {}
    placed: dict[int, Placed] = {}
    evened_names: list[str] = []
    fold: Fold | None = None
    chain: Chain | None = None
    frames = _read_ahead(bracket, job, order)
    first_small: Pixels | None = None
    for number, index in enumerate(order):
        on_step(Step("fuse", number / count, names[index]))
        with clock("read"):
            picture = next(frames)
        frame: Pixels = picture.pixels
        pictures[index] = replace(picture, pixels=np.empty((0, 0, 3), np.uint8))
        del picture
        size = (frame.shape[1], frame.shape[0])
        if fold is None:
            with clock("align"):
                reduced = reduce([frame])
                first_small = reduced.frames[0]
                if job.align != "off":
                    chain = Chain(index, first_small, reduced.factor, size)
            placed[index] = Placed("identity", IDENTITY, 1.0, 0.0, 0.0, index, True)
            with clock("fuse"):
                fold = Fold(judge, frame, index)
            continue
        assert first_small is not None
        same_size(bracket.shots[index], size, bracket.shots[order[0]], fold.picture.shape[1::-1])
        with clock("align"):
            small = reduce([frame]).frames[0]
            one = Placed("identity", IDENTITY, 1.0, 0.0, 0.0, index, True)
            if chain is not None:
                one = chain.place(index, small)
                if not one.trusted and job.strict:
                    raise AlignmentError(
                        f"{names[index]} cannot be aligned with {names[one.via]}: "
                        "too little detail in common.",
                        f"Leave out {named('strict')} to keep it where it is, or do not align.",
                    )
            placed[index] = one
            frame, gains = _brought(frame, small, first_small, one)
            if gains != NONE:
                evened_names.append(names[index])
        with clock("fuse"):
            shown = _everywhere if one.kept_identity else partial(cover_of, one.matrix, size)
            fold.add(_like(frame, fold.picture), index, shown)
    assert fold is not None
    on_step(Step("fuse", 1.0))
    notes = dict.fromkeys(
        (*bracket.notes, *(note for index in sorted(pictures) for note in pictures[index].notes))
    )
    lost = [names[index] for index in sorted(placed) if not placed[index].trusted]
    told = [f"{name}: not aligned, too little detail in common with its neighbour." for name in lost]
    if evened_names:
        told.append(f"Brightness was evened in {len(evened_names)} of {count} frames.")
    return Folded(
        fold,
        tuple(placed[index] for index in range(count)),
        tuple(pictures[index] for index in range(count)),
        (*notes, *told),
    )


def _brought(
    frame: Pixels, small: Pixels, first_small: Pixels, one: Placed
) -> tuple[Pixels, tuple[float, float, float]]:
    """A frame on the reference's geometry, and as bright."""
    size = (frame.shape[1], frame.shape[0])
    box = (0, 0, *size)
    seen: NDArray[np.bool_] | None = None
    if not one.kept_identity:
        frame = warp(frame, one.matrix, box)
        small = reduce([frame]).frames[0]
        seen = seen_by(one.matrix, box, size)
    gains = gains_between(first_small, small, seen)
    return evened(frame, gains), gains


def _everywhere(top: int, bottom: int) -> None:
    """A frame that was not moved."""


def _like(frame: Pixels, picture: Pixels) -> Pixels:
    """In the depth of the picture."""
    from mefnets.focus.fold import deep

    if picture.dtype == np.float32:
        return as_float(frame)
    if frame.dtype == np.float32:
        return np.asarray(np.rint(np.clip(frame, 0, 1) * 65535), np.uint16)
    deeper: Pixels = deep(frame)
    return deeper


def _read_ahead(bracket: Bracket, job: Job, order: Sequence[int]) -> Iterator[Picture]:
    """Decoded frames in this order, one ahead."""
    read = decoded_one_by_one(bracket, job)
    pool = ThreadPoolExecutor(1, thread_name_prefix="read ahead")
    try:
        ahead = pool.submit(read, order[0])
        for following in order[1:]:
            picture = ahead.result()
            ahead = pool.submit(read, following)
            yield picture
            del picture
        yield ahead.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _sharp(sharpest: NDArray[np.uint8], count: int) -> Sharp:
    step = max(1, -(-max(sharpest.shape) // MAP_PX))
    shares = np.bincount(sharpest.ravel(), minlength=count)[:count] / sharpest.size
    return Sharp(tuple(shares.tolist()), sharpest[step // 2 :: step, step // 2 :: step].copy())
