"""How much memory a network takes, and how it is cut to fit."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mefnets.engine.budget import needed_bytes
from mefnets.engine.tiles import round_up
from mefnets.spec import ModelSpec
from mefnets.trouble import DeviceError, TooLargeError, named

LEAST_TILE_PX = 128
SMALL_PX = 128  # side of the picture that a network's memory is measured on


def bytes_per_pixel(network: nn.Module, spec: ModelSpec, frames: int, device: torch.device) -> float:
    """What a network holds at its busiest, per pixel of one picture: measured on a small one.

    All tensors alive at a time, and a quarter more for the kernels' own copies: beyond about 80 MB of code,
    processes grew by 0.7 to 1.2 times those tensors (least mefcl, most ffmef and crmef-align).
    """
    side = round_up(max(SMALL_PX, spec.tiling.min_size), spec.tiling.multiple)
    channels = 1 if spec.colour == "luma" else 3
    count = frames if spec.max_frames is None else 2
    dtype = next((p.dtype for p in network.parameters()), torch.float32)
    held = _Held()
    with held:
        network(torch.zeros(1, count, channels, side, side, device=device, dtype=dtype))
    own: float = 4 * 4 * 3 * frames  # the float planes themselves and their YCbCr
    return own + 1.25 * held.peak_bytes / side**2


def bytes_needed(
    network: nn.Module, spec: ModelSpec, frames: int, pixels: int, device: torch.device
) -> float:
    """What a network holds at its busiest for a picture of `pixels`; by its own word where it has one."""
    told = getattr(network, "held_bytes", None)
    if told is None:
        return pixels * bytes_per_pixel(network, spec, frames, device)
    return needed_bytes(told, frames, pixels)


class _Held(TorchFunctionMode):
    """Counts the memory of all tensors that torch's functions return and somebody keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, list[int]] = {}  # where -> [tensors that share it, bytes]
        self.bytes: int = 0
        self.peak_bytes: int = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self._hold(tensor)
        return result

    def _hold(self, tensor: Tensor) -> None:
        memory = tensor.untyped_storage()
        place, size = memory.data_ptr(), memory.nbytes()
        if not size:
            return
        if place not in self.held:
            self.held[place] = [0, size]
            self.bytes += size
            self.peak_bytes = max(self.peak_bytes, self.bytes)
        self.held[place][0] += 1
        weakref.finalize(tensor, self._let_go, place)

    def _let_go(self, place: int) -> None:
        count = self.held[place]
        count[0] -= 1
        if not count[0]:
            self.bytes -= self.held.pop(place)[1]


@contextmanager
def shortage_told() -> Iterator[None]:
    """Memory that is spent, the device's or the machine's, told in a sentence."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        hint = f"Use {named('max_memory')}, or {named('device')} cpu."
        raise DeviceError("The device ran out of memory.", hint) from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        hint = f"Use {named('max_memory')}, or {named('resolution')} guided."
        raise TooLargeError("This machine's memory does not suffice.", hint) from error


def tile_side(budget_bytes: int, per_pixel: float, margin: int) -> int:
    """The largest tile whose window fits in the budget."""
    side = int((budget_bytes / per_pixel) ** 0.5) - 2 * margin
    return max(LEAST_TILE_PX, side)
