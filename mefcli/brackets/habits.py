"""What a card itself says about its brackets: photographers set bracketing once and use it again.

A pattern costs what it takes to tell it, in the worth of single shots: little if the card is full of it, more
if it is one of many, most if it comes nowhere else. So a day of one habit holds to it, and a day of many
does not force the habits of some brackets upon the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from math import log2

from mefcli.brackets.frames import Frame
from mefcli.values import Shot

Pattern = tuple[int, ...]
SHOT_BITS = 6.0  # to tell the exposure of a single shot: one of some sixty thirds of a stop
NEW = 0.4  # single shots that it takes to tell an even pattern: frames, step and order
USUAL = 3  # times that a pattern stands on a card before it needs no other evidence


class Habits:
    def __init__(self, patterns: Iterable[Pattern] = ()) -> None:
        self._times = Counter(patterns)

    @cached_property
    def _brackets(self) -> int:
        return self._times.total()

    @cached_property
    def _once(self) -> int:
        return sum(times == 1 for times in self._times.values())

    def known(self, pattern: Pattern) -> bool:
        """Whether it comes elsewhere too: once is the bracket itself."""
        return self._times[pattern] > 1

    def usual(self, pattern: Pattern) -> bool:
        """So often that it needs no other evidence."""
        return len(pattern) > 2 and self._times[pattern] >= USUAL

    def surprise(self, pattern: Pattern) -> float:
        """The share of brackets that have this pattern, or one of their own, as single shots."""
        others = self._times[pattern] - 1 if self.known(pattern) else self._once + 1
        share = others / (self._brackets + 1)
        return -log2(share) / SHOT_BITS + (0.0 if self.known(pattern) else NEW)


def pattern(frames: Sequence[Frame]) -> Pattern:
    """Thirds of a stop in the order of shooting: of compensation where it varies, else from the first."""
    biases = [frame.shot.bias_ev for frame in frames]
    if None not in biases and len(set(biases)) == len(biases):
        return tuple(round(3 * (bias or 0.0)) for bias in biases)
    thirds = [_thirds(frame.shot) for frame in frames]
    return tuple(third - thirds[0] for third in thirds)


def _thirds(shot: Shot) -> int:
    """Each setting by itself: 1/13 s and f/11 are names for 1/12.7 s and f/11.3."""
    parts = ((3, shot.exposure_s, 1.0), (3, shot.iso, 100.0), (-6, shot.aperture, 1.0))
    return sum(round(times * log2(value / unit)) for times, value, unit in parts if value and value > 0)
