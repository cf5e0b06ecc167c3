"""The one way onto the disk: a file appears whole under its name, or not at all.

It is written beside its place under a temporary name, synced, and moved there in one step; then the folder is
synced, where the system can. What a killed process left behind is removed by the next that writes the same
file. One file: `written`, `write_bytes`, `write_text`. Several that belong together:
`written_together`, which moves them once each is whole, and takes back the first where a later one cannot be
moved.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from mefcli import naming
from mefcli.errors import MefError, OutputError, named

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

OnNote = Callable[[str], None]
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What systems say of a file or folder that they cannot sync; EIO and a full disk are another matter.
UNSYNCED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EROFS)
HELD_S = (0.1, 0.3, 0.6)  # pauses before trying again to replace a file that is held open
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
    together = written_together([path], overwrite=overwrite, on_note=on_note)
    with words_for_trouble(path), together as (temporary,):
        yield temporary


@contextmanager
def written_together(
    paths: Sequence[Path], *, overwrite: bool = True, on_note: OnNote = ignored
) -> Iterator[list[Path]]:
    """The same for several files: all of them take their places, or none does."""
    with ExitStack() as stack:
        places = list[tuple[Path, Path, Path]]()
        for path in map(Path, paths):
            with words_for_trouble(path):
                target = path.resolve()  # a link stays a link; what it leads to is replaced
                # Named as was asked for: what a link leads to may have another suffix, or none.
                places.append((path, target, stack.enter_context(unfinished(target, path.suffix))))
        yield [temporary for _, _, temporary in places]
        for path, _, temporary in places:
            with words_for_trouble(path):
                settle(temporary)
        notes = _put_all(places, overwrite=overwrite)
    for note in notes:
        on_note(note)


def _put_all(places: Sequence[tuple[Path, Path, Path]], *, overwrite: bool) -> list[str]:
    notes = set[str]()
    with ExitStack() as kept, ExitStack() as undo:
        for path, target, temporary in places:
            with words_for_trouble(path):
                if len(places) > 1:
                    undo.callback(_take_back, target, kept.enter_context(_kept(target)), _identity(temporary))
                notes.add(put(temporary, target, overwrite=overwrite))
        undo.pop_all()  # all are there
    return sorted(notes - {""})


@contextmanager
def _kept(target: Path) -> Iterator[Path | None]:
    """A second name of what lies at `target`, while it may have to come back; None where nothing does."""
    if not target.exists():
        yield None
        return
    second = _temporary(target)
    try:
        try:
            second.hardlink_to(target)
        except OSError:  # a card's file system knows one name a file
            shutil.copy2(target, second)
        yield second
    finally:
        second.unlink(missing_ok=True)


def _take_back(target: Path, before: Path | None, ours: tuple[int, int]) -> None:
    """What lay at `target` before comes back, if the file there is ours by now."""
    if not target.exists() or _identity(target) != ours:
        return
    if before is None:
        target.unlink()
    else:
        before.replace(target)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


@contextmanager
def unfinished(target: Path, suffix: str | None = None) -> Iterator[Path]:
    """A new, locked file beside `target`; removed at the end unless it was moved away."""
    remove_abandoned(target)
    temporary = _temporary(target, suffix)
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


def _temporary(target: Path, suffix: str | None = None) -> Path:
    ending = target.suffix if suffix is None else suffix
    name = f".mef-unfinished-{_key(target)}-{os.getpid()}-{time.monotonic_ns():x}{ending}"
    return target.parent / name


def check_replaceable(target: Path) -> None:
    """A file may be replaced where that was asked for; a pipe or a device, also behind a link, is kept."""
    if target.exists() and not target.is_file():
        what = "a folder" if target.is_dir() else "a pipe or a device"
        raise OutputError(f"{target} is {what}, no file that could be replaced.", "Give another name.")


def check_folder(target: Path) -> None:
    """Whether a file can be made there."""
    folder = target.resolve().parent
    if not folder.is_dir():
        if folder.exists():
            raise OutputError(f"{folder} is not a folder.", "Give the output a place in a folder.")
        raise OutputError(f"There is no folder {folder} for {target.name}.", "Make it first.")
    try:
        with unfinished(target.resolve()):
            pass
    except OSError as error:
        raise OutputError(
            f"Cannot write into {folder}: {error.strerror}.{naming.too_long_told(target)}",
            "Give the output another folder.",
        ) from error


def check_new(target: Path, *, overwrite: bool) -> None:
    """Whether a file can be made there, and replaces none unasked."""
    if not overwrite and os.path.lexists(target):
        raise exists_already(target)
    check_folder(target)


def check_folder_to_be(folder: Path) -> None:
    """Whether a folder is there to write into, or can be made; makes nothing."""
    hint = "Give another folder."
    try:
        place = folder.resolve()
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise OutputError(f"{place} is not a folder.", hint)
        if not os.access(place, os.W_OK | os.X_OK):
            raise OutputError(f"Cannot write into {place}: {os.strerror(errno.EACCES)}.", hint)
    except (OSError, RuntimeError, ValueError) as error:  # names too long, circles of links, zero bytes
        raise OutputError(f"{folder} cannot be a folder: {error}.", hint) from error


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
    _synced(temporary)


def _synced(path: Path) -> bool:
    """False where the system cannot do it."""
    with path.open("rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in UNSYNCED:
                raise
            return False
    return True


def syncs(target: Path) -> bool:
    """Whether files beside `target` can be synced at all: some network shares cannot."""
    with unfinished(target) as temporary:
        return _synced(temporary)


def put(temporary: Path, target: Path, *, overwrite: bool) -> str:
    """Move a settled file to its place. Returns what to tell where the move may not outlast a power cut."""
    if target.exists():
        if not overwrite:
            raise OutputError(f"{target} appeared while it was being made.", REPLACE)
        check_replaceable(target)
        with contextlib.suppress(OSError):
            shutil.copymode(target, temporary)
    _move(temporary, target)
    return sync_folder(target.parent)


def _move(temporary: Path, target: Path) -> None:
    """In one step. Windows replaces no file that a program holds open: scanners let go after a moment, for an
    editor somebody has to close it. The file that was there stays, whole."""
    for wait_s in (*HELD_S, None):
        try:
            temporary.replace(target)
            return
        except PermissionError as error:
            if not naming.WINDOWS or not target.is_file():
                raise
            if wait_s is None:
                raise OutputError(
                    f"{target} is held by another program, so it is left as it was.",
                    "Close it there, and run the command again.",
                ) from error
            time.sleep(wait_s)


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
                "Free some space, or give the output a place on another disk.",
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
