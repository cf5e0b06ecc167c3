"""What people see: Rich on stderr for talk and progress, stdout for results.

On a terminal, progress is a bar with the stage and the time left; piped, a plain line for each stage.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mefcli.cli import state

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from mefcli.values import StageName, Step

WORDS = {
    "discover": "Finding pictures",
    "group": "Sorting",
    "read": "Reading",
    "align": "Aligning",
    "deghost": "Removing ghosts",
    "fuse": "Fusing",
    "write": "Writing",
}
# Seconds of each stage where nobody has estimated them; only their ratios count.
TYPICAL: Mapping[StageName, float] = {"read": 1.0, "align": 1.5, "deghost": 0.0, "fuse": 5.0, "write": 1.5}


def shares(seconds: Mapping[StageName, float]) -> dict[StageName, tuple[float, float]]:
    """For each stage: the share of the whole that is done when it begins, and its own share."""
    total = sum(seconds.values()) or 1.0
    found: dict[StageName, tuple[float, float]] = {"discover": (0.0, 0.0), "group": (0.0, 0.0)}
    begun = 0.0
    for stage, taken in seconds.items():
        found[stage] = (begun, taken / total)
        begun += taken / total
    return found


def console() -> Console:
    """The console on stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def stdout() -> Console:
    """The console on stdout, for tables. Piped, it is as wide as its content."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def show_error(message: str, hint: str = "") -> None:
    from rich.markup import escape

    console().print(f"[bold red]Error:[/] {escape(message)}" + (f" {escape(hint)}" if hint else ""))


def say(message: str) -> None:
    """Talk, for people; silent with --quiet."""
    if not state.quiet:
        console().print(message, markup=False)


def warn(message: str) -> None:
    from rich.markup import escape

    if not state.quiet:
        console().print(f"[yellow]Note:[/] {escape(message)}")


def put_json(value: Any) -> None:
    """One object, one line, on stdout. Names that are no text are escaped, so that the line stays JSON."""
    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        line = json.dumps(value)
    print(line, flush=True)


class Progress:
    """Give it as `on_step`: `with Progress() as progress: run(..., on_step=progress)`.

    `seconds` estimates the stages of the run ahead, in their order, so that bar and time left are even.
    """

    def __init__(self, title: str = "", seconds: Mapping[StageName, float] | None = None) -> None:
        self.title = title
        self.shares = shares(seconds or TYPICAL)
        self.stage = self.note = ""
        self.bar: Bar | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> Progress:
        if not state.quiet and sys.stderr.isatty():
            from rich import progress

            self.bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(bar_width=30),
                progress.TaskProgressColumn(),
                progress.TimeRemainingColumn(),
                console=console(),
                transient=True,
            )
            self.bar.start()
            self.task = self.bar.add_task(self.title or "Starting", total=1.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, step: Step) -> None:
        if state.quiet:
            return
        if self.bar is not None and self.task is not None:
            start, length = self.shares[step.stage]
            self.bar.update(
                self.task,
                completed=start + length * min(1.0, step.done),
                description=" ".join(word for word in (self.title, WORDS[step.stage]) if word),
            )
        elif step.stage != self.stage or (state.verbose and step.note not in ("", self.note)):
            self.stage, self.note = step.stage, step.note
            say(" ".join(word for word in (self.title, WORDS[step.stage], step.note) if word))

    def count(self, done: int, total: int) -> None:
        """Where several brackets are in work at once: how many of all are done."""
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=done / max(1, total), description=f"[{done}/{total}] done")


def seconds(value: float) -> str:
    """1.3 s, 47 s, 12 min."""
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"
