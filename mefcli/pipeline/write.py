"""Finished pictures onto the disk: the whole file or nothing, and never onto a source.

Outputs are checked before anything is decoded. Each is written beside its place under a temporary name,
synced, and then moved there in one step. What a killed run left behind is removed by the next run.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mefcli.errors import MefError, OutputError, UsageError
from mefcli.job import Job
from mefcli.values import Fused, OnStep, Step, silent

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# The depth in bits that the fusion needs for a suffix, where none is asked for.
DEPTHS = {".tif": 16, ".tiff": 16, ".png": 16, ".jpg": 8, ".jpeg": 8, ".jxl": 16, ".avif": 16}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ABANDONED_S = 24 * 3600  # age of a temporary file that is surely nobody's, where locks cannot tell


def default_output(first: Path, suffix: str = ".tif") -> Path:
    return first.with_name(f"{first.stem}_fused{suffix}")


def depth_of(path: Path, job: Job) -> int:
    """Bits per channel that an output needs of the fusion."""
    return 8 if path.suffix.lower() in (".jpg", ".jpeg") else job.bit_depth or DEPTHS[path.suffix.lower()]


def check_outputs(outputs: Sequence[Path], inputs: Sequence[Path], *, overwrite: bool = False) -> None:
    """Everything that can be known to fail before the work begins."""
    for output in outputs:
        if output.suffix.lower() not in DEPTHS:
            raise UsageError(
                f"{output} has a suffix that is no format for pictures here.",
                f"Use one of: {', '.join(DEPTHS)}.",
            )
        _check_name(output)
        if output.is_dir():
            raise UsageError(f"{output} is a folder.", f"Give a file name, such as {output / 'fused.tif'}.")
        for source in inputs:
            if _is_same(output, source):
                raise UsageError(
                    f"{output} is the source {source.name}.", "Sources are never touched: give another name."
                )
        if output.exists() and not overwrite:
            raise OutputError(
                f"{output} exists already.", "Use --overwrite to replace it, or give another name."
            )
        _check_folder(output)
    targets = [output.resolve() for output in outputs]
    if len(set(targets)) < len(targets):
        raise UsageError("Two outputs have the same name.", "Give each its own.")


def _check_name(output: Path) -> None:
    """Names the system cannot take, and links in a circle."""
    try:
        output.exists()
        output.resolve()
    except OSError as error:
        raise OutputError(
            f"{output} cannot be written: {error.strerror}.", "Give another name with -o."
        ) from error
    except (RuntimeError, ValueError) as error:  # a circle of links; a zero byte
        raise OutputError(f"{output} leads to no file: {error}.", "Give another name with -o.") from error


def _is_same(output: Path, source: Path) -> bool:
    """The same file, also through symbolic and hard links."""
    try:
        return output.samefile(source)
    except OSError:
        return output.resolve() == source.resolve()


def _check_folder(output: Path) -> None:
    folder = output.resolve().parent
    if not folder.is_dir():
        if folder.exists():
            raise OutputError(f"{folder} is not a folder.", "Give the output a place in a folder.")
        raise OutputError(
            f"There is no folder {folder} for {output.name}.", f"Create it first: mkdir -p {folder}"
        )
    try:
        with _temporary(output.resolve()):
            pass
    except OSError as error:
        raise OutputError(
            f"Cannot write into {folder}: {error.strerror}.", "Give the output another folder with -o."
        ) from error


def write(
    fused: Fused,
    outputs: Sequence[Path],
    job: Job,
    on_step: OnStep = silent,
    on_note: Callable[[str], None] = lambda note: None,
) -> list[Path]:
    """Write every output, then move all into place; on any trouble none of them appears.

    `on_note` hears what a format could not hold and how that was met.
    """
    from mefcli import formats

    metadata = formats.read_metadata(fused.bracket.shots[fused.bracket.reference].path)
    with contextlib.ExitStack() as stack:
        finished = []
        for index, output in enumerate(outputs):
            on_step(Step("write", index / len(outputs), output.name))
            target = output.resolve()  # a link stays a link; what it leads to is replaced
            with _words_for_trouble(output):
                temporary = stack.enter_context(_temporary(target))
                encoding = formats.Encoding(
                    bit_depth=job.bit_depth, compression=job.compression, quality=job.quality
                )
                notes = formats.encode(
                    temporary,
                    fused.pixels,
                    icc=fused.icc,
                    metadata=metadata,
                    options=encoding,
                    record=fused.record,
                )
                for note in notes:
                    on_note(f"{output.name}: {note}")
                _settle(temporary)
            finished.append((output, target, temporary))
        for output, target, temporary in finished:
            with _words_for_trouble(output):
                _move(temporary, target, overwrite=job.overwrite)
    on_step(Step("write", 1.0))
    return list(outputs)


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
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


def _settle(path: Path) -> None:
    """Onto the disk, not only into the system's memory."""
    if path.stat().st_size == 0:
        raise OSError(errno.EIO, "nothing was written")
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _move(temporary: Path, target: Path, *, overwrite: bool) -> None:
    if target.exists():
        if not overwrite:
            raise OutputError(
                f"{target} appeared while it was being made.",
                "Use --overwrite to replace it, or give another name.",
            )
        with contextlib.suppress(OSError):
            shutil.copymode(target, temporary)
    temporary.replace(target)
    if os.name != "nt":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _words_for_trouble(output: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        number = _errno(error)
        if number in FULL:
            raise OutputError(
                f"The disk is full: {output} could not be written, and nothing was left behind.",
                "Make room, or give -o a place on another disk.",
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
