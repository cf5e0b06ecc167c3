"""How much memory there is, and what a fusion's frames leave of it. Imports nothing heavy."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LEAST_MB = 96  # a fusion is not cut finer than this
PROCESS_MB = 150.0  # before the first pixel: Python, OpenCV, ONNX Runtime and their code
TORCH_PROCESS_MB = 320.0  # with torch


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
    pixels: int,
    frames: int,
    frame_bytes: int,
    result_bytes: int,
    max_memory_mb: float | None = None,
    process_mb: float = 0.0,
) -> MemoryPlan:
    """What is left for the network once frames and result (bytes a sample) have their place.

    `max_memory_mb` is for the whole process, which takes `process_mb` before the first pixel. Without it, the
    network gets half of the free memory.
    """
    frames_mb = pixels * 3 * frames * frame_bytes / 2**20
    result_mb = pixels * 3 * result_bytes / 2**20
    if max_memory_mb is None:
        left = (free_memory_bytes() / 2**20 - result_mb) / 2
    else:
        left = max_memory_mb - process_mb - frames_mb - result_mb
    return MemoryPlan(frames_mb, result_mb, max(float(LEAST_MB), left))


def needed_bytes(told: Callable[[int, int], int], frames: int, pixels: int) -> float:
    """What a network that tells its own need holds for a picture of `pixels`, its planes included."""
    planes: float = 4 * 2 * 3 * frames * pixels
    return planes + 1.25 * float(told(frames, pixels))


def free_memory_bytes() -> int:
    """Memory that can be taken without swapping; the control group's limit counts where there is one."""
    free = _meminfo_available()
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text().strip()
        if limit != "max":
            free = min(free, max(0, int(limit) - int(used)))
    except (OSError, ValueError):
        pass  # no control groups here
    return free


def _meminfo_available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return 4 << 30


def give_back() -> None:
    """Hand freed memory back to the system. glibc keeps what tiles leave behind, in pieces of any size."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
