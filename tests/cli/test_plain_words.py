"""What needs no conversion goes past Typer's converter, and means the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer

from mefcli.cli.plain import past_the_converter

SAID = "SAID "


def command(
    files: Annotated[list[Path], typer.Argument()],
    out: Annotated[list[str] | None, typer.Option()] = None,
    look: Annotated[Literal["plain", "deep"], typer.Option()] = "plain",
    count: Annotated[int, typer.Option(min=1)] = 3,
    folder: Annotated[Path | None, typer.Option(exists=True)] = None,
    place: Annotated[Path | None, typer.Option()] = None,
    share: Annotated[float | None, typer.Option()] = None,
    quiet: Annotated[bool, typer.Option()] = False,
) -> None:
    typer.echo(SAID + repr([files, out, look, count, folder, place, share, quiet]))


def built() -> Any:
    app = typer.Typer(add_completion=False)
    app.command()(command)
    return typer.main.get_command(app)


def told(words: list[str], capsys: pytest.CaptureFixture[str], *, quick: bool) -> tuple[int, str]:
    program = built()
    if quick:
        past_the_converter(program.get_params(typer.Context(program)))
    with pytest.raises(SystemExit) as ended:
        program(args=words, prog_name="test")
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out + said.err


@pytest.mark.parametrize(
    "words",
    [
        ["a.jpg"],
        ["a.jpg", "b c.jpg", "--out", "x.tif", "--out", "y.jpg", "--look", "deep", "--quiet"],
        ["a.jpg", "--count", "5", "--share", "0.25", "--place", "there", "--folder", "."],
        [],
        ["a.jpg", "--look", "Deep"],
        ["a.jpg", "--count", "0"],
        ["a.jpg", "--count", "x"],
        ["a.jpg", "--folder", "nowhere"],
        ["a.jpg", "--share", "x"],
    ],
)
def test_every_command_line_means_what_it_meant(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    slow, quick = (told(words, capsys, quick=quick) for quick in (False, True))
    assert quick == slow
    assert (SAID in slow[1]) == (slow[0] == 0)


def test_a_plain_command_line_loads_no_converter() -> None:
    program = """
import sys
from mefcli.cli.app import run
before = "pydantic" in sys.modules
run(["fuse", "a.jpg", "b.jpg", "-o", "c.tif"])
print(before, "pydantic" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after = done.stdout.split()[-2:]
    assert after == before
