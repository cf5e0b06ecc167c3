"""The network that LCNDR's authors released and withdrew, which is not the one that their paper describes.

Kept to compare with, and for their weights. It has squeeze-and-excitation (one block, its result thrice) in
place of coordinate attention and pooling, no edge revision, and a map that ends in sigmoid and tanh. Queries
and keys are read in the order they lie in memory, so that a row is no position's vector; features shift a
little, for the strided convolutions have no padding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

C = 32


class ScrambledAttention(nn.Module):
    """What their reshape makes of attention between all positions at about 1/8 size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0, self.norm0 = nn.Conv2d(C + 1, 48, 3, stride=2), nn.BatchNorm2d(48)
        self.conv1, self.norm1 = nn.Conv2d(48, C, 3, stride=2), nn.BatchNorm2d(C)
        self.value, self.query, self.key = nn.Conv2d(C, C, 1), nn.Conv2d(C, 8, 1), nn.Conv2d(C, 8, 1)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:  # (B, 32, H, W), (B, 1, H, W) -> (B, 32, h, w)
        f = F.relu(self.norm0(self.conv0(torch.cat((x, other), 1))))
        f = F.relu(self.norm1(self.conv1(F.max_pool2d(f, 2))))
        B, _, h, w = f.shape
        q, k = (layer(f).contiguous().reshape(B, 1, h * w, 8) for layer in (self.query, self.key))
        v = self.value(f).flatten(2).transpose(1, 2)[:, None]  # (B, 1, N, 32)
        q, k = (F.pad(t, (0, C - 8)) for t in (q, k))  # equal widths: the N x N matrix is never stored
        out = F.scaled_dot_product_attention(q, k, v, scale=1.0)[:, 0]
        return out.transpose(1, 2).reshape(f.shape)


class Released(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, C, 3, padding=1)
        self.squeeze, self.excite = nn.Linear(C, C // 2), nn.Linear(C // 2, C)
        self.conv1, self.conv2 = nn.Conv2d(C, 64, 3, padding=1), nn.Conv2d(64, 96, 3, padding=1)
        self.sam = ScrambledAttention()
        self.head, self.norm = nn.Conv2d(7 * C, 1, 3, padding=1), nn.BatchNorm2d(1)

    def _map(self, image: Tensor, other: Tensor) -> Tensor:  # (B, 1, H, W) each -> (B, 1, H, W)
        x = self.stem(image)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))[:, :, None, None]
        excited = x * gate
        p = F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(x), 0.01)), 0.01)
        attended = F.interpolate(self.sam(x, other), size=x.shape[2:])
        joined = torch.cat((excited, excited, excited, p, attended), 1)  # (B, 224, H, W)
        return torch.tanh(torch.sigmoid(self.norm(self.head(joined))))

    def forward(self, frames: Tensor) -> Tensor:  # (B, 2, 1, H, W) in [0, 1], dark to bright -> (B, 1, H, W)
        under, over = (frames * 2 - 1).unbind(1)
        fused = self._map(over, under) * over + (self._map(under, over) + under)
        return fused * 0.5 + 0.5
