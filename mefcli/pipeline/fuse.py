"""The stage that makes one picture of many: it runs the engine and keeps what it said."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from mefcli.job import Job
from mefcli.values import Fused, OnStep, Record, Stack, Step, silent

if TYPE_CHECKING:
    from mefnets.engine.fuser import Fuser


def load_fuser(model: str, *, weights: str | None = None, device: str = "auto", half: bool = False) -> Fuser:
    """The engine with a model's weights, verified, on a device. Use it for as many brackets as you like."""
    from mefcli.checkpoints import build_with_weights, load_fuser_weights
    from mefnets.engine.fuser import Fuser

    spec, tensors, sha256, _ = load_fuser_weights(model, weights)
    fuser = Fuser(spec, build_with_weights(spec, tensors, device), device, half=half)
    _HASHES[fuser] = sha256
    return fuser


def check_model(job: Job) -> None:
    """A slip in the model's name, or weights that are not here, told before the work begins."""
    from mefcli.checkpoints import find_model, is_ready, missing

    if job.weights is None and not job.model.endswith(".safetensors"):
        spec = find_model(job.model)
        if not is_ready(spec):
            raise missing(spec)


IMPORTING = "import of the engine"  # name of the thread; Python waits for it at its end


def import_engine_meanwhile() -> None:
    """Importing torch costs about two seconds of CPU; let it happen while files are read."""
    if "torch" not in sys.modules:
        threading.Thread(target=_import_engine, name=IMPORTING).start()


def _import_engine() -> None:
    with contextlib.suppress(Exception):  # whoever needs the engine imports it again, and is told
        importlib.import_module("mefnets.engine.fuser")


@lru_cache(maxsize=1)
def fuser_for(model: str, weights: str | None, device: str, half: bool) -> Fuser:
    """The same, loaded once in each process."""
    return load_fuser(model, weights=weights, device=device, half=half)


_HASHES: WeakKeyDictionary[Fuser, str | None] = WeakKeyDictionary()


def fuse(
    stack: Stack, fuser: Fuser, job: Job, on_step: OnStep = silent, *, depth: int | None = None
) -> Fused:
    """Fuse a stack at `depth` bits (8, 16, 32 for float), by default at the job's, else 16."""

    def report(done: float, note: str) -> None:
        on_step(Step("fuse", done, note))

    report(0.0, fuser.spec.title)
    pixels: Any = fuser.fuse(
        stack.frames,
        stack.bracket.evs,
        resolution=job.resolution,
        working_size_mp=job.working_size,
        strategy=job.strategy,
        max_memory_mb=job.max_memory,
        depth=depth or job.bit_depth or 16,
        on_step=report,
    )
    if pixels.dtype == np.float32:
        np.clip(pixels, 0.0, 1.0, out=pixels)
    record = Record(
        model=fuser.spec.name,
        weights_sha256=_HASHES.get(fuser),
        settings=job.settings,
        notes=(*stack.notes, *fuser.notes),
        sources=tuple(path.name for path in stack.bracket.paths),
    )
    return Fused(stack.bracket, pixels, stack.icc, record, stack.alignment, stack.ghosts)
