"""Learning from the truth, where a simulator knows it: all in focus, without noise.

    L = L1 + g |grad| + s (1 - SSIM) + r(t) e (1 - Q_ABF)

r rises from 0 to 1 over a part of the run: first the picture, then its edges against both frames.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.colour import luminance
from mefnets.measures import q_abf, ssim
from mefnets.recipe import Batch, Objective
from mefnets.teaching import gradient_loss, in_either_order, share_at


class TruthObjective(Objective):
    """Needs a target. `sees`: what the network is fed. `rising`: when edges begin to count, and in full.
    `swap`: show pairs in either order, so that where nothing tells them apart neither place is preferred."""

    def __init__(
        self,
        sees: Literal["luma", "rgb"],
        *,
        gradient: float = 1.0,
        structure: float = 0.3,
        edges: float = 0.05,
        rising: tuple[float, float] = (0.5, 0.8),
        swap: bool = False,
    ) -> None:
        super().__init__()
        self.sees = sees
        self.gradient, self.structure, self.edges, self.rising = gradient, structure, edges, rising
        self.swap = swap

    def asks(self) -> tuple[str, ...]:
        return ("Q_ABF",) if self.edges else ()

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        if batch.target is None:
            raise ValueError("A network that learns from the truth needs it: set Data.target.")
        frames, target = batch.frames, batch.target
        if self.sees == "luma":
            frames, target = (luminance(x).unsqueeze(-3) for x in (frames, target))
        if self.swap:
            frames = in_either_order(frames)
        fused = network(frames)
        absolute = F.l1_loss(fused, target)
        slopes = gradient_loss(fused, target)
        structure = 1 - ssim(fused, target).mean()
        loss = absolute + self.gradient * slopes + self.structure * structure
        terms = {"l1": absolute.item(), "slopes": slopes.item(), "ssim": structure.item()}
        share = share_at(progress, self.rising)
        if share and self.edges:
            grey, grey_fused = frames, fused
            if self.sees == "rgb":
                grey, grey_fused = (luminance(x).unsqueeze(-3) for x in (frames, fused))
            kept = q_abf(grey, grey_fused).mean()
            loss = loss + share * self.edges * (1 - kept)
            terms["q_abf"] = kept.item()
        return loss, terms
