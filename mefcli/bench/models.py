"""What each model costs, whatever else a fusion does: the figures that its SPEC states."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mefcli.checkpoints import find_model
from mefnets import Cost

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mefnets.engine.fusion import Fusion

SHUTTER_EV = (-2.0, 2.0)


@dataclass(frozen=True)
class ModelCost:
    model: str
    megapixels: float
    cpu_s: float  # a megapixel, of two frames, on one thread
    held_bytes: int | None  # a pixel, at its busiest; None of what fuses in strips, whatever the size
    stated: Cost | None  # in its SPEC


def measure(
    names: Sequence[str], megapixels: float, repeats: int, on_model: Callable[[str], None]
) -> Iterator[ModelCost]:
    """CPU seconds of a native fusion of two frames (the least), and memory as the engine measures it."""
    import torch

    from mefcli.api import load_fuser

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        frames = _pair(megapixels)
        pixels = frames[0].shape[0] * frames[0].shape[1]
        for name in names:
            on_model(name)
            spec = find_model(name)
            fuser = load_fuser(name, device="cpu")
            held = None if spec.tiling.strips else round(fuser.held_bytes(2, pixels) / pixels)
            spent = min(_cpu_s(fuser, frames) for _ in range(repeats))  # other programs only add to it
            yield ModelCost(name, pixels / 1e6, spent / pixels * 1e6, held, spec.cost)
    finally:
        torch.set_num_threads(threads)


def _pair(megapixels: float) -> list[NDArray[Any]]:
    from mefcli.bench.scene import expose, radiance

    height = max(64, round((megapixels * 1e6 / 1.5) ** 0.5))
    light = radiance(height, round(height * 1.5))
    return [expose(light, ev, seed) for seed, ev in enumerate(SHUTTER_EV)]


def _cpu_s(fuser: Fusion, frames: list[NDArray[Any]]) -> float:
    began = time.process_time()
    fuser.fuse(frames, SHUTTER_EV, resolution="native")
    return time.process_time() - began
