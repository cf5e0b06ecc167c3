"""RGB and YCbCr (BT.601, full range), and the rule that fuses chroma beside a luminance network."""

from __future__ import annotations

import torch
from torch import Tensor

from mefnets.luma import BLUE, GREEN, RED

# Rows: Y, Cb - 0.5, Cr - 0.5 from R, G, B.
CB_SCALE = 0.5 / (1.0 - BLUE)
CR_SCALE = 0.5 / (1.0 - RED)

STUDIO_BLACK, STUDIO_SPAN = 16.0 / 255.0, 219.0 / 255.0


def luminance(rgb: Tensor, dim: int = -3) -> Tensor:
    """Y of RGB planes; `dim` holds the three channels and is dropped."""
    r, g, b = rgb.unbind(dim)
    return torch.add(r * RED, g, alpha=GREEN).add_(b, alpha=BLUE)


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:  # (..., 3, H, W) -> (..., 3, H, W), chroma around 0.5
    y = luminance(rgb)
    cb = (rgb.select(-3, 2) - y).mul_(CB_SCALE).add_(0.5)
    cr = (rgb.select(-3, 0) - y).mul_(CR_SCALE).add_(0.5)
    return torch.stack((y, cb, cr), dim=-3)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:  # (..., 3, H, W) -> (..., 3, H, W)
    y, cb, cr = ycbcr.unbind(-3)
    r = torch.add(y, cr - 0.5, alpha=1.0 / CR_SCALE)
    b = torch.add(y, cb - 0.5, alpha=1.0 / CB_SCALE)
    g = (y - r * RED - b * BLUE) / GREEN
    return torch.stack((r, g, b), dim=-3)


def to_studio(y: Tensor) -> Tensor:
    """Full-range luminance to 16..235 of 255, for networks trained on that."""
    return y * STUDIO_SPAN + STUDIO_BLACK


def from_studio(y: Tensor) -> Tensor:
    return (y - STUDIO_BLACK) / STUDIO_SPAN


def fuse_chroma(chroma: Tensor, eps: float = 1e-6) -> Tensor:
    """Mean over frames of Cb and Cr, each weighted by its distance from grey: |C - 0.5|.

    (N, 2, H, W) -> (2, H, W). Where every frame is grey the plain mean takes over, so grey stays grey.
    """
    offset = chroma - 0.5  # (N, 2, H, W)
    weight = offset.abs() + eps
    return (offset * weight).sum(0).div_(weight.sum(0)).add_(0.5)
