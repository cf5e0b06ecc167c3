"""`mef config`: every setting, and where its value comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mefcli import settings
from mefcli.batch.card import Card
from mefcli.brackets.discover import pattern_matches
from mefcli.cli import options as o
from mefcli.cli import screen
from mefcli.errors import InputError, flag
from mefcli.settings import NAME, Origin, Settings

if TYPE_CHECKING:
    from rich.table import Table

Pictures = Annotated[
    list[Path] | None,
    o.PICTURES,
    typer.Argument(
        metavar="[FILES...]",
        help="Pictures or folders, to see what lies beside them. Without any: this folder.",
        show_default=False,
    ),
]


@o.with_groups
def config(
    files: Pictures = None,
    *,
    found: Settings,
    card: Card,
    talk: o.Talk,
) -> None:
    """Show every setting and where its value comes from: built in, a file, a preset, the command line.

    Defaults and presets stand in mef.toml: beside the pictures, and in your own folder for settings. What is
    typed wins over a preset, a preset over the file beside the pictures, that over your own.

    Examples:
    mef config                                what counts in this folder
    mef config CARD/ --preset interiors       what mef batch CARD/ --preset interiors would use
    mef config --settings off --json          what is built in, for a program
    """
    for path in files or []:
        if not path.exists() and not pattern_matches(path):
            raise InputError(f"{path} does not exist.", "Check the spelling.")
    if talk.json:
        screen.put_json(as_object(found))
        return
    screen.stdout().print(_table(found))
    for file in found.files:
        presets = f"; presets: {', '.join(file.presets)}" if file.presets else ""
        screen.say(f"Read: {file.path}{presets}.")
    folder = settings.user_folder()
    if not found.files and folder is not None:
        screen.say(f"No file of settings. They would be read from {folder / NAME}, and beside the pictures.")


def as_object(found: Settings) -> dict[str, Any]:
    folder = settings.user_folder()
    return {
        "user_file": str(folder / NAME) if folder is not None else None,
        "files": [
            {"path": str(one.path), "scope": one.scope, "presets": list(one.presets)} for one in found.files
        ],
        "preset": found.preset,
        "settings": [
            {
                "name": one.name,
                "flag": one.flag,
                "value": found.value(one.name),
                "default": one.default,
                "source": found.origins[one.name].source,
                "file": _text(found.origins[one.name].file),
            }
            for one in settings.OPTIONS
        ],
    }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _table(found: Settings) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for one in settings.OPTIONS:
        origin = found.origins[one.name]
        style = "" if origin.source == "built in" else "bold"
        value = found.value(one.name)
        table.add_row(
            one.name, Text(_words(value), style=style), Text(_from(found, one.name, origin), style=style)
        )
    return table


def _words(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else o.words_of(value)


def _from(found: Settings, name: str, origin: Origin) -> str:
    if origin.source == "command line":
        return f"command line ({flag(name)})"
    if origin.source == "preset":
        return f"preset {found.preset} ({origin.file})"
    return str(origin.file) if origin.file is not None else origin.source
