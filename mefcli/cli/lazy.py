"""Commands that are imported when they run, so that `mef --help` and shell completion stay fast.

A group holds a table of `Entry` lines. Its help page shows the table's own summaries; the module named in
a line is imported when that command is called, completed or asked for help.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import ParameterInfo

from mefcli.cli import state
from mefcli.cli.plain import past_the_converter


@dataclass(frozen=True)
class Entry:
    """One command: its name, `module:function` (or a table of entries, or a Typer app), and a line of help.

    `alone` names the command that a table runs when none is named, with the options given. The function's
    docstring is the help page. What follows `Examples:` in it is shown at the page's end.
    """

    name: str
    target: str
    summary: str
    panel: str | None = None
    hidden: bool = False
    alone: str | None = None

    def load(self) -> Any:
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)


class Command(TyperCommand):
    """A command whose help page ends with its examples."""

    examples = ""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        past_the_converter(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        if self.examples:
            formatter.write(f"Examples:\n{self.examples}\n")


class LazyGroup(TyperGroup):
    entries: ClassVar[Sequence[Entry]] = ()
    alone: ClassVar[str | None] = None

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for entry in self.entries:
            panel: dict[str, Any] = {"rich_help_panel": entry.panel} if entry.panel else {}
            self.add_command(
                TyperCommand(name=entry.name, help=entry.summary, hidden=entry.hidden, **panel), entry.name
            )

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        past_the_converter(self.get_params(ctx))
        bare = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, [self.alone, *args] if self.alone and bare else args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        for entry in self.entries:
            if command is not None and entry.name == name:
                command = build(entry)
        return name, command, rest


def group(entries: Sequence[Entry], alone: str | None = None, **attributes: Any) -> typer.Typer:
    """A Typer app whose commands are `entries`, each imported on use."""
    kind = type("Group", (LazyGroup,), {"entries": tuple(entries), "alone": alone})
    return typer.Typer(cls=kind, no_args_is_help=True, pretty_exceptions_enable=False, **attributes)


def build(entry: Entry) -> Any:
    """The real command behind an entry."""
    target = entry.load()
    if isinstance(target, typer.Typer):  # a group with options of its own
        for one in target.registered_commands:
            _leave_paths_alone(cast("Callable[..., Any]", one.callback))
        command = typer.main.get_command(target)
    elif not callable(target):
        app = group(target, entry.alone, name=entry.name, help=entry.summary, add_completion=False)
        app.callback()(_nothing)
        command = typer.main.get_command(app)
    else:
        _leave_paths_alone(target)
        page, examples = help_and_examples(target)
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(entry.name, help=page, cls=Command)(target)
        command = typer.main.get_command(app)
        command.examples = examples  # type: ignore[attr-defined]
        command.params.append(_debug_option())
    command.name = entry.name
    return command


def _leave_paths_alone(function: Callable[..., Any]) -> None:
    """Typer refuses whatever cannot be read, folders that are only written into as well. Whoever opens a
    file says what is wrong with it, in its own words."""
    facts = [one.default for one in inspect.signature(function).parameters.values()]
    for hint in get_type_hints(function, include_extras=True).values():
        facts += get_args(hint)
    for about in facts:
        if isinstance(about, ParameterInfo):
            about.readable = False


def help_and_examples(function: Callable[..., Any]) -> tuple[str, str]:
    """A docstring's help text, a line to a paragraph, and its examples, indented by two."""
    page, _, examples = (inspect.getdoc(function) or "").partition("\nExamples:\n")
    paragraphs = [" ".join(part.split()) for part in page.split("\n\n")]
    lines = inspect.cleandoc(examples).splitlines()
    return "\n\n".join(paragraphs), "\n".join(f"  {line}".rstrip() for line in lines)


def _nothing() -> None:
    """A group by itself does nothing: its commands do."""


def _debug_option() -> Any:
    """`--debug`, which every command has."""

    flag = typer.Option(False, "--debug", help="Show an error's full traceback.", callback=state.set_debug)

    def holder(debug: bool = flag) -> None:
        """Only its option is used."""

    app = typer.Typer(add_completion=False)
    app.command()(holder)
    option = typer.main.get_command(app).params[0]
    option.expose_value = False
    return option
