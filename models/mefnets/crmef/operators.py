"""The operators a searched layer chooses from: "C-3", "DC-5", "RC-3", "RDC-7"; and "DeC-5" in deform.py.

C is one convolution, DC the same with dilation 2, R a residual convolution before a 3x3. All keep the size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.crmef.genotype import parse

Make = Callable[[str, int, int, int], nn.Module]
"""(part, index, in channels, out channels) -> the searched layer."""


def conv(n: int, m: int, k: int = 3, dilation: int = 1, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(n, m, k, stride, padding=dilation * (k // 2), dilation=dilation)


class Residual(nn.Module):
    """RC-k and RDC-k: v = conv_k(x) + x, PReLU, conv3x3."""

    def __init__(self, n: int, m: int, k: int, dilation: int) -> None:
        super().__init__()
        self.conv_k = conv(n, n, k, dilation)
        self.act = nn.PReLU()
        self.conv_3 = conv(n, m)

    def forward(self, x: Tensor) -> Tensor:
        v = self.conv_k(x).add_(x)
        y: Tensor = self.conv_3(activate(v, self.act))
        return y  # (B, m, H, W)


def make(name: str, n: int, m: int) -> nn.Module:
    """The operator `name` from n to m channels."""
    kind, k = parse(name)
    dilation = 2 if "DC" in kind else 1
    return Residual(n, m, k, dilation) if kind.startswith("R") else conv(n, m, k, dilation)


def activate(x: Tensor, act: nn.PReLU) -> Tensor:
    """A scalar PReLU; in place where nothing is learnt, which saves a whole tensor at full resolution."""
    if torch.is_grad_enabled() and (x.requires_grad or act.weight.requires_grad):
        return F.prelu(x, act.weight)
    return F.leaky_relu_(x, float(act.weight))
