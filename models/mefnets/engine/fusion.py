"""From a stack of frames to a fused picture, whoever runs the network: order, memory, native or guided.

`engine.fuser.Fuser` runs networks in torch, `engine.graphs.GraphFuser` exported ones without it. Imports
nothing heavy.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mefnets.engine import guided, opencv
from mefnets.engine.budget import give_back, plan_memory
from mefnets.engine.frames import (
    DTYPES,
    FULL_SCALE,
    Floats,
    Frame,
    all_identical,
    checked,
    convert,
    distinct,
    empty_picture,
    grid_of,
    in_order,
)
from mefnets.engine.sizes import WORKING_SIZE_MP, Mode, Resolution, mode_for
from mefnets.engine.strategies import Schedule, Strategy, schedule
from mefnets.spec import ModelSpec
from mefnets.taste import NATURAL, Taste, ripple_of, without_taste
from mefnets.trouble import ModelError, TooLargeError, named

Progress = Callable[[float, str], None]
"""Called with how far the fusion is, 0..1, and what it is doing."""


NOTHING = (math.inf, -math.inf)  # the span of no numbers
SEVERAL_PX = 1024
VARIES = 1 / 16  # of the full scale, in a frame that shows something


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


@runtime_checkable
class KnowsSize(Protocol):
    """A pyramid that answers for a reduced picture as for the whole one, told what it is reduced by."""

    reduced_by: float


LARGE_BYTES = 200 << 20
"""Of a result: before one as large takes its place, the heap's leftovers of all stages before it go."""


@dataclass(frozen=True)
class FusionJob:
    frames: Sequence[Frame]  # dark to bright
    steps: Schedule
    budget: int  # bytes for network and buffers
    tile_px: int | None
    on_step: Progress
    taste: Taste = NATURAL
    spend: bool = False  # the frames may be lost


def refuse_half(spec: ModelSpec) -> ModelError:
    return ModelError(
        f"{spec.title} loses precision in half floats.",
        f"Run it in full precision: leave out {named('half')}.",
    )


def refuse_result(model: str, wrong: str) -> ModelError:
    return ModelError(
        f"The result of {model} {wrong}, so it is not written.",
        f"It does not suit these frames, or its weights are damaged: choose another {named('model')}.",
    )


class Fusion(ABC):
    """A model ready to fuse bracket after bracket. `notes` tells what the last `fuse` did."""

    process_mb: float  # of the process, before the first pixel

    def __init__(self, spec: ModelSpec, network: Any, remark: str = "") -> None:
        self.spec = spec
        self.network = network
        self._remark = remark
        self.notes: list[str] = []
        """What the last `fuse` did that its caller should know: mode, sizes, fallbacks."""
        self.taster: Callable[[], Fusion] | None = None
        """Gives the engine that meets a taste, where this one's network cannot."""
        self._span = NOTHING

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
        taste: Taste = NATURAL,
        spend: bool = False,
        on_step: Progress | None = None,
    ) -> Frame:
        """Fuse frames of one scene, (H, W, 3) each, into one picture of `depth` 8, 16 or 32 (float) bits.

        Frames may come in any order: `evs` (stops), else their brightness, decides which is darker.
        `max_memory_mb` is for the whole process, frames and result included; without it, half of the free
        memory is used at most. On a graphics card the network takes from the card's own. `tile_px` forces
        tiles of that side. `taste` is for networks whose SPEC says that they take one. `spend`: nobody asks
        for the frames again, and they may be lost on the way, which saves memory.
        """
        if taste != NATURAL:
            if not self.spec.tastes:
                raise ModelError(*without_taste(self.spec))
            if self.taster is not None:
                other = self.taster()
                picture = other.fuse(
                    frames,
                    evs,
                    resolution=resolution,
                    working_size_mp=working_size_mp,
                    strategy=strategy,
                    max_memory_mb=max_memory_mb,
                    depth=depth,
                    tile_px=tile_px,
                    taste=taste,
                    spend=spend,
                    on_step=on_step,
                )
                self.notes = other.notes
                return picture
        self.notes = [self._remark] if self._remark else []
        on_step = on_step or (lambda done, note: None)
        frames = in_order(checked(frames, depth, strategy, resolution), evs)
        if all_identical(frames):
            self.notes.append("All frames are identical; the result is that frame.")
            return convert(frames[0], depth)
        if self.spec.max_frames is not None:
            frames = distinct(frames)  # fusing a frame with itself adds nothing
        height, width, _ = frames[0].shape
        plan = plan_memory(
            height * width,
            len(frames),
            frames[0].itemsize,
            np.dtype(DTYPES[depth]).itemsize,
            max_memory_mb,
            self.process_mb,
        )
        if not plan.fits:
            self.notes.append(f"Frames and result alone need more than {max_memory_mb:.0f} MB.")
        self._span = NOTHING
        budget = self._budget(plan.budget_bytes)
        job = FusionJob(frames, schedule(len(frames), strategy), budget, tile_px, on_step, taste, spend)
        looked_at = [grid_of(frame) for frame in frames] if spend else frames
        with opencv.THREADS.settled(most=1), self._settled(), self._tasting(taste):
            out = empty_picture(height, width, depth)
            if self._mode(resolution, job, height * width) == "guided":
                self._guided(job, out, working_size_mp or WORKING_SIZE_MP)
            else:
                self._native(job, out)
        # A luminance of one value does not show in the picture, whose colours are the frames'.
        if self._span[0] == self._span[1] and any(map(_varies, looked_at)):
            raise refuse_result(self.spec.name, "is of one brightness all over")
        return out

    def _answered(self, low: float, high: float) -> None:
        """The least and the highest number of a network's answer, before it is clipped to a picture's range:
        a number that is none would come out black or white, and nobody would know why."""
        if not (math.isfinite(low) and math.isfinite(high)):
            raise refuse_result(self.spec.name, "holds numbers that are not finite")

    def _made(self, low: float, high: float) -> None:
        """The same of a part of the picture itself, clipped."""
        self._span = (min(self._span[0], low), max(self._span[1], high))

    @contextmanager
    def _tasting(self, taste: Taste) -> Iterator[None]:
        if taste == NATURAL:
            yield
            return
        self.network.taste = taste
        try:
            yield
        finally:
            self.network.taste = NATURAL

    @contextmanager
    def _reduced(self, factor: int) -> Iterator[None]:
        if not isinstance(self.network, KnowsSize):
            yield
            return
        self.network.reduced_by = factor
        try:
            yield
        finally:
            self.network.reduced_by = 1

    def _mode(self, resolution: Resolution, job: FusionJob, pixels: int) -> Mode:
        """As `mode_for` has it, and guided where a network that is never cut does not find the memory."""
        mode = mode_for(self.spec, resolution, pixels)
        if mode == "guided" or not self.spec.tiling.whole or job.tile_px is not None:
            return mode
        need = self.held_bytes(len(job.frames), pixels)
        if need <= job.budget:
            return mode
        if resolution == "native":
            raise TooLargeError(
                f"{self.spec.title} sees a picture as a whole, which at {pixels / 1e6:.1f} MP takes "
                f"{need / 2**20:.0f} MB; {job.budget / 2**20:.0f} MB are left for it.",
                f"Use {named('resolution')} guided, or give more with {named('max_memory')}.",
            )
        return "guided"

    def _native(self, job: FusionJob, out: Frame) -> None:
        if isinstance(self.network, Streams):
            self.network.stream(job.frames, out, job.budget, lambda done: job.on_step(done, "fusing"))
        else:
            self._fuse_native(job, out)

    # ---- guided: the network at working size, its result carried to the full one ------------------------

    def _guided(self, job: FusionJob, out: Frame, working_mp: float) -> None:
        height, width, _ = out.shape
        by_halves = isinstance(self.network, KnowsSize)
        find = guided.halving_for if by_halves else guided.factor_for
        factor = find(height * width, working_mp * 1e6)
        if self.spec.tiling.whole:
            while (
                self.held_bytes(len(job.frames), height * width // factor**2) > job.budget
                and factor < min(height, width) // 64
            ):
                factor += factor if by_halves else 1
        small = guided.reduce_frames(job.frames, factor)  # (N, 3, h, w)
        h, w = small.shape[-2:]
        self.notes.append(
            f"The network judged the frames at {w} x {h}; its choices hold for all {width} x {height} pixels."
        )
        job.on_step(0.1, "network")
        little = replace(job, frames=list(small.transpose(0, 2, 3, 1)))
        if isinstance(self.network, Streams):
            picture = np.empty((h, w, 3), np.float32)
            little = replace(little, frames=[np.ascontiguousarray(frame) for frame in little.frames])
            self.network.stream(little.frames, picture, job.budget)
            seen, fused = small, np.ascontiguousarray(picture.transpose(2, 0, 1))
        else:
            with self._reduced(factor):
                seen, fused = self._fuse_small(little, small)
        coefficients = guided.fit(seen, fused)
        del little, small, seen, fused  # of nine frames of 50 MP they would be a fifteenth of all memory
        if out.nbytes > LARGE_BYTES:
            give_back()
        job.on_step(0.75, "transfer")

        def told(done: float) -> None:
            job.on_step(0.75 + 0.25 * done, "transfer")

        if self.spec.colour == "rgb":
            ripple = ripple_of(job.taste)
            guided.apply_rgb(job.frames, coefficients, factor, out, told, ripple, spend=job.spend)
        else:
            guided.apply_luma(job.frames, coefficients, factor, out, told, spend=job.spend)

    # ---- what the two engines do differently -------------------------------------------------------------

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """Around the work of one fusion."""
        yield

    def _budget(self, left: int) -> int:
        """Bytes that the network may take where `left` are left of the machine's."""
        return left

    @abstractmethod
    def held_bytes(self, frames: int, pixels: int) -> float:
        """What the network holds at its busiest for a picture of so many pixels."""

    @abstractmethod
    def _fuse_native(self, job: FusionJob, out: Frame) -> None:
        """The network at full resolution."""

    @abstractmethod
    def _fuse_small(self, job: FusionJob, small: Floats) -> tuple[Floats, Floats]:
        """At working size: what the network saw, (N, C, h, w), and what it made of it, (C, h, w)."""


def _varies(frame: Frame) -> bool:
    """Whether it shows more than its noise, and is large enough that a picture of it does, too."""
    height, width, _ = frame.shape
    span = (frame.max(axis=(0, 1)).astype(np.float64) - frame.min(axis=(0, 1))).max()
    return height * width >= SEVERAL_PX and bool(span > VARIES * FULL_SCALE[frame.dtype.name])
