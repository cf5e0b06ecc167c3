"""Layers over maps that are joined channel by channel, without ever joining them as a whole."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mefnets.mgdn.mgdf import STRIP_ROWS


def joined_conv(conv: nn.Module, parts: list[Tensor]) -> Tensor:
    """A 1x1 convolution of joined maps; without gradients they are never joined as a whole."""
    if torch.is_grad_enabled():
        out: Tensor = conv(torch.cat(parts, 1))
        return out
    return strips_of(conv, parts, halo=0)


def strips_of(layer: Any, parts: list[Tensor], halo: int) -> Tensor:
    """`layer(torch.cat(parts, 1))` strip by strip."""
    H = parts[0].shape[2]
    out: Tensor | None = None
    for top in range(0, H, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, H)
        first, last = max(0, top - halo), min(H, bottom + halo)
        strip = layer(torch.cat([part[:, :, first:last] for part in parts], 1))
        if out is None:
            shape = (strip.shape[0], strip.shape[1], H, strip.shape[3])
            out = torch.empty(
                shape, dtype=strip.dtype, device=strip.device, memory_format=torch.channels_last
            )
        out[:, :, top:bottom] = strip[:, :, top - first : bottom - first]
    assert out is not None
    return out
