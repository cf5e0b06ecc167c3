"""The stage that makes one picture of many: it runs the engine and keeps what it said."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from mefcli.job import Job
from mefcli.looks import taste_of
from mefcli.pipeline.check import check_pixels
from mefcli.values import Fused, GainMap, OnStep, Pixels, Record, Stack, Step, silent

if TYPE_CHECKING:
    from mefnets.engine.fusion import Fusion


def load_fuser(model: str, *, weights: str | None = None, device: str = "auto", half: bool = False) -> Fusion:
    """The engine with a model's weights, verified, on a device. Use it for as many brackets as you like."""
    from mefcli.engines import load

    fuser, sha256 = load(model, weights, device, half)
    _HASHES[fuser] = sha256
    return fuser


IMPORTING = "import of the engine"  # name of the thread; Python waits for it at its end


def import_engine_meanwhile(job: Job) -> None:
    """Importing torch takes about two seconds, where it is needed; let it happen while files are read."""
    if "torch" not in sys.modules:
        threading.Thread(target=_import_engine, args=(job,), name=IMPORTING).start()


def _import_engine(job: Job) -> None:
    from mefcli.engines import import_engine

    with contextlib.suppress(Exception):  # whoever needs the engine imports it again, and is told
        import_engine(job.model, job.weights, job.device)


@lru_cache(maxsize=1)
def fuser_for(model: str, weights: str | None, device: str, half: bool) -> Fusion:
    """The same, loaded once in each process."""
    return load_fuser(model, weights=weights, device=device, half=half)


SURELY_LIGHT = 0.1  # of the full scale, in every frame and colour
LOST_SHARE = 0.002  # of the pixels looked at; five models leave none of 14 development brackets black so
_HASHES: WeakKeyDictionary[Fusion, str | None] = WeakKeyDictionary()
Finish = Callable[[Pixels], Pixels]


def as_it_is(pixels: Pixels) -> Pixels:
    """The default `finish`."""
    return pixels


def weights_of(fuser: Fusion) -> str | None:
    """The SHA-256 of the weights that `load_fuser` gave it."""
    return _HASHES.get(fuser)


def fuse(
    stack: Stack,
    fuser: Fusion,
    job: Job,
    on_step: OnStep = silent,
    *,
    depth: int | None = None,
    finish: Finish = as_it_is,
    spend: bool = False,
) -> Fused:
    """Fuse a stack at `depth` bits (8, 16, 32 for float), by default at the job's, else 16.

    `finish` is the last change to the picture; its gain map is made afterwards, of what is written. `spend`:
    nobody asks for the stack's frames again; they may be lost on the way, which saves memory.
    """

    from mefnets.engine.frames import grid_of

    def step(done: float, note: str) -> None:
        on_step(Step("fuse", done, note))

    depth = depth or job.bit_depth or 16
    check_pixels(stack.frames[0], len(stack.frames), job, depth)  # alignment may have grown them
    step(0.0, fuser.spec.title)
    seen = [grid_of(frame) for frame in stack.frames]
    pixels: Any = fuser.fuse(
        stack.frames,
        stack.bracket.evs,
        resolution=job.resolution,
        working_size_mp=job.working_size,
        strategy=job.strategy,
        max_memory_mb=job.max_memory,
        depth=depth,
        taste=taste_of(job),
        spend=spend and not job.hdr,  # a gain map is made of the frames
        on_step=step,
    )
    check_result(pixels, seen, fuser.spec.name)
    if pixels.dtype == np.float32:
        np.clip(pixels, 0.0, 1.0, out=pixels)
    pixels = finish(pixels)
    gains: GainMap | None = None
    told: tuple[str, ...] = ()
    if job.hdr:
        from mefcli.pipeline.beyond import beyond_white

        step(1.0, "light beyond white")
        gains, told = beyond_white(stack, pixels, job.headroom)
    record = Record(
        model=fuser.spec.name,
        weights_sha256=_HASHES.get(fuser),
        settings=job.settings,
        notes=(*stack.notes, *fuser.notes, *told),
        sources=tuple(path.name for path in stack.bracket.paths),
    )
    return Fused(stack.bracket, pixels, stack.icc, record, stack.alignment, stack.ghosts, gains=gains)


def check_result(pixels: Any, seen: Sequence[Any], model: str) -> None:
    """Whether this can be a picture of frames, `seen` by `grid_of`: finite, of more than one colour, and
    black only where they are dark. Numbers that are none become black in a file of 8 or 16 bits."""
    from mefnets.engine.frames import grid_of

    result = grid_of(pixels)
    wrong = ""
    if pixels.dtype == np.float32 and not np.isfinite([pixels.min(), pixels.max()]).all():
        wrong = "holds numbers that are not finite"
    elif _one_colour(result) and not all(_one_colour(frame) for frame in seen) and _one_colour(pixels):
        wrong = "is one colour all over"
    else:
        light = np.min([frame.min(axis=2) / full_scale(frame) for frame in seen], axis=0)
        lost = (result.max(axis=2) <= 0) & (light > SURELY_LIGHT)
        if lost.mean() > LOST_SHARE:
            wrong = "is black where every frame shows light"
    if wrong:
        from mefnets.engine.fusion import refuse_result

        raise refuse_result(model, wrong)


def full_scale(frame: Any) -> float:
    return 1.0 if frame.dtype == np.float32 else float(np.iinfo(frame.dtype).max)


def _one_colour(pixels: Any) -> bool:
    return bool((pixels == pixels[0, 0]).all())
