"""Reports and tables reach the disk whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mefcli.errors import OutputError, UsageError


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside the target, then replace it."""
    temporary = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}.", "Choose another place with -o."
        ) from error


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def check_target(
    path: Path | None, suffixes: Sequence[str], sources: Sequence[Path], *, overwrite: bool
) -> None:
    """Refuse before the work: a wrong ending, an existing file, a source, no folder. None is fine."""
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path.name} should end in {' or '.join(suffixes)}.")
    if path.exists():
        if any(source.exists() and path.samefile(source) for source in sources):
            raise OutputError(f"{path} is one of the sources.", "Choose another name.")
        if not overwrite:
            raise OutputError(f"{path} exists.", "Add --overwrite to replace it.")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"There is no folder {path.parent}.", "Make it first.")
