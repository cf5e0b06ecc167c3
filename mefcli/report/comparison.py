"""Several models on one bracket, as a value that the sheet, the page and the table are made from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.report.images import to_eight_bits
from mefcli.values import Bracket

KEPT = ("crushed", "blown", "colour", "outside")
PAIR_METRICS = ("MEF_SSIM", "Q_ABF", "Q_W", "Q_CV", *KEPT)
MORE_METRICS = ("MEF_SSIM", "Q_ABF", "VIF", *KEPT)


@dataclass(frozen=True)
class Outcome:
    """One model's result."""

    name: str
    pixels: NDArray[np.uint8]
    seconds: float
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    inputs: tuple[tuple[str, NDArray[np.uint8]], ...]  # label with EV, pixels; dark to bright
    results: tuple[Outcome, ...]
    bracket: Bracket | None = None


def compare(
    frames: Sequence[NDArray[Any]],
    labels: Sequence[str],
    makers: dict[str, Callable[[Sequence[NDArray[Any]]], NDArray[Any]]],
    *,
    bracket: Bracket | None = None,
    metrics: Sequence[str] | None = None,
    on_model: Callable[[str], None] = lambda name: None,
) -> Comparison:
    """Run and score every maker on frames of one size, dark to bright, or near focus first.

    `metrics` are those of exposures where none are given.
    """
    from mefcli.evaluation.metrics import Picture, score

    stored = [to_eight_bits(frame) for frame in frames]
    inputs = [Picture(frame) for frame in stored]
    names = metrics or (PAIR_METRICS if len(frames) == 2 else MORE_METRICS)
    outcomes = []
    for name, make in makers.items():
        on_model(name)
        start = time.perf_counter()
        pixels = to_eight_bits(make(frames))
        took = time.perf_counter() - start
        outcomes.append(Outcome(name, pixels, took, score(pixels, inputs, names=names)))
    return Comparison(tuple(zip(labels, stored, strict=True)), tuple(outcomes), bracket)


Box = tuple[int, int, int, int]  # left, top, right, bottom


def telling_crops(results: Sequence[NDArray[np.uint8]], count: int = 3, share: float = 0.16) -> list[Box]:
    """Places where the results differ most, apart from each other, largest difference first."""
    import cv2

    height, width = results[0].shape[:2]
    side = max(8, int(share * (height * width) ** 0.5))
    wide, high = min(side * 4 // 3, width), min(side, height)
    # Local means first: a shift of one pixel at an edge is no difference to look at.
    soft = np.stack([cv2.blur(r, (5, 5)).astype(np.float32) for r in results])
    spread = soft.std(axis=0).mean(axis=2)
    score = cv2.boxFilter(spread, -1, (wide, high), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    score = score[: height - high + 1, : width - wide + 1].copy()
    boxes: list[Box] = []
    while len(boxes) < count and score.size and score.max() > 0:
        top, left = (int(v) for v in np.unravel_index(int(score.argmax()), score.shape))
        boxes.append((left, top, left + wide, top + high))
        score[max(0, top - high) : top + high, max(0, left - wide) : left + wide] = 0
    return boxes


def in_colours(count: int) -> Iterator[tuple[int, int, int]]:
    """Colours that tell crops apart on any picture."""
    colours = ((255, 149, 0), (0, 174, 239), (224, 64, 160), (124, 190, 60))
    for index in range(count):
        yield colours[index % len(colours)]
