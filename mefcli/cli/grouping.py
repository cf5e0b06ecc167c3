"""The plan of a card for people and for programs: brackets, and what is left over and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mefcli.brackets.group import Grouping
from mefcli.cli.tables import exposure_words
from mefcli.errors import MefError, flag, spelled
from mefcli.pipeline.results import error_object, plan_object
from mefcli.values import Bracket

if TYPE_CHECKING:
    from rich.table import Table

HOW = "How pictures are sorted"
Group = Annotated[
    str,
    typer.Option(
        "--group",
        help="auto, folder (each folder is one bracket or stack), or the number of frames of each.",
        metavar="HOW",
        rich_help_panel=HOW,
    ),
]
Gap = Annotated[
    float | None,
    typer.Option(
        "--gap",
        help="Longest pause within a bracket in seconds, from the end of one exposure to the next. "
        "Without it 4, and 30 where exposures were plainly set by hand, or the recorded focus goes on.",
        min=0.0,
        rich_help_panel=HOW,
    ),
]


Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="exposure, focus or infrared: brackets, focus stacks, visible and infrared pairs. Without it, "
        "what the model is for.",
        metavar="TASK",
        show_default=False,
        rich_help_panel=HOW,
    ),
]


def brackets_table(grouping: Grouping, outputs: Sequence[Sequence[Path]] = ()) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    stacks = grouping.task == "focus"
    order, measure = ("near focus first", "focus") if stacks else ("dark to bright", "EV")
    for heading in ("#", "frames", f"files, {order}", measure, "reference", "why"):
        table.add_column(heading, overflow="fold")
    if outputs:
        table.add_column("output", overflow="fold")
    for number, bracket in enumerate(grouping.brackets, 1):
        row = [
            str(number),
            str(len(bracket.shots)),
            " ".join(path.name for path in bracket.paths),
            focus_words(bracket) if stacks else " ".join(f"{ev:+.1f}" for ev in bracket.evs),
            exposure_words(bracket.shots[bracket.reference]),
            bracket.why,
        ]
        if outputs:
            row.append(" ".join(str(output) for output in outputs[number - 1]))
        table.add_row(*row)
    return table


def focus_words(stack: Bracket) -> str:
    """From where to where the focus went, in metres, where the camera tells."""
    distances = [shot.focus_m for shot in stack.shots if shot.focus_m is not None]
    return f"{min(distances):.3g} to {max(distances):.3g} m" if len(distances) == len(stack.shots) else ""


def grouping_object(
    grouping: Grouping,
    outputs: Sequence[Sequence[Path]] = (),
    *,
    bad: Sequence[tuple[Path, MefError]] = (),
) -> dict[str, Any]:
    places = list(outputs) or [()] * len(grouping.brackets)
    return {
        "task": grouping.task,
        "brackets": [plan_object(b, place) for b, place in zip(grouping.brackets, places, strict=True)],
        "leftovers": [
            {"file": str(shot.path), "reason": spelled(why, flag)} for shot, why in grouping.leftovers
        ],
        "errors": error_objects(bad),
    }


def error_objects(bad: Sequence[tuple[Path, MefError]]) -> list[dict[str, str]]:
    return [{"file": str(path), **error_object(error)} for path, error in bad]


def leftover_lines(grouping: Grouping) -> list[str]:
    return [f"{shot.path}: {spelled(why, flag)}" for shot, why in grouping.leftovers]
