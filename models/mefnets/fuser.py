"""The engine between a stack of frames and a fused picture, for every network and the classics alike.

It reads a network's SPEC and does the rest: order and roles by exposure, colour split, tiles or the guided
transfer, devices, precision and depth.

    fuser = Fuser(MODELS["mertens"], build_network(MODELS["mertens"]))
    picture = fuser.fuse([dark, middle, bright], depth=16)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from mefnets import colour, tiles
from mefnets.blocks import GlobalStatistic, recording, replaying
from mefnets.devices import choose_device
from mefnets.pixels import (
    DTYPES,
    FULL_SCALE,
    Frame,
    all_identical,
    convert,
    empty_picture,
    mean_brightness,
    store_planes,
)
from mefnets.spec import ModelSpec
from mefnets.strategies import STRATEGIES, Strategy, longest_chain, schedule
from mefnets.trouble import FramesError, FusionError, TooLargeError

Resolution = Literal["auto", "native", "guided"]
Progress = Callable[[float, str], None]
"""Called with how far the fusion is, 0..1, and what it is doing."""

GUIDED_ABOVE_PX = 2_000_000
WORKING_SIZE_MP = 1.0
TILE_PX = 1024  # side of a tile where memory allows
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


def build_network(
    spec: ModelSpec, state_dict: Mapping[str, Tensor] | None = None, device: str = "cpu"
) -> nn.Module:
    """The network a SPEC describes, with its weights, ready to run."""
    network = cast(nn.Module, importlib.import_module(spec.module).build(**spec.options))
    if state_dict is not None:
        network.load_state_dict(dict(state_dict))
    network.requires_grad_(False)
    return network.eval().to(choose_device(device))


class Fuser:
    def __init__(
        self, spec: ModelSpec, network: nn.Module, device: str = "cpu", *, half: bool = False
    ) -> None:
        if half and not spec.half_safe:
            raise FusionError(
                f"{spec.title} loses precision in half floats.", "Run it in full precision: leave out half."
            )
        self.spec = spec
        self.device = choose_device(device)
        self.half = half and self.device.type == "cuda"
        self.network = network.eval().to(self.device, memory_format=torch.channels_last)
        if self.half:
            self.network = self.network.half()
        self.notes: list[str] = []
        """What the last `fuse` did that its caller should know: mode, sizes, fallbacks."""

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
        `max_memory_mb` bounds what fusion needs beside the frames and the result. `tile_px` forces tiles of
        that side in native mode.
        """
        self.notes = []
        report = on_step or (lambda done, note: None)
        frames = _in_order(_checked(frames, depth, strategy, resolution), evs)
        if all_identical(frames):
            self.notes.append("All frames are identical; the result is that frame.")
            return convert(frames[0], depth)
        height, width, _ = frames[0].shape
        budget = int(max_memory_mb * 2**20) if max_memory_mb else None
        with torch.no_grad():
            out = empty_picture(height, width, depth)
            self._native(frames, out, strategy, budget, tile_px, report)
        return out

    # ---- native: the network at full resolution -----------------------------------------------------

    def _native(
        self,
        frames: Sequence[Frame],
        out: Frame,
        strategy: Strategy,
        budget: int | None,
        tile_px: int | None,
        report: Progress,
    ) -> None:
        height, width, _ = frames[0].shape
        limit = self.spec.max_native_px
        if limit is not None and height * width > limit:
            raise TooLargeError(
                f"{self.spec.title} takes at most {limit / 1e6:.1f} MP at full resolution; "
                f"these frames have {height * width / 1e6:.1f} MP.",
                "Use --resolution guided.",
            )

        def progress(done: float) -> None:
            report(done, "fusing")

        if isinstance(self.network, Streams):
            self.network.stream(frames, out, budget, progress)
            return

        def store(planes: Tensor, rows: tiles.Span) -> None:
            store_planes(planes, out[rows[0] : rows[1]])

        self._run_tiles(frames, strategy, budget, tile_px, store, progress)

    def _run_tiles(
        self,
        frames: Sequence[Frame],
        strategy: Strategy,
        budget: int | None,
        tile_px: int | None,
        store: Callable[[Tensor, tiles.Span], None],
        progress: Callable[[float], None],
    ) -> None:
        spec = self.spec
        height, width, _ = frames[0].shape
        steps = schedule(len(frames), strategy)
        chain = 1 if spec.max_frames is None else longest_chain(len(frames), steps)
        is_global = spec.reach is None
        tile = tile_px or (TILE_PX if height * width > 2 * TILE_PX**2 else None)

        def run(window: Tensor) -> Tensor:
            return self._fuse_planes(window.to(self.device), steps).float().cpu()

        grid = tiles.make_grid(
            height,
            width,
            tile=tile,
            reach=GLOBAL_FADE_PX * 2 if spec.reach is None else spec.reach * chain,
            multiple=spec.multiple,
            align=spec.tile_align,
            min_size=spec.min_size,
            fade=GLOBAL_FADE_PX if is_global else 0,
        )
        with self._whole_picture_statistics(frames, run, grid) if tile and is_global else nullcontext():
            tiles.run_tiles(frames, run, grid, store, progress)

    def _whole_picture_statistics(
        self, frames: Sequence[Frame], run: tiles.Run, grid: tiles.Grid
    ) -> AbstractContextManager[None]:
        if not any(isinstance(module, GlobalStatistic) for module in self.network.modules()):
            return nullcontext()
        with recording(self.network):
            run(tiles.cut_frames(frames, (0, grid.padded_height), (0, grid.padded_width)))
        return replaying(self.network)

    # ---- the network itself -------------------------------------------------------------------------

    def _fuse_planes(self, frames: Tensor, steps: list[tuple[int, int]]) -> Tensor:
        """Fuse (N, 3, h, w) planes into (3, h, w), colour and all."""
        if self.spec.colour == "rgb":
            return self._chain(frames, steps)
        ycbcr = colour.rgb_to_ycbcr(frames)  # (N, 3, h, w)
        y = ycbcr[:, :1]  # (N, 1, h, w)
        if self.spec.luma_range == "studio":
            y = colour.from_studio(self._chain(colour.to_studio(y), steps))
        else:
            y = self._chain(y, steps)
        return colour.ycbcr_to_rgb(torch.cat((y, colour.fuse_chroma(ycbcr[:, 1:]))))

    def _chain(self, frames: Tensor, steps: list[tuple[int, int]]) -> Tensor:  # (N, C, h, w) -> (C, h, w)
        if self.spec.max_frames is None:
            return self._once(frames)
        row = list(frames)
        for under, over in steps:
            row.append(self._once(torch.stack((row[under], row[over]))))
        return row[-1]

    def _once(self, frames: Tensor) -> Tensor:  # (N, C, h, w) -> (C, h, w)
        if self.half:
            frames = frames.half()
        fused: Tensor = self.network(frames[None])[0]
        return fused.float().clamp_(0.0, 1.0)


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
        raise FusionError(f"There is no strategy {strategy!r}.", f"Choose one of: {', '.join(STRATEGIES)}.")
    if resolution not in ("auto", "native", "guided"):
        raise FusionError(f"There is no resolution mode {resolution!r}.", "Choose auto, native or guided.")
    return frames


def _in_order(frames: Sequence[Frame], evs: Sequence[float] | None) -> list[Frame]:
    """Dark to bright: by `evs` where given, then by brightness, then by content, never by argument order."""
    if evs is not None and len(evs) != len(frames):
        raise FramesError(f"{len(frames)} frames came with {len(evs)} exposure values.", "Give one for each.")

    def key(index: int) -> tuple[Any, ...]:
        sample = frames[index][::61, ::67]
        return (evs[index] if evs is not None else 0.0, mean_brightness(frames[index]), sample.tobytes())

    return [frames[i] for i in sorted(range(len(frames)), key=key)]
