"""The one way onto the disk: a file appears whole under its name, or not at all.

It is written beside its place under a temporary name, synced, and moved there in one step; then the folder is
synced, where the system can. What a killed process left behind is removed by the next that writes the same
file. One file: `written`, `write_bytes`, `write_text`. Several that belong together: `unfinished` for each,
`settle`, and `put` for all of them once each is whole.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mefcli.errors import MefError, OutputError, named

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

OnNote = Callable[[str], None]
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What systems say of a file or folder that they cannot sync; EIO and a full disk are another matter.
UNSYNCED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EROFS)
ABANDONED_S = 24 * 3600  # age of a temporary file that is surely nobody's, where locks cannot tell


REPLACE = f"Use {named('overwrite')} to replace it, or give another name."


def ignored(_: str) -> None:
    """The default `on_note`."""


def write_bytes(path: Path, data: bytes, *, overwrite: bool = True, on_note: OnNote = ignored) -> None:
    with written(path, overwrite=overwrite, on_note=on_note) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str, *, overwrite: bool = True, on_note: OnNote = ignored) -> None:
    write_bytes(path, text.encode("utf-8"), overwrite=overwrite, on_note=on_note)


@contextmanager
def written(path: Path, *, overwrite: bool = True, on_note: OnNote = ignored) -> Iterator[Path]:
    """A temporary path to write to; it takes the place of `path` when the block ends without an error."""
    path = Path(path)
    with words_for_trouble(path):
        target = path.resolve()  # a link stays a link; what it leads to is replaced
        with unfinished(target) as temporary:
            yield temporary
            settle(temporary)
            note = put(temporary, target, overwrite=overwrite)
    if note:
        on_note(note)


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A new, locked file beside `target`; removed at the end unless it was moved away."""
    remove_abandoned(target)
    name = f".mef-unfinished-{_key(target)}-{os.getpid()}-{time.monotonic_ns():x}{target.suffix}"
    temporary = target.parent / name
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        if fcntl is None:
            os.close(handle)  # Windows moves no open file
        else:
            with contextlib.suppress(OSError):  # some network disks have no locks
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield temporary
    finally:
        if fcntl is not None:
            os.close(handle)
        temporary.unlink(missing_ok=True)


def remove_abandoned(target: Path) -> None:
    """Temporary files of killed runs for the same target: nobody holds their lock."""
    for left in target.parent.glob(f".mef-unfinished-{_key(target)}-*"):
        with contextlib.suppress(OSError), left.open("rb") as handle:
            if _is_abandoned(handle, left):
                left.unlink()


def _key(target: Path) -> str:
    return hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]


def _is_abandoned(handle: IO[bytes], path: Path) -> bool:
    """Locks tell, as long as there are any; a clock that was set says nothing about a run under way."""
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError:  # some network disks have no locks
            pass
    return time.time() - path.stat().st_mtime > ABANDONED_S


def settle(temporary: Path) -> None:
    """Onto the disk, not only into the system's memory. An empty file means that nothing was written."""
    if temporary.stat().st_size == 0:
        raise OSError(errno.EIO, "nothing was written")
    with temporary.open("rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in UNSYNCED:
                raise


def put(temporary: Path, target: Path, *, overwrite: bool) -> str:
    """Move a settled file to its place. Returns what to tell where the move may not outlast a power cut."""
    if target.exists():
        if not overwrite:
            raise OutputError(f"{target} appeared while it was being made.", REPLACE)
        with contextlib.suppress(OSError):
            shutil.copymode(target, temporary)
    temporary.replace(target)
    return sync_folder(target.parent)


def exists_already(output: Path) -> OutputError:
    return OutputError(f"{output} exists already.", REPLACE)


def sync_folder(folder: Path) -> str:
    """Make the names in a folder outlast a power cut; returns what to tell where that is not possible.

    Never an error: the file is in its place already, whole.
    """
    if os.name == "nt":  # no handle on a folder there; NTFS writes a journal of its own
        return ""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        return (
            f"The folder {folder} cannot be synced ({error.strerror}): what was written is there, but a "
            "power cut within seconds could lose it."
        )
    return ""


@contextmanager
def words_for_trouble(output: Path) -> Iterator[None]:
    """What the system says, as an `OutputError` that names the file."""
    try:
        yield
    except Exception as error:
        number = _errno(error)
        if number in FULL:
            raise OutputError(
                f"The disk is full: {output} could not be written, and nothing was left behind.",
                "Make room, or give the output a place on another disk.",
            ) from error
        if isinstance(error, MefError) or not isinstance(error, OSError):
            raise
        reason = error.strerror or str(error)
        raise OutputError(f"{output} could not be written: {reason}.", "Nothing was left behind.") from error


def _errno(error: BaseException | None) -> int | None:
    """The system's word for a trouble, also under a library's own error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__ or error.__context__
    return None
