"""What was typed as a place: folders and patterns as input, folders as output, in every command alike."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from toolkit import Mef

from mefcli import api

FAST = ("--model", "average", "--align", "off")
NAMED = {  # what a folder's own file is called, of the first frame
    "fuse": "_fused.tif",
    "focus": "_focus.tif",
    "hdr": "_light.exr",
    "compare": "_models.jpg",
}


def options(command: str) -> tuple[str, ...]:
    """What makes each as quick as it can be."""
    return {
        "fuse": FAST,
        "focus": ("--align", "off"),
        "compare": ("--models", "average,mertens", "--align", "off", "--megapixels", "0.01"),
        "hdr": ("--align", "off"),
        "batch": FAST,
    }.get(command, ())


@pytest.fixture
def frames(jpegs: list[Path]) -> dict[str, list[Path]]:
    """Those a command takes: a bracket, and for a focus stack three frames of one exposure."""
    folder = jpegs[0].parent / "stack"
    folder.mkdir()
    alike = [Path(shutil.copy(jpegs[1], folder / f"near_{number}.jpg")) for number in range(3)]
    return {command: alike if command == "focus" else jpegs for command in (*NAMED, "align", "batch", "info")}


@pytest.mark.parametrize("typed", ["folder", "folder/"])
@pytest.mark.parametrize("command", list(NAMED))
def test_a_folder_as_output_names_the_file_itself(
    command: str, typed: str, frames: dict[str, list[Path]], tmp_path: Path, mef: Mef
) -> None:
    (tmp_path / "folder").mkdir()
    done = mef(command, *frames[command], *options(command), "-o", f"{tmp_path}/{typed}", "--json")
    assert done.code == 0, done.err
    expected = tmp_path / "folder" / f"{frames[command][0].stem}{NAMED[command]}"
    assert expected.is_file()
    assert json.loads(done.out)["outputs"] == [str(expected)]


def test_a_picture_with_its_light_is_a_jpeg(jpegs: list[Path], tmp_path: Path, mef: Mef) -> None:
    (tmp_path / "out").mkdir()
    assert mef("fuse", *jpegs, *FAST, "--hdr", "-o", f"{tmp_path}/out/").code == 0
    assert (tmp_path / "out" / f"{jpegs[0].stem}_fused.jpg").is_file()


@pytest.mark.parametrize("command", ["fuse", "focus", "hdr", "compare"])
def test_a_folder_that_is_not_there_is_named(
    command: str, frames: dict[str, list[Path]], tmp_path: Path, mef: Mef
) -> None:
    done = mef(command, *frames[command], *options(command), "-o", f"{tmp_path}/absent/")
    assert done.code == 1
    assert f"There is no folder {tmp_path / 'absent'}" in done.err


def test_a_folder_as_output_in_python_too(jpegs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = api.fuse_files(jpegs, [tmp_path / "out", f"{tmp_path}/x.png"], model="average", align="off")
    assert done.outputs == (tmp_path / "out" / f"{jpegs[0].stem}_fused.tif", tmp_path / "x.png")


def test_a_depth_that_a_format_has_not_is_told(jpegs: list[Path], tmp_path: Path, mef: Mef) -> None:
    done = mef("fuse", *jpegs, *FAST, "--bit-depth", "16", "-o", tmp_path / "e.jpg")
    assert done.code == 0
    assert "Note: e.jpg: 8 bits a channel: JPEG holds no 16" in done.err


@pytest.mark.parametrize("typed", ["", "*.jpg", "*.JPG"], ids=["folder", "pattern", "in another case"])
@pytest.mark.parametrize("command", ["fuse", "focus", "hdr", "align", "compare", "info", "batch"])
def test_folders_and_patterns_are_opened_even_where_a_name_looks_like_a_pattern(
    command: str, typed: str, frames: dict[str, list[Path]], tmp_path: Path, mef: Mef
) -> None:
    """Shells on Windows leave patterns to the program, and folders may be called "Trip [2026]"."""
    folder = tmp_path / "Trip [2026]"
    folder.mkdir()
    for path in frames[command]:
        shutil.copy(path, folder)
    place = folder / typed
    (tmp_path / "out").mkdir()
    output = () if command == "info" else ("-o", f"{tmp_path / 'out'}")
    done = mef(command, place, *options(command), *output, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert len(told["shots"] if command == "info" else told["inputs"]) == 3
