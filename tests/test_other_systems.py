"""What differs on Windows and macOS, as far as that can be tested here: names, case, files held open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from toolkit import Mef

from mefcli import api, naming, storage
from mefcli.batch.plan import make_plan
from mefcli.errors import OutputError, UsageError
from mefcli.job import Job
from mefcli.pipeline.write import frame_outputs

FAST = ("--model", "average", "--align", "off")


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "WINDOWS", True)
    monkeypatch.setattr(storage, "HELD_S", (0.0, 0.0))


def held(monkeypatch: pytest.MonkeyPatch, target: Path, times: int) -> list[Path]:
    """`target` is open in another program, which closes it after so many tries."""
    tries: list[Path] = []
    replace = Path.replace

    def refusing(self: Path, other: Any) -> Any:
        if Path(other) == target:
            tries.append(self)
            if len(tries) <= times:
                raise PermissionError(13, "The process cannot access the file", str(self), 32, str(other))
        return replace(self, other)

    monkeypatch.setattr(Path, "replace", refusing)
    return tries


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("CON.tif", "device"),
        ("nul.jpg", "device"),
        ("Com1.fused.tif", "device"),
        ("lpt² .png", "device"),
        ("aux/x.tif", "device"),
        ("night. /x.tif", "drops"),
        ("dots../x.tif", "drops"),
        ('10:30 "sun".tif', "holds one of"),
        ("why?.tif", "holds one of"),
    ],
)
def test_names_that_windows_does_not_hold_are_refused(
    name: str, why: str, jpegs: list[Path], tmp_path: Path, mef: Mef, undecoded: None
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    done = mef("fuse", *jpegs, "-o", tmp_path / name)
    assert done.code == 1
    assert why in done.err
    assert "Give the output another name." in done.err
    bracket = api.plan(jpegs)
    with pytest.raises(UsageError, match=why):
        make_plan([bracket], tmp_path, Job(), roots={}, name=name.rpartition(".")[0])


@pytest.mark.parametrize("name", ["CON.tif", "what?.tif", "dots. .tif"])
def test_other_systems_hold_any_name(name: str, jpegs: list[Path], tmp_path: Path, mef: Mef) -> None:
    assert mef("fuse", *jpegs, *FAST, "-o", tmp_path / name).code == 0
    assert (tmp_path / name).is_file()


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize("name", ["console.tif", "com.tif", "com10.tif", ".hidden.tif", "a b.c.tif"])
def test_names_that_only_look_like_those_are_taken(name: str, tmp_path: Path) -> None:
    assert naming.trouble_on_windows(tmp_path / name) is None
    assert naming.trouble_on_windows(Path("..") / name) is None


@pytest.mark.usefixtures("windows")
def test_a_file_that_is_held_for_a_moment_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    tries = held(monkeypatch, target, 2)
    storage.write_text(target, "new")
    assert target.read_text() == "new"
    assert len(tries) == 3


@pytest.mark.usefixtures("windows")
def test_a_file_that_stays_held_is_named_and_nothing_is_lost(
    jpegs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mef: Mef
) -> None:
    """Two outputs, the second is open in an editor: the first comes back as it was."""
    one, two = tmp_path / "one.tif", tmp_path / "two.tif"
    one.write_text("old one")
    two.write_text("old two")
    held(monkeypatch, two, 99)
    done = mef("fuse", *jpegs, *FAST, "-o", one, "-o", two, "--overwrite")
    assert done.code == 1
    assert f"{two} is held by another program, so it is left as it was. Close it there" in done.err
    assert (one.read_text(), two.read_text()) == ("old one", "old two")
    assert sorted(tmp_path.glob(".mef*")) == []


def test_a_folder_that_may_not_be_written_is_no_file_held_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    tries = held(monkeypatch, target, 99)
    with pytest.raises(OutputError, match="could not be written"):
        storage.write_text(target, "new")
    assert len(tries) == 1


@pytest.mark.usefixtures("windows")
def test_a_path_too_long_is_told_by_its_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / ("long" * 60) / "x.tif"
    target.parent.mkdir()

    def refuse(*_: Any) -> int:
        raise FileNotFoundError(2, "The system cannot find the path specified")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match=rf"has {len(str(target))} characters, 259 are possible"):
        storage.check_folder(target)


def test_outputs_that_differ_in_case_or_in_how_accents_are_written_are_two_for_one_place(
    jpegs: list[Path], tmp_path: Path, mef: Mef
) -> None:
    """macOS and Windows keep one of them; nobody can know where a disk is read next."""
    for one, two in (("Sea.tif", "sea.TIF"), ("caf\u00e9.tif", "cafe\u0301.tif")):
        done = mef("fuse", *jpegs, "-o", tmp_path / one, "-o", tmp_path / two)
        assert done.code == 2
        assert "Two outputs have the same name" in done.err


def test_aligned_frames_of_names_that_differ_in_case_are_numbered(jpegs: list[Path], tmp_path: Path) -> None:
    bracket = api.plan(jpegs)
    shots = [
        shot.__class__(path, shot.kind)
        for shot, path in zip(bracket.shots, map(Path, ("a/X.jpg", "b/x.jpg", "c/y.jpg")), strict=True)
    ]
    renamed = bracket.__class__(tuple(shots), bracket.evs, bracket.reference, bracket.why)
    names = [path.name for path in frame_outputs(renamed, tmp_path / "out")]
    assert names == ["X_aligned.tif", "x_aligned_2.tif", "y_aligned.tif"]


def test_pictures_are_found_whatever_the_case_of_their_suffix(
    jpegs: list[Path], tmp_path: Path, mef: Mef
) -> None:
    for path, suffix in zip(jpegs, (".JPG", ".Jpg", ".JPEG"), strict=True):
        path.rename(path.with_suffix(suffix))
    done = mef("fuse", jpegs[0].parent, *FAST, "-o", tmp_path / "X.TIF")
    assert done.code == 0, done.err
