"""Running a network over a picture in overlapping tiles, so that memory stays bounded and no seam shows.

A *local* network (its tiling has a `reach`) sees each tile with a margin of its reach and the margin is cut
off: the result is the whole picture's. A network with *global* statistics runs once over the whole picture
(or a reduced one, where that would not fit) to record them, then over tiles that replay them; neighbouring
tiles overlap and fade into each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mefnets.engine.frames import Frame, mirrored
from mefnets.engine.pixels import load_planes

Span = tuple[int, int]
Run = Callable[[Tensor], Tensor]  # (N, 3, h, w) -> (C, h, w)
Store = Callable[[Tensor, Span], None]  # takes finished rows, (C, rows, width)


@dataclass(frozen=True)
class Tile:
    rows: Span  # what this tile answers for
    cols: Span
    window_rows: Span  # what the network sees, in the padded picture
    window_cols: Span


@dataclass(frozen=True)
class Grid:
    """How a picture is cut. All lengths in pixels, all starts on multiples of the network's."""

    height: int
    width: int
    padded_height: int
    padded_width: int
    tile: int
    margin: int  # seen beyond what a tile answers for
    fade: int  # half the width over which neighbours blend; 0 cuts sharply
    mirror: int = 0  # seen beyond every border of the picture, mirrored

    def bands(self) -> list[Span]:
        return _cut(self.height, self.tile)

    def across(self, rows: Span) -> Iterator[Tile]:
        window_rows = self._seen(rows, self.height, self.padded_height)
        for cols in _cut(self.width, self.tile):
            yield Tile(rows, cols, window_rows, self._seen(cols, self.width, self.padded_width))

    def _seen(self, span: Span, length: int, padded: int) -> Span:
        """What the network sees for `span`: its margins, and at either end all of the mirror and padding."""
        start, stop = span
        first, last = -self.mirror, padded + self.mirror
        return (
            first if start == 0 else max(first, start - self.margin),
            last if stop == length else min(last, stop + self.margin),
        )

    def place_of(self, tile: Tile) -> tuple[float, float, float, float]:
        """The window's top, bottom, left and right as shares of all that the network sees."""
        height, width = self.padded_height + 2 * self.mirror, self.padded_width + 2 * self.mirror
        (top, bottom), (left, right) = tile.window_rows, tile.window_cols
        m = self.mirror
        return (top + m) / height, (bottom + m) / height, (left + m) / width, (right + m) / width


def _cut(length: int, tile: int) -> list[Span]:
    """Ranges of `tile`, the last one up to half longer instead of a sliver."""
    count = max(1, round(length / tile))
    return [(i * tile, length if i == count - 1 else (i + 1) * tile) for i in range(count)]


def make_grid(
    height: int,
    width: int,
    *,
    tile: int | None,
    reach: int,
    multiple: int,
    min_size: int,
    fade: int,
    mirror: int = 0,
) -> Grid:
    """A grid of `tile` x `tile` pixels (None: one tile), with the margins a network needs."""
    mirror = round_up(mirror, multiple)
    padded_height = round_up(max(height, min_size), multiple)
    padded_width = round_up(max(width, min_size), multiple)
    if tile is None:
        return Grid(height, width, padded_height, padded_width, max(height, width) + multiple, 0, 0, mirror)
    margin = round_up(max(reach, fade), multiple)
    # A tile must hold the fades on both its sides, and with its margins the smallest size.
    tile = round_up(max(tile, 2 * fade, min_size, 1), multiple)
    return Grid(height, width, padded_height, padded_width, tile, margin, fade, mirror)


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def cut_frames(frames: Sequence[Frame], rows: Span, cols: Span) -> Tensor:
    """A window of all frames as float planes (N, 3, h, w); beyond the picture it is mirrored."""
    height, width, _ = frames[0].shape
    (top, bottom), (left, right) = rows, cols
    out = torch.empty(len(frames), 3, bottom - top, right - left)
    inside = min(top, left) >= 0 and bottom <= height and right <= width
    beyond = np.ix_(mirrored(top, bottom, height), mirrored(left, right, width))
    for index, frame in enumerate(frames):
        load_planes(frame[top:bottom, left:right] if inside else frame[beyond], out[index])
    return out


def run_tiles(
    frames: Sequence[Frame],
    run: Run,
    grid: Grid,
    store: Store,
    on_progress: Callable[[float], None] | None = None,
    on_tile: Callable[[Tile], None] | None = None,
) -> None:
    """Run `run` over every tile (`on_tile` just before); hand finished rows, (C, rows, width), to `store`."""
    fade = grid.fade
    carried: Tensor | None = None  # the last band's share of the rows around the next seam
    bands = grid.bands()
    for number, rows in enumerate(bands):
        first = max(0, rows[0] - fade)
        last = min(grid.height, rows[1] + fade) if number < len(bands) - 1 else grid.height
        band: Tensor | None = None
        for tile in grid.across(rows):
            if on_tile:
                on_tile(tile)
            fused = run(cut_frames(frames, tile.window_rows, tile.window_cols))
            left, right = max(0, tile.cols[0] - fade), min(grid.width, tile.cols[1] + fade)
            if band is None:
                band = torch.zeros(fused.shape[0], last - first, grid.width)
            part = fused[
                :,
                first - tile.window_rows[0] : last - tile.window_rows[0],
                left - tile.window_cols[0] : right - tile.window_cols[0],
            ]
            if fade:
                part = part * _ramp((left, right), tile.cols, grid.width, fade)
            band[:, :, left:right] += part
        assert band is not None  # a band has at least one tile
        if fade:
            band *= _ramp((first, last), rows, grid.height, fade)[:, None]
        if carried is not None:
            band[:, : carried.shape[1]] += carried
        done = last if number == len(bands) - 1 else max(first, rows[1] - fade)
        carried = band[:, done - first :].clone() if last > done else None
        store(band[:, : done - first], (first, done))
        if on_progress:
            on_progress(rows[1] / grid.height)


def _ramp(span: Span, core: Span, length: int, fade: int) -> Tensor:
    """Weights along `span`: 1 inside `core`, falling to 0 across its inner ends, `fade` to either side."""
    at = torch.arange(*span, dtype=torch.float32) + 0.5
    weight = torch.ones_like(at)
    if core[0] > 0:
        weight = torch.minimum(weight, ((at - (core[0] - fade)) / (2 * fade)).clamp(0, 1))
    if core[1] < length:
        weight = torch.minimum(weight, ((core[1] + fade - at) / (2 * fade)).clamp(0, 1))
    return weight
