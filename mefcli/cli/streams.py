"""Standard streams that are closed, on a full disk, or read by nobody.

Talk that nobody takes is dropped; the work goes on. It also goes on where results cannot be written, as
pictures matter more than a list of them, but fails in the end. Only a pipe that was closed ends it at once:
whoever read from it, such as `head`, wants no more.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


class _Talk(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


class _Results(io.FileIO):
    trouble: OSError | None = None

    def write(self, data: Any) -> int:
        if self.trouble is None:
            try:
                return super().write(data)
            except OSError as error:
                self.trouble = error
                if isinstance(error, BrokenPipeError):
                    raise
        return len(data)


def settle() -> None:
    """For the whole process, before anything opens a file."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what is damaged is told by us, in a sentence
    _open_closed()
    if os.name == "nt":  # a console there is more than a file
        return
    sys.stderr = _text(_Talk(_talk(), "w", closefd=False), sys.stderr, errors="backslashreplace")
    sys.stdout = _text(_Results(1, "w", closefd=False), sys.stdout, errors="strict")


def exit_code(code: int) -> int:
    """At the end: 1 where results could not be written, which is told."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    trouble = raw.trouble if isinstance(raw, _Results) else None
    if trouble is None:
        return code
    if not isinstance(trouble, BrokenPipeError):
        from mefcli.cli.screen import show_error

        show_error(
            f"Standard output cannot be written: {trouble.strerror}.",
            "Pictures that were made are whole.",
        )
    return code or 1


def _talk() -> int:
    """The stream for what we say. What libraries of C say of damaged files (LibRaw, with their names as they
    are) goes nowhere, but with --debug."""
    if "--debug" in sys.argv or os.environ.get("MEF_DEBUG"):
        return 2
    ours = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path, a device
        os.dup2(nowhere.fileno(), 2)
    return ours


def _open_closed() -> None:
    """A picture opened under a closed stream's number would take in what libraries say to that stream."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(opened, True)


def _text(raw: io.FileIO, usual: Any, errors: str) -> io.TextIOWrapper:
    encoding = usual.encoding if usual is not None else "utf-8"
    lines = usual.line_buffering if usual is not None else True
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors=errors, line_buffering=lines)
