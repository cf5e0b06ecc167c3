"""`mef train --plan` and `mef train hours`: many trainings in one go, and what all of them have cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mefcli.cli.screen import say

if TYPE_CHECKING:
    from mefcli.training.loop import Outcome


def carry_out(path: Path, train: Callable[[Any], Outcome]) -> None:
    """Carry out a plan; the folder with everything on stdout. Exit 1 where a network failed."""
    from mefcli.training import plan as plans

    plan = plans.read(path)
    journal, interrupted = plans.carry_out(plan, train, say)
    for name, entry in journal.entries.items():
        words = (
            entry.trouble or f"step {entry.step}, {entry.spent_s / 60:.1f} minutes {entry.weights}".rstrip()
        )
        say(f"{name}: {entry.state}; {words}")
    typer.echo(plan.folder)
    if interrupted:
        raise typer.Exit(130)
    if any(entry.state == "failed" for entry in journal.entries.values()):
        raise typer.Exit(1)


def hours(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="The weights folder.")] = Path("weights"),
) -> None:
    """Show what every file of weights has cost: legs, steps, brackets and CPU-hours, from its metadata.

    Examples:
    mef train hours
    """
    from mefcli.errors import InputError
    from mefcli.training.lineage import table

    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", "Name the folder of the weights.")
    typer.echo(table(folder), nl=False)


def scores(
    scenes: Annotated[Path, typer.Argument(metavar="SCENES", help="One folder a scene.", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="The weights folder.")] = Path("weights"),
    models: Annotated[
        str | None, typer.Option("--models", "-m", help="Only these, with commas between.")
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Also those whose weights have not changed.")] = False,
) -> None:
    """Measure every model on a folder of scenes, and keep the means in scores.json beside the weights.

    What mef models, the README and weights/README.md say of quality comes from there.

    Examples:
    mef train scores SCENES
    """
    from mefcli.checkpoints import is_file
    from mefcli.errors import UsageError
    from mefcli.evaluation.methods import chosen_models
    from mefcli.quality import measure

    names = chosen_models(models) if models else None
    files = [name for name in names or () if is_file(name)]
    if files:
        raise UsageError(f"{files[0]} is a file, not a model of the lists.", "mef eval scores files.")
    path = measure(
        folder, scenes, anew=anew, names=names, on_model=lambda name, words: say(f"{name}: {words}.")
    )
    typer.echo(path)
