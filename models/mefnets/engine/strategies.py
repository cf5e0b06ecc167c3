"""Longer brackets with two-frame networks: which two are fused when.

A schedule is a list of (under, over) pairs. Indices below N are frames, dark to bright; each pair's result
takes the next index. Roles follow from exposure alone: a result counts as bright as the mean of its sources,
so that it is the darker one beside a frame that is brighter than all of them.
"""

from __future__ import annotations

from typing import Literal

Strategy = Literal["auto", "sequential", "pairwise"]
Schedule = list[tuple[int, int]]
STRATEGIES: tuple[Strategy, ...] = ("auto", "sequential", "pairwise")


def schedule(count: int, strategy: Strategy = "auto") -> Schedule:
    """`auto` is pairwise, which is best in most networks and loses least; docs/engine.md has the table."""
    return sequential(count) if strategy == "sequential" else pairwise(count)


def sequential(count: int) -> Schedule:
    """The two darkest, then the result with the next brighter one, and so on."""
    steps: Schedule = [(0, 1)] if count > 1 else []
    steps += [(count + brighter - 2, brighter) for brighter in range(2, count)]
    return steps


def pairwise(count: int) -> Schedule:
    """A tree over neighbours in exposure: (0, 1), (2, 3), ... then their results, an odd one carried up."""
    steps: Schedule = []
    row, following = list(range(count)), count
    while len(row) > 1:
        above = []
        for left, right in zip(row[::2], row[1::2], strict=False):
            steps.append((left, right))  # neighbours stay in order, so the left one is darker
            above.append(following)
            following += 1
        row = above + ([row[-1]] if len(row) % 2 else [])
    return steps


def longest_chain(count: int, steps: Schedule) -> int:
    """How many network runs lie one after another: reach grows with it."""
    length = dict.fromkeys(range(count), 0)
    for number, (under, over) in enumerate(steps):
        length[count + number] = 1 + max(length[under], length[over])
    return max(length.values())
