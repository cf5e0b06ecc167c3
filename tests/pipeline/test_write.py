"""Writing: the whole file or nothing, and sources are never touched."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from toolkit import Mef

from mefcli import formats


def listing(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


@pytest.mark.parametrize("how", ["same", "symlink", "hardlink", "dots"])
def test_a_source_is_never_an_output_even_through_links(mef: Mef, jpegs: list[Path], how: str) -> None:
    before = listing(jpegs[0].parent)
    output = jpegs[0].parent / "out.jpg"
    if how == "symlink":
        output.symlink_to(jpegs[1])
    elif how == "hardlink":
        output.hardlink_to(jpegs[1])
    elif how == "dots":
        output = jpegs[1].parent / ".." / jpegs[1].parent.name / jpegs[1].name
    else:
        output = jpegs[1]
    done = mef("fuse", *jpegs, "-o", output, "--overwrite")
    assert done.code == 2
    assert "source room_2.jpg" in done.err
    after = listing(jpegs[0].parent)
    assert {name: after[name] for name in before} == before


def test_an_existing_output_is_kept_and_refused_before_anything_is_decoded(
    mef: Mef, jpegs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = jpegs[0].with_name("out.png")
    output.write_text("precious")

    def decode(*_: object, **__: object) -> None:
        raise AssertionError("decoded for nothing")

    monkeypatch.setattr(formats, "decode", decode, raising=False)
    done = mef("fuse", *jpegs, "-o", output)
    assert done.code == 1
    assert "exists already" in done.err
    assert "--overwrite" in done.err
    assert output.read_text() == "precious"


def test_overwrite_replaces_the_file_and_keeps_a_link_a_link(
    mef: Mef, jpegs: list[Path], tmp_path: Path
) -> None:
    target, link = tmp_path / "target.png", tmp_path / "latest.png"
    target.write_text("old")
    link.symlink_to(target)
    assert mef("fuse", *jpegs, "-o", link, "--overwrite").code == 0
    assert link.is_symlink()
    assert formats.sniff(target) == "png"


def test_two_outputs_of_one_name_are_refused(mef: Mef, jpegs: list[Path]) -> None:
    output = jpegs[0].with_name("x.png")
    assert mef("fuse", *jpegs, "-o", output, "-o", jpegs[0].parent / "." / "x.png").code == 2


@pytest.mark.parametrize("name", ["out.tif", "out.png", "out.jpg"])
def test_a_full_disk_leaves_nothing_and_says_so(mef: Mef, jpegs: list[Path], name: str) -> None:
    """A limit on the size of files stands for the end of the disk."""
    resource = pytest.importorskip("resource")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, usual[1]))
    try:
        done = mef("fuse", *jpegs, "-o", jpegs[0].with_name(name), "--quality", "100")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert done.code == 1, done.err
    assert "The disk is full" in done.err
    assert "nothing was left behind" in done.err
    assert sorted(jpegs[0].parent.iterdir()) == jpegs


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_under_a_librarys_own_error_is_recognised(
    mef: Mef, jpegs: list[Path], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(path: Path, *_: object, **__: object) -> None:
        path.write_bytes(b"half a file")
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            raise RuntimeError("encoder failed") from error

    monkeypatch.setattr(formats, "encode", encode, raising=False)
    done = mef("fuse", *jpegs)
    assert done.code == 1
    assert "The disk is full" in done.err
    assert sorted(jpegs[0].parent.iterdir()) == jpegs


def test_if_one_of_two_outputs_fails_neither_appears(
    mef: Mef, jpegs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = formats.encode

    def encode(path: Path, *arguments: object, **options: object) -> object:
        if path.suffix == ".jpg":
            raise OSError(errno.EIO, "Input/output error")
        return real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(formats, "encode", encode, raising=False)
    folder = jpegs[0].parent
    done = mef("fuse", *jpegs, "-o", folder / "a.png", "-o", folder / "b.jpg")
    assert done.code == 1
    assert "b.jpg could not be written: Input/output error" in done.err
    assert sorted(folder.iterdir()) == jpegs


def test_what_a_killed_run_left_behind_is_removed_by_the_next(mef: Mef, jpegs: list[Path]) -> None:
    folder = jpegs[0].parent
    program = (
        "import os, signal, sys\n"
        "from mefcli import formats\n"
        "from mefcli.cli.app import run\n"
        "def stop(path, *a, **k):\n    path.write_bytes(b'half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "formats.encode = stop\n"
        "run(['fuse', *sys.argv[1:]])\n"
    )
    output = folder / "out.png"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, jpegs), "-o", str(output)], capture_output=True
    )
    assert done.returncode == -signal.SIGKILL
    left = [path for path in folder.iterdir() if path not in jpegs]
    assert len(left) == 1, "the killed run left its temporary file"
    assert left[0].name.startswith(".mef-unfinished-")
    other = folder / ".mef-unfinished-000000000000-1-1.png"
    other.write_bytes(b"of another target")
    assert mef("fuse", *jpegs, "-o", output).code == 0
    assert sorted(folder.iterdir()) == sorted([*jpegs, output, other])


def test_sources_are_opened_for_reading_only(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    before = [(path.stat().st_mtime_ns, path.read_bytes()) for path in jpegs]
    for path in jpegs:
        path.chmod(0o444)
    assert mef("fuse", *jpegs, "-o", tmp_path / "x.tif").code == 0
    assert before == [(path.stat().st_mtime_ns, path.read_bytes()) for path in jpegs]


def test_a_clock_that_jumps_takes_no_file_from_a_run_under_way(mef: Mef, jpegs: list[Path]) -> None:
    """Machines without a clock of their own start in 1970; what counts is the lock."""
    from mefcli.storage import remove_abandoned, unfinished

    output = jpegs[0].with_name("out.png")
    with unfinished(output) as temporary:
        os.utime(temporary, (1e6, 1e6))
        remove_abandoned(output)
        assert temporary.exists()
    assert sorted(output.parent.iterdir()) == jpegs
