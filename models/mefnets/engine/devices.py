"""Choosing where to compute, and how much memory there is to do it in."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from mefnets.trouble import DeviceError, named

OF_CARD = 0.7  # of what is free there; the libraries' own workspaces need the rest
DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name` ("auto": CUDA, else Apple's GPU, else the CPU), or a clear refusal."""
    kind = name.partition(":")[0]
    if kind not in DEVICES:
        raise DeviceError(f"There is no device called {name!r}.", f"Choose one of: {', '.join(DEVICES)}.")
    if kind == "auto":
        kind = name = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError("No CUDA device was found.", f"Use {named('device')} cpu, or auto.")
    if kind == "mps" and not _has_mps():
        raise DeviceError("Apple's GPU (mps) is not available here.", f"Use {named('device')} cpu, or auto.")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is not a device.", "Use cuda, or cuda:0 for the first card.") from error
    if kind != "cuda":
        return device
    if device.index is None:
        return torch.device(kind, torch.cuda.current_device())
    if device.index >= torch.cuda.device_count():
        raise DeviceError(
            f"There is no CUDA device number {device.index}; {torch.cuda.device_count()} were found.",
            "Numbers start at 0.",
        )
    return device


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_available())


def card_budget_bytes(device: torch.device) -> int | None:
    """What a network may take of a graphics card's own memory; None where it works in the machine's."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * OF_CARD)


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
