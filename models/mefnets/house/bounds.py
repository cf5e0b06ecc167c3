"""What the house network's result cannot leave, whatever its weights say.

*Hull*: the luminance of a pixel lies between the darkest and the brightest value that any frame shows within
3 pixels of it, so a pyramid's overshoot cannot ring. Colour is scaled back until all channels fit in [0, 1].

*Shown*: on a level where a pixel stands for a few of the picture, what a frame shows in its middle tones
stays visible: at least `floor_of` and at most `ceiling_of` the frames' own luminance. Only light is shifted
there, and the finer levels add their detail to it.

Shifts carry no gradient: in training the measures see the bounded result and pull as if nothing held it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mefnets.house.pyramid import luminance
from mefnets.house.shape import HULL_PX

SHADOW_SLOPE, SHADOW_KNEE, SHADOW_RISE = 0.5, 0.17, 0.06
LIGHT_SLOPE, LIGHT_KNEE = 0.45, 0.15


def floor_of(y: Tensor, strength: Tensor | float = 1.0) -> Tensor:
    """The darkest that a frame's luminance may come out: half of it in shadows, about 0.1 in the middle."""
    rise = (y - SHADOW_KNEE).clamp_min(0) * (strength * SHADOW_RISE)
    return y.clamp(0, SHADOW_KNEE) * (strength * SHADOW_SLOPE) + rise


def ceiling_of(y: Tensor, strength: Tensor | float = 1.0) -> Tensor:
    """The brightest that a frame's luminance may come out."""
    return 1 - (1 - y).clamp(0, LIGHT_KNEE) * (strength * LIGHT_SLOPE)


def keep_shown(pictures: Tensor, fused: Tensor, strength: Tensor | float = 1.0) -> Tensor:
    """(B, N, 3, h, w) and (B, 3, h, w): the fusion's light shifted to where every frame is still shown."""
    B, N = pictures.shape[:2]
    y = luminance(pictures.flatten(0, 1)).view(B, N, 1, *pictures.shape[-2:])
    mine = luminance(fused)
    lifted = torch.maximum(mine, floor_of(y.amax(1), strength))
    kept = torch.minimum(lifted, ceiling_of(y.amin(1), strength))
    return fused + (kept - mine).detach()


def hull(frames: Tensor, B: int, above: int, below: int) -> tuple[Tensor, Tensor]:
    """The least and the greatest luminance around each pixel, (B, 1, h, w) each.

    `frames` (B * N, 3, above + h + below, w) has `above` and `below` rows more than asked for, at most 3.
    """
    y = luminance(frames)
    y = y.view(B, -1, 1, *y.shape[-2:])
    rows = slice(above, y.shape[-2] - below)
    greatest = _greatest_around(torch.cat([y.amax(1), -y.amin(1)], 1))[..., rows, :]
    return -greatest[:, 1:], greatest[:, :1]


def _greatest_around(x: Tensor) -> Tensor:
    """Maxima over 7 x 7 inside the picture, one axis after the other."""
    for kernel, padding in (((7, 1), (HULL_PX, 0)), ((1, 7), (0, HULL_PX))):
        x = torch.nn.functional.max_pool2d(x, kernel, 1, padding)
    return x


def hold(fused: Tensor, least: Tensor, greatest: Tensor) -> Tensor:
    """(B, 3, h, w): luminance held in the hull, colour scaled back into [0, 1]; grey stays grey."""
    y = luminance(fused)
    held = torch.minimum(torch.maximum(y, least), greatest)
    colour = fused - y
    # Room towards white and black over what the colour needs, in the channel that needs most.
    room = torch.minimum(
        (1 - held) / colour.amax(1, keepdim=True).clamp_min(1e-6),
        held / (-colour.amin(1, keepdim=True)).clamp_min(1e-6),
    ).clamp(0, 1)
    bounded = (held + colour * room).clamp(0, 1)
    return fused + (bounded - fused).detach()
