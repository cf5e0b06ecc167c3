"""Frames of a focus stack laid on the reference: read, aligned and evened, one by one, outward from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mefcli.clock import Clock
from mefcli.errors import AlignmentError, named
from mefcli.job import Job
from mefcli.motion.breathing import Chain
from mefcli.motion.geometry import IDENTITY
from mefcli.motion.reduced import reduce, seen_by
from mefcli.motion.warp import cover_of, warp
from mefcli.pipeline.even import NONE, evened, gains_between
from mefcli.pipeline.read import same_size
from mefcli.values import Bracket, Pixels, Placed

if TYPE_CHECKING:
    from mefnets.focus.fold import Cover


@dataclass(frozen=True)
class Laid:
    """One frame on the reference's geometry, as bright as it."""

    index: int
    frame: Pixels
    shown: Cover  # where it has pixels of its own
    placed: Placed
    evened: bool


def outward(count: int, reference: int) -> list[int]:
    """The reference, then its neighbours by turns."""
    return sorted(range(count), key=lambda index: (abs(index - reference), index))


def laid(
    bracket: Bracket,
    job: Job,
    decoded: Callable[[int], Pixels],
    clock: Clock,
    begin: Callable[[int, str], None],
) -> Iterator[Laid]:
    """The reference first. In memory are the frame at hand and the one being read.

    `begin` hears how many frames came before, and the name of the next.
    """
    order, names = outward(len(bracket.shots), bracket.reference), [path.name for path in bracket.paths]
    frames = _read_ahead(decoded, order)
    chain: Chain | None = None
    first_small: Pixels | None = None
    first_px: tuple[int, ...] = ()
    for number, index in enumerate(order):
        begin(number, names[index])
        with clock("read"):
            frame = next(frames)
        size = (frame.shape[1], frame.shape[0])
        one = Placed("identity", IDENTITY, 1.0, 0.0, 0.0, index, True)
        if first_small is None:
            with clock("align"):
                reduced = reduce([frame])
                first_small, first_px = reduced.frames[0], size
                if job.align != "off":
                    chain = Chain(index, first_small, reduced.factor, size)
            yield Laid(index, frame, _everywhere, one, False)
            continue
        same_size(bracket.shots[index], size, bracket.shots[order[0]], first_px)
        with clock("align"):
            small = reduce([frame]).frames[0]
            if chain is not None:
                one = chain.place(index, small)
                if not one.trusted and job.strict:
                    raise AlignmentError(
                        f"{names[index]} cannot be aligned with {names[one.via]}: "
                        "too little detail in common.",
                        f"Leave out {named('strict')} to keep it where it is, or do not align.",
                    )
            frame, gains = _brought(frame, small, first_small, one)
        shown: Cover = _everywhere if one.kept_identity else partial(cover_of, one.matrix, size)
        yield Laid(index, frame, shown, one, gains != NONE)
        del frame


def _brought(
    frame: Pixels, small: Pixels, first_small: Pixels, one: Placed
) -> tuple[Pixels, tuple[float, float, float]]:
    """A frame on the reference's geometry, and as bright."""
    size = (frame.shape[1], frame.shape[0])
    box = (0, 0, *size)
    seen: NDArray[np.bool_] | None = None
    if not one.kept_identity:
        frame = warp(frame, one.matrix, box)
        small = reduce([frame]).frames[0]
        seen = seen_by(one.matrix, box, size)
    gains = gains_between(first_small, small, seen)
    return evened(frame, gains), gains


def _everywhere(top: int, bottom: int) -> None:
    """A frame that was not moved."""


def _read_ahead(read: Callable[[int], Pixels], order: Sequence[int]) -> Iterator[Pixels]:
    """Decoded frames in this order, one ahead."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="read ahead")
    try:
        ahead = pool.submit(read, order[0])
        for following in order[1:]:
            frame = ahead.result()
            ahead = pool.submit(read, following)
            yield frame
            del frame
        yield ahead.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
