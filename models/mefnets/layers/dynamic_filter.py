"""Filtering a picture with another kernel at every pixel, without ever holding its patches in memory.

The usual way unfolds k*k shifted copies of the picture: 0.1 GB a megapixel and channel for k = 5. Here each
tap multiplies a shifted view and is added up at once, in the forward pass and in the gradients.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def filter_pixels(
    x: Tensor, taps: Tensor, padding: Literal["replicate", "zeros"] = "replicate"
) -> Tensor:  # (B, C, H, W), (B, k*k, H, W) -> (B, C, H, W)
    """out[b, c, p] = sum over t of taps[b, t, p] * x[b, c, p + t], with t over the k x k window around p.

    Taps are row-major, and the kernel is not flipped (a correlation). All channels share the taps.
    """
    k = math.isqrt(taps.shape[1])
    if k * k != taps.shape[1] or k % 2 == 0:
        raise ValueError(f"{taps.shape[1]} taps do not fill a square window with a centre.")
    if k == 1:
        return x * taps
    r = k // 2
    padded = F.pad(x, (r, r, r, r), mode="replicate" if padding == "replicate" else "constant")
    filtered: Tensor = _Correlate.apply(padded, taps, k)  # type: ignore[no-untyped-call]
    return filtered


class _Correlate(Function):
    @staticmethod
    def forward(ctx: Any, padded: Tensor, taps: Tensor, k: int) -> Tensor:
        ctx.save_for_backward(padded, taps)
        ctx.k = k
        _, _, H, W = taps.shape
        planes = taps.contiguous().unbind(1)  # k*k of (B, H, W): each one is read in one run
        out = torch.zeros_like(padded[..., :H, :W], memory_format=torch.contiguous_format)
        for index, plane in enumerate(planes):
            dy, dx = divmod(index, k)
            out.addcmul_(padded[..., dy : dy + H, dx : dx + W], plane[:, None])
        return out  # (B, C, H, W)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """In planes, and sample by sample: strided gradients of a whole batch took eight times as long."""
        padded, taps = ctx.saved_tensors
        k = ctx.k
        B, _, H, W = taps.shape
        planes = torch.contiguous_format
        wants_padded, wants_taps, _ = ctx.needs_input_grad
        grad_padded = torch.zeros_like(padded, memory_format=planes) if wants_padded else None
        grad_taps = torch.empty_like(taps, memory_format=planes) if wants_taps else None
        for b in range(B):
            own_grad, own_taps = grad[b].contiguous(), taps[b].contiguous()
            for index in range(k * k):
                dy, dx = divmod(index, k)
                if grad_padded is not None:
                    grad_padded[b, :, dy : dy + H, dx : dx + W].addcmul_(own_grad, own_taps[index])
                if grad_taps is not None:
                    shifted = padded[b, :, dy : dy + H, dx : dx + W]
                    torch.sum(own_grad * shifted, 0, out=grad_taps[b, index])
        return grad_padded, grad_taps, None
