"""Options on the command line: groups of them from their fields, and the few that belong to no group.

A command declares a parameter of a group (`job: Job`, `talk: Talk`), or part of one
(`job: Annotated[Job, Only(FRAMES, "compression")]`); `with_groups` spells it out for Typer, one flag a field,
and hands the command the group that was given.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from mefcli.cli import state
from mefcli.errors import UsageError
from mefcli.formats.table import written
from mefcli.options import FRAMES, OUTPUT, TALK, Described, checked, described, option


@dataclass(frozen=True)
class Talk:
    """How a command speaks."""

    json: bool = option(False, "One JSON object on standard output.", TALK)
    quiet: bool = option(False, "Errors only.", TALK, "-q")
    verbose: bool = option(False, "Say more.", TALK, "-v")

    def __post_init__(self) -> None:
        checked(self)


class Only:
    """These options or panels of a group."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def takes(self, one: Described) -> bool:
        return one.name in self.names or one.option.panel in self.names


class Without(Only):
    """All of a group but these options or panels."""

    def takes(self, one: Described) -> bool:
        return not super().takes(one)


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer sees it: every group of options as one parameter a field."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, tuple[type, tuple[Described, ...]]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        kind, part = _group(hint)
        if kind is None:
            parameters.append(parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        taken = tuple(one for one in described(kind) if part is None or part.takes(one))
        groups[parameter.name] = kind, taken
        parameters += [_parameter(one) for one in taken]

    @functools.wraps(command)
    def spelled_out(**values: Any) -> None:
        for name, (kind, taken) in groups.items():
            values[name] = kind(**{one.name: values.pop(one.name) for one in taken})
            if isinstance(values[name], Talk):
                state.set_talk(silent=values[name].quiet, talkative=values[name].verbose)
        command(**values)

    spelled_out.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spelled_out.__annotations__ = {one.name: one.annotation for one in parameters}
    return spelled_out


def _group(hint: Any) -> tuple[type | None, Only | None]:
    part = None
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        part = next((one for one in rest if isinstance(one, Only)), None)
    if isinstance(hint, type) and is_dataclass(hint):
        return hint, part
    return None, None


def _parameter(one: Described) -> inspect.Parameter:
    facts = one.option
    flag = typer.Option(
        one.flag,
        *facts.flags,
        help=facts.help,
        rich_help_panel=facts.panel,
        metavar=facts.metavar,
        min=facts.least if facts.read is None else None,
        max=facts.most,
        autocompletion=COMPLETIONS.get(facts.completes),
    )
    return inspect.Parameter(
        one.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=one.default,
        annotation=Annotated[one.words_hint, flag],
    )


def complete_models(incomplete: str) -> Iterator[tuple[str, str]]:
    from mefcli.checkpoints import known_models

    for name, spec in known_models().items():
        if name.startswith(incomplete):
            yield name, spec.summary


COMPLETIONS = {"models": complete_models}


def parse_evs(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise UsageError(
            f"--ev takes numbers in stops with commas between; {text!r} is not that.",
            "For example --ev -2,0,2.",
        ) from None


Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILES...",
        help="The exposures of one scene, in any order.",
        show_default=False,
    ),
]
Ev = Annotated[
    str | None,
    typer.Option(
        "--ev",
        help="Exposures in stops, in the order of the files: -2,0,2.",
        metavar="STOPS",
        rich_help_panel=FRAMES,
    ),
]
Output = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        "-o",
        help=f"Where to write, the format by suffix: {written()}. Several are possible. "
        "Without it: <first file>_fused.tif beside the first file.",
        metavar="FILE",
        rich_help_panel=OUTPUT,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        help="Also write a page that shows before and after, exposures, alignment and times: .html.",
        metavar="FILE",
        rich_help_panel=OUTPUT,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the plan; decode and write nothing.", rich_help_panel=TALK)
]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON object on standard output.", rich_help_panel=TALK)
]
