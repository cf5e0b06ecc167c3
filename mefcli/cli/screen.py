"""What people see: Rich on stderr for talk and progress, stdout for results.

On a terminal, progress is a bar with the stage and the time left; piped, a plain line for each stage.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from mefcli.cli import state
from mefcli.errors import MefError, flag
from mefcli.words import COMMANDS, shown

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderHook
    from rich.progress import Progress as Bar
    from rich.progress import TaskID
    from rich.segment import Segment

    from mefcli.values import StageName, Step

WORDS = {
    "discover": "Finding pictures",
    "group": "Sorting",
    "read": "Reading",
    "align": "Aligning",
    "deghost": "Removing ghosts",
    "fuse": "Fusing",
    "merge": "Merging light",
    "write": "Writing",
}
_bar: Bar | None = None  # the one on the terminal at this time
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


class _Plain:
    """Keeps control characters of file names, of whatever was read, from reaching a terminal as commands."""

    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        from rich.control import Control

        return [one if isinstance(one, Control) else _Shown(one) for one in renderables]


class _Shown:
    def __init__(self, renderable: Any) -> None:
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        from rich.segment import Segment

        for one in console.render(self.renderable, options):
            yield one if one.control else Segment(shown(one.text), one.style)


def console() -> Console:
    """The console on stderr; the one of the bar, where there is one, so that lines come above it."""
    return _bar.console if _bar is not None else _console(stderr=True, soft_wrap=True)


def stdout() -> Console:
    """The console on stdout, for tables. Piped, it is as wide as its content."""
    return _console(width=None if sys.stdout.isatty() else 160)


def _console(**options: Any) -> Console:
    from rich.console import Console

    # Names may hold what would be markup, or the name of an emoji.
    made = Console(highlight=False, markup=False, emoji=False, **options)
    made.push_render_hook(cast("RenderHook", _Plain()))
    return made


def show_error(message: str, hint: str = "") -> None:
    _say_of("Error:", "bold red", f"{message} {hint}".rstrip())


def say(message: str) -> None:
    """Talk, for people; silent with --quiet."""
    if not state.quiet:
        console().print(message)


def warn(message: str) -> None:
    if not state.quiet:
        _say_of("Note:", "yellow", message)


def left_out(name: str, error: MefError) -> None:
    """A model that cannot be loaded, where the others do."""
    warn(f"{name} is left out: {error.spelled(flag)[0]}")


def _say_of(word: str, style: str, message: str) -> None:
    from rich.text import Text

    console().print(Text.assemble((word, style), " ", message))


def put(line: object) -> None:
    """One line of results on stdout: to a program as it is, to a terminal without what would command it."""
    with _aside():
        print(shown(str(line)) if sys.stdout.isatty() else str(line), flush=True)


def put_json(value: Any) -> None:
    """One object, one line, on stdout. Names that are no text are escaped, so that the line stays JSON."""
    value = _without_nan(value)
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        line = json.dumps(value, allow_nan=False)
    with _aside():
        print(COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", line), flush=True)


def _without_nan(value: Any) -> Any:
    """JSON has no word for what is not a number, or without end: null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    return [_without_nan(one) for one in value] if isinstance(value, list | tuple) else value


@contextmanager
def _aside() -> Iterator[None]:
    """The bar steps aside for a line of results on the same terminal."""
    if _bar is None or not sys.stdout.isatty():
        yield
        return
    _bar.stop()
    try:
        yield
    finally:
        _bar.start()


class Progress:
    """Give it as `on_step`: `with Progress() as progress: run(..., on_step=progress)`.

    `seconds` estimates the stages of the run ahead, in their order, so that bar and time left are even. Where
    several brackets follow each other, `bracket` tells of each, and the bar is that of them all.
    """

    def __init__(self, title: str = "", seconds: Mapping[StageName, float] | None = None) -> None:
        self.title = title
        self.shares = shares(seconds or TYPICAL)
        self.stage = self.note = ""
        self.ended, self.total = 0, 1
        self.bar: Bar | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> Progress:
        global _bar
        if not state.quiet and sys.stderr.isatty():
            from rich import progress

            self.bar = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(bar_width=30),
                progress.TaskProgressColumn(),
                progress.TimeRemainingColumn(),
                console=console(),
                transient=True,
                redirect_stdout=False,  # results go where they were sent
                redirect_stderr=False,
            )
            self.bar.start()
            self.task = self.bar.add_task(shown(self.title) or "Starting", total=1.0)
            _bar = self.bar
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _bar
        if self.bar is not None:
            _bar = None
            self.bar.stop()

    def __call__(self, step: Step) -> None:
        if state.quiet:
            return
        words = (self.title, WORDS[step.stage])
        if self.bar is not None:
            start, length = self.shares[step.stage]
            self._show(start + length * min(1.0, step.done), *words)
        elif step.stage != self.stage or (state.verbose and step.note not in ("", self.note)):
            self.stage, self.note = step.stage, step.note
            say(" ".join(word for word in (*words, step.note) if word))

    def bracket(self, title: str, ended: int, total: int) -> None:
        """The next of `total` brackets begins, of which so many have ended."""
        self.title, self.stage = title, ""
        self.ended, self.total = ended, total
        self._show(0.0, title)

    def count(self, ended: int, total: int) -> None:
        """Where several brackets are in work at once: how many of all are done."""
        self.ended, self.total = ended, max(1, total)
        self._show(0.0, f"[{ended}/{total}] done")

    def _show(self, share: float, *words: str) -> None:
        if self.bar is not None and self.task is not None:
            self.bar.update(
                self.task,
                completed=(self.ended + share) / self.total,
                description=shown(" ".join(word for word in words if word)),
            )


def seconds(value: float) -> str:
    """1.3 s, 47 s, 12 min."""
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"
