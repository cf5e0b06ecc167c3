"""A run of shots as one bracket would have it: distinct exposures, and what speaks for it.

A bracket usually has even steps, in an order that cameras use, without long pauses. Cameras that record the
compensation of each frame, that they bracket, or the place in the series, say it themselves; and where they
say who chose the exposures, steps that a photographer turned are told from what a meter met by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

from mefcli.brackets.frames import Frame, pause_s

WHOLE_EV = 0.12  # how far a step of whole stops may be from it: 1/13 s is called 1/13, not 1/12.7
EVEN_EV = 0.25  # likewise for two steps to count as equal: 6 s and 13 s stand for 6.3 and 12.7
CLEAR_EV = 0.55  # no less is turned by hand: two thirds of a stop, as cameras name their times


@dataclass(frozen=True)
class Run:
    """At least two frames; `recorded` are their exposures in stops, or what the pixels tell of them."""

    frames: Sequence[Frame]
    recorded: Sequence[float]
    gap_s: float

    @cached_property
    def biases(self) -> list[float] | None:
        """Compensations, where every frame has one and they are not all the same."""
        told = [frame.shot.bias_ev for frame in self.frames]
        values = [round(bias, 2) for bias in told if bias is not None]
        return values if len(values) == len(told) and len(set(values)) > 1 else None

    @property
    def begins_again(self) -> bool:
        """A compensation comes twice: it is of a second bracket."""
        return self.biases is not None and len(set(self.biases)) < len(self.biases)

    @cached_property
    def told(self) -> bool:
        """Compensations tell of a bracket: the camera meters anew for each frame at most, and rounds."""
        if self.biases is None or len(self.biases) != len(self.recorded):
            return False
        rest = [ev - bias for ev, bias in zip(self.recorded, self.biases, strict=True)]
        return max(rest) - min(rest) < 0.7

    @cached_property
    def evs(self) -> Sequence[float]:
        """What was asked for is even also where the shutter came to its end."""
        return self.biases if self.told and self.biases else self.recorded

    @cached_property
    def steps(self) -> list[float]:
        return [b - a for a, b in pairwise(sorted(self.evs))]

    @cached_property
    def monotone(self) -> bool:
        return is_monotone(self.evs)

    @cached_property
    def pauses(self) -> list[float]:
        return [waited_s(one, two) for one, two in pairwise(self.frames)]

    @property
    def slow(self) -> bool:
        return max(self.pauses) > self.gap_s

    @property
    def marked(self) -> bool:
        return all(frame.shot.drive.bracketing for frame in self.frames)

    @property
    def meant(self) -> bool:
        """No meter chose these exposures."""
        return all(frame.shot.manual for frame in self.frames)

    @property
    def metered(self) -> bool:
        return any(frame.shot.manual is False for frame in self.frames)

    @property
    def even(self) -> bool:
        return max(self.steps) - min(self.steps) <= 2 * EVEN_EV

    @property
    def one_knob(self) -> bool:
        """Only one of exposure time, aperture and ISO varies."""
        settings = [(frame.shot.exposure_s, frame.shot.aperture, frame.shot.iso) for frame in self.frames]
        return sum(len(set(values)) > 1 for values in zip(*settings, strict=True)) <= 1

    @cached_property
    def by_hand(self) -> bool:
        """Turned from step to step on a tripod: one knob, one direction, much the same pauses."""
        count = len(self.frames)
        if count < 3 or not self.monotone or min(self.steps) < CLEAR_EV or not self.one_knob:
            return False
        if self.biases is not None or self.metered or not (self.meant or self.even or count >= 5):
            return False
        return max(self.pauses) <= 3 * median(self.pauses) + 5

    @cached_property
    def whole(self) -> bool:
        """Held up once, yet none is missing: compensations as far below as above what was metered, evenly.

        Three are too few to tell: 0, -2, -1, +1, +2, taken again and again, has +2, 0, -2 across each pause.
        """
        if not (self.slow and self.told and self.monotone and len(self.evs) >= 5):
            return False
        regular = max(self.steps) - min(self.steps) <= 2 * WHOLE_EV
        return regular and abs(min(self.evs) + max(self.evs)) < WHOLE_EV

    @property
    def planned(self) -> bool:
        """Without a word from the camera: exposures that nobody gets by chance with automatic exposure."""
        if not self.one_knob:
            return False
        step, longest = median(self.steps), max(self.pauses)
        if len(self.frames) == 2:
            return not self.metered and step > 0.85 and abs(step - round(step)) < WHOLE_EV and longest <= 2.0
        if min(self.steps) < 0.25:
            return False
        if len(self.frames) == 3:
            steady = longest - min(self.pauses) < 1.2
            return self.even and steady and (step > 0.85 or longest < 0.7)
        return self.even or (self.monotone and min(self.steps) > CLEAR_EV)

    @cached_property
    def unevenness(self) -> float:
        """A multiple of the step is a frame someone deleted; any other step is odd."""
        step = median(self.steps)
        total = 0.0
        for one in self.steps:
            if abs(one - step) <= EVEN_EV:
                continue
            times = one / step
            total += 0.3 if times > 1.5 and abs(times - round(times)) * step <= EVEN_EV else 0.8
        return total

    @property
    def oddness(self) -> float:
        """Orders that no camera has: each place is to be told."""
        if self.monotone:
            return 0.0
        count = len(self.evs)
        even_count = count % 2 == 0 and count > 2
        return (0.0 if camera_order(self.evs) else 0.4 * count) + 0.5 * even_count

    @property
    def counted(self) -> float:
        """The camera's own count of the series."""
        numbers = [frame.shot.drive.sequence_number for frame in self.frames]
        worth = 0.2 * sum(a is not None and b == a + 1 for a, b in pairwise(numbers))
        worth += 0.3 * (numbers[0] == 1)
        length = self.frames[0].shot.drive.sequence_length
        if length is not None:
            worth += 1.0 if length == len(self.frames) else -1.0
        return worth


def waited_s(one: Frame, two: Frame) -> float:
    """Seconds from one to the next, less the dark frame of a long exposure, which takes as long again."""
    dark_s = 1.1 * one.exposure_s if one.exposure_s >= 1 else 0.0
    return max(0.0, (pause_s(one, two) or 0.0) - dark_s)


def is_monotone(values: Sequence[float]) -> bool:
    return all(a < b for a, b in pairwise(values)) or all(a > b for a, b in pairwise(values))


def camera_order(evs: Sequence[float]) -> bool:
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
