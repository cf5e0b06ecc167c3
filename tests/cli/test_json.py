"""What every command writes with --json is JSON, and as docs/json.md and the schema say."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import lines
import numpy as np
import pytest
from toolkit import Mef

from mefcli.cli.app import COMMANDS

FAST = ("--model", "average", "--align", "off")
ROOT = Path(__file__).resolve().parents[2]
# Those whose lines are not of results; progress and tables are their talk.
WITHOUT = {"train", "search"}
TESTED = {
    "fuse": ("FRAMES", "-o", "OUT.tif", "--model", "mertens", "--deghost", "auto"),
    "fuse --dry-run": ("FRAMES",),
    "focus": ("STACK", "-o", "OUT.tif"),
    "focus --dry-run": ("STACK",),
    "infrared": ("STACK", "-o", "OUT.tif"),
    "infrared --dry-run": ("STACK",),
    "batch": ("FOLDER", "-o", "OUT", *FAST),
    "batch --dry-run": ("FOLDER", "-o", "OUT"),
    "align": ("FRAMES", "-o", "OUT", "--align", "flow", "--deghost", "auto"),
    "hdr": ("FRAMES", "-o", "OUT.exr", "--deghost", "auto"),
    "depth": ("MAP", "PICTURE", "-o", "OUT.tif", "--model", "guided"),
    "info": ("FOLDER",),
    "info --groups": ("FOLDER",),
    "eval": ("SCENES", "--models", "average,mertens"),
    "reproduce": ("ffmef", "--data", "SCENES", "--megapixels", "0.01"),
    "compare": ("FRAMES", "--models", "average,mertens", "-o", "OUT.png"),
    "models list": (),
    "models show": ("house",),
    "models verify": (),
    "bench fusion": ("--megapixels", "0.02", "--frames", "2", "--only-mef", "--models", "average"),
    "bench fusion --stages": ("--megapixels", "0.02", "--frames", "2", "--models", "average"),
    "bench models": ("--models", "average", "--megapixels", "0.02", "--repeats", "1"),
    "bench radiance": ("--width", "96", "--frames", "3", "--only-mef"),
    "bench alignment": ("--megapixels", "0.05", "--cases", "1", "--only-mef"),
    "demo": ("OUT", "--width", "96", "--model", "average"),
    "doctor": (),
    "config": ("FOLDER", "--quality", "80"),
}


def _map_for(picture: Path, path: Path) -> Path:
    """A depth map a quarter as large, in a file."""
    import cv2

    height, width = cv2.imread(str(picture)).shape[:2]
    cv2.imwrite(str(path), np.full((height // 4, width // 4), 900, np.uint16))
    return path


@pytest.mark.parametrize("command", TESTED)
def test_lines_are_as_the_schema_says(mef: Mef, jpegs: list[Path], tmp_path: Path, command: str) -> None:
    scenes = tmp_path / "scenes" / "room"
    shutil.copytree(jpegs[0].parent, scenes, ignore=shutil.ignore_patterns("scenes"))
    words: list[object] = []
    for word in TESTED[command]:
        given: dict[str, list[Any]] = {
            "FRAMES": [*jpegs],
            "STACK": [jpegs[1], scenes / jpegs[1].name],
            "FOLDER": [scenes],
            "PICTURE": [jpegs[0]],
            "MAP": [_map_for(jpegs[0], tmp_path / "map.png")],
            "SCENES": [scenes.parent],
            **{name: [tmp_path / name.lower()] for name in ("OUT", "OUT.tif", "OUT.png", "OUT.exr")},
        }
        words += given.get(word, [word])
    done = mef(*command.split(), *words, "--json")
    assert done.code == 0, done.err
    assert done.out.strip()


def test_failures_are_as_the_schema_says(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    jpegs[0].write_bytes(jpegs[0].read_bytes()[:4000])
    (jpegs[0].parent / "none.jpg").write_bytes(b"no picture")
    for words in (
        ("fuse", *jpegs, *FAST),
        ("fuse", jpegs[0], "--dry-run"),
        ("batch", jpegs[0].parent, "-o", tmp_path / "out", *FAST),
        ("batch", jpegs[0].parent, "-o", tmp_path / "out", "--dry-run"),
        ("info", jpegs[0].parent),
        ("info", jpegs[0].parent, "--groups"),
    ):
        done = mef(*words, "--json")
        assert done.code == 1, words
        assert done.out.strip(), (words, done.err)


def test_numbers_without_end_in_headers_are_null(mef: Mef, jpegs: list[Path], monkeypatch: Any) -> None:
    from dataclasses import replace

    from mefcli import formats

    read = formats.read_shot
    monkeypatch.setattr(
        formats,
        "read_shot",
        lambda path: replace(read(path), focal_mm=float("nan"), aperture=np.inf, exposure_s=float("inf")),
    )
    done = mef("info", *jpegs, "--json")
    (first, *_) = json.loads(done.out)["shots"]
    assert (first["focal_mm"], first["aperture"]) == (None, None)


def test_every_command_has_its_place_in_the_page_and_here() -> None:
    names = {entry.name for entry in COMMANDS}
    assert {command.split()[0] for command in TESTED} == names - WITHOUT
    page = (ROOT / "docs" / "json.md").read_text()
    table = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    for command in names - WITHOUT:
        assert f"mef {command}" in table
    told = {word for word in re.findall(r"`(\w+)`", table) if word in lines.SCHEMA["$defs"]}
    lists = {one["$ref"].rpartition("/")[2] for one in lines.SCHEMA["anyOf"]}
    assert told == lists


def test_the_validator_finds_what_is_wrong() -> None:
    good = {"what": "x", "found": "y", "ok": None}
    schema = lines.SCHEMA["$defs"]["checks"]
    assert not list(lines.faults([good], schema, "checks"))
    for bad in ({**good, "ok": 1}, {"what": "x"}, {**good, "more": 1}, [], {**good, "found": None}):
        assert list(lines.faults([bad], schema, "checks"))
    with pytest.raises(AssertionError, match="NaN"):
        lines.check(["doctor"], "[NaN]")
