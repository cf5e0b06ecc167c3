"""What speaks for a run of shots being one bracket, as a number; and the best division of a run.

A bracket has distinct exposures, usually in even steps, in an order that cameras use, without long pauses.
Measured exposures may come twice in a row: pixels do not tell two frames apart that are nearly black.
Cameras that record the compensation of each frame, or the place in the series, say it themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from mefcli.brackets.frames import LONGEST, SAME_EV, Frame, consecutive, parted, pause_s

WHOLE_EV = 0.12  # how far a step of whole stops may be from it: 1/13 s is called 1/13, not 1/12.7
EVEN_EV = 0.25  # likewise for two steps to count as equal: 6 s and 13 s stand for 6.3 and 12.7
Pattern = tuple[int, ...]


@dataclass(frozen=True)
class Terms:
    """What a search is to accept."""

    gap_s: float
    longest_s: float  # pauses up to here are believed of brackets set by hand
    count: int | None = None  # only brackets of so many frames
    measured: bool = False  # exposures come from pixels: steps are rough
    known: frozenset[Pattern] = field(default_factory=frozenset)  # patterns this card has elsewhere


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


def _reach(frames: Sequence[Frame], start: int, terms: Terms) -> int:
    """The end of the longest bracket that could begin at `start`."""
    seen: list[float] = []
    longest = terms.count or LONGEST
    for stop in range(start + 1, min(len(frames), start + longest)):
        one, two = frames[stop - 1], frames[stop]
        before, ev = one.ev or 0.0, two.ev or 0.0
        if not (terms.measured and abs(ev - before) < SAME_EV):
            seen.append(before)
        if parted(one, two) or any(abs(ev - other) < SAME_EV for other in seen):
            return stop
        pause = pause_s(one, two)
        if pause is None:
            if not terms.measured and not consecutive(one, two):
                return stop
        elif pause > max(terms.longest_s, _allowed_s(one, terms)):
            return stop
    return min(len(frames), start + longest)


def _allowed_s(frame: Frame, terms: Terms) -> float:
    """A long exposure may be followed by its dark frame, which takes as long again."""
    return terms.gap_s + (1.1 * frame.exposure_s if frame.exposure_s >= 1 else 0.0)


def value(frames: Sequence[Frame], terms: Terms) -> float | None:
    """What a run of distinct exposures is worth as one bracket; None if it is none."""
    evs = [frame.ev or 0.0 for frame in frames]
    if terms.measured:
        evs = [ev for before, ev in pairwise([float("-inf"), *evs]) if abs(ev - before) >= SAME_EV]
        if len(evs) < 2 or len(frames) > 2 * len(evs):
            return None
    told = False if terms.measured else _compensated(frames, evs)
    if told is None:
        return None
    if told:  # what was asked for is even also where the shutter came to its end
        evs = [frame.shot.bias_ev or 0.0 for frame in frames]
    steps = [b - a for a, b in pairwise(sorted(evs))]
    marked = all(frame.shot.drive.bracketing for frame in frames)
    monotone = is_monotone(evs)
    pauses = [max(0.0, pause_s(one, two) or 0.0) for one, two in pairwise(frames)]
    slow = any(pause > _allowed_s(one, terms) for one, pause in zip(frames, pauses, strict=False))
    evidence = told or marked
    whole = slow and told and monotone and _complete(evs, steps)  # held up once, yet none is missing
    if terms.count is None and not terms.measured:
        by_hand = _set_by_hand(frames, steps, pauses, monotone=monotone)
        if slow and not by_hand and not whole:
            return None
        if not evidence and not slow and not _plausible(frames, steps, pauses, monotone=monotone):
            return None
    count = len(frames)
    # Without recorded exposures a rising run of three and a stray shot must be worth more than two pairs.
    worth = count - (1.2 if terms.measured and len(evs) == 2 else 0.8) - 0.2 * (count - len(evs))
    worth -= _unevenness(steps) * (0.3 if terms.measured else 1.0)
    if not (monotone or _camera_order(evs)):
        worth -= 1.2
    if count % 2 == 0 and count > 2 and not monotone:
        worth -= 0.5
    worth -= sum(0.15 * min(1.0, pause / terms.gap_s) for pause in pauses) if terms.gap_s else 0.0
    if count > 2 and max(pauses) > 3 * median(pauses) + 1.0 and not whole:
        worth -= 0.7
    worth += 0.3 * told + 0.3 * marked - 0.5 * slow + 1.5 * whole + _counted(frames)
    return worth + 0.6 * (pattern(frames) in terms.known)


def pattern(frames: Sequence[Frame]) -> Pattern:
    """Exposures in thirds of a stop from the first, in the order of shooting."""
    first = frames[0].ev or 0.0
    return tuple(round(3 * ((frame.ev or 0.0) - first)) for frame in frames)


def is_monotone(values: Sequence[float]) -> bool:
    return all(a < b for a, b in pairwise(values)) or all(a > b for a, b in pairwise(values))


def _compensated(frames: Sequence[Frame], evs: Sequence[float]) -> bool | None:
    """Whether recorded compensations tell of a bracket; None if they tell against it."""
    biases = [frame.shot.bias_ev for frame in frames]
    if any(bias is None for bias in biases):
        return False
    values = [bias or 0.0 for bias in biases]
    distinct = len({round(value, 2) for value in values})
    if distinct == 1:
        return False
    if distinct < len(values):
        return None  # the compensations repeat: a second bracket has begun
    rest = [ev - value for ev, value in zip(evs, values, strict=True)]
    return max(rest) - min(rest) < 0.7  # the camera meters anew for each frame, and rounds


def _complete(biases: Sequence[float], steps: Sequence[float]) -> bool:
    """Compensations as far below as above what was metered, in even steps, none of them missing.

    Three are too few to tell: 0, -2, -1, +1, +2, taken again and again, has +2, 0, -2 across each pause.
    """
    even = max(steps) - min(steps) <= 2 * WHOLE_EV
    return len(biases) >= 5 and even and abs(min(biases) + max(biases)) < WHOLE_EV


def _plausible(
    frames: Sequence[Frame], steps: Sequence[float], pauses: Sequence[float], *, monotone: bool
) -> bool:
    """Without a word from the camera: exposures that nobody gets by chance with automatic exposure."""
    if not _one_knob(frames):
        return False
    step = median(steps)
    if len(frames) == 2:
        return step > 0.85 and abs(step - round(step)) < WHOLE_EV and pauses[0] <= 2.0
    if min(steps) < 0.25:
        return False
    even = max(steps) - min(steps) <= 2 * EVEN_EV and step > 0.25
    if len(frames) == 3:
        steady = max(pauses) - min(pauses) < 1.2
        return even and steady and (step > 0.85 or max(pauses) < 0.7)
    return even or (monotone and min(steps) > 0.6)


def _set_by_hand(
    frames: Sequence[Frame], steps: Sequence[float], pauses: Sequence[float], *, monotone: bool
) -> bool:
    """Turned from step to step on a tripod: one knob, one direction, whole stops, much the same pauses."""
    if len(frames) < 3 or not monotone or not _one_knob(frames) or min(steps) < 0.6:
        return False
    if len({frame.shot.bias_ev for frame in frames}) > 1:
        return False
    even = max(steps) - min(steps) <= 2 * EVEN_EV
    return (even or len(frames) >= 5) and max(pauses) <= 3 * median(pauses) + 5


def _one_knob(frames: Sequence[Frame]) -> bool:
    """Only one of exposure time, aperture and ISO varies."""
    times = {frame.shot.exposure_s for frame in frames}
    apertures = {frame.shot.aperture for frame in frames}
    isos = {frame.shot.iso for frame in frames}
    return sum(len(values) > 1 for values in (times, apertures, isos)) <= 1


def _unevenness(steps: Sequence[float]) -> float:
    """A multiple of the step is a frame someone deleted; any other step is odd."""
    step = median(steps)
    total = 0.0
    for one in steps:
        if abs(one - step) <= EVEN_EV:
            continue
        times = one / step
        total += 0.3 if times > 1.5 and abs(times - round(times)) * step <= EVEN_EV else 0.8
    return total


def _camera_order(evs: Sequence[float]) -> bool:
    """The middle first, then one side after the other, or to and fro with growing distance."""
    rest = [ev - evs[0] for ev in evs[1:]]
    if abs(sum(ev > 0 for ev in rest) - sum(ev < 0 for ev in rest)) > 1:
        return False
    turns = [i for i, (a, b) in enumerate(pairwise(rest)) if (a > 0) != (b > 0)]
    if len(turns) == 1:
        halves = rest[: turns[0] + 1], rest[turns[0] + 1 :]
        return all(is_monotone(half) for half in halves)
    sizes = [abs(ev) for ev in rest]
    return len(turns) == len(rest) - 1 and all(a <= b + EVEN_EV for a, b in pairwise(sizes))


def _counted(frames: Sequence[Frame]) -> float:
    """The camera's own count of the series."""
    numbers = [frame.shot.drive.sequence_number for frame in frames]
    worth = 0.2 * sum(a is not None and b == a + 1 for a, b in pairwise(numbers))
    worth += 0.3 * (numbers[0] == 1)
    length = frames[0].shot.drive.sequence_length
    if length is not None:
        worth += 1.0 if length == len(frames) else -1.0
    return worth
