"""Frames that nobody asks for again give their memory back row by row, while the picture comes to be.

So frames and result need not all lie in memory at once. On Linux, and of frames that own their memory;
elsewhere frames stay until they are let go as a whole.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mefnets.engine.frames import Frame

DONTNEED = 4  # of madvise: pages read as zeros from then on
LEAST_BYTES = 1 << 20  # at once; a call takes microseconds


class Spent:
    """`done` hears which strips are finished; rows above all that are not are let go."""

    def __init__(self, frames: Sequence[Frame], halo: int = 0) -> None:
        """`halo`: rows beyond a strip that it reads, too."""
        self.frames = [frame for frame in frames if _own(frame)]
        self.halo = halo
        self._finished: dict[int, int] = {}  # strips by their first row
        self._below = 0  # all strips above this row are finished
        self._gone = 0  # rows above this one are let go
        self._lock = threading.Lock()

    def done(self, top: int, bottom: int) -> None:
        with self._lock:
            self._finished[top] = bottom
            while self._below in self._finished:
                self._below = self._finished.pop(self._below)
            free = self._below - self.halo
            if self.frames and (free - self._gone) * self.frames[0].strides[0] >= LEAST_BYTES:
                for frame in self.frames:
                    let_go(frame, self._gone, free)
                self._gone = free


def let_go(frame: Frame, top: int, bottom: int) -> None:
    """The pages of these rows; what they held is lost. The last one stays where other rows share it, and goes
    with those: of rows from `top` on, all above must be gone before."""
    advise = _madvise()
    if advise is None:
        return
    page = _page_bytes()
    start = frame.ctypes.data + top * frame.strides[0]
    end = frame.ctypes.data + bottom * frame.strides[0]
    first = start // page * page if top else -(-start // page) * page
    last = end // page * page
    if last > first:
        advise(first, last - first, DONTNEED)  # where the system refuses, the memory merely stays


def _own(frame: Frame) -> bool:
    """Whether the array's memory is its own, and in order: a view's may be somebody else's."""
    return frame.base is None and bool(frame.flags.owndata) and bool(frame.flags.c_contiguous)


@lru_cache(maxsize=1)
def _madvise() -> Any:
    if sys.platform != "linux":
        return None
    call = getattr(ctypes.CDLL(None), "madvise", None)
    if call is not None:
        call.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return call


@lru_cache(maxsize=1)
def _page_bytes() -> int:
    import mmap

    return mmap.PAGESIZE
