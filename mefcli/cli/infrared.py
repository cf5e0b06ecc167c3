"""`mef infrared`: a visible and a thermal picture of one view in, one picture out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mefcli import api
from mefcli.cli import options as o
from mefcli.cli.photograph import Way, one_photograph
from mefcli.estimate import estimate_pair
from mefcli.job import Job
from mefcli.options import FUSION, LOOK
from mefcli.settings import Settings
from mefcli.tasks import UNUSED, for_task
from mefcli.values import Bracket
from mefnets import DEFAULT_INFRARED_MODEL

Visible = Annotated[
    Path,
    o.PICTURES,
    typer.Argument(metavar="VISIBLE", help="The visible picture.", show_default=False),
]
Thermal = Annotated[
    Path,
    typer.Argument(metavar="THERMAL", help="The infrared picture of the same view.", show_default=False),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Fuse with this model for visible and infrared, by name or weights file.",
        rich_help_panel=FUSION,
        autocompletion=o.complete_infrared_models,
    ),
]


@o.with_groups
def infrared(
    visible: Visible,
    thermal: Thermal,
    output: o.Output = None,
    model: Model = DEFAULT_INFRARED_MODEL,
    report: o.Report = None,
    dry_run: o.DryRun = False,
    *,
    settings: Annotated[Settings, o.Without("model", LOOK, *UNUSED["infrared"])],
    talk: o.Talk,
) -> None:
    """Fuse a visible and an infrared picture into one that shows both.

    The visible picture gives colours, texture and metadata; what is warm in the infrared one shines in it,
    and what only that one sees becomes visible. Both must show the same view and be of one shape; the
    infrared one may be smaller. Where their edges tell that it lies shifted or scaled, it is moved; where
    they do not, it stays, which is said. Deeper than 8 bits it is stretched from its coldest to its hottest
    pixels. No source is changed.

    Examples:
    mef infrared street.jpg street_ir.tif                    writes street_infrared.tif
    mef infrared day.jpg thermal.png -o both.tif -o both.jpg   a 16-bit TIFF and a JPEG
    mef infrared day.jpg thermal.png -m ffmef-infrared       a network instead
    mef infrared day.jpg thermal.png --report page.html      also a page: what the infrared brought
    """

    def plan() -> tuple[Bracket, Job]:
        job = for_task("infrared", replace(settings.job, model=model), settings)
        return api.plan_infrared(visible, thermal), job

    way = Way(plan, api.check_infrared, estimate_pair, api.infrared_pair, ending="infrared")
    one_photograph(way, [visible, thermal], output, report=report, dry_run=dry_run, talk=talk)
