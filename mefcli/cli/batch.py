"""`mef batch`: every bracket of a card or a tree of folders, unattended and restartable."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mefcli.batch import engine, folder, gallery, names, plan, sources
from mefcli.batch.card import Card
from mefcli.batch.journal import NAME as JOURNAL
from mefcli.batch.journal import Journal
from mefcli.brackets.frames import GAP_S, HAND_S
from mefcli.brackets.group import Grouping, parse_mode
from mefcli.cli import grouping as g
from mefcli.cli import options as o
from mefcli.cli import screen, state
from mefcli.errors import InputError, UsageError, flag, spelled
from mefcli.job import Job
from mefcli.options import FUSION, OUTPUT, RUNNING
from mefcli.pipeline.results import Done, Failed, Result, exit_code, result_object
from mefcli.settings import Settings
from mefcli.tasks import ABOUT, job_for, parse_task, task_of
from mefcli.values import OnStep, silent

LOOK_AGAIN_S = 1.0

Inputs = Annotated[
    list[Path],
    o.PICTURES,
    typer.Argument(
        metavar="CARD...", help="Folders, opened with all below them, or pictures.", show_default=False
    ),
]
Into = Annotated[
    Path,
    typer.Option("--output", "-o", help="Folder for the results and the journal.", rich_help_panel=OUTPUT),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="A Dask scheduler, tcp://host:8786, whose workers see the same files; or local.",
        metavar="ADDRESS",
        rich_help_panel=RUNNING,
    ),
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Go on as pictures arrive, until Ctrl-C.", rich_help_panel=RUNNING)
]
WatchIdle = Annotated[
    float | None,
    typer.Option(
        "--watch-idle", help="Stop watching after so many seconds without work.", rich_help_panel=RUNNING
    ),
]
SameLook = Annotated[
    bool,
    typer.Option(
        "--same-look",
        help="One tone for the brackets of a panorama.",
        rich_help_panel=FUSION,
    ),
]


Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        help="Also write a page: every bracket's frames and result, notes, what was left over: .html.",
        metavar="FILE",
        rich_help_panel=OUTPUT,
    ),
]


@o.with_groups
def batch(
    cards: Inputs,
    output: Into,
    task: g.Task = None,
    group_: g.Group = "auto",
    gap: g.Gap = None,
    cluster: Cluster = None,
    watch: Watch = False,
    watch_idle: WatchIdle = None,
    same_look: SameLook = False,
    report: Report = None,
    dry_run: o.DryRun = False,
    *,
    card: Card,
    settings: Annotated[Settings, o.Without("reference", "debug_dir")],
    talk: o.Talk,
) -> None:
    """Find every bracket, focus stack, or visible and infrared pair on a card and fuse them all.

    Pictures are sorted into brackets by time, exposure and what the camera says; see it with --dry-run. What
    is done is kept in a journal beside the results: run the same command again after an interruption and it
    goes on; changed settings or sources redo what they touch. One bad bracket does not stop the others.
    Where a card mixes brackets and focus stacks each task takes its own, and says what it left. Visible and
    infrared pictures find each other by name: street_vis.jpg and street_ir.tif, or folders visible/ and
    infrared/.

    With --json there is a line for each bracket, and for each file that cannot be read.

    Examples:
    mef batch CARD/ -o fused/ --dry-run               which brackets there are
    mef batch CARD/ -o fused/                         fuse them all, or go on
    mef batch CARD/ -o fused/ --format jpg --jobs 2   JPEGs, two at a time
    mef batch CARD/ -o fused/ --report fused/index.html
    mef batch CARD/ -o out/ --name "{date}/{first}-{last}"
    mef batch CARD/ -o stacks/ --task focus           the focus stacks instead
    mef batch CARD/ -o pairs/ --task infrared         visible and infrared pairs
    mef batch PANO/ -o out/ --same-look               one tone for a panorama
    mef batch INBOX/ -o out/ --watch                  while shooting tethered
    mef batch CARD/ -o /shared/out --cluster tcp://host:8786
    """
    job = job_for(settings, parse_task(task, names.NAMES))
    mode = parse_mode(group_)
    if watch and (cluster or same_look):
        raise UsageError("--watch does not go with --cluster or --same-look.", "Leave one out.")
    if same_look:
        folder.check_one_look(task_of(job))

    look_over = partial(
        folder.look_over,
        cards,
        output,
        job,
        name=card.name,
        formats=card.format,
        mode=mode,
        gap_s=gap,
        known={},
    )
    folder.check(job, output, card.format, cluster=cluster)
    if report is not None:
        gallery.check_page(report)
        if not (output / JOURNAL).is_file():
            gallery.check_ours(report, None, overwrite=job.overwrite)
    results: list[Result] = []
    if watch:
        bad = _watch(look_over, output, job, results, card.jobs, gap, watch_idle, report, json=talk.json)
        _end(results, bad, None, json=talk.json)
        return
    found = look_over()
    works: Sequence[plan.Work] = found.works
    if dry_run:
        found = replace(found, bad=(*found.bad, *folder.troubles(works, output)))
        _show_plan(found, json=talk.json)
        raise typer.Exit(1 if found.bad else 0)
    if not works and not found.bad:
        what = ABOUT[found.grouping.task].one
        again = "" if found.grouping.task == "exposure" else f" --task {found.grouping.task}"
        raise InputError(
            f"There is no {what} among these pictures.", f"See why: mef info CARD/ --groups{again}."
        )
    journal = Journal(output, weights=engine.weights_print(job))
    try:
        if report is not None:
            gallery.check_ours(report, journal, overwrite=job.overwrite)
            works = [replace(work, thumbs=True) for work in works]
        if same_look:
            from mefcli.batch.look import same_look as with_one_look

            screen.say("Measuring the tone of each series.")
            works = with_one_look(works)
        for result in _run(works, journal, card.jobs, cluster):
            _tell(result, json=talk.json)
            results.append(result)
        if report is not None:
            _write_page(report, results, journal, found, job)
    finally:
        journal.close()
    _end(results, found.bad, found.grouping, json=talk.json)


def _write_page(
    page: Path, results: Sequence[Result], journal: Journal, found: folder.Plan, job: Job
) -> None:
    left_over = [(shot.path, spelled(why, flag)) for shot, why in found.grouping.leftovers]
    places = {work.bracket.paths: place for place, work in enumerate(found.works)}
    in_order = sorted(results, key=lambda result: places.get(result.inputs, -1))
    gallery.write_page(
        page, in_order, journal, left_over=left_over, unreadable=found.bad, overwrite=job.overwrite
    )
    screen.say(f"Page: {page}")


def _run(
    works: Sequence[plan.Work], journal: Journal, jobs: int | None, cluster: str | None
) -> Iterator[Result]:
    from mefcli.cli.screen import Progress

    if not works:  # nothing to show a bar for
        return
    total, before, begun, ended = len(works), 0, 0, 0
    with Progress() as progress:

        def on_start(work: plan.Work) -> None:
            nonlocal begun
            begun += 1
            if at_a_time == 1:
                title = f"[{before + begun}/{total}] {work.outputs[0].stem}:"
                progress.bracket(title, ended, total - before)

        on_step: OnStep = progress if sys.stderr.isatty() or state.verbose else silent
        runner, at_a_time = folder.choose_runner(works, jobs, cluster, on_step, on_start)
        if at_a_time != 1:
            progress.count(0, total)
        for _, result in engine.run_batch(works, journal, runner):
            # Those of an earlier run come first; the bar is of what is left to do.
            if begun:
                ended += 1
            else:
                before += 1
            if at_a_time != 1:
                progress.count(ended, total - before)
            yield result


def _watch(
    look_over: Callable[..., folder.Plan],
    output: Path,
    job: Job,
    results: list[Result],
    jobs: int | None,
    gap: float | None,
    idle_s: float | None,
    report: Path | None,
    *,
    json: bool,
) -> Sequence[sources.Bad]:
    journal = Journal(output, weights=engine.weights_print(job))
    longest = HAND_S if task_of(job) == "focus" else GAP_S  # a focus turned by hand takes its time
    settling = sources.Settling(longest if gap is None else max(gap, 0.5))
    told: set[tuple[sources.Facts, ...]] = set()
    if report is not None:
        gallery.check_ours(report, journal, overwrite=job.overwrite)
    last = time.monotonic()
    bad: Sequence[sources.Bad] = ()
    screen.say("Watching; stop with Ctrl-C.")
    try:
        while idle_s is None or time.monotonic() - last < idle_s:
            began = time.monotonic()
            found = look_over(settled=settling.settled)
            bad = found.bad
            took_s = time.monotonic() - began
            fresh = [work for work in found.works if settling.facts(work.bracket.shots) not in told]
            told.update(settling.facts(work.bracket.shots) for work in fresh)
            if report is not None:
                fresh = [replace(work, thumbs=True) for work in fresh]
            for result in _run(fresh, journal, jobs, None):
                _tell(result, json=json)
                results.append(result)
                last = time.monotonic()
            if report is not None and (fresh or not report.exists()):
                _write_page(report, results, journal, found, job)
            time.sleep(max(LOOK_AGAIN_S, 3 * took_s))  # watching thousands of pictures is no work for a core
    finally:
        journal.close()
    return bad


def _tell(result: Result, *, json: bool) -> None:
    name = result.inputs[0].name
    if json:
        screen.put_json(result_object(result))
    if isinstance(result, Failed):
        message, hint = result.error.spelled(flag)
        screen.show_error(f"{name}: {message}", hint)
        return
    for path in () if json else result.outputs:
        screen.put(path)
    for note in () if result.before else result.record.notes:
        screen.warn(f"{name}: {note}")


def _show_plan(found: folder.Plan, *, json: bool) -> None:
    outputs = [work.outputs for work in found.works]
    if json:
        screen.put_json(g.grouping_object(found.grouping, outputs, bad=found.bad))
    else:
        screen.stdout().print(g.brackets_table(found.grouping, outputs))
        for line in g.leftover_lines(found.grouping):
            screen.say(f"Left over: {line}")
    for _, error in found.bad:
        screen.show_error(*error.spelled(flag))


def _end(
    results: Sequence[Result], bad: Sequence[sources.Bad], found: Grouping | None, *, json: bool
) -> None:
    for path, error in bad:
        if json:
            screen.put_json(result_object(Failed((path,), error)))
        screen.show_error(*error.spelled(flag))
    if not state.quiet:
        _summary(results, len(bad), len(found.leftovers) if found else 0)
    raise typer.Exit(1 if bad else exit_code(results))


def _summary(results: Sequence[Result], unreadable: int, leftovers: int) -> None:
    from rich.table import Table

    done = [result for result in results if isinstance(result, Done)]
    fused = [result for result in done if not result.before]
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("Fused", str(len(fused)), f"{sum(result.seconds for result in fused):.1f} s of work")
    table.add_row("Finished before", str(len(done) - len(fused)), "")
    table.add_row("Failed", str(len(results) - len(done)), "")
    table.add_row("Unreadable files", str(unreadable), "")
    table.add_row("Shots left over", str(leftovers), "--dry-run tells why" if leftovers else "")
    screen.console().print(table)
