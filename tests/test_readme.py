"""What the README and the other pages tell people to type exists, and means what the command line takes."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from mefcli.cli.app import COMMANDS, app
from mefcli.cli.lazy import LazyGroup, build

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, *(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md")))]
BLOCKS = "\n".join(block for page in PAGES for block in re.findall(r"^```\w*\n(.*?)^```", page, re.S | re.M))
# What stands two spaces further on, as in examples of help pages, is a remark.
TYPED = sorted(
    {re.split(r"\s{2,}", line)[0].strip() for line in re.findall(r"\bmef (?!fuse\(|\.)[^#|&>'\n]+", BLOCKS)}
)


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command a line calls and the words left for it."""
    entry = {entry.name: entry for entry in COMMANDS}[words[1]]
    command, rest = build(entry), words[2:]
    if isinstance(command, LazyGroup):
        context = typer.Context(command, info_name=words[1])
        if not rest or rest[0].startswith("-"):
            rest = [command.alone, *rest] if command.alone else rest
        if rest and not rest[0].startswith("-"):
            _, command, rest = command.resolve_command(context, rest)
    return command, rest


def test_there_are_commands_to_check() -> None:
    assert len(TYPED) > 15


@pytest.mark.parametrize("line", TYPED)
def test_the_commands_in_our_pages_are_taken(line: str) -> None:
    words = shlex.split(re.sub(r"\$\(.*?\)", "x", line.replace("`", "")), posix=True)
    if len(words) > 1 and words[1].startswith("--"):
        known = {name for option in typer.main.get_command(app).params for name in option.opts}
        assert words[1] in known
        return
    command, rest = command_of(words)
    command.make_context(words[1], rest)  # raises what the command line would say


def test_what_pages_repeat_from_the_code_is_fresh() -> None:
    """Else run `python docs/generate.py`."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for page, wanted in generate.pages():
        assert page.read_text(encoding="utf-8") == wanted, page
    places = "".join((ROOT / name).read_text(encoding="utf-8") for name in generate.PAGES)
    assert set(re.findall(r"<!-- (\w+) -->", places)) == set(generate.PARTS)


def test_the_pictures_of_our_pages_are_made_with_the_weights_that_ship() -> None:
    """Else run `python docs/pictures.py`."""
    shown = ROOT / "docs/models"
    made_with = json.loads((shown / "made_with.json").read_text(encoding="utf-8"))
    hashes = json.loads((ROOT / "weights/hashes.json").read_text(encoding="utf-8"))
    for picture in shown.glob("*.jpg"):
        assert made_with.get(picture.stem) == hashes[f"{picture.stem}.safetensors"], picture.name


def test_the_readmes_files_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
