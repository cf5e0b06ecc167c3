"""Choosing where to compute, and how much memory there is to do it in."""

from __future__ import annotations

import torch

from mefnets.engine.threads import Lent
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


THREADS = Lent(torch.get_num_threads, torch.set_num_threads)
"""Those of torch. They wait for each other inside every operation, by spinning where OMP_WAIT_POLICY is not
set: a pair of 1 MP took 54 CPU-s beside four busy programs, 3.7 on one thread."""
