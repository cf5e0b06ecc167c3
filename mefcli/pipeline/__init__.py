"""The stages, in order: read -> align -> deghost -> fuse -> write.

Each takes the last one's value and returns a new one, and none knows the next. Stages neither print nor know
the screen; `on_step` hears how far they are. `mefcli.brackets` comes before them: it says what a bracket is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mefcli.clock import Clock, peak_memory_mb
from mefcli.job import Job
from mefcli.pipeline.results import Done, done
from mefcli.values import Bracket, Fused, OnStep, Stack, silent

if TYPE_CHECKING:
    from mefcli.pipeline.fuse import Finish
    from mefnets.engine.fusion import Fusion

OnRead = Callable[[Stack], None]

__all__ = ["Job", "make", "prepare", "run"]


def ignored(_: Stack) -> None:
    """The default `on_read`."""


def run(
    bracket: Bracket,
    outputs: Sequence[Path],
    job: Job,
    on_step: OnStep = silent,
    fuser: Fusion | None = None,
    *,
    clock: Clock | None = None,
) -> Done:
    """One bracket from files to files. What can fail is checked before the first pixel is decoded."""
    from mefcli.pipeline.check import check

    return to_files(check, make, bracket, outputs, job, on_step, fuser, clock=clock)


def to_files(
    check: Callable[..., Fusion | None],
    make: Callable[..., Fused],
    bracket: Bracket,
    outputs: Sequence[Path],
    job: Job,
    on_step: OnStep,
    fuser: Fusion | None,
    *,
    clock: Clock | None = None,
) -> Done:
    """A task's own check, then its picture at the depth that the outputs need, written to them."""
    from mefcli.pipeline.write import depth_of, write

    fuser = check(bracket, outputs, job, fuser)
    clock = clock or Clock()
    depth = max(depth_of(output, job) for output in outputs)
    fused = make(bracket, job, on_step, fuser, depth=depth, clock=clock)
    notes = list(fused.record.notes)
    with clock("write"):
        written = write(fused, outputs, job, on_step, notes.append)
    record = replace(fused.record, seconds=clock.seconds, peak_memory_mb=peak_memory_mb(), notes=tuple(notes))
    return done(replace(fused, record=record), written)


def make(
    bracket: Bracket,
    job: Job,
    on_step: OnStep = silent,
    fuser: Fusion | None = None,
    *,
    depth: int | None = None,
    clock: Clock | None = None,
    stack: Stack | None = None,
    on_read: OnRead = ignored,
    finish: Finish | None = None,
) -> Fused:
    """One bracket from files to a fused picture in memory. A `stack` read ahead is not read again, and spent.

    `on_read` is shown the frames as they were read; holding them would cost their memory. `finish` changes
    the picture last.
    """
    from mefcli.pipeline.check import check_engine, check_memory
    from mefcli.pipeline.fuse import as_it_is, fuse, import_engine_meanwhile, load_fuser

    clock = clock or Clock()
    fuser = fuser or check_engine(job)
    check_memory(bracket, job, depth or job.bit_depth or 16)
    if fuser is None:
        import_engine_meanwhile(job)
    stack = prepare(bracket, job, on_step, clock=clock, stack=stack, on_read=on_read)
    with clock("load"):
        fuser = fuser or load_fuser(job.model, weights=job.weights, device=job.device, half=job.half)
    with clock("fuse"):
        fused = fuse(stack, fuser, job, on_step, depth=depth, finish=finish or as_it_is, spend=True)
    record = replace(fused.record, seconds=clock.seconds, peak_memory_mb=peak_memory_mb())
    return replace(fused, record=record)


def prepare(
    bracket: Bracket,
    job: Job,
    on_step: OnStep = silent,
    *,
    clock: Clock | None = None,
    stack: Stack | None = None,
    on_read: OnRead = ignored,
) -> Stack:
    """A bracket's frames as fusion wants them: read, aligned, without ghosts.

    They take the places of those of a `stack` that is given.
    """
    from mefcli.pipeline.read import read
    from mefnets.engine import opencv

    clock = clock or Clock()
    with opencv.THREADS.settled():
        if stack is None:
            with clock("read"):
                stack = read(bracket, job, on_step)
        on_read(stack)
        with clock("align"):
            stack = _align(stack, job, on_step)
        with clock("deghost"):
            stack = _deghost(stack, job, on_step)
        return replace(stack, reduced=None)  # of no more use


def _align(stack: Stack, job: Job, on_step: OnStep) -> Stack:
    if job.align == "off":
        return stack
    from mefcli.pipeline.align import align

    return align(stack, job, on_step, spend=True)


def _deghost(stack: Stack, job: Job, on_step: OnStep) -> Stack:
    if job.deghost == "off" and stack.alignment is None:
        return stack
    from mefcli.pipeline.deghost import deghost

    return deghost(stack, job, on_step, spend=True)
