"""`mef focus`: one focus stack in, one photograph out that is sharp all over."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from mefcli import api
from mefcli.cli import options as o
from mefcli.cli.photograph import Way, one_photograph
from mefcli.estimate import estimate_stack
from mefcli.job import Job
from mefcli.options import FUSION, LOOK
from mefcli.settings import Settings
from mefcli.tasks import UNUSED, for_task
from mefcli.values import Bracket
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
NOT_FOR_STACKS = o.Without("model", LOOK, *UNUSED["focus"])


@o.with_groups
def focus(
    files: o.Files,
    output: o.Output = None,
    model: Model = DEFAULT_FOCUS_MODEL,
    report: o.Report = None,
    dry_run: o.DryRun = False,
    *,
    settings: Annotated[Settings, NOT_FOR_STACKS],
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

    def plan() -> tuple[Bracket, Job]:
        of_stack = for_task("focus", replace(settings.job, model=model), settings)
        return api.plan_focus(files, job=of_stack), of_stack

    way = Way(plan, api.check_focus, estimate_stack, api.focus_bracket, ending="focus")
    one_photograph(way, files, output, report=report, dry_run=dry_run, talk=talk)
