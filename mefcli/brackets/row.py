"""Shots in a row, dark to bright, with one they all refer to: the bracket itself."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from mefcli.brackets.frames import SAME_EV
from mefcli.errors import UsageError
from mefcli.values import Bracket, Shot

RECORDED = "have the same exposure"
UNRECORDED = "are equally bright, and their exposure is not recorded"
NAMED = 5  # files, or groups of them, that a sentence spells out


def make_bracket(
    shots: Sequence[Shot], evs: Sequence[float], reference: str | None, why: str, notes: Sequence[str] = ()
) -> Bracket:
    order = sorted(range(len(shots)), key=lambda i: (evs[i], shots[i].path.name, str(shots[i].path)))
    ordered = tuple(shots[i] for i in order)
    values = [evs[i] for i in order]
    index = _reference(ordered, values, reference)
    return Bracket(ordered, tuple(round(ev - values[index], 3) for ev in values), index, why, tuple(notes))


def _reference(shots: Sequence[Shot], evs: Sequence[float], wanted: str | None) -> int:
    """The frame asked for, else the one without exposure compensation, else the middle one."""
    if wanted is not None:
        return reference_named(shots, wanted, "darkest")
    plain = [i for i, shot in enumerate(shots) if shot.bias_ev == 0]
    if len(plain) == 1:
        return plain[0]
    ranked = sorted(evs)
    median = (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2
    return min(range(len(evs)), key=lambda place: abs(evs[place] - median))


def reference_named(shots: Sequence[Shot], wanted: str, first: str) -> int:
    """The frame of that number, from 1, or of that name; `first` says what the first frame is."""
    names = [shot.path.name for shot in shots]
    if wanted.isdigit() and 1 <= int(wanted) <= len(shots):
        return int(wanted) - 1
    if Path(wanted).name in names:
        return names.index(Path(wanted).name)
    raise UsageError(
        f"There is no frame {wanted!r} to refer to.",
        f"Give a number from 1 ({first}) to {len(shots)}, or one of: {', '.join(names)}.",
    )


def told_alike(shots: Sequence[Shot], evs: Sequence[float], trouble: str) -> list[str]:
    """A note for frames that are exposed alike: they are used as one exposure seen several times."""
    order = sorted(range(len(shots)), key=lambda i: evs[i])
    groups = [order[:1]]
    for one, two in pairwise(order):
        if evs[two] - evs[one] >= SAME_EV:
            groups.append([])
        groups[-1].append(two)
    return [
        f"{listed([shots[i].path.name for i in alike])} {trouble}: they count as one exposure, taken "
        f"{'twice' if len(alike) == 2 else f'{len(alike)} times'}."
        for alike in groups
        if len(alike) > 1
    ]


def listed(names: Sequence[str]) -> str:
    """a and b; a, b and c; of many only some."""
    if len(names) > NAMED:
        return some(names)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def some(names: Sequence[str]) -> str:
    return " ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
