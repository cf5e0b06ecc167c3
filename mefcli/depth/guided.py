"""A depth map enlarged to the size of a colour picture, whose edges tell where the depth's own are.

By a network (`Guide`), or by the classic guided filter (`filtered`). Depth is float32 without holes, in any
unit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from mefcli.depth.enlarge import Floats, Span, bounds, resized
from mefnets.engine.frames import Frame, as_floats, mirrored

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mefnets.engine.tiles import Tile

TILE_PX, FADE_PX, MULTIPLE, LEAST_PX, MIRROR_PX = 512, 32, 16, 32, 16
FILTER = (0.5, 1e-4)  # of the guided filter: radius in pixels of the small map, ridge; docs/depth.md
BAND_ROWS = 256
CHANNELS = 4  # of what is known of the depth

OnDone = Callable[[float], None]


class Known:
    """What a network is shown of a depth map: enlarged, between which bounds, and from how far.

    0..1 over the whole map. `part`: what share of its whole picture's range of depth the map shows.
    """

    def __init__(self, low: Floats, size: tuple[int, int], part: float = 1.0) -> None:
        least, most = float(low.min()), float(low.max())
        self.span = max((most - least) / part, 1e-9 * max(1.0, abs(least), abs(most)))
        self.offset = least - (1 - part) / 2 * self.span
        small = ((low - np.float32(self.offset)) / np.float32(self.span)).astype(np.float32)
        self.maps = (small, *bounds(small))
        self.size, self.factor = size, float(np.log2(size[0] / low.shape[0])) / 4

    def cut(self, rows: Span, cols: Span) -> Floats:
        """(4, rows, cols); beyond the picture it is mirrored."""
        down, right = (mirrored(*span, side) for span, side in zip((rows, cols), self.size, strict=True))
        inner = [(int(index.min()), int(index.max()) + 1) for index in (down, right)]
        place = np.ix_(down - inner[0][0], right - inner[1][0])
        out = np.empty((CHANNELS, len(down), len(right)), np.float32)
        for index, one in enumerate(self.maps):
            out[index] = resized(one, self.size, *inner)[place]
        out[-1] = self.factor
        return out

    def back(self, found: Any) -> Any:
        """From 0..1 to the map's own unit."""
        return found * np.float32(self.span) + np.float32(self.offset)


def shown(colour: Frame, known: Known) -> Floats:
    """What the network sees, (H, W, 7)."""
    height, width = known.size
    return np.dstack((as_floats(colour), *known.cut((0, height), (0, width))))


class Guide:
    """A network for depth. Every tile is a picture of its own to it; neighbours fade into each other."""

    def __init__(self, network: nn.Module, device: str = "cpu", *, tile_px: int = TILE_PX) -> None:
        from mefnets.engine.devices import choose_device

        self.device, self.tile_px = choose_device(device), tile_px
        self.network: Any = network.eval().to(self.device)

    def enlarged(self, low: Floats, colour: Frame, on_done: OnDone | None = None) -> Floats:
        import torch

        from mefnets.engine.devices import THREADS
        from mefnets.engine.memory import shortage_told
        from mefnets.engine.tiles import make_grid, run_tiles

        height, width = colour.shape[:2]
        known = Known(low, (height, width))
        tile = None if max(height, width) <= 1.5 * self.tile_px else self.tile_px
        grid = make_grid(
            height,
            width,
            tile=tile,
            reach=FADE_PX,
            multiple=MULTIPLE,
            min_size=LEAST_PX,
            fade=FADE_PX,
            mirror=MIRROR_PX,
        )
        out = np.empty((height, width), np.float32)
        at: list[Tile] = []

        def run(seen: Tensor) -> Tensor:  # (1, 3, h, w) -> (1, h, w)
            depth = torch.from_numpy(known.cut(at[-1].window_rows, at[-1].window_cols))
            found: Tensor = self.network(torch.cat((seen[0], depth)).to(self.device)[None, None])
            return found[0].cpu()

        def store(rows: Tensor, span: Span) -> None:
            out[span[0] : span[1]] = known.back(rows[0].numpy())

        with shortage_told(), torch.no_grad(), THREADS.settled():
            run_tiles([colour], run, grid, store, on_done, at.append)
        return faithful(out, low)


def faithful(found: Floats, low: Floats) -> Floats:
    """What was found, in place, moved so that made small again it is nearly the map that was measured.

    A pixel of the map is taken for the mean of what it covers; no depth leaves the bounds around it.
    """
    size = (found.shape[0], found.shape[1])
    lacking = low - resized(found, (low.shape[0], low.shape[1]))
    least, most = bounds(low)
    for top in range(0, size[0], BAND_ROWS):
        rows = (top, min(size[0], top + BAND_ROWS))
        part = found[rows[0] : rows[1]]
        part += resized(lacking, size, rows)
        np.clip(part, resized(least, size, rows), resized(most, size, rows), out=part)
    return found


def filtered(low: Floats, colour: Frame, radius: float = FILTER[0], ridge: float = FILTER[1]) -> Floats:
    """The guided filter of He, Sun and Tang, with colour as its guide, over the enlarged map."""
    from mefnets.engine.guided import fit

    size = (colour.shape[0], colour.shape[1])
    enlarged = Known(low, size)
    depth = resized(enlarged.maps[0], size)
    guide = as_floats(colour).transpose(2, 0, 1)[:, None]  # (3, 1, H, W)
    reach = max(1, round(radius * size[0] / low.shape[0]))
    slopes = fit(np.ascontiguousarray(guide), depth[None], reach, ridge)[..., 0]
    found = slopes[-1] + (slopes[:-1] * guide[:, 0]).sum(0)
    return np.asarray(enlarged.back(found), np.float32)
