"""PFF, MGDN's parallel feature fusion: shifted-window transformer blocks with a convolutional side branch.

Pictures are tokens `(B, H, W, C)`, which is the memory order of a channels_last picture, so convolutions and
linear layers read the same buffer. Without gradients a block works through the picture in bands of window
rows and writes back in place: no map wider than C is ever held for more than one band.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.layers.blocks import GlobalStatistic

BAND = 2  # window rows worked on at once, without gradients

Span = tuple[int, int]


def image(tokens: Tensor) -> Tensor:  # (B, H, W, C) -> (B, C, H, W), channels_last, the same memory
    return tokens.permute(0, 3, 1, 2)


def tokens(x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, H, W, C)
    return x.permute(0, 2, 3, 1)


def bands(height: int, window: int) -> list[Span]:
    """Row ranges to work on: all at once with gradients, else BAND window rows."""
    step = height if torch.is_grad_enabled() else BAND * window
    return [(top, min(top + step, height)) for top in range(0, height, step)]


def pointwise(x: Tensor, conv: nn.Conv2d) -> Tensor:  # (..., C) -> (..., C'): a 1x1 convolution on tokens
    return F.linear(x, conv.weight.flatten(1), conv.bias)


@lru_cache(maxsize=8)
def relative_index(window: int) -> Tensor:
    """For each pair of positions in a window, the row of the bias table: (window^2 * window^2,)."""
    with torch.inference_mode(False):  # kept for training, too, whoever asks first
        at = torch.arange(window)
        at = torch.stack(torch.meshgrid(at, at, indexing="ij")).flatten(1)  # (2, T)
        offset = at[:, :, None] - at[:, None, :] + window - 1  # (2, T, T)
        return (offset[0] * (2 * window - 1) + offset[1]).flatten()


@lru_cache(maxsize=8)
def wrap_mask(window: int, down: bool, right: bool) -> Tensor:
    """-100 between positions of a window that meet only because a shifted picture wraps around: (T, T)."""
    with torch.inference_mode(False):
        side = torch.arange(window) >= window - window // 2
        part = ((side[:, None] & down) * 2 + (side[None, :] & right) * 1).flatten()
        return (part[:, None] != part[None, :]) * -100.0


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(channels) + mask) v. With gradients, PyTorch's own looks for rows that are masked
    as a whole, which no window has, and takes three times as long in bfloat16."""
    if not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    weights: Tensor = (q * q.shape[-1] ** -0.5) @ k.mT + mask
    attended: Tensor = weights.softmax(-1) @ v
    return attended


class WindowAttention(nn.Module):
    def __init__(self, C: int, window: int, heads: int) -> None:
        super().__init__()
        self.window, self.heads = window, heads
        self.qkv = nn.Linear(C, 3 * C)
        self.proj = nn.Linear(C, C)
        self.bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)

    def bias(self) -> Tensor:  # (heads, T, T)
        T = self.window**2
        index = relative_index(self.window).to(self.bias_table.device)
        return self.bias_table[index].view(T, T, self.heads).permute(2, 0, 1).contiguous()

    def forward(self, t: Tensor, bias: Tensor, wraps: tuple[bool, bool]) -> Tensor:
        """t: (B, h, W, C), h and W multiples of the window; `wraps`: its last window row, its last column."""
        B, h, W, C = t.shape
        w, heads = self.window, self.heads
        qkv = self.qkv(t).view(B, h // w, w, W // w, w, 3, heads, C // heads)
        qkv = qkv.permute(5, 0, 1, 3, 6, 2, 4, 7)  # (3, B, h/w, W/w, heads, w, w, C/heads)
        qkv = qkv.reshape(3, B, h // w, W // w, heads, w * w, C // heads)
        out = torch.empty_like(qkv[0]) if not torch.is_grad_enabled() else None
        rows = _kinds(h // w, wraps[0])
        columns = _kinds(W // w, wraps[1])
        parts = []
        for r, down in rows:
            line = []
            for c, right in columns:
                q, k, v = qkv[:, :, r, c].flatten(1, 3).unbind(0)  # (n, heads, T, C/heads)
                mask = bias if not (down or right) else bias + wrap_mask(w, down, right).to(bias)
                part = attend(q, k, v, mask[None])
                part = part.view(B, r.stop - r.start, c.stop - c.start, heads, w * w, C // heads)
                if out is not None:
                    out[:, r, c] = part
                line.append(part)
            if out is None:
                parts.append(torch.cat(line, 2))
        joined = torch.cat(parts, 1) if out is None else out
        joined = joined.view(B, h // w, W // w, heads, w, w, C // heads).permute(0, 1, 4, 2, 5, 3, 6)
        projected: Tensor = self.proj(joined.reshape(B, h, W, C))
        return projected


def _kinds(count: int, wraps: bool) -> list[tuple[slice, bool]]:
    """Windows that share one mask: all, or all but the last, and the last."""
    if not wraps:
        return [(slice(0, count), False)]
    return ([(slice(0, count - 1), False)] if count > 1 else []) + [(slice(count - 1, count), True)]


class Block(nn.Module):
    """x + window attention, + MLP, + a gated convolutional branch on the same normalised input."""

    def __init__(self, C: int, window: int, heads: int, ratio: int, shifted: bool, drop: float) -> None:
        super().__init__()
        reduced = C // 8
        self.window, self.shift, self.drop = window, window // 2 if shifted else 0, drop
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.attention = WindowAttention(C, window, heads)
        self.mlp1, self.mlp2 = nn.Linear(C, ratio * C), nn.Linear(ratio * C, C)
        self.local1 = nn.Conv2d(C, reduced, 1)
        self.local2 = nn.Conv2d(reduced, reduced, 3, padding=1)
        self.local3 = nn.Conv2d(reduced, C, 1)
        self.gate1 = nn.Linear(C, reduced, bias=False)
        self.gate2 = nn.Linear(reduced, C, bias=False)
        self.statistic = GlobalStatistic()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _local(self, narrow: Tensor) -> Tensor:  # (B, h, W, C//8) -> (B, h, W, C)
        return F.leaky_relu(pointwise(narrow, self.local3), 0.2)

    def _narrow(self, x: Tensor, normed: Tensor | None) -> Tensor:  # (B, H, W, C) -> (B, H, W, C//8)
        if normed is not None:
            return tokens(self.local2(image(pointwise(normed, self.local1))))
        parts = [pointwise(self.norm1(x[:, a:b]), self.local1) for a, b in bands(x.shape[1], self.window)]
        return tokens(self.local2(image(torch.cat(parts, 1))))

    def _gate(self, narrow: Tensor) -> Tensor:  # -> (B, 1, 1, C)
        def compute() -> tuple[Tensor, ...]:
            H, W = narrow.shape[1:3]
            total = sum(self._local(narrow[:, a:b]).sum((1, 2)) for a, b in bands(H, self.window))
            return (torch.as_tensor(total) / (H * W),)

        (mean,) = self.statistic(compute)
        return torch.sigmoid(self.gate2(F.relu(self.gate1(mean))))[:, None, None]

    def _dropped(self, x: Tensor) -> Tensor:
        """Stochastic depth: in training, a whole residual of a sample is left out now and then."""
        if not self.training or self.drop == 0:
            return x
        keep = (torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.drop).to(x.dtype)
        return x * keep / (1 - self.drop)

    def _band(self, x: Tensor, t: Tensor, bias: Tensor, wraps: bool) -> Tensor:
        """Attention and MLP of whole window rows, (B, h, W, C), which the caller has rolled; t = norm1(x)."""
        if self.shift:
            t = t.roll(-self.shift, 2)
        attended = self.attention(t, bias, (wraps, self.shift > 0))
        if self.shift:
            attended = attended.roll(self.shift, 2)
        x = x + self._dropped(attended)
        return x + self._dropped(self.mlp2(F.gelu(self.mlp1(self.norm2(x)))))

    def forward(self, x: Tensor) -> Tensor:  # (B, H, W, C) -> (B, H, W, C); in place without gradients
        H, s = x.shape[1], self.shift
        normed = self.norm1(x) if torch.is_grad_enabled() else None  # held whole where all is held anyway
        narrow = self._narrow(x, normed)
        gate = self._gate(narrow)
        bias = self.attention.bias()
        done = []
        # Rows of the shifted picture: s..H, then the wrapped window row H-s..H, 0..s by itself.
        spans = bands(H - 2 * s, self.window) if 2 * s < H else []
        for a, b in spans:
            rows = slice(a + s, b + s)
            t = self.norm1(x[:, rows]) if normed is None else normed[:, rows]
            part = self._band(x[:, rows], t, bias, False)
            part = part + self._local(narrow[:, rows]) * gate
            done.append(part)
            if normed is None:
                x[:, rows] = done.pop()
        if s:
            ends = torch.cat((x[:, H - s :], x[:, :s]), 1)
            near = torch.cat((narrow[:, H - s :], narrow[:, :s]), 1)
            t = self.norm1(ends) if normed is None else torch.cat((normed[:, H - s :], normed[:, :s]), 1)
            ends = self._band(ends, t, bias, True) + self._local(near) * gate
            if normed is not None:
                return torch.cat((ends[:, s:], *done, ends[:, :s]), 1)
            x[:, H - s :], x[:, :s] = ends[:, :s], ends[:, s:]
        return x if normed is None else done[0]


class PFF(nn.Module):
    """Blocks, every second one shifted by half a window, then a dilated convolution. No residual around."""

    def __init__(self, C: int, blocks: int, window: int, heads: int, ratio: int, drops: list[float]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(C, window, heads, ratio, shifted=i % 2 == 1, drop=drops[i]) for i in range(blocks)
        )
        self.out = nn.Conv2d(C, C, 3, padding=2, dilation=2)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, H, W)
        t = tokens(x).contiguous()
        for block in self.blocks:
            t = block(t)
        out: Tensor = self.out(image(t))
        return out
