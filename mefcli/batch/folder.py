"""A card or a tree of folders, from what was typed to results: look it over, then fuse what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mefcli.batch import engine, plan, runners, share, sources
from mefcli.batch.journal import NAME as JOURNAL
from mefcli.batch.journal import Journal
from mefcli.brackets.group import Grouping, Mode
from mefcli.brackets.stacks import sorted_for
from mefcli.errors import MefError, UsageError, named
from mefcli.job import Job
from mefcli.pipeline.check import check_engine, check_frames, check_memory, check_model
from mefcli.pipeline.results import Failed, Result
from mefcli.pipeline.write import check_absent, check_codecs, check_hdr, depth_of
from mefcli.storage import check_folder_to_be
from mefcli.tasks import ABOUT, check_task, task_of
from mefcli.values import OnStep, Shot, silent
from mefnets.spec import Task

if TYPE_CHECKING:
    from mefnets.engine.fusion import Fusion


@dataclass(frozen=True)
class Plan:
    """What a folder holds and what a batch will do with it."""

    grouping: Grouping
    works: tuple[plan.Work, ...]
    bad: tuple[sources.Bad, ...]  # what cannot be read


def look_over(
    inputs: Iterable[Path],
    output: Path,
    job: Job,
    *,
    name: str | None = None,
    formats: Sequence[str] = ("tif",),
    mode: Mode = "auto",
    gap_s: float | None = None,
    task: Task | None = None,
    settled: Callable[[Sequence[Shot]], bool] | None = None,
    known: dict[sources.Facts, Shot] | None = None,
) -> Plan:
    """Every bracket below the inputs and its outputs below `output`, from names and headers.

    `task` is the model's where it is not given. `settled` passes brackets over that are still being written;
    `known` saves reading headers again.
    """
    closed: list[sources.Bad] = []
    roots = sources.find_pictures(inputs, without=output, bad=closed)
    shots, bad = sources.read_all(roots, known)
    task = task or task_of(job)
    found = sorted_for(task, shots, mode=mode, gap_s=gap_s, raw_or_jpeg=job.raw_or_jpeg)
    if settled is not None:
        found = replace(found, brackets=tuple(one for one in found.brackets if settled(one.shots)))
    works = plan.make_plan(found.brackets, output, job, roots=roots, name=name, suffixes=formats, task=task)
    return Plan(found, tuple(works), (*closed, *bad))


def check(
    job: Job, output: Path, formats: Sequence[str], *, cluster: str | None = None, fuser: Fusion | None = None
) -> None:
    """Refuse what would fail for every bracket. What is the workers' of a cluster, only they can tell."""
    task = fuser.spec.task if fuser is not None else task_of(job)
    check_task(task, job)
    suffixes = plan.suffixes_of(formats)
    check_folder_to_be(output)
    examples = [Path(f"x{suffix}") for suffix in suffixes]
    check_hdr(examples, job)
    check_codecs(examples, job, None)
    if cluster is not None:
        from mefcli.batch.cluster import check_dask

        check_dask()
        check_model(job, task)
    elif fuser is None:
        check_engine(job, task)


def check_one_look(task: Task) -> None:
    if task != "exposure":
        raise UsageError(
            f"{named('same_look')} is for panoramas of brackets, not for {ABOUT[task].one}s.", "Leave it out."
        )


def troubles(works: Iterable[plan.Work], output: Path) -> Iterator[sources.Bad]:
    """For a dry run: the brackets that would fail, as far as that is known before a pixel is decoded."""
    journal = Journal(output) if (output / JOURNAL).is_file() else None
    try:
        for work in works:
            try:
                check_frames(work.bracket, work.job)
                check_codecs(work.outputs, work.job, work.bracket.shots[0].size_px)
                depth = max(depth_of(one, work.job) for one in work.outputs)
                check_memory(work.bracket, work.job, depth, task_of(work.job))
                if journal is not None:
                    journal.check_free(work)
                elif not work.job.overwrite:
                    check_absent(work.outputs)
            except MefError as error:
                yield work.bracket.paths[work.bracket.reference], error
    finally:
        if journal is not None:
            journal.close()


def choose_runner(
    works: Sequence[plan.Work],
    jobs: int | None,
    cluster: str | None,
    on_step: OnStep = silent,
    on_start: runners.OnStart | None = None,
) -> tuple[runners.Runner, int]:
    """The way these brackets are fused, and how many at a time; 0 where a cluster decides."""
    if cluster is not None:
        from mefcli.batch.cluster import on_cluster

        return partial(on_cluster, address=cluster, jobs=jobs, on_start=on_start), 0
    at_a_time = jobs or share.jobs_for(works)
    if at_a_time > 1:
        return partial(runners.processes, jobs=at_a_time, on_start=on_start), at_a_time
    return partial(runners.here, on_step=on_step, on_start=on_start), 1


def fuse_folder(
    folder: str | Path | Iterable[str | Path],
    output: str | Path,
    job: Job | None = None,
    *,
    name: str | None = None,
    formats: Sequence[str] = ("tif",),
    mode: Mode = "auto",
    gap_s: float | None = None,
    same_look: bool = False,
    jobs: int = 1,
    cluster: str | None = None,
    fuser: Fusion | None = None,
    on_step: OnStep = silent,
) -> Iterator[Result]:
    """Fuse every bracket below a folder, or several, into the folder `output`, as you ask for the results.

    It is what `mef batch` does: a journal in `output` remembers what was done, so that another call goes on
    where this one ended, and comes back with brackets finished before as `Done` with `before` set. One bad
    file or bracket is a `Failed` and stops no other. A `fuser` takes the place of the job's model and
    weights, in this process only.
    """
    job = job or Job()
    inputs = [Path(folder)] if isinstance(folder, str | Path) else [Path(one) for one in folder]
    check(job, Path(output), formats, cluster=cluster, fuser=fuser)
    task = fuser.spec.task if fuser is not None else task_of(job)
    found = look_over(
        inputs, Path(output), job, name=name, formats=formats, mode=mode, gap_s=gap_s, task=task
    )
    for path, error in found.bad:
        yield Failed((path,), error)
    works: Sequence[plan.Work] = found.works
    if not works:
        return
    journal = Journal(Path(output), weights=engine.weights_print(job) if fuser is None else _print(fuser))
    try:
        if same_look:
            check_one_look(task)
            from mefcli.batch.look import same_look as with_one_look

            works = with_one_look(works)
        if fuser is None:
            runner, _ = choose_runner(works, jobs, cluster, on_step)
        else:
            runner = partial(runners.here, on_step=on_step, fuser=fuser)
        for _, result in engine.run_batch(works, journal, runner):
            yield result
    finally:
        journal.close()


def _print(fuser: Fusion) -> str:
    from mefcli.pipeline.fuse import weights_of

    return f"{fuser.spec.name} {weights_of(fuser)}"
