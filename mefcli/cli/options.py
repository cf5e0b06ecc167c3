"""Options on the command line: groups of them from their fields, and the few that belong to no group.

A command declares a parameter of a group (`job: Job`, `talk: Talk`), or part of one
(`job: Annotated[Job, Only(FRAMES, "compression")]`); `with_groups` spells it out for Typer, one flag a field,
and hands the command the group that was given.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from mefcli.batch.card import Card
from mefcli.cli import state
from mefcli.errors import MefError, UsageError, named
from mefcli.formats.table import written
from mefcli.job import Job
from mefcli.options import FRAMES, OUTPUT, SETTINGS, TALK, Described, checked, described, option
from mefcli.settings import Settings, settings_for
from mefnets.spec import Task


@dataclass(frozen=True)
class Talk:
    """How a command speaks."""

    json: bool = option(False, "One JSON object on standard output.", TALK)
    quiet: bool = option(False, "Errors only.", TALK, "-q")
    verbose: bool = option(False, "Say more.", TALK, "-v")

    def __post_init__(self) -> None:
        checked(self)


IN_FILES = (Job, Settings, Card)  # what files of settings may say


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
    """The command as Typer sees it: every group of options as one parameter a field.

    Where a command takes pictures and a job, what is not typed comes from files of settings.
    """
    hints = get_type_hints(command, include_extras=True)
    pictures = next((name for name, hint in hints.items() if PICTURES in get_args(hint)), None)
    groups: dict[str, tuple[type, tuple[Described, ...]]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        kind, part = _group(hint)
        if kind is None:
            parameters.append(parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        options = described(Job if kind is Settings else kind)
        taken = tuple(one for one in options if part is None or part.takes(one))
        groups[parameter.name] = kind, taken
        parameters += [_parameter(one, in_files=bool(pictures) and kind in IN_FILES) for one in taken]
    if pictures and any(kind in IN_FILES for kind, _ in groups.values()):
        parameters += [_keyword(name, hint, None) for name, hint in (("preset", Preset), ("settings", File))]
        parameters.append(_keyword("context", typer.Context, inspect.Parameter.empty))

    @functools.wraps(command)
    def spelled_out(**values: Any) -> None:
        context = values.pop("context", None)
        chosen = {key: values.pop(key) for key in ("preset", "settings") if context is not None}
        given = {
            name: {one.name: values.pop(one.name) for one in taken} for name, (_, taken) in groups.items()
        }
        for name, (kind, _) in groups.items():
            if kind is Talk:
                values[name] = Talk(**given[name])
                state.set_talk(silent=values[name].quiet, talkative=values[name].verbose)
        if context is not None:
            asked = {
                key: value
                for name, (kind, _) in groups.items()
                if kind in IN_FILES
                for key, value in given[name].items()
            }
            found = _settings(context, values[pictures] if pictures else (), asked, **chosen)
        for name, (kind, _) in groups.items():
            if context is not None and kind in IN_FILES:
                values[name] = found if kind is Settings else found.card if kind is Card else found.job
            elif kind is not Talk:
                values[name] = kind(**given[name])
                if kind is Job:
                    _check_light(values[name], typed=values[name].settings)
        command(**values)

    spelled_out.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spelled_out.__annotations__ = {one.name: one.annotation for one in parameters}
    return spelled_out


def _settings(
    context: Any, pictures: Any, values: dict[str, Any], preset: str | None, settings: str | None
) -> Settings:
    """What was typed, over what files say; of that a line is told."""
    typed = {
        name: value for name, value in values.items() if context.get_parameter_source(name).name != "DEFAULT"
    }
    beside = [pictures] if isinstance(pictures, Path) else pictures or [Path()]
    found = settings_for(beside, typed, preset=preset, file=settings, only=list(values))
    _check_light(found.job, typed)
    if context.info_name != "config" and found.read:
        from mefcli.cli import screen

        told: dict[str, list[str]] = {}
        for name, origin in found.read.items():
            where = f"{origin.file}, preset {preset}" if origin.source == "preset" else str(origin.file)
            told.setdefault(where, []).append(f"{name} {words_of(found.value(name))}")
        for where, words in told.items():
            screen.say(f"Settings of {where}: {', '.join(words)}.")
    return found


def words_of(value: Any) -> str:
    """A setting's value for a person."""
    return " and ".join(value) if isinstance(value, tuple) else str(value)


def _check_light(job: Job, typed: Collection[str]) -> None:
    """A headroom for light beyond white that nobody asked for; a file of settings may say one for later."""
    if "headroom" in typed and not job.hdr:
        raise UsageError(
            f"{named('headroom')} is of no use without {named('hdr')}.", "Add it, or leave that out."
        )


def _group(hint: Any) -> tuple[type | None, Only | None]:
    part = None
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        part = next((one for one in rest if isinstance(one, Only)), None)
    if isinstance(hint, type) and is_dataclass(hint):
        return hint, part
    return None, None


def _keyword(name: str, hint: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _parameter(one: Described, *, in_files: bool) -> inspect.Parameter:
    """`in_files`: a file of settings may say otherwise, so that what is on can be put off."""
    facts = one.option
    can_be_on = in_files and one.hint is bool and facts.settable != "never"
    flag = typer.Option(
        f"{one.flag}/--no-{one.flag[2:]}" if can_be_on else one.flag,
        *facts.flags,
        help=facts.help,
        rich_help_panel=facts.panel,
        metavar=facts.metavar,
        min=facts.least if facts.read is None else None,
        max=facts.most,
        autocompletion=COMPLETIONS.get(facts.completes),
        show_default=not can_be_on,
    )
    return inspect.Parameter(
        one.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=one.default,
        annotation=Annotated[one.words_hint, flag],
    )


def complete_models(incomplete: str) -> Iterator[tuple[str, str]]:
    yield from _models(incomplete, "exposure")


def complete_focus_models(incomplete: str) -> Iterator[tuple[str, str]]:
    yield from _models(incomplete, "focus")


def complete_infrared_models(incomplete: str) -> Iterator[tuple[str, str]]:
    yield from _models(incomplete, "infrared")


def complete_moving_models(incomplete: str) -> Iterator[tuple[str, str]]:
    yield from _models(incomplete, "moving")


def complete_depth_models(incomplete: str) -> Iterator[tuple[str, str]]:
    yield from _models(incomplete, "depth")


def _models(incomplete: str, task: Task) -> Iterator[tuple[str, str]]:
    from mefcli.checkpoints import known_models

    for name, spec in known_models(task).items():
        if name.startswith(incomplete):
            yield name, spec.summary


def complete_presets(incomplete: str) -> Iterator[str]:
    """Those beside the pictures here, and the person's own."""
    with contextlib.suppress(MefError):
        yield from (name for name in settings_for([Path()]).presets if name.startswith(incomplete))


COMPLETIONS = {"models": complete_models}


PICTURES = "pictures"  # marks the parameter that names them: settings lie beside
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="A preset from mef.toml, beside the pictures or your own.",
        metavar="NAME",
        rich_help_panel=SETTINGS,
        autocompletion=complete_presets,
    ),
]
File = Annotated[
    str | None,
    typer.Option(
        "--settings",
        help="A file of settings instead of those that are found; off reads none.",
        metavar="FILE",
        rich_help_panel=SETTINGS,
    ),
]
Files = Annotated[
    list[Path],
    PICTURES,
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
    list[str] | None,
    typer.Option(
        "--output",
        "-o",
        help=f"Where to write, the format by suffix: {written()}. Several are possible. "
        "In a folder, and without it beside the first file: <first file>_fused.tif.",
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
