"""Layers that two or more papers share.

Global statistics: a network that averages over the whole picture (instance normalisation, channel gates,
attention over all positions) gives another result on a tile than on the whole. Each such layer therefore
passes its statistic through a `GlobalStatistic`. While *recording*, the statistic is computed and kept;
while *replaying*, the kept one is used in the same order, so tiles see the whole picture's statistics.
Outside of both, the statistic is simply computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn


class GlobalStatistic(nn.Module):
    """Holds what a layer learned about the whole picture. Call it with a function that computes it.

    A layer used several times in one forward pass records one entry a call, and replays them in turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mode: Literal["live", "record", "replay"] = "live"
        self.kept: list[tuple[Tensor, ...]] = []
        self.turn = 0
        self.origin = (
            0,
            0,
        )  # top and left of the tile at hand, for statistics that keep whole rows or columns

    def forward(self, compute: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        if self.mode == "replay":
            value = self.kept[self.turn % len(self.kept)]
            self.turn += 1
            return value
        value = compute()
        if self.mode == "record":
            self.kept.append(tuple(v.detach() for v in value))
        return value


def _statistics(network: nn.Module) -> list[GlobalStatistic]:
    return [m for m in network.modules() if isinstance(m, GlobalStatistic)]


@contextmanager
def recording(network: nn.Module) -> Iterator[None]:
    """Within this block, one forward pass over the whole picture keeps its global statistics."""
    for statistic in _statistics(network):
        statistic.mode, statistic.kept, statistic.turn = "record", [], 0
    try:
        yield
    finally:
        for statistic in _statistics(network):
            statistic.mode = "live"


@contextmanager
def replaying(network: nn.Module) -> Iterator[None]:
    """Within this block, forward passes use the statistics kept by `recording`."""
    for statistic in _statistics(network):
        statistic.mode, statistic.turn = "replay", 0
    try:
        yield
    finally:
        for statistic in _statistics(network):
            statistic.mode, statistic.kept, statistic.turn = "live", [], 0


def place(network: nn.Module, top: int, left: int) -> None:
    """Tell statistics with a position (means along rows and columns) where the next tile lies."""
    for statistic in _statistics(network):
        statistic.origin = (top, left)


def in_strips(
    layer: Callable[[Tensor], Tensor], x: Tensor, *, halo: int, rows: int, align: int = 1
) -> Tensor:
    """`layer(x)` for a local layer, computed in strips of about `rows` rows so that its inner maps stay small.

    `layer` keeps height and width and reaches at most `halo` rows; its own padding at the picture's edge is
    kept, inside the picture each strip sees its neighbours' rows. Strips start on multiples of `align`.
    """
    H = x.shape[2]
    rows, halo = -(-rows // align) * align, -(-halo // align) * align
    out: Tensor | None = None
    for top in range(0, H, rows):
        bottom = min(top + rows, H)
        first, last = max(0, top - halo), min(H, bottom + halo)
        part = layer(x[:, :, first:last])[:, :, top - first : bottom - first]
        if out is None:
            if bottom == H:
                return part
            shape = (x.shape[0], part.shape[1], H, part.shape[3])
            out = torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=torch.channels_last)
        out[:, :, top:bottom] = part
    return x if out is None else out


class InstanceNorm(nn.Module):
    """Instance normalisation with an affine map, whose mean and variance can be frozen for tiles."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps
        self.statistic = GlobalStatistic()

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W)
        def compute() -> tuple[Tensor, ...]:
            var, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
            return mean, var  # (B, C, 1, 1) each

        mean, var = self.statistic(compute)
        scale = self.weight.view(1, -1, 1, 1) * torch.rsqrt(var + self.eps)
        return torch.addcmul(self.bias.view(1, -1, 1, 1) - mean * scale, x, scale)
