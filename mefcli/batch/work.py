"""One bracket of a batch, from files to a JSON object, in whatever process it is called."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from mefcli.batch.plan import Work
from mefcli.errors import MefError, OutputError, named
from mefcli.pipeline.results import Failed, done, result_object
from mefcli.values import Bracket, OnStep, Stack, silent


def fuse_work(work: Work, on_step: OnStep = silent, stack: Stack | Exception | None = None) -> dict[str, Any]:
    """Fuse and write. Whatever goes wrong with this bracket is told in the result, not raised."""
    start = time.perf_counter()
    try:
        result = _fuse(work, on_step, stack)
    except MefError as error:
        result = failure(work, error)
    except MemoryError:
        hint = f"Try {named('max_memory')}."
        result = failure(work, MefError("This machine's memory does not suffice.", hint))
    except OSError as error:  # a disk or a folder went away in mid-work
        result = failure(work, OutputError(f"{error.filename or 'A file'}: {error.strerror}."))
    except Exception as error:  # the outer edge: one bracket's fault must not stop the others
        result = failure(work, MefError(f"Unexpected {type(error).__name__}: {error}"))
    return {**result, "seconds_total": round(time.perf_counter() - start, 3)}


def failure(work: Work, error: MefError) -> dict[str, Any]:
    return {**result_object(Failed(work.bracket.paths, error, work.bracket)), "status": "failed"}


def read_stack(work: Work, on_step: OnStep = silent) -> Stack:
    from mefcli.pipeline.read import read

    start = time.perf_counter()
    stack = read(complete(work.bracket), work.job, on_step)
    return replace(stack, read_s=time.perf_counter() - start)


def complete(bracket: Bracket) -> Bracket:
    """A bracket whose files tell no exposures, put in order by measured brightness."""
    if len(set(bracket.evs)) == len(bracket.evs):
        return bracket
    from mefcli.brackets.order import one_bracket

    return one_bracket(bracket.shots)


def _fuse(work: Work, on_step: OnStep, stack: Stack | Exception | None) -> dict[str, Any]:
    from mefcli.batch.look import apply_curve
    from mefcli.clock import Clock, peak_memory_mb
    from mefcli.pipeline import make
    from mefcli.pipeline.fuse import fuser_for
    from mefcli.pipeline.write import check_outputs, depth_of, write

    job = replace(work.job, overwrite=True)  # the journal has settled whose files these are
    for output in work.outputs:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{output.parent} cannot be made: {error.strerror}.") from error
    check_outputs(work.outputs, work.bracket.paths, overwrite=True)
    if isinstance(stack, Exception):
        raise stack
    bracket = complete(work.bracket) if stack is None else stack.bracket
    clock = Clock()
    if stack is not None:
        clock.seconds["read"] = stack.read_s  # it was read ahead
    depth = max(depth_of(output, job) for output in work.outputs)
    fuser = fuser_for(job.model, job.weights, job.device, job.half)
    fused = make(bracket, job, on_step, fuser, depth=depth, clock=clock, stack=stack)
    if work.curve is not None:
        fused = replace(fused, pixels=apply_curve(fused.pixels, work.curve))
    notes = list(fused.record.notes)
    with clock("write"):
        written = write(fused, work.outputs, job, on_step, notes.append)
    record = replace(fused.record, seconds=clock.seconds, peak_memory_mb=peak_memory_mb(), notes=tuple(notes))
    return {**result_object(done(replace(fused, record=record), written)), "status": "done"}
