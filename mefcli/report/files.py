"""Reports and tables reach the disk whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mefcli.errors import OutputError


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
