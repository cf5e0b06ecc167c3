"""The best division of a stream into brackets and single shots, by what each run is worth as one bracket.

Worth is counted in single shots: a bracket saves telling the exposure of each of its frames but one, and
costs what is odd about it (see run) and about its pattern on this card (see habits). Measured exposures may
come twice in a row: pixels do not tell two frames apart that are nearly black.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from mefcli.brackets.frames import LONGEST, SAME_EV, Frame, consecutive, parted, pause_s
from mefcli.brackets.habits import Habits, pattern
from mefcli.brackets.run import Run, waited_s


@dataclass(frozen=True)
class Terms:
    """What a search is to accept."""

    gap_s: float
    longest_s: float  # pauses up to here are believed of brackets set by hand
    count: int | None = None  # only brackets of so many frames
    measured: bool = False  # exposures come from pixels: steps are rough
    habits: Habits = field(default_factory=Habits)  # what this card has


def divide(frames: Sequence[Frame], terms: Terms) -> list[list[Frame]]:
    """The stream cut into brackets and single shots so that the brackets are worth most together."""
    best = [0.0] * (len(frames) + 1)
    step = [1] * (len(frames) + 1)
    reach = [_reach(frames, start, terms) for start in range(len(frames))]
    best[1:] = [float("-inf")] * len(frames)
    for start in range(len(frames)):
        if best[start] > best[start + 1]:
            best[start + 1], step[start + 1] = best[start], 1
        for stop in range(start + 2, reach[start] + 1):
            if terms.count not in (None, stop - start):
                continue
            worth = value(frames[start:stop], terms)
            if worth is not None and best[start] + worth > best[stop] + 1e-9:
                best[stop], step[stop] = best[start] + worth, stop - start
    parts: list[list[Frame]] = []
    stop = len(frames)
    while stop > 0:
        parts.append(list(frames[stop - step[stop] : stop]))
        stop -= step[stop]
    return parts[::-1]


def apart(frames: Sequence[Frame], terms: Terms) -> list[list[Frame]]:
    """Runs between pauses that look like brackets though no frame of them says so: the card may say it."""
    runs: list[list[Frame]] = []
    for frame in frames:
        if runs and _may_follow(runs[-1][-1], frame, terms.gap_s, terms):
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return [run for run in runs if 2 < len(run) <= LONGEST and _looks_regular(run, terms)]


def _looks_regular(frames: Sequence[Frame], terms: Terms) -> bool:
    run = Run(frames, [frame.ev or 0.0 for frame in frames], terms.gap_s)
    return min(run.steps) > SAME_EV and not run.unevenness and not run.oddness


def _reach(frames: Sequence[Frame], start: int, terms: Terms) -> int:
    """The end of the longest bracket that could begin at `start`."""
    seen: list[float] = []
    longest = terms.count or LONGEST
    for stop in range(start + 1, min(len(frames), start + longest)):
        one, two = frames[stop - 1], frames[stop]
        before, ev = one.ev or 0.0, two.ev or 0.0
        if not (terms.measured and abs(ev - before) < SAME_EV):
            seen.append(before)
        if any(abs(ev - other) < SAME_EV for other in seen):
            return stop
        if not _may_follow(one, two, terms.longest_s, terms):
            return stop
    return min(len(frames), start + longest)


def _may_follow(one: Frame, two: Frame, longest_s: float, terms: Terms) -> bool:
    if parted(one, two):
        return False
    if pause_s(one, two) is None:
        return terms.measured or consecutive(one, two)
    return waited_s(one, two) <= longest_s


def value(frames: Sequence[Frame], terms: Terms) -> float | None:
    """What a run of distinct exposures is worth as one bracket; None if it is none."""
    return _worth_measured(frames, terms) if terms.measured else _worth_recorded(frames, terms)


def _worth_recorded(frames: Sequence[Frame], terms: Terms) -> float | None:
    run = Run(frames, [frame.ev or 0.0 for frame in frames], terms.gap_s)
    own, habits = pattern(frames), terms.habits
    if run.begins_again:
        return None
    if terms.count is None:
        if run.slow:
            credible = run.by_hand or run.whole
        else:
            said = run.told or run.marked or (run.by_hand and run.meant)
            credible = said or habits.usual(own) or run.planned
        if not credible:
            return None
    worth = len(frames) - 1.0 - habits.surprise(own)
    if not habits.known(own):
        worth -= run.oddness + (min(1.0, 0.4 * run.unevenness) if run.by_hand else run.unevenness)
    return worth + 0.3 * run.told + 1.5 * run.whole + _ease(run)


def _worth_measured(frames: Sequence[Frame], terms: Terms) -> float | None:
    measured = [frame.ev or 0.0 for frame in frames]
    evs = [ev for before, ev in pairwise([float("-inf"), *measured]) if abs(ev - before) >= SAME_EV]
    count = len(frames)
    if len(evs) < 2 or count > 2 * len(evs):
        return None
    run = Run(frames, evs, terms.gap_s)
    # A rising run of three and a stray shot must be worth more than two pairs.
    worth = count - (1.2 if len(evs) == 2 else 0.8) - 0.2 * (count - len(evs))
    return worth - 0.3 * run.unevenness - run.oddness + _ease(run)


def _ease(run: Run) -> float:
    """What the pauses and the camera's own marks say, whatever the exposures are."""
    worth = 0.3 * run.marked - 0.5 * run.slow + run.counted
    if run.gap_s:
        worth -= sum(0.15 * min(1.0, pause / run.gap_s) for pause in run.pauses)
    if len(run.frames) > 2 and max(run.pauses) > 3 * median(run.pauses) + 1.0 and not run.whole:
        worth -= 0.7
    return worth
