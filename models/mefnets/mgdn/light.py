"""Light for MGDN's three-frame form: what it is shown of each frame, and how frames become one by weights.

A frame is shown as six channels: its picture, and its light, linear, divided by its exposure, 1 at the white
of the darkest frame. So what stands still has the same light in all frames.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mefnets.luma import BLUE, GREEN, RED

MU = 5000.0
CLIPS = (0.93, 0.985)  # of the picture, from which on a pixel counts less, and at which it says nothing
# What a pixel still counts that says nothing, dark to bright: where all are clipped, the darkest is nearest.
LEAST = (1e-3, 1e-5, 1e-6)


def mu_law(x: Tensor) -> Tensor:
    """log(1 + mu x) / log(1 + mu) of linear light in [0, 1], mu = 5000."""
    return torch.log1p(MU * x.clamp_min(0)) / math.log1p(MU)


def certainty(pictures: Tensor) -> Tensor:  # (B, 3, 3, H, W) -> (B, 3, H, W)
    """How much each frame knows of the light at a pixel, as if nothing had moved.

    Rounding weighs 8-bit frames by (t / slope)^2, which for a gamma near 2.2 goes with the picture squared;
    what is clipped knows nothing.
    """
    share = ((pictures.amax(2) - CLIPS[0]) / (CLIPS[1] - CLIPS[0])).clamp(0, 1)
    opened = 1 - share * share * (3 - 2 * share)
    luma = pictures[:, :, 0] * RED + pictures[:, :, 1] * GREEN + pictures[:, :, 2] * BLUE
    least = torch.tensor(LEAST, dtype=pictures.dtype, device=pictures.device)
    return torch.maximum(opened * luma.square(), least[None, :, None, None])


def weighed(frames: Tensor, trust: Tensor) -> Tensor:
    """The frames' light, (B, 3, 6, H, W) -> (B, 3, H, W), each by its certainty times exp(`trust`)."""
    weights = torch.softmax(certainty(frames[:, :, :3]).log() + trust, 1)
    return (frames[:, :, 3:] * weights[:, :, None]).sum(1)
