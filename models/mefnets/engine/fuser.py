"""The engine between a stack of frames and a fused picture, for every network and the classics alike.

It reads a network's SPEC and does the rest: order and roles by exposure, colour split, tiles or the guided
transfer, devices, precision and depth.

    fuser = Fuser(MODELS["mertens"], build_network(MODELS["mertens"]))
    picture = fuser.fuse([dark, middle, bright], depth=16)
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

import torch
from torch import Tensor, nn

from mefnets import colour
from mefnets.engine import guided, tiles
from mefnets.engine.budget import TORCH_PROCESS_MB, give_back
from mefnets.engine.devices import THREADS, card_budget_bytes, choose_device
from mefnets.engine.frames import Floats, Frame
from mefnets.engine.fusion import Fusion, FusionJob, Streams, refuse_half
from mefnets.engine.memory import (
    LEAST_TILE_PX,
    bytes_needed,
    bytes_per_pixel,
    shortage_told,
    tile_side,
)
from mefnets.engine.pixels import store_planes
from mefnets.engine.strategies import Schedule, longest_chain
from mefnets.layers.blocks import GlobalStatistic, place, recording, replaying
from mefnets.spec import ModelSpec
from mefnets.trouble import TooLargeError, named

TILE_PX = 1024  # side of a tile where memory allows
STATISTICS_PX = 4_000_000  # most pixels that whole-picture statistics are taken from
GLOBAL_FADE_PX = 32  # half the seam between tiles of networks without a known reach


@shortage_told()
def build_network(
    spec: ModelSpec, state_dict: Mapping[str, Tensor] | None = None, device: str = "cpu"
) -> nn.Module:
    """The network a SPEC describes, with its weights, ready to run."""
    network = cast(nn.Module, importlib.import_module(spec.module).build(**spec.options))
    if state_dict is not None:
        network.load_state_dict(dict(state_dict))
    network.requires_grad_(False)
    return network.eval().to(choose_device(device))


_Fuse = Callable[[Tensor, Schedule], Tensor]  # (N, 3, h, w) -> (C, h, w)


class Fuser(Fusion):
    process_mb = TORCH_PROCESS_MB

    @shortage_told()
    def __init__(
        self, spec: ModelSpec, network: nn.Module, device: str = "cpu", *, half: bool = False
    ) -> None:
        if half and not spec.half_safe:
            raise refuse_half(spec)
        remark = "Half precision is for graphics cards; computed in full."
        super().__init__(spec, network.eval(), remark if half and choose_device(device).type == "cpu" else "")
        self.device = choose_device(device)
        self.half = half and self.device.type != "cpu"
        self.network.to(self.device)
        if self.half:
            self.network = self.network.half()
        if self.device.type == "cuda":  # where convolutions are faster with channels innermost
            self.network.to(memory_format=torch.channels_last)

    # ---- what the engine asks for --------------------------------------------------------------------

    @contextmanager
    def _settled(self) -> Iterator[None]:
        with shortage_told(), torch.no_grad(), THREADS.settled():
            yield

    def _budget(self, left: int) -> int:
        on_card = None if isinstance(self.network, Streams) else card_budget_bytes(self.device)
        return left if on_card is None else on_card

    def held_bytes(self, frames: int, pixels: int) -> float:
        with torch.no_grad():
            return bytes_needed(self.network, self.spec, frames, pixels, self.device)

    def _fuse_native(self, job: FusionJob, out: Frame) -> None:
        def store(planes: Tensor, rows: tiles.Span) -> None:
            store_planes(planes, out[rows[0] : rows[1]])

        self._run_tiles(job, self._fuse_colour, store, lambda done: job.on_step(done, "fusing"))

    def _fuse_small(self, job: FusionJob, small: Floats) -> tuple[Floats, Floats]:
        planes = torch.from_numpy(small)
        seen = planes if self.spec.colour == "rgb" else colour.luminance(planes)[:, None]  # (N, C, h, w)
        fused = torch.empty(seen.shape[1:])

        def store(planes: Tensor, rows: tiles.Span) -> None:
            fused[:, rows[0] : rows[1]] = planes

        run = self._fuse_planes if self.spec.colour == "rgb" else self._fuse_luma
        self._run_tiles(job, run, store, lambda done: job.on_step(0.1 + 0.6 * done, "network"))
        return seen.numpy(), fused.numpy()

    # ---- tiles ------------------------------------------------------------------------------------------

    def _run_tiles(
        self, job: FusionJob, fuse: _Fuse, store: tiles.Store, progress: Callable[[float], None]
    ) -> None:
        """Run `fuse` over the frames, whole or in tiles; smaller tiles where the GPU's memory runs out."""
        tile = job.tile_px or self._tile_for(job)
        while True:
            try:
                self._run_tiled(job, fuse, store, progress, tile)
                return
            except torch.cuda.OutOfMemoryError as error:
                height, width, _ = job.frames[0].shape
                tile = (tile or max(height, width)) // 2
                if tile < LEAST_TILE_PX:
                    raise TooLargeError(
                        "The GPU's memory is too small.", f"Use {named('device')} cpu."
                    ) from error
            torch.cuda.empty_cache()
            self.notes.append(f"The GPU ran out of memory; went on with tiles of {tile} pixels.")

    def _run_tiled(
        self,
        job: FusionJob,
        fuse: _Fuse,
        store: tiles.Store,
        progress: Callable[[float], None],
        tile: int | None,
    ) -> None:
        tiling = self.spec.tiling
        height, width, _ = job.frames[0].shape
        grid = tiles.make_grid(
            height,
            width,
            tile=tile,
            reach=self._margin(job),
            multiple=tiling.multiple,
            min_size=tiling.min_size,
            fade=GLOBAL_FADE_PX if tiling.reach is None else 0,
            mirror=tiling.mirror_px,
        )

        def run(window: Tensor) -> Tensor:
            return fuse(window.to(self.device), job.steps).float().cpu()

        def locate(one: tiles.Tile) -> None:
            if tile:
                give_back()
            place(self.network, grid.place_of(one))

        with self._statistics(job, run) if tile else nullcontext():
            tiles.run_tiles(job.frames, run, grid, store, progress, locate)

    def _margin(self, job: FusionJob) -> int:
        if self.spec.tiling.reach is None:
            return 2 * GLOBAL_FADE_PX
        chain = 1 if self.spec.max_frames is None else longest_chain(len(job.frames), job.steps)
        return self.spec.tiling.reach * chain

    def _tile_for(self, job: FusionJob) -> int | None:
        """The side of a tile, or None to take the picture whole."""
        if self.spec.tiling.whole:
            return None
        height, width, _ = job.frames[0].shape
        per_pixel = bytes_per_pixel(self.network, self.spec, len(job.frames), self.device)
        if height * width <= 2 * TILE_PX**2 and height * width * per_pixel <= job.budget:
            return None
        return min(TILE_PX, tile_side(job.budget, per_pixel, self._margin(job)))

    def _statistics(self, job: FusionJob, run: tiles.Run) -> AbstractContextManager[None]:
        """Record the network's global statistics, and replay them in the tiles.

        They come from the whole picture up to `STATISTICS_PX` pixels, and as far as memory goes; above that
        from one reduced by a whole number, which `notes` tells.
        """
        if not any(isinstance(module, GlobalStatistic) for module in self.network.modules()):
            return nullcontext()
        height, width, _ = job.frames[0].shape
        per_pixel = bytes_per_pixel(self.network, self.spec, len(job.frames), self.device)
        most = min(STATISTICS_PX, job.budget / per_pixel)
        factor = math.ceil((height * width / most) ** 0.5)
        frames: Sequence[Frame] = job.frames
        if factor > 1:
            frames = list(guided.reduce_frames(frames, factor).transpose(0, 2, 3, 1))
            self.notes.append(f"Whole-picture statistics taken at 1/{factor} size.")
        h, w, _ = frames[0].shape
        tiling = self.spec.tiling
        rows, cols = (tiles.round_up(max(side, tiling.min_size), tiling.multiple) for side in (h, w))
        place(self.network, (0.0, 1.0, 0.0, 1.0))
        with recording(self.network):
            m = tiles.round_up(tiling.mirror_px, tiling.multiple)
            run(tiles.cut_frames(frames, (-m, rows + m), (-m, cols + m)))
        return replaying(self.network)

    # ---- the network itself -------------------------------------------------------------------------

    def _fuse_colour(self, frames: Tensor, steps: Schedule) -> Tensor:
        """Fuse (N, 3, h, w) planes into (3, h, w), colour and all."""
        if self.spec.colour == "rgb":
            return self._fuse_planes(frames, steps)
        chroma = colour.fuse_chroma(colour.rgb_to_ycbcr(frames)[:, 1:])  # (2, h, w)
        return colour.ycbcr_to_rgb(torch.cat((self._fuse_luma(frames, steps), chroma)))

    def _fuse_luma(self, frames: Tensor, steps: Schedule) -> Tensor:
        """The fused luminance, (1, h, w), of (N, 3, h, w) planes."""
        y = colour.luminance(frames)[:, None]  # (N, 1, h, w)
        if self.spec.luma_range == "studio":
            # Not clipped here: studio range has room above white, which colour may bring back below it.
            return colour.from_studio(self._fuse_planes(colour.to_studio(y), steps))
        return self._fuse_planes(y, steps)

    def _fuse_planes(self, frames: Tensor, steps: Schedule) -> Tensor:  # (N, C, h, w) -> (C, h, w)
        if self.spec.max_frames is None:
            last = self._once(frames)
        else:
            row = list(frames)
            for under, over in steps:
                row.append(self._once(torch.stack((row[under], row[over]))))
            last = row[-1]
        self._made(*_span(last))
        return last

    def _once(self, frames: Tensor) -> Tensor:  # (N, C, h, w) -> (C, h, w)
        if self.half:
            frames = frames.half()
        fused: Tensor = self.network(frames[None])[0].float()
        self._answered(*_span(fused))
        return fused.clamp(0.0, 1.0)


def _span(planes: Tensor) -> tuple[float, float]:
    """NaN where one number is."""
    low, high = planes.aminmax()
    return low.item(), high.item()
