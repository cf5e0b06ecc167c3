"""FFMEF: for every pixel of every exposure a 1x1, a 3x3 and a 5x5 filter; their sum is the fused luminance.

In: (B, N, 1, H, W) luminance in [0, 1], dark to bright. Out: (B, 1, H, W), not clamped. Symbols follow the
paper: I the sources, m1, m2, b the features of the decoder's last two levels and of the bottleneck, F_i the
sources filtered at level i, Y_f the fused luminance. Nothing is strided, so every tensor has the full size.

N = 2 is the paper's network. For more frames every image looks at the mean feature of all others, its role
between "under" and "over" follows its place in the bracket, and the sum is scaled by 2 / N.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.colour import from_studio, to_studio
from mefnets.layers.blocks import InstanceNorm, plane_statistics, scale_and_shift
from mefnets.layers.dynamic_filter import filter_pixels

C = 4  # feature channels everywhere
KERNELS = (1, 3, 5)
ALPHA = {1: 0.6, 3: 0.3, 5: 0.1, 7: 0.05}  # alpha_i at the start; the paper has no 7 but in an ablation
LEVELS = {1: 0, 3: 1, 5: 2, 7: 2}  # which of m1, m2, b a filter of that size is predicted from

MARGIN = 12  # pixels; from there on the border no longer shows

Padding = Literal["mirror", "zeros"]
Luma = Literal["full", "studio"]


class HalfInstanceNorm(InstanceNorm):
    """Normalises the first half of the channels and passes the others through, in one sweep."""

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W)
        half = x.shape[1] // 2

        def compute() -> tuple[Tensor, ...]:
            mean, var = plane_statistics(x)  # of all channels: the others cost less than a strided view
            return mean[:, :half], var[:, :half]

        mean, var = self.statistic(compute)
        scale = self.weight.view(1, -1, 1, 1) * torch.rsqrt(var + self.eps)
        shift = self.bias.view(1, -1, 1, 1) - mean * scale
        scale = torch.cat((scale, torch.ones_like(scale)), 1)
        shift = torch.cat((shift, torch.zeros_like(shift)), 1)
        return scale_and_shift(x, scale, shift)


class Conv1x1(nn.Conv2d):
    """A 1x1 convolution as a matrix product over the channels, which suits channels-last at any thread count.

    With one thread, PyTorch's own takes a path through other memory layouts: 3 times slower here.
    """

    def __init__(self, i: int, o: int) -> None:
        super().__init__(i, o, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def conv(i: int, o: int, k: int) -> nn.Conv2d:
    return Conv1x1(i, o) if k == 1 else nn.Conv2d(i, o, k, padding=k // 2)


class RB(nn.Module):
    """Residual block."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.conv_1 = conv(i, o, 3)
        self.norm = HalfInstanceNorm(o // 2)
        self.conv_2 = conv(o, o, 3)
        self.identity = conv(i, o, 1)

    def forward(self, x: Tensor) -> Tensor:
        t = F.leaky_relu_(self.norm(self.conv_1(x)), 0.2)
        y: Tensor = self.identity(x).add_(F.leaky_relu_(self.conv_2(t), 0.2))
        return y  # (B, o, H, W)


class ConvNorm(nn.Module):
    """D, U ("down" and "up", though nothing is resampled; k = 3) and the body of S (k = 1)."""

    def __init__(self, i: int, o: int, k: int) -> None:
        super().__init__()
        self.conv = conv(i, o, k)
        self.norm = InstanceNorm(o)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = F.relu_(self.norm(self.conv(x)))
        return y  # (B, o, H, W)


class Merge(nn.Module):
    """S(u; y) and F(u; y): a * body([p, y]) + b * y, with p the skipped feature and learnt a, b."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.a = nn.Parameter(torch.tensor(1.0))
        self.b = nn.Parameter(torch.tensor(0.5))

    def forward(self, p: Tensor, y: Tensor) -> Tensor:
        merged: Tensor = (self.a * self.body(torch.cat((p, y), 1))).add_(self.b * y)
        return merged  # (B, C, H, W)


def skip() -> Merge:
    return Merge(ConvNorm(2 * C, C, 1))


class Extractor(nn.Module):
    """The hierarchical extractor: the paths of a U-Net, all at full resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.rb_e1, self.rb_e2, self.rb_b = RB(C, C), RB(C, C), RB(C, C)
        self.rb_u2, self.rb_u1 = RB(C, C), RB(C, C)
        self.down1, self.down2 = ConvNorm(C, C, 3), ConvNorm(C, C, 3)
        self.up2, self.up1 = ConvNorm(C, C, 3), ConvNorm(C, C, 3)
        self.skip1, self.skip2, self.skip3 = skip(), skip(), skip()
        self.skip4, self.skip5, self.skip6 = skip(), skip(), skip()
        self.fuse2, self.fuse1 = Merge(RB(2 * C, C)), Merge(RB(2 * C, C))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        e1 = self.rb_e1(x)
        d1 = self.skip1(x, self.down1(e1))
        e2 = self.rb_e2(d1)
        d2 = self.skip3(x, self.skip2(d1, self.down2(e2)))
        b = self.rb_b(d2)
        u2 = self.skip4(b, self.up2(b))
        m2 = self.fuse2(e2, self.rb_u2(u2))
        u1 = self.skip5(m2, self.up1(m2))
        m1 = self.fuse1(e1, self.skip6(b, self.rb_u1(u1)))
        return m1, m2, b  # (B, C, H, W) each


class Attention(nn.Module):
    """Spatial attention between the images: the only place where one image sees another."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_1 = conv(2 * C, C, 1)
        self.conv_2 = conv(C, 2, 1)

    def gates(self, under: Tensor, over: Tensor) -> Tensor:
        t = F.relu_(self.conv_1(torch.cat((under, over), 1)))
        return torch.sigmoid(self.conv_2(t))  # (B, 2, H, W): A_0, A_1

    def forward(self, R: Tensor) -> Tensor:  # (B, N, C, H, W), dark to bright
        N = R.shape[1]
        if N == 2:  # the paper's case; the general one below gives the same, at twice the price
            return R * self.gates(R[:, 0], R[:, 1])[:, :, None]
        total, gated = R.sum(1), []
        for i in range(N):
            others = (total - R[:, i]) / (N - 1)
            brightness = i / (
                N - 1
            )  # 0: wholly the under-exposed image's role, 1: wholly the over-exposed one's
            as_under = self.gates(R[:, i], others)[:, :1]
            as_over = self.gates(others, R[:, i])[:, 1:]
            gated.append(R[:, i] * torch.lerp(as_under, as_over, brightness))
        return torch.stack(gated, 1)


class FilterHead(nn.Module):
    """Predicts a k x k filter per pixel. Its taps are free reals: no softmax, no normalisation."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.conv_1 = conv(C, C, 3)
        self.conv_2 = conv(C, k * k, k)
        self.conv_3 = conv(k * k, k * k, 1)

    def forward(self, R: Tensor) -> Tensor:
        t = F.relu_(self.conv_2(F.relu_(self.conv_1(R))))
        # The last layer as weight times pixels: it leaves whole planes, as the filtering wants them.
        taps = torch.matmul(self.conv_3.weight.flatten(1), t.flatten(2)).add_(self.tap_bias)
        return taps.view_as(t)  # (B, k*k, H, W)

    @property
    def tap_bias(self) -> Tensor:
        assert self.conv_3.bias is not None
        return self.conv_3.bias[:, None]


class FFMEF(nn.Module):
    def __init__(
        self, padding: Padding = "mirror", kernels: Sequence[int] = KERNELS, luma: Luma = "full"
    ) -> None:
        """`padding`: the authors' code has zeros beyond the border, in all features and under the filters.
        The network sees them there and answers with a rim. So ours sees the picture mirrored, and is cut.

        `kernels`: the sides of the filters; the paper's ablation has others. `luma`: "studio" works on
        16..235 inside, as the authors do, and takes and gives full range all the same.
        """
        super().__init__()
        if not kernels or any(k not in ALPHA for k in kernels):
            raise ValueError(f"Filters have sides of {', '.join(map(str, ALPHA))}, not {list(kernels)}.")
        self.padding, self.luma = padding, luma
        self.levels = [LEVELS[k] for k in kernels]
        self.stem = conv(1, C, 1)
        self.extractor = Extractor()
        self.attentions = nn.ModuleList(Attention() for _ in kernels)
        self.heads = nn.ModuleList(FilterHead(k) for k in kernels)
        shares = torch.tensor([ALPHA[k] for k in kernels])
        self.alpha = nn.Parameter(shares if tuple(kernels) == KERNELS else shares / shares.sum())
        self._initialise()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 4-channel convolutions are 4 to 16 times faster so

    def _initialise(self) -> None:
        """Xavier normal and zero bias, except for "up", which keeps the framework's default."""
        up = {self.extractor.up1.conv, self.extractor.up2.conv}
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module not in up:
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, frames: Tensor) -> Tensor:
        if self.luma == "studio":
            return from_studio(self._picture(to_studio(frames)))
        return self._picture(frames)

    def _picture(self, frames: Tensor) -> Tensor:
        if self.padding == "zeros":
            return self._fused(frames)
        m, (H, W) = MARGIN, frames.shape[-2:]
        mode = "reflect" if min(H, W) > m else "replicate"
        wide = F.pad(frames.flatten(0, 1), (m, m, m, m), mode=mode)
        return self._fused(wide.view(*frames.shape[:2], *wide.shape[1:]))[..., m : m + H, m : m + W]

    def _fused(self, frames: Tensor) -> Tensor:
        B, N, _, H, W = frames.shape
        I = frames.reshape(B * N, 1, H, W)  # noqa: E741
        beyond: Literal["replicate", "zeros"] = "zeros" if self.padding == "zeros" else "replicate"
        x = self.stem(I)
        Y_f = torch.zeros_like(frames[:, 0])  # (B, 1, H, W)
        features = self.extractor(x)
        for alpha, attention, head, level in zip(
            self.alpha, self.attentions, self.heads, self.levels, strict=True
        ):
            R = attention(features[level].unflatten(0, (B, N))).flatten(0, 1)  # (B * N, C, H, W)
            F_i = filter_pixels(I, head(R), beyond).view(B, N, 1, H, W).sum(1)
            Y_f = Y_f + alpha * F_i
        return Y_f if N == 2 else Y_f * (2 / N)


def build(padding: Padding = "mirror", kernels: Sequence[int] = KERNELS, luma: Luma = "full") -> FFMEF:
    return FFMEF(padding, kernels, luma)
