"""A source file's bytes, read as they are asked for.

Not mapped into memory: a mapped file that another program shortens, or whose card is pulled, ends the whole
process with SIGBUS. Here it is a sentence that names the file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mefcli.errors import InputError, UnreadableError

RESTORE = "Copy it from the card again."
WINDOW_BYTES, PAGE_BYTES = 1 << 16, 1 << 12


class FileBytes:
    """An open file, sliced like bytes; a window of it is kept, for headers come in many small pieces."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self.length = os.fstat(file.fileno()).st_size
        self.start, self.window = 0, b""

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: slice, /) -> bytes:
        start, stop, _ = slice(key.start, key.stop).indices(self.length)
        if stop <= start:
            return b""
        if not self.start <= start <= stop <= self.start + len(self.window):
            if stop - start > WINDOW_BYTES - PAGE_BYTES:
                return self._read(start, stop)
            self.start = start // PAGE_BYTES * PAGE_BYTES
            self.window = self._read(self.start, min(self.length, self.start + WINDOW_BYTES))
        return self.window[start - self.start : stop - self.start]

    def _read(self, start: int, stop: int) -> bytes:
        try:
            self.file.seek(start)
            data = self.file.read(stop - start)
        except OSError as error:
            raise UnreadableError(
                f"{self.path} cannot be read: {error.strerror or error}.", "Check the card or the connection."
            ) from error
        if len(data) < stop - start:
            raise changed(self.path, "became shorter")
        return data


def changed(path: Path, how: str = "changed") -> UnreadableError:
    return UnreadableError(
        f"{path} {how} while it was read.",
        "Wait until the program that writes it has finished, or copy it again.",
    )


@contextmanager
def opened(path: Path) -> Iterator[FileBytes]:
    """The file's bytes. Says in a sentence why a file cannot be opened."""
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        if not stat.S_ISREG(mode):  # opening a pipe would wait for who fills it
            raise InputError(f"{path} is not a regular file.", "Give pictures.")
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.", "Check the name.") from None
    except IsADirectoryError:
        raise InputError(
            f"{path} is a folder, not a picture.", "Give the files in it, or use `mef batch`."
        ) from None
    except PermissionError:
        raise InputError(f"{path} may not be read.", "Check the file's permissions.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror or error}.", "Check the name.") from error
    with file:
        data = FileBytes(file, path)
        if not len(data):
            raise UnreadableError(f"{path} is empty.", RESTORE)
        yield data
