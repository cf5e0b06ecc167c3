"""The stages, in order, and `run()`, which is their table of contents.

Path -> Shot -> Bracket -> Stack -> Fused -> Path: each stage takes the last one's value and returns a new
one. Stages neither print nor know the screen; they report through `on_step`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mefcli.job import Job
from mefcli.pipeline.results import Done, done
from mefcli.values import Bracket, Fused, OnStep, Stack, silent

if TYPE_CHECKING:
    from mefnets.engine.fuser import Fuser

__all__ = ["IMPORTING", "Job", "make", "run"]

IMPORTING = "import of the engine"  # name of the thread; Python waits for it at its end


def run(
    bracket: Bracket,
    outputs: Sequence[Path],
    job: Job,
    on_step: OnStep = silent,
    fuser: Fuser | None = None,
) -> Done:
    """One bracket from files to files. Outputs are checked before the first pixel is decoded."""
    from mefcli.pipeline.write import check_outputs, depth_of, write

    check_outputs(outputs, bracket.paths, overwrite=job.overwrite)
    clock = Clock()
    depth = max(depth_of(output, job) for output in outputs)
    fused = make(bracket, job, on_step, fuser, depth=depth, clock=clock)
    notes = list(fused.record.notes)
    with clock("write"):
        written = write(fused, outputs, job, on_step, notes.append)
    record = dataclasses.replace(
        fused.record, seconds=clock.seconds, peak_memory_mb=peak_memory_mb(), notes=tuple(notes)
    )
    return done(dataclasses.replace(fused, record=record), written)


def make(
    bracket: Bracket,
    job: Job,
    on_step: OnStep = silent,
    fuser: Fuser | None = None,
    *,
    depth: int | None = None,
    clock: Clock | None = None,
    stack: Stack | None = None,
) -> Fused:
    """One bracket from files to a fused picture in memory. A `stack` read ahead is not read again."""
    from mefcli.checkpoints import find_model, is_ready, missing
    from mefcli.pipeline.read import read

    clock = clock or Clock()
    spec = find_model(job.model)  # a slip in its name shows before the work begins
    if fuser is None and job.weights is None and not is_ready(spec):
        raise missing(spec)
    _import_engine_meanwhile()
    if stack is None:
        with clock("read"):
            stack = read(bracket, job, on_step)
    with clock("align"):
        stack = _align(stack, job, on_step)
    with clock("deghost"):
        stack = _deghost(stack, job, on_step)
    with clock("load"):
        from mefcli.pipeline.fuse import fuse, load_fuser

        fuser = fuser or load_fuser(job.model, weights=job.weights, device=job.device, half=job.half)
    with clock("fuse"):
        fused = fuse(stack, fuser, job, on_step, depth=depth)
    record = dataclasses.replace(fused.record, seconds=clock.seconds, peak_memory_mb=peak_memory_mb())
    return dataclasses.replace(fused, record=record)


class Clock:
    """Wall seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def peak_memory_mb() -> float | None:
    """The most memory this process ever held."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _import_engine_meanwhile() -> None:
    """Importing torch costs about two seconds of CPU; let it happen while files are read."""
    if "torch" not in sys.modules:
        threading.Thread(target=_import_engine, name=IMPORTING).start()


def _import_engine() -> None:
    with contextlib.suppress(Exception):  # whoever needs the engine imports it again, and is told
        importlib.import_module("mefnets.engine.fuser")


def _align(stack: Stack, job: Job, on_step: OnStep) -> Stack:
    if job.align == "off":
        return stack
    from mefcli.pipeline.align import AlignSettings, align

    return align(stack, AlignSettings(model=job.align, crop=job.crop, strict=job.strict), on_step)


def _deghost(stack: Stack, job: Job, on_step: OnStep) -> Stack:
    if job.deghost == "off":
        return stack
    from mefcli.pipeline.deghost import DeghostSettings, deghost

    settings = DeghostSettings(
        strength="auto" if job.deghost == "auto" else int(job.deghost),
        reference="auto" if job.reference is None else stack.bracket.reference + 1,
        debug_dir=None if job.debug_dir is None else Path(job.debug_dir),
    )
    return deghost(stack, settings, on_step)
