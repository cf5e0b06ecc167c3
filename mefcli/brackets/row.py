"""Shots in a row, dark to bright, with one they all refer to: the bracket itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mefcli.errors import UsageError
from mefcli.values import Bracket, Shot


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
        names = [shot.path.name for shot in shots]
        if wanted.isdigit() and 1 <= int(wanted) <= len(shots):
            return int(wanted) - 1
        if Path(wanted).name in names:
            return names.index(Path(wanted).name)
        raise UsageError(
            f"There is no frame {wanted!r} to refer to.",
            f"Give a number from 1 (darkest) to {len(shots)}, or one of: {', '.join(names)}.",
        )
    plain = [i for i, shot in enumerate(shots) if shot.bias_ev == 0]
    if len(plain) == 1:
        return plain[0]
    return int(np.argmin([abs(ev - float(np.median(evs))) for ev in evs]))
