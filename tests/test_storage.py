"""The one way onto the disk: whole or not at all, nothing left behind, a note where a folder cannot sync."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toolkit import Mef

from mefcli import formats, storage
from mefcli.errors import OutputError


def failing_sync(number: int, *, folders: bool) -> Callable[[int], None]:
    real = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode) == folders:
            raise OSError(number, os.strerror(number))
        real(handle)

    return fsync


def test_a_file_is_replaced_as_a_whole_and_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "a.txt", tmp_path / "b.txt"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    storage.write_text(link, "new ü")
    assert target.read_text(encoding="utf-8") == "new ü"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [target, link]


@pytest.mark.parametrize("name", ["annexed", "real.bin"], ids=["no suffix", "another suffix"])
def test_behind_a_link_the_format_is_that_of_the_name_that_was_given(
    mef: Mef, jpegs: list[Path], tmp_path: Path, name: str
) -> None:
    """As links of archives lead to files that are named by their content."""
    target, link = tmp_path / name, tmp_path / "a.png"
    target.write_bytes(b"old")
    link.symlink_to(target)
    done = mef("fuse", *jpegs, "--model", "average", "--align", "off", "-o", link, "--overwrite")
    assert done.code == 0, done.err
    assert link.is_symlink()
    assert formats.sniff(target) == "png"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are for Unix")
@pytest.mark.parametrize("through", ["directly", "through a link"])
def test_a_pipe_or_a_device_is_never_replaced(
    mef: Mef, jpegs: list[Path], tmp_path: Path, through: str
) -> None:
    pipe, output = tmp_path / "pipe.png", tmp_path / "a.png"
    os.mkfifo(pipe)
    output = pipe if through == "directly" else output
    if output != pipe:
        output.symlink_to(pipe)
    done = mef("fuse", *jpegs, "--model", "average", "-o", output, "--overwrite")
    assert done.code == 1
    assert "a pipe or a device" in done.err
    with pytest.raises(OutputError, match="a pipe or a device"):
        storage.write_bytes(output, b"x")
    assert pipe.is_fifo()
    assert not list(tmp_path.glob(".*"))


def test_without_overwrite_a_file_that_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with (  # noqa: PT012 - what happens within the block is the point
        pytest.raises(OutputError, match="appeared"),
        storage.written(target, overwrite=False) as temporary,
    ):
        temporary.write_text("ours")
        target.write_text("theirs")
    assert target.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_trouble_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), storage.written(target) as temporary:  # noqa: PT012 - as above
        temporary.write_text("half")
        raise ZeroDivisionError
    with pytest.raises(OutputError, match="nothing was written"), storage.written(target):
        pass
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_if_a_later_file_cannot_be_moved_the_earlier_ones_are_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    new, old, last = (tmp_path / name for name in ("new.txt", "old.txt", "last.txt"))
    old.write_text("before")
    move = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if target == last:
            raise OSError(errno.EIO, "Input/output error")
        return move(path, target)

    def hardlink_to(path: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", replace)
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", hardlink_to)
    together = storage.written_together([new, old, last])
    with (  # noqa: PT012 - as above
        pytest.raises(OutputError, match=r"last.txt could not be written: Input/output error. Nothing was"),
        together as temporaries,
    ):
        for temporary in temporaries:
            temporary.write_text("ours")
    assert old.read_text() == "before"
    assert list(tmp_path.iterdir()) == [old]


def test_several_files_replace_what_was_there_and_leave_nothing_else(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.txt", "b.txt")]
    files[0].write_text("before")
    with storage.written_together(files) as temporaries:
        for temporary in temporaries:
            temporary.write_text("ours")
    assert [file.read_text() for file in files] == ["ours", "ours"]
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL, errno.EIO])
def test_a_folder_that_cannot_be_synced_costs_a_note_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", failing_sync(number, folders=True))
    notes = list[str]()
    storage.write_bytes(tmp_path / "a.bin", b"whole", on_note=notes.append)
    assert (tmp_path / "a.bin").read_bytes() == b"whole"
    assert len(notes) == 1
    assert str(tmp_path) in notes[0]
    assert os.strerror(number) in notes[0]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_disk_that_fails_to_take_the_data_is_an_error_and_one_without_sync_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", failing_sync(errno.EIO, folders=False))
    with pytest.raises(OutputError, match="could not be written"):
        storage.write_bytes(tmp_path / "a.bin", b"whole")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(os, "fsync", failing_sync(errno.EINVAL, folders=False))
    storage.write_bytes(tmp_path / "a.bin", b"whole")
    assert (tmp_path / "a.bin").read_bytes() == b"whole"


def test_a_fusion_into_a_folder_that_cannot_be_synced_is_done_with_a_note(
    mef: Mef, jpegs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", failing_sync(errno.EACCES, folders=True))
    outputs = tmp_path / "a.png", tmp_path / "b.tif"
    done = mef("fuse", *jpegs, "--model", "average", "-o", outputs[0], "-o", outputs[1], "--json")
    assert done.code == 0, done.err
    assert done.out.count("cannot be synced") == 1
    for output in outputs:
        assert formats.decode(output).pixels.shape == (96, 144, 3)


def test_aligned_frames_in_a_folder_that_cannot_be_synced_are_there_with_a_note(
    mef: Mef, jpegs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", failing_sync(errno.EACCES, folders=True))
    done = mef("align", *jpegs, "-o", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    assert done.out.count("cannot be synced") == 1
    assert len(list((tmp_path / "out").iterdir())) == len(jpegs)


def test_a_raw_file_that_cannot_be_finished_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.dng"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", failing_sync(errno.ENOSPC, folders=False))
    with pytest.raises(OutputError, match="disk is full"):
        formats.write_dng(path, np.zeros((4, 4), np.uint16))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
