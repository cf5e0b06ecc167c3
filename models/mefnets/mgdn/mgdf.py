"""MGDF, MGDN's mutual-guided dynamic filter: each stream's 7x7 kernels come from a look at the other stream.

The attention is between channels, so all it needs of the whole picture is a C x C product and two norms: a
`GlobalStatistic`, gathered strip by strip. With it known, everything else is local.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.layers.blocks import GlobalStatistic, in_strips
from mefnets.layers.dynamic_filter import filter_pixels

K = 7  # side of the dynamic kernels
STRIP_ROWS = 32  # without gradients
HALO = 3  # two convolutions and the depthwise one before them; the filter itself reaches as far

Exchange = Literal["paper", "code", "own"]
KernelStart = Literal["delta", "default"]
Scale = Literal["multiply", "divide"]


class MutualGuidance(nn.Module):
    """CA(guide, op): queries from the guide, keys and values from `op`, attention between channels.

    `scale`: what the learnt temperature does to the cosines. The code multiplies, equation 1 divides.
    """

    def __init__(self, C: int, heads: int, norm: bool, scale: Scale = "multiply") -> None:
        super().__init__()
        self.heads, self.scale = heads, scale
        self.norm = nn.LayerNorm(C) if norm else None
        self.q1, self.q2 = nn.Conv2d(C, C, 1), nn.Conv2d(C, C, 3, padding=1, groups=C)
        self.kv1, self.kv2 = nn.Conv2d(C, 2 * C, 1), nn.Conv2d(2 * C, 2 * C, 3, padding=1, groups=2 * C)
        self.out = nn.Conv2d(C, C, 1)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.statistic = GlobalStatistic()

    def _normed(self, x: Tensor) -> Tensor:
        if self.norm is None:
            return x
        normed: Tensor = self.norm(x.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)

    def _half(self, x: Tensor, half: int) -> Tensor:  # keys (0) or values (1), without computing the other
        C = x.shape[1]
        rows = slice(half * C, (half + 1) * C)
        assert self.kv1.bias is not None
        assert self.kv2.bias is not None
        x = F.conv2d(self._normed(x), self.kv1.weight[rows], self.kv1.bias[rows])
        return F.conv2d(x, self.kv2.weight[rows], self.kv2.bias[rows], padding=1, groups=C)

    def mixing(self, guide: Tensor, op: Tensor) -> Tensor:  # (B, C, C)
        """What CA does to the values of `op`: one matrix, attention and output projection together."""

        def compute() -> tuple[Tensor, ...]:
            B, C, H, _ = op.shape
            product = op.new_zeros(B, C, C, dtype=torch.float32)
            q_square = op.new_zeros(B, C, dtype=torch.float32)
            k_square = op.new_zeros(B, C, dtype=torch.float32)
            step = H if torch.is_grad_enabled() else STRIP_ROWS
            for top in range(0, H, step):
                first, last = max(0, top - 1), min(H, top + step + 1)
                inner = slice(top - first, min(top + step, H) - first)
                q = self.q2(self.q1(self._normed(guide[:, :, first:last])))[:, :, inner].flatten(2).float()
                k = self._half(op[:, :, first:last], 0)[:, :, inner].flatten(2).float()
                product = product + q @ k.mT
                q_square = q_square + q.square().sum(2)
                k_square = k_square + k.square().sum(2)
            return product, q_square, k_square

        product, q_square, k_square = self.statistic(compute)
        # Normalised along the picture: cosines. 1e-6 keeps an empty channel from dividing by zero.
        lengths = (q_square[:, :, None] + 1e-12).sqrt() * (k_square[:, None] + 1e-12).sqrt() + 1e-6
        cosines = product / lengths
        c = op.shape[1] // self.heads
        factor = self.temperature if self.scale == "multiply" else 1 / self.temperature
        attention = [
            torch.softmax(cosines[:, i * c : (i + 1) * c, i * c : (i + 1) * c] * factor[i], 2)
            for i in range(self.heads)
        ]
        weight = self.out.weight.flatten(1)
        mixed = [weight[:, i * c : (i + 1) * c] @ part.to(weight.dtype) for i, part in enumerate(attention)]
        return torch.cat(mixed, 2)

    def apply_mixing(self, mixing: Tensor, op: Tensor) -> Tensor:  # (B, C, h, W) -> (B, C, h, W)
        values = self._half(op, 1).permute(0, 2, 3, 1)  # (B, h, W, C)
        assert self.out.bias is not None
        return (values @ mixing.mT[:, None] + self.out.bias).permute(0, 3, 1, 2)


class KernelHead(nn.Module):
    """Guided features to 49 taps a pixel, not normalised. `start="delta"` begins as a kernel that changes
    nothing (ours), "default" with PyTorch's initial weights."""

    def __init__(self, C: int, start: KernelStart = "delta") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(C, C, 3, padding=1)
        self.conv2 = nn.Conv2d(C, C, 3, padding=1)
        self.conv3 = nn.Conv2d(C, K * K, 1)
        if start == "default":
            return
        nn.init.normal_(self.conv3.weight, std=1e-3)
        nn.init.zeros_(self.conv3.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.conv3.bias[K * K // 2] = 1  # type: ignore[index]

    def forward(self, guided: Tensor) -> Tensor:  # (B, C, h, W) -> (B, 49, h, W)
        x = F.leaky_relu(self.conv1(guided), 0.1)
        out: Tensor = self.conv3(F.leaky_relu(self.conv2(x), 0.1))
        return out


class StaticFilter(nn.Module):
    """What stands in for a dynamic filter in the paper's ablation: one learnt kernel for all pixels."""

    def __init__(self, C: int, start: KernelStart) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(1, 1, K, K))
        if start == "delta":
            with torch.no_grad():
                self.kernel[..., K // 2, K // 2] = 1
        else:
            nn.init.kaiming_uniform_(self.kernel, a=5**0.5)  # as PyTorch's convolutions begin
        self.after = nn.Conv2d(C, C, 1)

    def forward(self, guidance: nn.Module, own: Tensor, other: Tensor) -> Tensor:
        r = K // 2
        padded = F.pad(own, (r, r, r, r), mode="replicate")
        C = own.shape[1]
        filtered = F.conv2d(padded, self.kernel.expand(C, -1, -1, -1), groups=C)
        return F.leaky_relu(self.after(filtered), 0.1)


class DynamicFilter(nn.Module):
    """One stream's filter: kernels from the guided features, then a 1x1 convolution."""

    def __init__(self, C: int, exchange: Exchange, residual: bool, start: KernelStart = "delta") -> None:
        super().__init__()
        self.exchange, self.residual = exchange, residual
        self.head = KernelHead(C, start)
        self.after = nn.Conv2d(C, C, 1)

    def forward(self, guidance: MutualGuidance, own: Tensor, other: Tensor) -> Tensor:
        """`own` filtered under the guidance of `other`. (B, C, H, W) each."""
        # Paper: queries of the other, keys and values of one's own. Code of the pair model: the reverse.
        # "own" is the ablation: no word from the other stream.
        guide, op = {"paper": (other, own), "code": (own, other), "own": (own, own)}[self.exchange]
        mixing = guidance.mixing(guide, op)
        C = own.shape[1]

        def local(streams: Tensor) -> Tensor:  # (B, 2C or C, h, W) -> (B, C, h, W)
            own, op = streams[:, :C], streams[:, -C:]
            guided = guidance.apply_mixing(mixing, op)
            if self.residual:
                guided = guided + own
            taps = self.head(guided)
            filtered = filter_pixels(own.contiguous(), taps)
            filtered = filtered.contiguous(memory_format=torch.channels_last)
            return F.leaky_relu(self.after(filtered), 0.1)

        streams = own if op is own else torch.cat((own, op), 1)
        if torch.is_grad_enabled():
            return local(streams)
        return in_strips(local, streams, halo=HALO, rows=STRIP_ROWS)
