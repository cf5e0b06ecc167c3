"""A classic as a torch module, for whoever runs it among networks. It computes on the CPU either way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mefnets.engine.frames import Frame
from mefnets.engine.fusion import Streams


class Classic(nn.Module):
    def __init__(self, classic: Streams) -> None:
        super().__init__()
        self.classic = classic

    def forward(self, frames: Tensor) -> Tensor:  # (B, N, 3, H, W) -> (B, 3, H, W)
        fused = []
        for bracket in frames.permute(0, 1, 3, 4, 2).float().cpu().numpy():
            picture = np.empty(bracket.shape[1:], np.float32)
            self.classic.stream([np.ascontiguousarray(frame) for frame in bracket], picture)
            fused.append(torch.from_numpy(picture).permute(2, 0, 1))
        return torch.stack(fused).to(frames)

    def stream(
        self,
        frames: Sequence[Frame],
        out: Frame,
        budget_bytes: int | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        self.classic.stream(frames, out, budget_bytes, on_progress)
