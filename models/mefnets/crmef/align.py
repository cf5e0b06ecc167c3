"""DASM: one exposure's features aligned to the other's, coarse to fine, by deformable convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.crmef import operators
from mefnets.crmef.genotype import REACH_PX
from mefnets.crmef.operators import conv
from mefnets.crmef.strips import in_strips

# What the finest level and the cascade see: a bounded offset, up to 3 for the kernel, 1 for what follows.
RADIUS = int(REACH_PX) + 4

Levels = list[Tensor]


def lr(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1, inplace=not x.requires_grad)


def up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Pyramid(nn.Module):
    """A residual block, then two halvings. Shared by both exposures."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.block_1, self.block_2 = conv(c, c), conv(c, c)
        self.down2, self.conv2 = conv(c, c, stride=2), conv(c, c)
        self.down3, self.conv3 = conv(c, c, stride=2), conv(c, c)

    def forward(self, x: Tensor) -> Levels:
        level1 = self.block_2(F.relu_(self.block_1(x))).add_(x)  # (B, c, H, W)
        level2 = lr(self.conv2(lr(self.down2(level1))))  # (B, c, H/2, W/2)
        level3 = lr(self.conv3(lr(self.down3(level2))))  # (B, c, H/4, W/4)
        return [level1, level2, level3]


class Level(nn.Module):
    """One level: offsets o from both features and the coarser offsets; the neighbour deformed by them."""

    def __init__(self, deform: nn.Module, c: int, coarsest: bool = False) -> None:
        super().__init__()
        self.offset_1 = conv(2 * c, c)
        if not coarsest:
            self.offset_2 = conv(2 * c, c)
            self.fuse = conv(2 * c, c)
        self.offset_3 = conv(c, c)
        self.deform = deform

    def offsets(self, n: Tensor, r: Tensor, coarser: Tensor | None) -> Tensor:
        o = lr(self.offset_1(torch.cat((n, r), 1)))
        if coarser is not None:
            o = lr(self.offset_2(torch.cat((o, 2 * up(coarser)), 1)))
        return lr(self.offset_3(o))  # (B, c, h, w)


class DASM(nn.Module):
    def __init__(self, make: operators.Make, c: int, bounded: bool = True) -> None:
        """`bounded`: whether offsets are; then strips of rows see far enough."""
        super().__init__()
        self.bounded = bounded
        self.level3 = Level(make("dasm", 0, c, c), c, coarsest=True)
        self.level2 = Level(make("dasm", 1, c, c), c)
        self.level1 = Level(make("dasm", 2, c, c), c)
        self.cascade = Level(make("dasm", 3, c, c), c, coarsest=True)

    def forward(self, neighbour: Levels, reference: Levels) -> Tensor:
        """Empties both lists: what is no longer needed is freed on the way."""
        (n1, n2, n3), (r1, r2, r3) = neighbour, reference
        neighbour.clear()
        reference.clear()
        o3 = self.level3.offsets(n3, r3, None)
        a3 = lr(self.level3.deform(n3, o3))  # (B, c, H/4, W/4)
        o2 = self.level2.offsets(n2, r2, o3)
        a2 = self.level2.deform(n2, o2)
        a2 = lr(self.level2.fuse(torch.cat((a2, up(a3)), 1)))  # (B, c, H/2, W/2)
        del o3, a3, n2, r2, n3, r3

        def fine(n1: Tensor, r1: Tensor, o2: Tensor, a2: Tensor) -> Tensor:
            o1 = self.level1.offsets(n1, r1, o2)
            a1 = self.level1.deform(n1, o1)
            fused: Tensor = self.level1.fuse(torch.cat((a1, up(a2)), 1))
            return fused  # (B, c, H, W), no activation

        def finest(a1: Tensor, r1: Tensor) -> Tensor:
            o = self.cascade.offsets(a1, r1, None)
            return lr(self.cascade.deform(a1, o))  # (B, c, H, W)

        if self.training or n1.requires_grad or not self.bounded:
            return finest(fine(n1, r1, o2, a2), r1)
        a1 = in_strips(fine, n1, r1, o2, a2, radius=RADIUS)
        del n1, o2, a2
        return in_strips(finest, a1, r1, radius=RADIUS)
