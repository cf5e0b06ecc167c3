"""Burt and Adelson's pyramid, whole or in strips of rows: reduce, expand, and the band between two levels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

KERNEL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
LUMINANCE = (0.299, 0.587, 0.114)


def luminance(x: Tensor) -> Tensor:  # (B, 3, H, W) -> (B, 1, H, W)
    r, g, b = torch.split(x, 1, dim=1)
    return LUMINANCE[0] * r + LUMINANCE[1] * g + LUMINANCE[2] * b


def reduce(x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2))
    """Blur with the five-tap kernel and keep every second pixel. Borders are replicated."""
    return reduce_rows(x, 0, x.shape[-2], x.shape[-2])


def reduce_rows(x: Tensor, first: int, last: int, height: int) -> Tensor:
    """Reduce a strip that holds rows [first, last) of a picture of `height` rows.

    The strip must start on an even row or hold two rows more than needed at either inner side; the rows that
    come out are those whose five taps lie inside the strip or beyond the picture's border.
    """
    a, b, c, _, _ = KERNEL
    p = F.pad(x, (2, 2, 0, 0), mode="replicate")
    W = x.shape[-1]
    taps = [p[..., k : k + W : 2] for k in range(5)]
    x = c * taps[2] + b * (taps[1] + taps[3]) + a * (taps[0] + taps[4])
    p = F.pad(x, (0, 0, 2 if first == 0 else 0, 2 if last == height else 0), mode="replicate")
    H = p.shape[-2] - 4
    taps = [p[..., k : k + H : 2, :] for k in range(5)]
    return c * taps[2] + b * (taps[1] + taps[3]) + a * (taps[0] + taps[4])


def bordered(x: Tensor) -> Tensor:
    """One replicated pixel on every side, as `expand_bordered` and `double_bordered` want it."""
    return F.pad(x, (1, 1, 1, 1), mode="replicate")


def expand(x: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Twice the size by the same kernel: even pixels (1, 6, 1)/8, odd ones (1, 1)/2."""
    return expand_bordered(bordered(x), size)


def expand_bordered(p: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    H, W = size
    even = (p[..., :-2] + 6 * p[..., 1:-1] + p[..., 2:]) / 8
    odd = (p[..., 1:-1] + p[..., 2:]) / 2
    p = torch.stack([even, odd], -1).flatten(-2)[..., :W]
    even = (p[..., :-2, :] + 6 * p[..., 1:-1, :] + p[..., 2:, :]) / 8
    odd = (p[..., 1:-1, :] + p[..., 2:, :]) / 2
    return torch.stack([even, odd], -2).flatten(-3, -2)[..., :H, :]


def double_bordered(p: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Twice the size, bilinear, cut to `size`."""
    H, W = size
    doubled = F.interpolate(p, scale_factor=2, mode="bilinear", align_corners=False)
    return doubled[..., 2 : 2 + H, 2 : 2 + W]


def rows_of(p: Tensor, first: int, last: int) -> Tensor:
    """The rows of a bordered coarse level that rows [first, last) of the finer one need; `first` is even."""
    return p[..., first // 2 : (last + 1) // 2 + 2, :]
