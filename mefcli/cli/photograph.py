"""From files to one photograph on the command line: plan, checks, estimate, progress, report, result.

`mef fuse`, `mef focus` and `mef infrared` go this way; a `Way` says what they do differently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mefcli.cli import screen, state
from mefcli.cli.options import Talk
from mefcli.errors import MefError
from mefcli.estimate import Estimate
from mefcli.job import Job
from mefcli.pipeline.results import Done, Failed, plan_object, result_object
from mefcli.pipeline.write import check_outputs, default_output, output_named
from mefcli.report.files import check_target
from mefcli.values import Bracket


@dataclass(frozen=True)
class Way:
    """How several frames become one picture."""

    plan: Callable[[], tuple[Bracket, Job]]
    check: Callable[..., None]  # of frames and outputs, with job=
    estimate: Callable[[Bracket, Sequence[Path], Job], Estimate]
    run: Callable[..., Done]  # of frames and outputs, with job= and on_step=
    ending: str = "fused"  # of a name that nobody gave


def one_photograph(
    way: Way,
    files: Sequence[Path],
    output: Sequence[str] | None,
    *,
    report: Path | None,
    dry_run: bool,
    talk: Talk,
) -> None:
    inputs = files
    try:
        bracket, job = way.plan()
        inputs = bracket.paths
        suffix, first = ".jpg" if job.hdr else ".tif", first_named(files, bracket)
        outputs = [output_named(one, first, suffix, way.ending) for one in output or ()]
        outputs = outputs or [default_output(first, suffix, way.ending)]
        check_outputs(outputs, inputs, overwrite=job.overwrite)
        check_target(report, (".html", ".htm"), [*inputs, *outputs], overwrite=job.overwrite)
        if dry_run:
            way.check(bracket, outputs, job=job)
        guess = way.estimate(bracket, outputs, job)
        if talk.verbose or dry_run:
            show_plan(bracket, outputs, job, guess, show_table=not talk.json)
        if dry_run:
            if talk.json:
                told = {"cpu_seconds": round(guess.total_s, 1), "memory_mb": round(guess.memory_mb)}
                screen.put_json({**plan_object(bracket, outputs), "estimate": told})
            return
        with screen.Progress(seconds=guess.seconds) as progress:
            result = way.run(bracket, outputs, job=job, on_step=progress)
        if report is not None:
            from mefcli.report.html import write_report

            write_report(report, result)
    except MefError as error:
        if talk.json:
            screen.put_json(result_object(Failed(tuple(inputs), error)))
        raise
    show_result(result, json=talk.json)


def first_named(files: Sequence[Path], bracket: Bracket) -> Path:
    """The first file that was typed, or the one that a folder or a pattern stands for."""
    return files[0] if files[0].is_file() else min(bracket.paths)


def show_plan(
    bracket: Bracket,
    outputs: Sequence[Path],
    job: Job,
    guess: Estimate,
    *,
    show_table: bool,
) -> None:
    if show_table:
        from mefcli.cli.tables import bracket_table

        screen.console().print(bracket_table(bracket))
    screen.say(f"{len(bracket.shots)} frames, {bracket.why}; fused with {job.model}, alignment {job.align}.")
    for note in bracket.notes:
        screen.warn(note)
    for output in outputs:
        screen.say(f"Output: {output}")
    cpu, memory = screen.seconds(guess.total_s), max(0.1, guess.memory_mb / 1024)
    screen.say(f"Estimate: {cpu} of one processor core, {memory:.1f} GB of memory.")


def show_result(result: Done, *, json: bool) -> None:
    for note in result.record.notes:
        screen.warn(note)
    if json:
        screen.put_json(result_object(result))
        return
    width, height = result.size_px
    took = screen.seconds(sum(result.record.seconds.values()))
    screen.say(f"Fused {len(result.bracket.shots)} frames into {width}x{height} pixels in {took}.")
    if state.verbose:
        parts = ", ".join(f"{stage} {screen.seconds(took)}" for stage, took in result.record.seconds.items())
        screen.say(f"Time: {parts}. Peak memory: {result.record.peak_memory_mb} MB.")
    for path in result.outputs:
        screen.put(path)
