"""One bracket of a batch, from files to files, in whatever process it is called."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mefcli.batch.claims import check_ours, claim
from mefcli.batch.plan import Work
from mefcli.errors import MefError, OutputError, named
from mefcli.pipeline.results import Done, Failed, Result, done
from mefcli.values import Bracket, Fused, OnStep, Pixels, Stack, silent

if TYPE_CHECKING:
    from mefcli.clock import Clock
    from mefcli.formats import Picture
    from mefcli.job import Job
    from mefnets.engine.fusion import Fusion


def fuse_work(
    work: Work,
    on_step: OnStep = silent,
    stack: Stack | Exception | None = None,
    fuser: Fusion | None = None,
) -> Result:
    """Fuse and write. Whatever goes wrong with this bracket is told in the result, not raised."""
    start = time.perf_counter()
    result: Result
    try:
        result = _fuse(work, on_step, stack, fuser)
    except MefError as error:
        result = failure(work, error)
    except MemoryError:
        hint = f"Try {named('max_memory')}."
        result = failure(work, MefError("This machine's memory does not suffice.", hint))
    except OSError as error:  # a disk or a folder went away in mid-work
        result = failure(work, OutputError(f"{error.filename or 'A file'}: {error.strerror}."))
    except Exception as error:  # the outer edge: one bracket's fault must not stop the others
        result = failure(work, MefError(f"Unexpected {type(error).__name__}: {error}"))
    return replace(result, seconds=time.perf_counter() - start)


def failure(work: Work, error: MefError) -> Failed:
    return Failed(work.bracket.paths, error, work.bracket)


def read_stack(work: Work, on_step: OnStep = silent) -> Stack:
    from mefcli.pipeline.read import read

    start = time.perf_counter()
    stack = read(complete(work.bracket), work.job, on_step)
    return replace(stack, read_s=time.perf_counter() - start)


def read_ahead(work: Work) -> Stack | None:
    """What can be read before a bracket's turn: of a focus stack nothing, whose frames never lie together."""
    return read_stack(work) if work.task == "exposure" else None


def complete(bracket: Bracket) -> Bracket:
    """A bracket whose files tell no exposures, put in order by measured brightness."""
    if len(set(bracket.evs)) > 1:
        return bracket
    from mefcli.brackets.order import one_bracket

    return one_bracket(bracket.shots)


def _fuse(work: Work, on_step: OnStep, stack: Stack | Exception | None, fuser: Fusion | None) -> Done:
    from mefcli.clock import Clock, peak_memory_mb
    from mefcli.pipeline.fuse import fuser_for
    from mefcli.pipeline.write import check_codecs, check_outputs, depth_of, write

    job = replace(work.job, overwrite=True)  # whose files these are is settled here, by their content
    for output in work.outputs:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{output.parent} cannot be made: {error.strerror}.") from error
    check_outputs(work.outputs, work.bracket.paths, overwrite=True)
    check_codecs(work.outputs, job, work.bracket.shots[0].size_px)
    check_ours(work)
    if isinstance(stack, Exception):
        raise stack
    clock = Clock()
    depth = max(depth_of(output, job) for output in work.outputs)
    fuser = fuser or fuser_for(job.model, job.weights, job.device, job.half)
    frames: list[bytes] = []
    if work.task == "focus":
        from mefcli.pipeline import focus

        fused = focus.make(
            work.bracket, job, on_step, fuser, depth=depth, clock=clock, on_frame=_glance_at(work, frames)
        )
    elif work.task == "infrared":
        from mefcli.pipeline import infrared

        fused = infrared.make(
            work.bracket, job, on_step, fuser, depth=depth, clock=clock, on_read=_glance(work, frames)
        )
    else:
        fused = _fused(work, job, on_step, stack, fuser, depth, clock, frames)
    notes = list(fused.record.notes)
    with clock("write"):
        written = write(fused, work.outputs, job, on_step, notes.append, partial(claim, work))
    record = replace(fused.record, seconds=clock.seconds, peak_memory_mb=peak_memory_mb(), notes=tuple(notes))
    result = done(replace(fused, record=record), written)
    if not work.thumbs:
        return result
    from mefcli.report.thumbs import RESULT_PX, thumb

    return replace(result, thumbs=(*frames, thumb(fused.pixels, fused.icc, RESULT_PX)))


def _fused(
    work: Work,
    job: Job,
    on_step: OnStep,
    stack: Stack | None,
    fuser: Fusion,
    depth: int,
    clock: Clock,
    thumbs: list[bytes],
) -> Fused:
    from mefcli.batch.look import apply_curve
    from mefcli.pipeline import make

    bracket = complete(work.bracket) if stack is None else stack.bracket
    if stack is not None:
        clock.seconds["read"] = stack.read_s  # it was read ahead
    glance = _glance(work, thumbs)

    def look(stack: Stack) -> None:
        glance(stack.frames, stack.icc)

    finish = None if work.curve is None else partial(apply_curve, curve=work.curve)
    return make(
        bracket, job, on_step, fuser, depth=depth, clock=clock, stack=stack, on_read=look, finish=finish
    )


def _glance(work: Work, thumbs: list[bytes]) -> Callable[[Sequence[Pixels], bytes | None], None]:
    """Takes small pictures of the frames, where the batch's page wants them."""

    def look(frames: Sequence[Pixels], icc: bytes | None) -> None:
        if work.thumbs:
            from mefcli.report.thumbs import thumbs_of

            thumbs.extend(thumbs_of(frames, icc))

    return look


def _glance_at(work: Work, thumbs: list[bytes]) -> Callable[[int, Picture], None]:
    """The same of a focus stack, whose frames come one by one, from the middle outward."""
    from mefcli.report.gallery import MOST_FRAMES

    if work.thumbs:
        thumbs.extend(b"" for _ in work.bracket.shots)

    def look(index: int, picture: Picture) -> None:
        if work.thumbs and index < MOST_FRAMES:
            from mefcli.report.thumbs import FRAME_PX, thumb

            thumbs[index] = thumb(picture.pixels, picture.icc, FRAME_PX)

    return look
