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

Window = tuple[float, float, float, float]
"""Top, bottom, left and right of a tile, as fractions of the whole (padded) picture."""


class GlobalStatistic(nn.Module):
    """Holds what a layer learned about the whole picture. Call it with a function that computes it.

    A layer used several times in one forward pass records one entry a call, and replays them in turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mode: Literal["live", "record", "replay"] = "live"
        self.kept: list[tuple[Tensor, ...]] = []
        self.turn = 0
        self.window: Window = (0.0, 1.0, 0.0, 1.0)

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
            statistic.window = (0.0, 1.0, 0.0, 1.0)


def place(network: nn.Module, window: Window) -> None:
    """Tell statistics that have a position (means along rows and columns) which part the next tile shows."""
    for statistic in _statistics(network):
        statistic.window = window


def part_of(line: Tensor, start: float, stop: float, length: int) -> Tensor:
    """`length` values of (..., L), which spans the whole picture, between fractions `start` and `stop` of it.

    Exact where the line was kept at the picture's own size, interpolated where it was kept at a smaller one.
    """
    L = line.shape[-1]
    at = torch.arange(length, dtype=torch.float64, device=line.device) + 0.5
    at = ((start + at * (stop - start) / length) * L - 0.5).mul(4096).round().div(4096).clamp(0, L - 1)
    low = at.floor().long()
    high = (low + 1).clamp_max(L - 1)
    return torch.lerp(line[..., low], line[..., high], (at - low).to(line.dtype))


def in_strips(
    layer: Callable[[Tensor], Tensor], x: Tensor, *, halo: int, rows: int, align: int = 1
) -> Tensor:
    """`layer(x)` for a local layer, in strips of about `rows` rows so that its inner maps stay small.

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


def _rows(x: Tensor) -> Tensor | None:
    """A channels-last tensor as (B, H, W * C) without a copy; None for other layouts.

    With few channels, PyTorch's reductions and per-channel broadcasts are 3 to 10 times slower on the
    (B, C, H, W) view, since their inner loop then has C steps.
    """
    B, C, H, W = x.shape
    if C == 1 or not x.is_contiguous(memory_format=torch.channels_last):
        return None
    return x.permute(0, 2, 3, 1).view(B, H, W * C)


def plane_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of every plane of (B, C, H, W): (B, C, 1, 1) each."""
    rows = _rows(x)
    if rows is None:
        var, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
        return mean, var
    B, C, _, W = x.shape
    mean = rows.mean(1).view(B, W, C).mean(1)  # (B, C)
    centred = rows - mean.repeat(1, W)[:, None]
    var = centred.square_().mean(1).view(B, W, C).mean(1)
    return mean.view(B, C, 1, 1), var.view(B, C, 1, 1)


def scale_and_shift(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x * scale + shift, with scale and shift (B or 1, C, 1, 1)."""
    rows = _rows(x)
    if rows is None:
        return torch.addcmul(shift, x, scale)
    B, C, H, W = x.shape
    scale, shift = (v.reshape(-1, 1, C).repeat(1, 1, W) for v in (scale, shift))  # (B or 1, 1, W * C)
    return torch.addcmul(shift, rows, scale).view(B, H, W, C).permute(0, 3, 1, 2)


class InstanceNorm(nn.Module):
    """Instance normalisation with an affine map, whose mean and variance can be frozen for tiles."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps
        self.statistic = GlobalStatistic()

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W)
        mean, var = self.statistic(lambda: plane_statistics(x))
        scale = self.weight.view(1, -1, 1, 1) * torch.rsqrt(var + self.eps)
        return scale_and_shift(x, scale, self.bias.view(1, -1, 1, 1) - mean * scale)
