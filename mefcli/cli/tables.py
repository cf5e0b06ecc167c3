"""Tables for people: the frames of a bracket, or of anything, with their exposures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mefcli.values import Bracket, Shot

if TYPE_CHECKING:
    from rich.table import Table

BAR = 12  # characters
# The long exposures of cameras' dials, in thirds and halves of a stop.
DIAL_S = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.3, 1.5, 1.6, 2, 2.5, 3, 3.2, 4, 5, 6, 8, 10, 13, 15, 20, 25, 30)
# How far a dial rounds: 2 to a third of a stop is 1.26 and called 1.3; 1/3 is called 0.3.
NEAR, NEAR_BELOW_1 = 0.06, 0.12


@dataclass(frozen=True)
class Clipping:
    """Shares of pixels at the ends of the scale, in percent."""

    black: float
    white: float


def exposure_words(shot: Shot) -> str:
    """1/60 s f/8 ISO 100."""
    words = []
    if shot.exposure_s:
        words.append(f"{time_words(shot.exposure_s)} s")
    if shot.aperture:
        words.append(f"f/{shot.aperture:g}")
    if shot.iso:
        words.append(f"ISO {shot.iso:g}")
    return " ".join(words) or "not recorded"


def time_words(exposure_s: float) -> str:
    """An exposure time as a camera's dial says it: 1/60, 0.8 (recorded as 10/13), 13 (as 12.7)."""
    if exposure_s < 0.29:
        return f"1/{1 / exposure_s:.0f}"
    dial = min(DIAL_S, key=lambda one: abs(math.log(exposure_s / one)))
    near = NEAR if exposure_s > 1 else NEAR_BELOW_1
    named = exposure_s <= DIAL_S[-1] and abs(math.log(exposure_s / dial)) < near
    return f"{dial:g}" if named else f"{exposure_s:.3g}"


def bracket_table(bracket: Bracket, clipping: Mapping[Path, Clipping] | None = None) -> Table:
    """The frames dark to bright; * marks the reference."""
    marks = ["*" if i == bracket.reference else "" for i in range(len(bracket.shots))]
    return _table(bracket.shots, bracket.evs, marks, clipping or {})


def shots_table(shots: Sequence[Shot], clipping: Mapping[Path, Clipping] | None = None) -> Table:
    """Shots in the order given; exposures count from their middle one."""
    known = sorted(shot.ev for shot in shots if shot.ev is not None)
    middle = known[len(known) // 2] if known else 0.0
    evs = [None if shot.ev is None else shot.ev - middle for shot in shots]
    return _table(shots, evs, [""] * len(shots), clipping or {})


def _table(
    shots: Sequence[Shot],
    evs: Sequence[float | None],
    marks: Sequence[str],
    clipping: Mapping[Path, Clipping],
) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("#", "file", "kind", "size", "exposure"):
        table.add_column(heading)
    table.add_column("EV", justify="right")
    table.add_column("")
    if clipping:
        table.add_column("black", justify="right")
        table.add_column("white", justify="right")
    known = [ev for ev in evs if ev is not None]
    for number, (shot, ev, mark) in enumerate(zip(shots, evs, marks, strict=True), 1):
        size = f"{shot.size_px[0]}x{shot.size_px[1]}" if shot.size_px else "?"
        row = [f"{number}{mark}", shot.path.name, shot.kind, size, exposure_words(shot)]
        row += ["?", ""] if ev is None else [f"{ev:+.1f}", _bar(ev, min(known), max(known))]
        if clipping:
            share = clipping.get(shot.path)
            row += [f"{share.black:.1f}%", f"{share.white:.1f}%"] if share else ["", ""]
        table.add_row(*row)
    return table


def _bar(ev: float, low: float, high: float) -> str:
    length = BAR if high == low else 1 + round((BAR - 1) * (ev - low) / (high - low))
    return "▇" * length
