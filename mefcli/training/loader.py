"""Batches ahead of time: threads simulate while the network trains (numpy and OpenCV release the GIL)."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mefcli.training.simulator import Simulator

if TYPE_CHECKING:
    import torch

    from mefnets.recipe import Batch

AHEAD = 3  # batches waiting


def to_batch(arrays: dict[str, NDArray[Any]], device: torch.device) -> Batch:
    import torch

    from mefnets.recipe import Batch

    def planes(name: str) -> torch.Tensor | None:
        """(..., H, W, 3) uint8 or float to (..., 3, H, W) float32 in [0, 1]."""
        if name not in arrays:
            return None
        tensor = torch.from_numpy(np.ascontiguousarray(arrays[name])).to(device, non_blocking=True)
        scaled = tensor.float() / 255.0 if tensor.dtype == torch.uint8 else tensor
        return scaled.movedim(-1, -3).contiguous()

    frames = planes("frames")
    assert frames is not None
    return Batch(
        frames=frames,
        evs=torch.from_numpy(arrays["evs"]).to(device),
        target=planes("target"),
        normal=planes("normal"),
        extreme=planes("extreme"),
        clean=planes("clean"),
        windows=torch.from_numpy(arrays["windows"]) if "windows" in arrays else None,
    )


def batches(
    simulator: Simulator, first_step: int, workers: int = 1
) -> Generator[tuple[int, dict[str, NDArray[Any]]], None, None]:
    """(step, arrays) from `first_step` on, without end."""
    import cv2

    cv2.setNumThreads(1)
    if workers <= 0:
        step = first_step
        while True:
            yield step, simulator.batch(step)
            step += 1
    pool = ThreadPoolExecutor(workers, thread_name_prefix="simulate")
    waiting: list[Future[dict[str, NDArray[Any]]]] = []
    step = first_step
    try:
        while True:
            while len(waiting) < AHEAD + workers:
                waiting.append(pool.submit(simulator.batch, step + len(waiting)))
            yield step, waiting.pop(0).result()
            step += 1
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
