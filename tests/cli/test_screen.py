"""What reaches a terminal, and what reaches a program: names, bars, numbers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toolkit import MakeBracket, Mef

from mefcli.cli import screen
from mefcli.cli.tables import time_words

pty = pytest.importorskip("pty", reason="terminals are for Unix")
ROOT = Path(__file__).resolve().parents[2]
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj[bold].jpg"
FAST = ("--model", "average", "--align", "off")


def on_terminal(*arguments: object, stdout: Path | None = None) -> tuple[int, str]:
    """The program with a terminal for all it says, or with results into a file."""
    mine, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "300", "MEF_DEBUG": ""}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "models")])
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(stdout.open("wb")) if stdout else its
        process = subprocess.Popen(
            [sys.executable, "-m", "mefcli", *map(str, arguments)],
            stdin=its,
            stdout=target,
            stderr=its,
            env=environment,
        )
        os.close(its)
        said = b""
        while True:
            if not select.select([mine], [], [], 120)[0]:
                process.kill()
                raise AssertionError("nothing was said for two minutes")
            try:
                data = os.read(mine, 65536)
            except OSError:  # the other end was closed
                break
            if not data:
                break
            said += data
        os.close(mine)
        return process.wait(), said.decode(errors="surrogateescape")


def renamed(jpegs: list[Path]) -> list[Path]:
    return [path.rename(path.with_name(f"{place}{EVIL}")) for place, path in enumerate(jpegs)]


# What a terminal is told by us: colours, the cursor for the bar, and nothing else.
OURS = re.compile(r"\x1b\[[0-9;]*[mAKGH]|\x1b\[\?25[lh]")


def commands(said: str) -> str:
    return "".join(re.findall(screen.COMMANDS, OURS.sub("", said).replace("\r", "")))


def test_names_command_no_terminal(jpegs: list[Path], tmp_path: Path) -> None:
    paths = renamed(jpegs)
    folder, out = paths[0].parent, tmp_path / "out"
    for arguments in (
        ("info", *paths),
        ("info", folder, "--groups"),
        ("fuse", *paths, "--dry-run", "--verbose"),
        ("fuse", *paths, *FAST, "-o", folder / EVIL.replace(".jpg", ".tif")),
        ("fuse", paths[0], folder / f"none{EVIL}"),
        ("batch", folder, "-o", out, *FAST, "--json"),
        ("batch", folder, "-o", out, *FAST, "--dry-run"),
        ("batch", folder, "-o", out, *FAST),
        ("fuse", *paths, f"--{EVIL}"),
        ("models", "verify", EVIL),
        ("fuse", paths[0], folder / f"none{EVIL}", "--debug"),
    ):
        _, said = on_terminal(*arguments)
        assert not commands(said), (arguments[0], repr(commands(said)))
        assert r"\x1b]0;owned" in said or r"\u001b]0;owned" in said, arguments
        assert "[bold]" in said
        assert ("Traceback" in said) == ("--debug" in arguments)
        assert "fault in mef" not in said


def test_a_program_gets_names_as_they_are(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    renamed(jpegs)
    done = mef("batch", jpegs[0].parent, "-o", tmp_path / "out", *FAST)
    (path,) = done.out.splitlines()
    assert Path(path).is_file()
    assert EVIL[:10] in path
    line = mef("batch", jpegs[0].parent, "-o", tmp_path / "out", *FAST, "--json").out
    assert not re.search(screen.COMMANDS, line)
    assert Path(json.loads(line)["outputs"][0]).is_file()


def test_results_go_where_they_were_sent_while_a_bar_is_shown(jpegs: list[Path], tmp_path: Path) -> None:
    code, said = on_terminal(
        "batch", jpegs[0].parent, "-o", tmp_path / "out", *FAST, stdout=tmp_path / "names.txt"
    )
    assert code == 0, said
    assert (tmp_path / "names.txt").read_text().splitlines() == [str(tmp_path / "out" / "room_2_fused.tif")]


def test_notes_stand_on_lines_of_their_own_above_the_bar(tmp_path: Path, copy_bracket: MakeBracket) -> None:
    for name in "abc":
        paths = copy_bracket("jpeg", name)
        shutil.copy(paths[0], paths[0].with_name("room_0.jpg"))  # an exposure taken twice gives a note
    command = ("batch", tmp_path, "-o", tmp_path / "out", "--group", "folder", "--jobs", 1, *FAST)
    code, said = on_terminal(*command)
    assert code == 0, said
    lines = screen_lines(said)
    notes = [line for line in lines if "have the same exposure" in line]
    assert len(notes) == 3, said
    assert all(line.startswith("Note: room_") for line in notes), notes
    assert [line for line in lines if line.endswith(".tif")] == [
        str(tmp_path / "out" / name / "room_2_fused.tif") for name in "abc"
    ]
    assert not [line for line in lines if "%" in line], lines


def screen_lines(said: str) -> list[str]:
    """What a terminal shows in the end: text at a cursor that goes up, back, and erases."""
    rows, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", said):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif part.startswith("\x1b"):
            if part[-1] == "A":
                row -= int(part[2:-1] or 1)
            elif part[-1] == "K":
                rows[row] = ""
        else:
            rows[row] = rows[row][:column].ljust(column) + part + rows[row][column + len(part) :]
            column += len(part)
    return [one.rstrip() for one in rows]


def test_the_time_left_is_that_of_all_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar for each bracket would be at its end after the first, and say 0:00:00 from then on."""
    from mefcli.values import Step

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    left = []
    with screen.Progress() as progress:
        assert progress.bar is not None
        for number in range(4):
            progress.bracket(f"[{number + 1}/4]", number, 4)
            for done in (0.5, 1.0):
                time.sleep(0.02)
                progress(Step("write", done))
                (task,) = progress.bar.tasks
                left.append(task.completed)
                assert task.finished == (number == 3 and done == 1.0)
    assert left == sorted(left)
    assert left[1] == pytest.approx(0.25)


def test_numbers_that_are_none_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    screen.put_json({"a": float("nan"), "b": [float("inf"), (1.5, float("-inf"))], "c": "NaN"})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "a": None,
        "b": [None, [1.5, None]],
        "c": "NaN",
    }


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (10 / 13, "0.8"),
        (1 / 3, "0.3"),
        (1 / 60, "1/60"),
        (1.26, "1.3"),
        (12.7, "13"),
        (30.0, "30"),
        (32.0, "32"),
        (121.4, "121"),
        (1 / 8000, "1/8000"),
    ],
)
def test_exposure_times_are_those_of_the_dial(seconds: float, words: str) -> None:
    assert time_words(seconds) == words


def test_a_second_demo_finds_a_place_of_its_own(
    mef: Mef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for expected in ("mef-demo", "mef-demo-2", "mef-demo-3"):
        done = mef("demo", "--width", "96", "--model", "average")
        assert done.code == 0, done.err
        assert done.out.splitlines()[-1] == f"{expected}/room_fused.jpg"
    assert mef("demo", "mef-demo-2", "--width", "96", "--model", "average").code == 1
