"""The plain mean of the frames, streamed strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mefnets.engine.frames import FULL_SCALE, Frame, store, strips
from mefnets.engine.threads import in_parallel

if TYPE_CHECKING:
    from torch import nn

STRIP_PX = 150_000  # small enough to stay in a core's cache


class Average:
    def stream(
        self,
        frames: Sequence[Frame],
        out: Frame,
        budget_bytes: int | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        """Fuse whole frames into `out` in bounded memory: a few strips a thread."""
        height, width, _ = out.shape
        white = FULL_SCALE[frames[0].dtype.name] * len(frames)

        def fuse_strip(rows: tuple[int, int]) -> None:
            top, bottom = rows
            total = np.zeros((bottom - top, width, 3), np.float32)
            for frame in frames:
                cv2.accumulate(frame[top:bottom], total)
            store(total, out[top:bottom], white)
            if on_progress:
                on_progress(bottom / height)

        in_parallel(fuse_strip, strips(height, max(1, STRIP_PX // width)))


def streams() -> Average:
    return Average()


def build() -> nn.Module:
    from mefnets.classic.module import Classic

    return Classic(Average())
