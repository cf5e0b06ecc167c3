"""Freed memory stays with the process up to a bound, settled before the first picture is read.

Work goes strip by strip, and each strip's planes are of one or two megabytes. By glibc's default such a
plane is asked from the kernel and given back each time, and the kernel clears every page of it again: of all
pages that it hands out for a bracket of 3 x 24 MP that was half, 0.15 of 2.4 CPU-seconds.
"""

from __future__ import annotations

import sys

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""As glibc's malloc.h names them for mallopt."""
LARGEST_KEPT, KEPT = 8 << 20, 64 << 20
"""Bytes: whole frames go back at once, as they are larger; strips' planes stay."""


def settle() -> None:
    """Where the C library is glibc. For the command line alone: a library leaves its host's heap as it is."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(MMAP_THRESHOLD, LARGEST_KEPT)
        adjust(TRIM_THRESHOLD, KEPT)
