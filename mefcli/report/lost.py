"""What was lost: the result in grey, with what a frame shows and the result does not painted over it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.evaluation.metrics import KEPT_NAMES, METRICS, SMALLEST_SIDE_PX, Picture, kept, score
from mefcli.report.images import Bytes, data_address
from mefcli.report.page import Section, cards

SMALLEST_PX = SMALLEST_SIDE_PX
CRUSHED, BLOWN = (40, 90, 255), (255, 120, 0)  # blue and orange: apart for every eye


def lost_map(frames: Sequence[NDArray[Any] | Picture], result: NDArray[Any] | Picture) -> Bytes:
    """The result in grey, at most 0.4 MP: blue where it is crushed, orange where it is blown."""
    sources = [frame if isinstance(frame, Picture) else Picture(frame) for frame in frames]
    fused = result if isinstance(result, Picture) else Picture(result)
    grey = np.clip(kept.glance(fused).luma * 255 + 0.5, 0, 255).astype(np.uint8)
    drawn = np.repeat(grey[..., None], 3, axis=2)
    for mask, colour in zip(kept.lost(sources, fused), (CRUSHED, BLOWN), strict=True):
        drawn[mask] = colour
    return drawn


def lost_section(frames: Sequence[NDArray[Any]], results: Sequence[tuple[str, NDArray[Any]]]) -> Section:
    """A map for each result; frames and results are of one size."""
    sources = [Picture(frame) for frame in frames]
    figures = []
    for label, pixels in results:
        fused = Picture(pixels)
        scores = score(fused, sources, names=KEPT_NAMES)
        words = ", ".join(f"{name} {_words(name, value)}" for name, value in scores.items())
        address = data_address(lost_map(sources, fused))
        name = escape(f"What was lost in {label}", quote=True)
        drawing = f'<img class="map" alt="{name}" src="{address}">'
        figures.append((drawing, f"{label}: {words}"))
    legend = (
        '<p class="small">Blue: black in the result, though a frame shows it. Orange: white, though a frame'
        " shows it. Colour: chroma over that of the frames, pleasing at 1.0 to 1.2. Outside: pixels that"
        " leave what any frame shows around them.</p>"
    )
    return Section("What was lost", cards(figures) + legend)


def _words(name: str, value: float) -> str:
    return f"{value:.2f}" if METRICS[name].better == "near" else f"{value:.2%}"
