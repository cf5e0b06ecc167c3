"""`mef focus`: one focus stack in, one photograph out that is sharp all over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mefcli import api
from mefcli.cli import options as o
from mefcli.cli import screen
from mefcli.cli.fuse import first_named, show_plan, show_result
from mefcli.errors import MefError
from mefcli.estimate import estimate_stack
from mefcli.job import Job
from mefcli.options import FUSION, LOOK, described
from mefcli.pipeline.results import Failed, plan_object, result_object
from mefcli.pipeline.write import check_outputs, default_output
from mefcli.report.files import check_target
from mefnets import DEFAULT_FOCUS_MODEL

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Who judges which frame is sharp where, by name or weights file.",
        rich_help_panel=FUSION,
        autocompletion=o.complete_focus_models,
    ),
]
UNUSED = ("resolution", "working_size", "strategy", "crop", "deghost", "debug_dir")  # by a stack
NOT_FOR_STACKS = o.Without("model", LOOK, *UNUSED)


@o.with_groups
def focus(
    files: o.Files,
    output: o.Output = None,
    model: Model = DEFAULT_FOCUS_MODEL,
    report: o.Report = None,
    dry_run: o.DryRun = False,
    *,
    job: Annotated[Job, NOT_FOR_STACKS],
    talk: o.Talk,
) -> None:
    """Fold a focus stack into one photograph that is sharp all over.

    Takes frames of one exposure, RAW, JPEG, TIFF, PNG and HEIF; their order is that of the focus distances
    that the camera records, else of time. They are aligned (focus changes their scale), evened in brightness
    and folded in one after another, so that memory does not grow with their number. No source is changed.

    Examples:
    mef focus IMG_*.jpg                             writes <first file>_focus.tif
    mef focus *.CR3 -o beetle.tif -o beetle.jpg     a 16-bit TIFF and a JPEG
    mef focus *.jpg --report beetle.html            also a page: which frame is sharp where
    mef focus *.tif --align off --reference 1       a rail or a tripod, as the nearest frame saw it
    mef focus *.jpg --dry-run                       what would happen
    """
    inputs: Sequence[Path] = files
    try:
        job = _of_a_stack(job, model)
        stack = api.plan_focus(files, job=job)
        inputs = stack.paths
        outputs = output or [default_output(first_named(files, stack), ending="focus")]
        check_outputs(outputs, inputs, overwrite=job.overwrite)
        check_target(report, (".html", ".htm"), [*inputs, *outputs], overwrite=job.overwrite)
        if dry_run:
            api.check_focus(stack, outputs, job=job)
        guess = estimate_stack(stack, outputs, job)
        if talk.verbose or dry_run:
            show_plan(stack, outputs, job, guess, show_table=not talk.json)
        if dry_run:
            if talk.json:
                told = {"cpu_seconds": round(guess.total_s, 1), "memory_mb": round(guess.memory_mb)}
                screen.put_json({**plan_object(stack, outputs), "estimate": told})
            return
        with screen.Progress(seconds=guess.seconds) as progress:
            result = api.focus_bracket(stack, outputs, job=job, on_step=progress)
        if report is not None:
            from mefcli.report.html import write_report

            write_report(report, result)
    except MefError as error:
        if talk.json:
            screen.put_json(result_object(Failed(tuple(inputs), error)))
        raise
    show_result(result, json=talk.json)


def _of_a_stack(job: Job, model: str) -> Job:
    """Without what files of settings say of exposures."""
    plain = Job()
    others = [one.name for one in described(Job) if one.option.panel == LOOK]
    return replace(job, model=model, **{name: getattr(plain, name) for name in (*UNUSED, *others)})
