"""The engine between a stack of frames and a fused picture, for every network and the classics alike.

It reads a network's SPEC and does the rest: order and roles by exposure, colour split, tiles or the guided
transfer, devices, precision and depth.

    fuser = Fuser(MODELS["mertens"], build_network(MODELS["mertens"]))
    picture = fuser.fuse([dark, middle, bright], depth=16)
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from mefnets import colour
from mefnets.engine import guided, tiles
from mefnets.engine.devices import card_budget_bytes, choose_device
from mefnets.engine.memory import (
    LEAST_TILE_PX,
    bytes_needed,
    bytes_per_pixel,
    give_back,
    plan_memory,
    shortage_told,
    tile_side,
)
from mefnets.engine.pixels import (
    DTYPES,
    FULL_SCALE,
    Frame,
    all_identical,
    convert,
    distinct,
    empty_picture,
    mean_brightness,
    store_planes,
)
from mefnets.engine.sizes import WORKING_SIZE_MP, Mode, Resolution, mode_for
from mefnets.engine.strategies import STRATEGIES, Schedule, Strategy, longest_chain, schedule
from mefnets.layers.blocks import GlobalStatistic, place, recording, replaying
from mefnets.spec import ModelSpec
from mefnets.trouble import FramesError, ModelError, TooLargeError, UsageError, named

Progress = Callable[[float, str], None]
"""Called with how far the fusion is, 0..1, and what it is doing."""

TILE_PX = 1024  # side of a tile where memory allows
STATISTICS_PX = 4_000_000  # most pixels that whole-picture statistics are taken from
GLOBAL_FADE_PX = 32  # half the seam between tiles of networks without a known reach


@runtime_checkable
class Streams(Protocol):
    """A network that fuses whole integer frames by itself, in bounded memory. The classics do."""

    def stream(
        self,
        frames: Sequence[Frame],
        out: Frame,
        budget_bytes: int | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> None: ...


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


@dataclass(frozen=True)
class _Job:
    frames: Sequence[Frame]  # dark to bright
    steps: Schedule
    budget: int  # bytes for network and buffers
    tile_px: int | None
    report: Progress


_Fuse = Callable[[Tensor, Schedule], Tensor]  # (N, 3, h, w) -> (C, h, w)


class Fuser:
    @shortage_told()
    def __init__(
        self, spec: ModelSpec, network: nn.Module, device: str = "cpu", *, half: bool = False
    ) -> None:
        if half and not spec.half_safe:
            raise ModelError(
                f"{spec.title} loses precision in half floats.",
                f"Run it in full precision: leave out {named('half')}.",
            )
        self.spec = spec
        self.device = choose_device(device)
        self.half = half and self.device.type != "cpu"
        self.network = network.eval().to(self.device)
        if self.half:
            self.network = self.network.half()
        if self.device.type == "cuda":  # where convolutions are faster with channels innermost
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._remark = "" if self.half == half else "Half precision is for graphics cards; computed in full."
        self.notes: list[str] = []
        """What the last `fuse` did that its caller should know: mode, sizes, fallbacks."""

    @shortage_told()
    def fuse(
        self,
        frames: Sequence[Frame],
        evs: Sequence[float] | None = None,
        *,
        resolution: Resolution = "auto",
        working_size_mp: float | None = None,
        strategy: Strategy = "auto",
        max_memory_mb: float | None = None,
        depth: int = 16,
        tile_px: int | None = None,
        on_step: Progress | None = None,
    ) -> Frame:
        """Fuse frames of one scene, (H, W, 3) each, into one picture of `depth` 8, 16 or 32 (float) bits.

        Frames may come in any order: `evs` (stops), else their brightness, decides which is darker.
        `max_memory_mb` is for the whole process, frames and result included; without it, half of the free
        memory is used at most. On a graphics card the network takes from the card's own. `tile_px` forces
        tiles of that side.
        """
        self.notes = [self._remark] if self._remark else []
        report = on_step or (lambda done, note: None)
        frames = _in_order(_checked(frames, depth, strategy, resolution), evs)
        if all_identical(frames):
            self.notes.append("All frames are identical; the result is that frame.")
            return convert(frames[0], depth)
        if self.spec.max_frames is not None:
            frames = distinct(frames)  # fusing a frame with itself adds nothing
        height, width, _ = frames[0].shape
        plan = plan_memory(
            height * width, len(frames), frames[0].itemsize, np.dtype(DTYPES[depth]).itemsize, max_memory_mb
        )
        if not plan.fits:
            self.notes.append(f"Frames and result alone need more than {max_memory_mb:.0f} MB.")
        on_card = None if isinstance(self.network, Streams) else card_budget_bytes(self.device)
        budget = plan.budget_bytes if on_card is None else on_card
        job = _Job(frames, schedule(len(frames), strategy), budget, tile_px, report)
        with torch.no_grad():
            out = empty_picture(height, width, depth)
            if self._mode(resolution, job, height * width) == "guided":
                self._guided(job, out, working_size_mp or WORKING_SIZE_MP)
            else:
                self._native(job, out)
        return out

    def _mode(self, resolution: Resolution, job: _Job, pixels: int) -> Mode:
        """As `mode_for` has it, and guided where a network that is never cut does not find the memory."""
        mode = mode_for(self.spec, resolution, pixels)
        if mode == "guided" or not self.spec.tiling.whole or job.tile_px is not None:
            return mode
        need = self._held(job, pixels)
        if need <= job.budget:
            return mode
        if resolution == "native":
            raise TooLargeError(
                f"{self.spec.title} sees a picture as a whole, which at {pixels / 1e6:.1f} MP takes "
                f"{need / 2**20:.0f} MB; {job.budget / 2**20:.0f} MB are left for it.",
                f"Use {named('resolution')} guided, or give more with {named('max_memory')}.",
            )
        return "guided"

    def _held(self, job: _Job, pixels: int) -> float:
        return bytes_needed(self.network, self.spec, len(job.frames), pixels, self.device)

    # ---- native: the network at full resolution -----------------------------------------------------

    def _native(self, job: _Job, out: Frame) -> None:
        def store(planes: Tensor, rows: tiles.Span) -> None:
            store_planes(planes, out[rows[0] : rows[1]])

        if isinstance(self.network, Streams):
            self.network.stream(job.frames, out, job.budget, lambda done: job.report(done, "fusing"))
            return
        self._run_tiles(job, self._fuse_colour, store, lambda done: job.report(done, "fusing"))

    # ---- guided: the network at working size, its result carried to the full one ------------------------

    def _guided(self, job: _Job, out: Frame, working_mp: float) -> None:
        height, width, _ = out.shape
        factor = guided.factor_for(height * width, working_mp * 1e6)
        if self.spec.tiling.whole:
            while (
                self._held(job, height * width // factor**2) > job.budget
                and factor < min(height, width) // 64
            ):
                factor += 1
        small = guided.reduce_frames(job.frames, factor)  # (N, 3, h, w)
        h, w = small.shape[-2:]
        self.notes.append(f"Network run at {w} x {h}, carried to {width} x {height} by a local fit.")
        job.report(0.1, "network")
        seen = small if self.spec.colour == "rgb" else colour.luminance(small)[:, None]  # (N, C, h, w)
        fused = torch.empty(seen.shape[1], h, w)

        def store(planes: Tensor, rows: tiles.Span) -> None:
            fused[:, rows[0] : rows[1]] = planes

        little = replace(job, frames=list(small.permute(0, 2, 3, 1).numpy()))
        if isinstance(self.network, Streams):
            picture = np.empty((h, w, 3), np.float32)
            self.network.stream(little.frames, picture, job.budget)
            fused.copy_(torch.from_numpy(picture).permute(2, 0, 1))
        else:
            run = self._fuse_planes if self.spec.colour == "rgb" else self._fuse_luma
            self._run_tiles(little, run, store, lambda done: job.report(0.1 + 0.6 * done, "network"))
        coefficients = guided.fit(seen, fused)
        job.report(0.75, "transfer")
        carry = guided.apply_rgb if self.spec.colour == "rgb" else guided.apply_luma
        carry(job.frames, coefficients, factor, out, lambda done: job.report(0.75 + 0.25 * done, "transfer"))

    # ---- tiles ------------------------------------------------------------------------------------------

    def _run_tiles(
        self, job: _Job, fuse: _Fuse, store: tiles.Store, progress: Callable[[float], None]
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
        self, job: _Job, fuse: _Fuse, store: tiles.Store, progress: Callable[[float], None], tile: int | None
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

    def _margin(self, job: _Job) -> int:
        if self.spec.tiling.reach is None:
            return 2 * GLOBAL_FADE_PX
        chain = 1 if self.spec.max_frames is None else longest_chain(len(job.frames), job.steps)
        return self.spec.tiling.reach * chain

    def _tile_for(self, job: _Job) -> int | None:
        """The side of a tile, or None to take the picture whole."""
        if self.spec.tiling.whole:
            return None
        height, width, _ = job.frames[0].shape
        per_pixel = bytes_per_pixel(self.network, self.spec, len(job.frames), self.device)
        if height * width <= 2 * TILE_PX**2 and height * width * per_pixel <= job.budget:
            return None
        return min(TILE_PX, tile_side(job.budget, per_pixel, self._margin(job)))

    def _statistics(self, job: _Job, run: tiles.Run) -> AbstractContextManager[None]:
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
            frames = list(guided.reduce_frames(frames, factor).permute(0, 2, 3, 1).numpy())
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
            return self._once(frames)
        row = list(frames)
        for under, over in steps:
            row.append(self._once(torch.stack((row[under], row[over]))))
        last: Tensor = row[-1]
        return last

    def _once(self, frames: Tensor) -> Tensor:  # (N, C, h, w) -> (C, h, w)
        if self.half:
            frames = frames.half()
        fused: Tensor = self.network(frames[None])[0]
        clamped: Tensor = fused.float().clamp(0.0, 1.0)
        return clamped


def _checked(frames: Sequence[Frame], depth: int, strategy: str, resolution: str) -> Sequence[Frame]:
    if len(frames) < 2:
        raise FramesError(
            f"Fusion needs at least two frames; there {'is one' if frames else 'are none'}.",
            "Give two or more exposures of the same scene.",
        )
    for number, frame in enumerate(frames, 1):
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype.name not in FULL_SCALE:
            raise FramesError(
                f"Frame {number} is {frame.dtype.name} of shape {frame.shape}.",
                "Frames are (height, width, 3) arrays of uint8, uint16 or float32.",
            )
        if frame.shape != frames[0].shape:
            raise FramesError(
                f"Frame {number} has {frame.shape[1]} x {frame.shape[0]} pixels, the first one "
                f"{frames[0].shape[1]} x {frames[0].shape[0]}.",
                "All frames must have one size.",
            )
    if depth not in DTYPES:
        raise FramesError(f"There is no depth of {depth} bits.", "Choose 8, 16 or 32.")
    if strategy not in STRATEGIES:
        raise UsageError(f"There is no strategy {strategy!r}.", f"Choose one of: {', '.join(STRATEGIES)}.")
    if resolution not in ("auto", "native", "guided"):
        raise UsageError(f"There is no resolution mode {resolution!r}.", "Choose auto, native or guided.")
    return frames


def _in_order(frames: Sequence[Frame], evs: Sequence[float] | None) -> list[Frame]:
    """Dark to bright: by `evs` where given, then by brightness, then by content, never by argument order."""
    if evs is not None and len(evs) != len(frames):
        raise FramesError(f"{len(frames)} frames came with {len(evs)} exposure values.", "Give one for each.")

    def key(index: int) -> tuple[Any, ...]:
        sample = frames[index][::61, ::67]
        return (evs[index] if evs is not None else 0.0, mean_brightness(frames[index]), sample.tobytes())

    return [frames[i] for i in sorted(range(len(frames)), key=key)]
