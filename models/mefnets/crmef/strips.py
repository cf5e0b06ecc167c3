"""Local steps in strips of rows where nothing is learnt: the same result, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STRIP_PX = 250_000  # pixels at once: 0.25 GB a tensor of 256 channels


def in_strips(run: Callable[..., Tensor], *inputs: Tensor, radius: int) -> Tensor:
    """The same as run(*inputs), for a `run` that sees `radius` rows and keeps the first input's size.

    Other inputs may be half as high; `radius` is even then. With gradients, or in training, where batch norms
    want the whole batch, the caller runs it plainly.
    """
    B, _, H, W = inputs[0].shape
    rows = max(64, STRIP_PX // (B * W) // 2 * 2)
    if rows + radius >= H:
        return run(*inputs)
    out: Tensor | None = None
    for top in range(0, H, rows):
        bottom = min(H, top + rows)
        first, last = max(0, top - radius), min(H, bottom + radius)
        part = run(*(x[..., first * x.shape[-2] // H : last * x.shape[-2] // H, :] for x in inputs))
        if out is None:
            out = torch.empty(
                (B, part.shape[1], H, W),
                dtype=part.dtype,
                device=part.device,
                memory_format=torch.channels_last,
            )
        out[..., top:bottom, :] = part[..., top - first : bottom - first, :]
    assert out is not None
    return out
