"""The misaligned model as the authors' test script has it: attention on features instead of relighting,
dense blocks instead of the batch-normed stack, and a sigmoid as the last step. Kept to compare with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.crmef.align import DASM, Pyramid
from mefnets.crmef.operators import Make, conv


class FeatureAttention(nn.Module):
    """s times a sigmoid map found from [s, s]."""

    def __init__(self, make: Make, module: int) -> None:
        """`module`: which of the four relighting modules of a genotype this one follows."""
        super().__init__()
        self.stem = conv(3, 64)
        self.join = conv(128, 64)
        self.m0, self.m1 = make("srsm", 3 * module, 64, 64), make("srsm", 3 * module + 1, 64, 64)

    def forward(self, x: Tensor) -> Tensor:
        s = self.stem(x)  # (B, 64, H, W)
        t = self.m0(self.join(torch.cat((s, s), 1)))
        gated: Tensor = s * torch.sigmoid(self.m1(F.leaky_relu(t, 0.01)))
        return gated


class Dense(nn.Module):
    def __init__(self, make: Make) -> None:
        super().__init__()
        self.f = nn.ModuleList(make("drm", j, 64 + 32 * j, 32) for j in range(2))
        self.merge = conv(128, 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        t = x
        for layer in self.f:
            t = torch.cat((t, F.relu_(layer(t))), 1)  # (B, 96, H, W), then (B, 128, H, W)
        y: Tensor = self.merge(t) + x
        return y  # (B, 64, H, W)


class AlignedAsShipped(nn.Module):
    def __init__(self, make: Make, unused: bool, bounded: bool = True) -> None:
        super().__init__()
        self.under, self.over = FeatureAttention(make, 0), FeatureAttention(make, 2)
        self.pyramid = Pyramid(64)
        self.dasm = DASM(make, 64, bounded)
        self.enter = conv(64, 64)
        self.dense1, self.dense2 = Dense(make), Dense(make)
        self.merge, self.conv = conv(128, 64, 1), conv(64, 64)
        self.head = conv(64, 3)
        if unused:  # the authors' file holds these without using them
            self.unused = nn.ModuleList((conv(64, 64), conv(64, 64), conv(16, 3)))

    def forward(self, frames: Tensor) -> Tensor:
        neighbour, reference = self.pyramid(self.under(frames[:, 0])), self.pyramid(self.over(frames[:, 1]))
        r1 = reference[0]
        d1 = self.dense1(self.enter(self.dasm(neighbour, reference) + r1))  # (B, 64, H, W)
        d2 = self.dense2(d1)
        t = self.conv(self.merge(torch.cat((d1, d2), 1))) + r1
        return torch.sigmoid(self.head(t))  # (B, 3, H, W)
