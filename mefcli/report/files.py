"""Where a report or a table may go, told before the work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mefcli.errors import OutputError, UsageError
from mefcli.storage import check_folder, exists_already


def check_target(
    path: Path | None, suffixes: Sequence[str], sources: Sequence[Path], *, overwrite: bool
) -> None:
    """Refuse before the work: a wrong ending, an existing file, a source, a closed folder. None is fine."""
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path.name} should end in {' or '.join(suffixes)}.")
    if path.exists():
        if any(source.exists() and path.samefile(source) for source in sources):
            raise OutputError(f"{path} is one of the sources.", "Choose another name.")
        if not overwrite:
            raise exists_already(path)
    check_folder(path)
