"""What people see: Rich on stderr for talk and progress, stdout for results.

On a terminal, progress is bars with the time left; piped, plain lines. `--quiet` leaves errors only.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@functools.cache
def _rich_console(stream: object) -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def console() -> Console:
    """The console on stderr."""
    return _rich_console(sys.stderr)


def show_error(message: str, hint: str = "") -> None:
    from rich.markup import escape

    console().print(f"[bold red]Error:[/] {escape(message)}" + (f" {escape(hint)}" if hint else ""))


def show_warning(message: str) -> None:
    from rich.markup import escape

    console().print(f"[yellow]Note:[/] {escape(message)}")
