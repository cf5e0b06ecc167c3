"""The plain mean of the frames, streamed strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mefnets.engine.pixels import Frame, in_parallel, load_planes, store_planes, strips

STRIP_PX = 400_000  # small enough to stay in a core's cache


class Average(nn.Module):
    def forward(self, frames: Tensor) -> Tensor:  # (B, N, C, H, W) -> (B, C, H, W)
        return frames.mean(dim=1)

    def stream(
        self,
        frames: Sequence[Frame],
        out: Frame,
        budget_bytes: int | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        """Fuse whole frames into `out` in bounded memory: a few strips a thread."""
        height, width, _ = out.shape
        share = 1.0 / len(frames)

        def fuse_strip(rows: tuple[int, int]) -> None:
            top, bottom = rows
            total = load_planes(frames[0][top:bottom]).mul_(share)
            buffer = torch.empty_like(total)
            for frame in frames[1:]:
                total.add_(load_planes(frame[top:bottom], buffer), alpha=share)
            store_planes(total, out[top:bottom])
            if on_progress:
                on_progress(bottom / height)

        in_parallel(fuse_strip, strips(height, max(1, STRIP_PX // width)))


def build() -> Average:
    return Average()
