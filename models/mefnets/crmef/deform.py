"""Modulated deformable convolution (v2), without compiled extensions.

    y(p) = b + sum over taps t of w_t * m_t(p) * x(p + t + o_t(p))

x between pixels is bilinear, and zero outside. One tap at a time is gathered for all pixels and channels and
at once multiplied with its weights, so memory does not grow with the kernel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.crmef.genotype import REACH_PX


def deform_conv(
    x: Tensor,  # (B, n, H, W)
    offset: Tensor,  # (B, 2 k*k, H, W): dy, dx of tap 0, then of tap 1, ...
    mask: Tensor,  # (B, k*k, H, W)
    weight: Tensor,  # (m, n, k, k)
    bias: Tensor | None = None,
) -> Tensor:  # (B, m, H, W)
    B, _, H, W = x.shape
    k = weight.shape[-1]
    r = k // 2
    ys = torch.arange(H, dtype=x.dtype, device=x.device).view(1, H, 1)
    xs = torch.arange(W, dtype=x.dtype, device=x.device).view(1, 1, W)
    x = x.contiguous()  # planes: what the gather is fast on
    y = x.new_zeros(B, weight.shape[0], H * W)
    for t in range(k * k):
        dy, dx = divmod(t, k)
        at_y = ys + (dy - r) + offset[:, 2 * t]  # (B, H, W), in pixels
        at_x = xs + (dx - r) + offset[:, 2 * t + 1]
        # From pixels to -1 ... 1; a picture one pixel wide has its only centre at 0.
        grid = torch.stack((_normalised(at_x, W), _normalised(at_y, H)), -1)
        tap = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        tap = (tap * mask[:, t, None]).flatten(2)  # (B, n, H * W)
        y = torch.baddbmm(y, weight[:, :, dy, dx].expand(B, -1, -1), tap)
    y = y.view(B, -1, H, W)
    return y if bias is None else y + bias.view(1, -1, 1, 1)


def _normalised(at: Tensor, size: int) -> Tensor:
    return (2 * at + 1) / size - 1


class DeC(nn.Module):
    """DeC-k: offsets and mask come from a second feature by one k x k convolution that starts at zero."""

    def __init__(self, n: int, m: int, k: int, bounded: bool = True) -> None:
        """`bounded` (ours): no offset leaves REACH_PX."""
        super().__init__()
        self.k, self.bounded = k, bounded
        inner = nn.Conv2d(n, m, k, padding=k // 2)  # for its initialisation and its parameters
        self.weight, self.bias = inner.weight, inner.bias
        self.steer = nn.Conv2d(n, 3 * k * k, k, padding=k // 2)
        nn.init.zeros_(self.steer.weight)
        assert self.steer.bias is not None
        nn.init.zeros_(self.steer.bias)

    def forward(self, x: Tensor, feature: Tensor) -> Tensor:
        raw, mask = self.steer(feature).split((2 * self.k**2, self.k**2), 1)
        offset = REACH_PX * torch.tanh(raw / REACH_PX) if self.bounded else raw
        return deform_conv(x, offset, torch.sigmoid(mask), self.weight, self.bias)  # (B, m, H, W)
