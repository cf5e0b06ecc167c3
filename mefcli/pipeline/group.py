"""Which shots belong together, from names and headers only: a run of distinct exposures without a pause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mefcli.pipeline.bracket import SAME_EV, make_bracket, pause_s
from mefcli.pipeline.types import Bracket, Shot

Mode = Literal["auto"]
GAP_S = 4.0  # from the end of one exposure to the start of the next; hand-set brackets take longer
WHY = "taken one after the other with distinct exposures"


@dataclass(frozen=True)
class Grouping:
    brackets: tuple[Bracket, ...]
    leftovers: tuple[tuple[Shot, str], ...]  # shots without a bracket, and why


def group(shots: Sequence[Shot], *, mode: Mode = "auto", gap_s: float = GAP_S) -> Grouping:
    """Brackets in the order they were taken. `gap_s` is the longest pause within one."""
    leftovers = [(shot, "no exposure time is recorded") for shot in shots if shot.ev is None]
    runs: list[list[Shot]] = []
    for shot in sorted((shot for shot in shots if shot.ev is not None), key=_place):
        if runs and _belongs(runs[-1], shot, gap_s):
            runs[-1].append(shot)
        else:
            runs.append([shot])
    leftovers += [(run[0], "no other exposure was taken with it") for run in runs if len(run) == 1]
    brackets = [
        make_bracket(run, [shot.ev or 0.0 for shot in run], None, WHY) for run in runs if len(run) > 1
    ]
    return Grouping(tuple(brackets), tuple(leftovers))


def _place(shot: Shot) -> tuple[str, datetime, str]:
    return str(shot.path.parent), shot.taken_at or datetime.min, shot.path.name


def _belongs(run: Sequence[Shot], shot: Shot, gap_s: float) -> bool:
    last = run[-1]
    alike = (last.camera, last.serial, last.size_px, last.kind, last.path.parent) == (
        shot.camera,
        shot.serial,
        shot.size_px,
        shot.kind,
        shot.path.parent,
    )
    distinct = all(abs((shot.ev or 0.0) - (other.ev or 0.0)) >= SAME_EV for other in run)
    return alike and distinct and pause_s(last, shot) <= gap_s
