"""How exactly frames are brought together: known motions, and what each method leaves of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mefcli.errors import UsageError

if TYPE_CHECKING:
    from mefcli.bench.motion_cases import Method, Outcome, Source

FOUND_PX = 1.0  # a frame is on its place when no more than this is left
PEERS = ("mtb", "hugin")  # as the command line calls them


@dataclass(frozen=True)
class Miss:
    """A frame that is not on its place."""

    case: str
    frame: int
    residual_px: float
    named: bool  # the method said so itself


@dataclass(frozen=True)
class AlignmentRow:
    method: str
    brackets: int
    frames: int  # moved ones: the reference is not counted
    median_px: float
    p95_px: float
    worst_px: float
    within_a_pixel: float  # share of the frames
    brackets_within_a_pixel: float  # share of the brackets with every frame on its place
    given_up: int  # frames the method said it could not place
    cpu_s: float  # of one bracket, median
    missed: tuple[Miss, ...]


def methods(peers: Sequence[str] = PEERS) -> dict[str, Method]:
    """Ours, and of the others those that are wanted and found."""
    from mefcli.bench import peers as known

    for name in peers:
        if name not in PEERS:
            raise UsageError(
                f"There is no alignment by {name!r} to compare with.", "Choose mtb, hugin, or both."
            )
    found: dict[str, Method] = {"mef align": known.ours}
    if "mtb" in peers:
        found["OpenCV AlignMTB"] = known.align_mtb
    if "hugin" in peers and known.has_hugin():
        found["align_image_stack"] = known.align_image_stack
    return found


def sources(folder: Path | None, megapixels: float) -> list[Source]:
    """The radiance maps in and below a folder with the demo's room, or that room alone.

    The room is rendered once, no larger than brackets of this size can show.
    """
    from mefcli.bench.motion_cases import demo_scene, radiance_map

    maps = sorted(folder.rglob("*.hdr")) if folder else []
    if folder and not maps:
        raise UsageError(f"{folder} holds no radiance maps.", "Give a folder of .hdr files.")
    return [*map(radiance_map, maps), demo_scene(min(1536, 3 * _width(megapixels)))]


def _width(megapixels: float) -> int:
    return max(64, round(math.sqrt(megapixels * 1.5e6)))


def measure(
    scenes: Sequence[Source],
    count: int,
    megapixels: float,
    chosen: Mapping[str, Method],
    *,
    seed: int = 7,
    on_case: Callable[[int], None] | None = None,
) -> list[AlignmentRow]:
    """The same random brackets through every method, one at a time."""
    from mefcli.bench.motion_cases import measure_alignment, random_cases

    width = _width(megapixels)
    cases = random_cases(scenes, count, (width, round(width / 1.5)), seed)
    return [_row(name, left) for name, left in measure_alignment(cases, chosen, on_case).items()]


def _row(name: str, outcomes: Sequence[Outcome]) -> AlignmentRow:
    left = [one.residual_px for one in outcomes]
    missed = tuple(
        Miss(one.case, one.frame, one.residual_px, not one.found)
        for one in outcomes
        if one.residual_px > FOUND_PX
    )
    brackets = {one.case: one.cpu_s for one in outcomes}
    return AlignmentRow(
        method=name,
        brackets=len(brackets),
        frames=len(left),
        median_px=statistics.median(left),
        p95_px=float(np.percentile(left, 95)),
        worst_px=max(left),
        within_a_pixel=1 - len(missed) / len(left),
        brackets_within_a_pixel=1 - len({one.case for one in missed}) / len(brackets),
        given_up=sum(not one.found for one in outcomes),
        cpu_s=statistics.median(brackets.values()),
        missed=missed,
    )
