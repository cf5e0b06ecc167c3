"""Longer brackets with two-frame networks: which two are fused when.

A schedule is a list of (under, over) pairs. Indices below N are frames, dark to bright; each pair's result
takes the next index. Roles follow from exposure alone: a result is as bright as the mean of its sources.
"""

from __future__ import annotations

from typing import Literal

Strategy = Literal["auto", "sequential", "pairwise"]
Schedule = list[tuple[int, int]]
STRATEGIES: tuple[Strategy, ...] = ("auto", "sequential", "pairwise")


def schedule(count: int, strategy: Strategy = "auto") -> Schedule:
    """`auto` is pairwise, which scored best on brackets of 6 to 18 frames; docs/engine.md has the table."""
    if strategy == "sequential":
        return sequential(outside_in(count))
    return pairwise(count)


def outside_in(count: int) -> list[int]:
    """Darkest, brightest, next darkest, next brightest, ... the middle frame last."""
    order: list[int] = []
    for index in range((count + 1) // 2):
        order.append(index)
        if index != count - 1 - index:
            order.append(count - 1 - index)
    return order


def sequential(order: list[int]) -> Schedule:
    """Fuse the first two of `order`, then the result with the next, and so on."""
    count = len(order)
    brightness = {index: float(index) for index in order}
    current, steps = order[0], []
    for step, following in enumerate(order[1:]):
        steps.append(_by_brightness(current, following, brightness))
        current = count + step
        brightness[current] = sum(float(i) for i in order[: step + 2]) / (step + 2)
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


def _by_brightness(a: int, b: int, brightness: dict[int, float]) -> tuple[int, int]:
    return (a, b) if brightness[a] <= brightness[b] else (b, a)


def longest_chain(count: int, steps: Schedule) -> int:
    """How many network runs lie one after another: reach grows with it."""
    length = dict.fromkeys(range(count), 0)
    for number, (under, over) in enumerate(steps):
        length[count + number] = 1 + max(length[under], length[over])
    return max(length.values())
