"""The template that outputs' names are made from, checked before anything is planned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePath
from string import Formatter

from mefcli.brackets.frames import Frame, in_order
from mefcli.errors import UsageError, named
from mefcli.job import Job
from mefcli.values import Bracket, Shot
from mefnets.spec import Task

NAMES: dict[Task, str] = {
    "exposure": "{stem}_fused",
    "focus": "{stem}_focus",
    "infrared": "{stem}_infrared",
}
FIELDS = ("stem", "first", "last", "date", "model", "ev")
WIDE = re.compile(r"\d{4,}")  # a width beyond what any disk takes as a name
# What a template can make Python's formatting raise.
BROKEN = (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError)


class Day:
    """2024-05-01, or what is asked for: {date:%Y}."""

    def __init__(self, taken: datetime | None) -> None:
        self.taken = taken

    def __format__(self, wanted: str) -> str:
        if self.taken is None:
            return "undated"
        return self.taken.strftime(wanted) if wanted else self.taken.date().isoformat()


def check_name(name: str) -> None:
    """Everything about a template that can be known without a bracket."""
    try:
        parts = list(Formatter().parse(name))
    except ValueError as error:
        raise _unreadable(name, error) from error
    for _, field, wanted, _ in parts:
        if field is not None and field not in FIELDS:
            known = ", ".join(f"{{{one}}}" for one in FIELDS)
            raise UsageError(f"{named('name')} knows no {{{field}}}.", f"Use {known}.")
        if WIDE.search(wanted or ""):
            raise _unreadable(name, f"{wanted} is too wide")
    _filled(name, {**dict.fromkeys(FIELDS, "a"), "date": Day(datetime(2024, 5, 1))})


def place_of(bracket: Bracket, name: str, job: Job) -> Path:
    """A bracket's name, below the folder of its results, without a suffix."""
    reference = bracket.shots[bracket.reference]
    taken = in_time(bracket)
    values = {
        "stem": reference.path.stem,
        "first": taken[0].path.stem,
        "last": taken[-1].path.stem,
        "date": Day(reference.taken_at),
        "model": Path(job.model).stem,
        "ev": "".join(f"{ev:+g}" for ev in (round(ev, 1) + 0.0 for ev in bracket.evs)),
    }
    return Path(_filled(name, values))


def in_time(bracket: Bracket) -> list[Shot]:
    return [frame.shot for frame in in_order([Frame(shot, shot.ev) for shot in bracket.shots])]


def _filled(name: str, values: Mapping[str, object]) -> PurePath:
    try:
        filled = name.format(**values)
    except BROKEN as error:
        raise _unreadable(name, error) from error
    path = PurePath(filled)
    if path.is_absolute() or ".." in path.parts or not path.name.strip() or filled.endswith("/"):
        raise UsageError(
            f"{named('name')} {name!r} leads out of the output folder.", "Give a name such as {stem}_fused."
        )
    if "\0" in filled:
        raise _unreadable(name, "a zero byte is no part of a name")
    return path


def _unreadable(name: str, why: object) -> UsageError:
    return UsageError(
        f"{named('name')} {name!r} cannot be read: {why}.", "Write {stem}_fused, or {date:%Y}/{stem}."
    )
