"""Standard streams that are closed, full or read by nobody: pictures are made, and exit codes tell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mefcli import formats

pytestmark = pytest.mark.skipif(os.name == "nt", reason="shells and /dev/full are for Unix")
ROOT = Path(__file__).resolve().parents[2]
CODES = {
    "2>/dev/full": 0,
    ">/dev/full": 1,
    ">/dev/full 2>&1": 1,
    "2>&-": 0,
    ">&-": 0,
    ">&- 2>&- <&-": 0,
    "| true": 1,
    "2>&1 >/dev/null | true": 0,
}
SLOW = pytest.param("fuse", marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "command", ["--version", "info", SLOW, pytest.param("batch", marks=pytest.mark.slow)]
)
def test_pictures_are_made_whatever_the_streams_are(command: str, jpegs: list[Path], tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    commands: dict[str, list[object]] = {
        "--version": ["--version"],
        "info": ["info", *jpegs, "--no-pixels"],
        "fuse": ["fuse", *jpegs, "--model", "average", "--align", "off", "-o", out / "x.tif", "--overwrite"],
        "batch": ["batch", tmp_path, "--model", "average", "--align", "off", "-o", out, "--overwrite"],
    }
    shell = ["bash", "-c", "", sys.executable, "-m", "mefcli", *map(str, commands[command])]
    few = command in ("--version", "info")
    for streams, code in list(CODES.items())[1::2] if few else CODES.items():
        out.mkdir(exist_ok=True)
        # What is not led elsewhere goes into the log.
        shell[2] = f'set -o pipefail; exec 2>{log}; "$0" "$@" {streams}'
        done = subprocess.run(shell, stdout=subprocess.DEVNULL, cwd=ROOT)
        said = log.read_text()
        assert done.returncode == code, (streams, said)
        assert "Traceback" not in said
        assert "Exception ignored" not in said
        if streams == ">/dev/full":
            assert "Error: Standard output cannot be written: No space left on device." in said
        if not few:
            (picture,) = out.rglob("*.tif")
            formats.decode(picture)
            picture.unlink()


def test_a_picture_never_takes_a_closed_streams_number(tmp_path: Path) -> None:
    """Or what libraries say to the screen would be written into it."""
    program = (
        "import os; from mefcli.cli import streams; streams.settle(); picture = open('x.tif', 'wb').fileno();"
        "print(picture > 2, [os.get_inheritable(n) for n in range(3)], file=open('said', 'w'))"
    )
    shell = ["bash", "-c", '"$0" -c "$1" >&- 2>&- <&-', sys.executable, program]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "models")])
    subprocess.run(shell, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths})
    assert (tmp_path / "said").read_text() == "True [True, True, True]\n"


@pytest.mark.parametrize("debug", [False, True])
def test_what_libraries_say_reaches_no_screen(tmp_path: Path, debug: bool) -> None:
    """LibRaw writes the names of damaged files as they are: they could command a terminal."""
    program = (
        "import os, sys; from mefcli.cli import streams; streams.settle(); os.write(2, b'theirs ');"
        "print('ours', file=sys.stderr)"
    )
    paths = os.pathsep.join([str(ROOT), str(ROOT / "models")])
    environment = {**os.environ, "PYTHONPATH": paths, "MEF_DEBUG": "1" if debug else ""}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stderr == ("theirs ours\n" if debug else "ours\n")
