"""How exactly frames are brought together: known motions, and what each method leaves of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mefcli.bench.scene import TINTS, radiance
from mefcli.errors import UsageError

if TYPE_CHECKING:
    from mefcli.motion.benchmark import Case, Method, Radiance

FOUND_PX = 1.0  # a frame is on its place when no more than this is left


@dataclass(frozen=True)
class AlignmentRow:
    method: str
    frames: int
    median_px: float
    p95_px: float
    within_a_pixel: float  # share of the frames
    given_up: int


def methods() -> dict[str, Method]:
    from mefcli.motion import peers

    found: dict[str, Method] = {"mef align": peers.ours, "OpenCV AlignMTB": peers.align_mtb}
    if peers.has_hugin():
        found["align_image_stack"] = peers.align_image_stack
    return found


def made_up_cases(count: int, size_px: tuple[int, int]) -> Iterator[Case]:
    """Brackets of made-up landscapes, another for each case, where no radiance maps are at hand."""
    from mefcli.motion.benchmark import make_case

    for index in range(count):

        def scene(size: tuple[int, int], seed: int = index) -> Radiance:
            light = np.exp(radiance(size[1], size[0], seed))
            return np.stack([light * np.float32(tint) for tint in TINTS], axis=2)

        rng = np.random.default_rng([7, index])
        yield make_case(f"{index:03d}", scene, size_px, rng, depth=16 if index % 4 == 3 else 8)


def measure(
    folder: Path | None, count: int, megapixels: float, chosen: dict[str, Method]
) -> list[AlignmentRow]:
    """The same cases through every method; cases come from the radiance maps of `folder`, or are made up."""
    from mefcli.motion.benchmark import measure_alignment, random_cases

    width = max(64, round((megapixels * 1.5e6) ** 0.5))
    size = (width, round(width / 1.5))
    if folder is None:
        cases = made_up_cases(count, size)
    else:
        maps = sorted(folder.glob("*.hdr"))
        if not maps:
            raise UsageError(f"{folder} holds no radiance maps.", "Give a folder of .hdr files.")
        cases = random_cases(maps, count, size)
    outcomes = measure_alignment(cases, chosen)
    return [
        _row(name, [one.residual_px for one in left], sum(not one.found for one in left))
        for name, left in outcomes.items()
    ]


def _row(name: str, left: Sequence[float], given_up: int) -> AlignmentRow:
    good = sum(px <= FOUND_PX for px in left) / len(left)
    return AlignmentRow(
        name, len(left), statistics.median(left), float(np.percentile(left, 95)), good, given_up
    )
