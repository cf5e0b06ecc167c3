"""MEF-CL's network: ten densely connected 3x3 convolutions (paper, section "Network architecture").

Two RGB exposures in [0, 1] side by side, six channels, become one RGB picture. Layers 1 to 6 each see all
earlier outputs; 7 to 10 narrow down. Widths are our reading (README.md). Purely local: 21 x 21 pixels decide
one, reflect padding in every layer.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.layers.blocks import in_strips

GROWTH = 44  # outputs of each of the first six layers
NARROWING = (128, 64, 32, 3)
REACH = 10
STRIP_ROWS = 128  # at inference; 264 channels of a whole megapixel would need 1.1 GB

Start = Literal["mean", "none"]


class ReflectConv(nn.Module):
    """A 3x3 convolution whose padding mirrors the picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3)
        nn.init.trunc_normal_(self.conv.weight, std=0.05, a=-0.1, b=0.1)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        return out


def _conv(layer: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, ReflectConv)
    return layer.conv


class MEFCL(nn.Module):
    """The dense network. `start="mean"` begins as the mean of both pictures, by initial weights alone;
    "none" has the truncated normal weights of the paper's relatives. `channels=1` is the luma variant.
    """

    def __init__(self, *, channels: int = 3, start: Start = "mean") -> None:
        super().__init__()
        self.channels = channels
        dense = [ReflectConv(2 * channels if i == 0 else i * GROWTH, GROWTH) for i in range(6)]
        widths = (6 * GROWTH, *NARROWING[:-1], channels)
        narrow = [ReflectConv(a, b) for a, b in pairwise(widths)]
        self.dense, self.narrow = nn.ModuleList(dense), nn.ModuleList(narrow)
        if start == "mean":
            self._start_as_mean()

    @torch.no_grad()
    def _start_as_mean(self) -> None:
        """Weights by which tanh(x)/2 + 0.5 begins close to the mean of both pictures.

        Leaky ReLU passes what is not negative, so one channel a colour can carry the mean from layer 1
        through 7, 8 and 9; layer 10 stretches it around mid-grey. All other channels start random, scaled
        to keep their variance, and weigh little in the last layer.
        """
        convs = [layer for layer in self.modules() if isinstance(layer, nn.Conv2d)]
        for conv in convs:
            nn.init.kaiming_normal_(conv.weight, a=0.2)
        *carriers, last = (convs[0], *convs[6:])  # layers 1, 7, 8, 9 and 10
        for number, conv in enumerate(carriers):
            for c in range(self.channels):
                conv.weight[c] = 0
                if number == 0:  # the six input channels: picture 1, picture 2
                    conv.weight[c, [c, c + self.channels], 1, 1] = 0.5
                else:
                    conv.weight[c, c, 1, 1] = 1
        stretch = 1.25  # tanh(1.25 (2v - 1)) stays within 0.03 of 2v - 1 for v in 0.08..0.92
        last.weight.mul_(0.02)
        for c in range(self.channels):
            last.weight[c, : self.channels] = 0
            last.weight[c, c, 1, 1] = 2 * stretch
        nn.init.constant_(last.bias, -stretch)  # type: ignore[arg-type]

    def _picture(self, x: Tensor) -> Tensor:  # (B, 6, H, W) -> (B, 3, H, W)
        if torch.is_grad_enabled():
            features = [x]
            for layer in self.dense:
                seen = features[0] if len(features) == 1 else torch.cat(features[1:], 1)
                features.append(F.leaky_relu(layer(seen), 0.2))  # (B, 44, H, W)
            y = self.narrow[0](torch.cat(features[1:], 1))  # (B, 264, H, W) -> (B, 128, H, W)
        else:
            y = _conv(self.narrow[0])(self._padded_dense(x))
        y = F.leaky_relu(y, 0.2)
        for layer in self.narrow[1:-1]:
            y = F.leaky_relu(layer(y), 0.2)  # 64, then 32
        return torch.tanh(self.narrow[-1](y)) * 0.5 + 0.5

    def _padded_dense(self, x: Tensor) -> Tensor:  # (B, 6, H, W) -> (B, 264, H+2, W+2)
        """The same dense part, writing into one buffer that already has the padding of the next layer."""
        B, _, H, W = x.shape
        shape = (B, 6 * GROWTH, H + 2, W + 2)
        buffer = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        for i, layer in enumerate(self.dense):
            seen = F.pad(x, (1, 1, 1, 1), mode="reflect") if i == 0 else buffer[:, : i * GROWTH]
            out = F.leaky_relu(_conv(layer)(seen), 0.2, inplace=True)
            buffer[:, i * GROWTH : (i + 1) * GROWTH] = F.pad(out, (1, 1, 1, 1), mode="reflect")
        return buffer

    def forward(self, frames: Tensor) -> Tensor:  # (B, 2, 3, H, W) in [0, 1] -> (B, 3, H, W)
        x = frames.flatten(1, 2).contiguous(memory_format=torch.channels_last)  # (B, 6, H, W)
        if torch.is_grad_enabled():
            return self._picture(x)
        return in_strips(self._picture, x, halo=REACH, rows=STRIP_ROWS)


def build(*, padding: Literal["mirror", "reflect"] = "mirror", **options: object) -> nn.Module:
    """`padding`: whether the engine mirrors the picture, or only the network reflects, layer by layer."""
    return MEFCL(**options)  # type: ignore[arg-type]
