"""How the house network meets a `Taste`: lighter shadows, calmer highlights, contrast, colour.

A taste acts where the fusion decides. Opened shadows go towards the brightest frame that is not clipped, on a
coarse level, and their detail comes from brighter frames, too: light that a camera caught, not noise made
louder. Zero is bit-identical to no taste, and more is never less: every step is monotone in the number asked.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mefnets.house.pyramid import luminance
from mefnets.taste import RIPPLE, RIPPLE_MOST, SHADOW_BELOW

TASTE_LEVEL = 2  # where light is moved: a pixel stands for four by four
PICK = 10.0  # how strictly the brightest, or darkest, usable frame is taken
DETAIL = 6.0  # how much a brighter frame's detail is preferred in shadows, at full strength
LIGHT_DETAIL = 3.0  # and in highlights, where a brighter frame soon has none
LIGHT_ABOVE = 0.45, 0.85  # luminance where highlights fade in
CONTRAST, COLOUR = 0.3, 0.35  # a band, and its colour, at full strength: exp(-0.3)..exp(0.3)


def _rising(x: Tensor, start: float, end: float) -> Tensor:
    at = ((x - start) / (end - start)).clamp(0, 1)
    return at * at * (3 - 2 * at)


def shadow(y: Tensor) -> Tensor:
    """How much a luminance is a shadow, 0..1."""
    return 1 - _rising(y, *SHADOW_BELOW)


def highlight(y: Tensor) -> Tensor:
    return _rising(y, *LIGHT_ABOVE)


def moved(pictures: Tensor, fused: Tensor, taste: Tensor) -> Tensor:
    """(B, N, 3, h, w) and (B, 3, h, w): the fusion's shadows and highlights moved towards a frame's."""
    B, N = pictures.shape[:2]
    y = luminance(pictures.flatten(0, 1)).view(B, N, 1, *pictures.shape[-2:])
    bright = (pictures * torch.softmax(PICK * y - 40 * (y - 0.8).clamp_min(0), 1)).sum(1)
    dark = (pictures * torch.softmax(-PICK * y - 40 * (0.2 - y).clamp_min(0), 1)).sum(1)
    mine = luminance(fused)
    up, down = taste.clamp(0, 1), (-taste).clamp(0, 1)
    share_up = up[0] * shadow(mine) + up[1] * highlight(mine)
    share_down = down[0] * shadow(mine) + down[1] * highlight(mine)
    brighter = ((luminance(bright) - mine) > 0).to(fused)
    darker = ((mine - luminance(dark)) > 0).to(fused)
    return fused + share_up * brighter * (bright - fused) + share_down * darker * (dark - fused)


def preferred(y: Tensor, taste: Tensor) -> Tensor:
    """What is added to the logits of frames of luminance y, (B, N, 1, h, w), where detail is chosen."""
    around = y.mean(1, keepdim=True)
    return (DETAIL * taste[0] * shadow(around) + LIGHT_DETAIL * taste[1] * highlight(around)) * y


def calmed(band: Tensor, base: Tensor, taste: Tensor) -> Tensor:
    """A fine band, (B, 3, h, w), over what is coarser: without ripples of noise in opened shadows."""
    size = (RIPPLE * taste[0]).clamp(0, RIPPLE_MOST) * shadow(luminance(base))
    squared = (band * band).mean(1, keepdim=True)
    return band * (squared / (squared + size * size).clamp_min(1e-12))
