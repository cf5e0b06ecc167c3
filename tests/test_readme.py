"""What the README tells people to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from mefcli.cli.app import COMMANDS, app
from mefcli.cli.lazy import build

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"^```\w*\n(.*?)^```", README, re.S | re.M))
TYPED = sorted({line.strip() for line in re.findall(r"\bmef (?!fuse\(|\.)[^#|&>')\n]+", BLOCKS)})


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command a line calls and the words left for it."""
    entry = {entry.name: entry for entry in COMMANDS}[words[1]]
    command, rest = build(entry), words[2:]
    if hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def test_there_are_commands_to_check() -> None:
    assert len(TYPED) > 8


@pytest.mark.parametrize("line", TYPED)
def test_the_readmes_commands_and_their_options_exist(line: str) -> None:
    words = shlex.split(line.replace('"', " ").replace("$(", "").replace("`", ""))
    if len(words) > 1 and words[1].startswith("--"):
        known = {name for option in typer.main.get_command(app).params for name in option.opts}
        assert words[1] in known
        return
    command, rest = command_of(words)
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    assert {word for word in rest if re.match(r"--?[a-z]", word)} <= known


def test_the_readmes_files_exist() -> None:
    root = Path(__file__).resolve().parents[1]
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert target.startswith("http") or (root / target).exists(), target
