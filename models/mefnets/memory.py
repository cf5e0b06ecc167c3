"""How much memory a fusion takes, and how it is cut to fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mefnets.devices import free_memory_bytes
from mefnets.spec import ModelSpec
from mefnets.tiles import round_up

PROCESS_MB = 320  # Python, torch and their code, before the first pixel
LEAST_MB = 96  # a fusion is not cut finer than this
LEAST_TILE_PX = 128


@dataclass(frozen=True)
class MemoryPlan:
    """Megabytes, of 2^20 bytes."""

    frames_mb: float
    result_mb: float
    left_mb: float  # for the network and the buffers

    @property
    def budget_bytes(self) -> int:
        return int(self.left_mb * 2**20)

    @property
    def fits(self) -> bool:
        return self.left_mb > LEAST_MB


def plan_memory(
    pixels: int, frames: int, frame_bytes: int, result_bytes: int, max_memory_mb: float | None = None
) -> MemoryPlan:
    """What is left for the network once frames and result (bytes a sample) have their place.

    `max_memory_mb` is for the whole process. Without it, the network gets half of the free memory.
    """
    frames_mb = pixels * 3 * frames * frame_bytes / 2**20
    result_mb = pixels * 3 * result_bytes / 2**20
    if max_memory_mb is None:
        left = (free_memory_bytes() / 2**20 - result_mb) / 2
    else:
        left = max_memory_mb - PROCESS_MB - frames_mb - result_mb
    return MemoryPlan(frames_mb, result_mb, max(float(LEAST_MB), left))


def bytes_per_pixel(network: nn.Module, spec: ModelSpec, frames: int, device: torch.device) -> float:
    """What a network holds at its busiest, per pixel of one picture: measured on a small one.

    The largest layer's input and output, twice, for the tensors that skip connections keep alive.
    """
    side = round_up(max(64, spec.min_size), spec.multiple)
    largest = 0

    def look(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal largest
        tensors = [t for t in (*inputs, output) if isinstance(t, Tensor)]
        largest = max(largest, sum(t.numel() * t.element_size() for t in tensors))

    hooks = [module.register_forward_hook(look) for module in network.modules()]
    try:
        channels = 1 if spec.colour == "luma" else 3
        count = frames if spec.max_frames is None else 2
        dtype = next((p.dtype for p in network.parameters()), torch.float32)
        network(torch.zeros(1, count, channels, side, side, device=device, dtype=dtype))
    finally:
        for hook in hooks:
            hook.remove()
    own = 4 * 4 * 3 * frames  # the float planes themselves and their YCbCr
    return own + 3.0 * largest / side**2


def tile_side(budget_bytes: int, per_pixel: float, margin: int) -> int:
    """The largest tile whose window fits in the budget."""
    side = int((budget_bytes / per_pixel) ** 0.5) - 2 * margin
    return max(LEAST_TILE_PX, side)
