"""A source that changes, vanishes or fails while it is read is named; it never ends the process."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest
import tifffile

from mefcli import formats
from mefcli.errors import InputError, UnreadableError
from mefcli.formats import source
from mefcli.formats.source import FileBytes, opened
from tests.formats.conftest import photo

ROOT = Path(__file__).resolve().parents[2]


def test_slices_are_those_of_the_bytes(tmp_path: Path) -> None:
    data = os.urandom(3 * source.WINDOW_BYTES + 17)
    (tmp_path / "x").write_bytes(data)
    ends = (0, 1, 4095, 4096, 65535, 65536, 70000, 150000, len(data), len(data) + 9)
    with opened(tmp_path / "x") as found:
        assert len(found) == len(data)
        for start in ends:
            for stop in (*ends, start + 3):
                assert found[start:stop] == data[start:stop], (start, stop)
        assert found[-5:] == data[-5:]


def test_a_file_cut_while_its_header_is_read_is_named(jpeg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program saves into the folder, or the card is pulled."""
    jpeg.write_bytes(jpeg.read_bytes() + bytes(1 << 20))
    whole = jpeg.read_bytes()
    real = FileBytes._read
    for read in (formats.read_shot, formats.read_metadata, formats.decode, formats.sniff):
        calls = 0

        def cut(self: FileBytes, start: int, stop: int) -> bytes:
            nonlocal calls
            calls += 1
            os.truncate(jpeg, 100)
            return real(self, start, stop)

        jpeg.write_bytes(whole)
        monkeypatch.setattr(FileBytes, "_read", cut)
        with pytest.raises(UnreadableError, match=re.escape(jpeg.name) + " became shorter"):
            read(jpeg)
        assert calls
        monkeypatch.setattr(FileBytes, "_read", real)


def test_a_tiff_that_another_program_saves_while_it_is_decoded_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its library opens the file again, and finds there what is there by then."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, photo(), photometric="rgb")
    os.utime(path, (1, 1))
    whole, real = path.read_bytes(), tifffile.TiffPage.asarray

    def saved_over(page: Any, *rest: Any, **more: Any) -> Any:
        path.write_bytes(whole[:-3000] + bytes(3000))
        return real(page, *rest, **more)

    monkeypatch.setattr(tifffile.TiffPage, "asarray", saved_over)
    with pytest.raises(UnreadableError, match=r"a\.tif changed while it was read"):
        formats.decode(path)


def test_a_card_that_fails_is_named(jpeg: Path) -> None:
    class Failing:
        def __init__(self, file: Any) -> None:
            self.file = file

        def fileno(self) -> int:
            return int(self.file.fileno())

        def seek(self, at: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with jpeg.open("rb") as file:
        data = FileBytes(Failing(file), jpeg)  # type: ignore[arg-type]
        with pytest.raises(UnreadableError, match="Input/output error"):
            data[0:4]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are for Unix")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    for read in (formats.read_shot, formats.decode):
        with pytest.raises(InputError, match="not a regular file"):
            read(tmp_path / "x.jpg")


def test_no_source_is_mapped_into_memory() -> None:
    """A mapped file that is cut ends the process; only the training store, our own file, is mapped."""
    for path in (ROOT / "mefcli").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import mmap" not in text, path
        assert "safe_open" not in text, path
        assert "memmap" not in text or "training" in path.parts, path
