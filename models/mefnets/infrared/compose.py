"""One luminance of two: the visible frame's, with the thermal frame's details and with what is warm in it.

Both become Laplacian pyramids. At each scale and place the stronger detail has the larger share, the visible
frame's where both are alike, and the more so the coarser the scale. The coarsest level, which holds light and
shade at large, is the visible frame's. At last what is warm is lifted: as much above the visible light around
it as it stands out in the thermal frame, so that a person shines and a street warm from the day does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FLOOR = 0.012  # of the full scale: detail that may be noise
TRUST = 0.7  # how much a thermal detail counts beside a visible one of the same strength,
FALLING = 0.65  # and by how much less at each coarser scale: a broad edge would throw a broad shadow
EASED = 0.6  # how far something warm is taken out of the pyramid: its steep edge would throw a shadow
FIRM = 2.0  # power of the strengths, already squared: 1 shares by them, more chooses
GLOW = 0.9  # how far what is warm goes to its own light
# Of the darker frame's light, the least that is left: strong details on a dark base would end in black.
# On five real pairs 0.01 % of a picture is so dark.
DARKEST = 0.3
AROUND, FAR, FAR_SHARE = 0.2, 0.8, 0.02  # windows, of the short side; how much the wide one counts
BORDER = 0.015  # darker is where laying the frames over each other left nothing
LEAST_PX = 8  # short side of the coarsest level


def depth_for(short_side_px: int) -> int:
    """Levels of detail above the coarsest one."""
    return int(np.clip(np.floor(np.log2(max(short_side_px, 1) / LEAST_PX)), 1, 7))


def composed(visible: Floats, thermal: Floats, warm: Floats) -> Floats:
    """Luminance (H, W) of luminances in [0, 1]; `warm` says from 0 to 1 where the thermal frame is right."""
    depth = depth_for(min(visible.shape))
    around = beside(thermal, warm)
    fused = blended(visible, eased(thermal, warm, around), falling(depth))
    return glowing(lit(fused, visible, thermal), thermal, warm, around, beside(visible, warm))


def eased(thermal: Floats, warm: Floats, around: Floats) -> Floats:
    """The thermal frame for the pyramid, most of what is warm taken out."""
    return np.asarray(thermal + np.float32(EASED) * warm * (around - thermal), np.float32)


def lit(fused: Floats, visible: Floats, thermal: Floats) -> Floats:
    """What both frames show is not black."""
    return np.asarray(np.maximum(fused, np.float32(DARKEST) * np.minimum(visible, thermal)), np.float32)


def glowing(fused: Floats, thermal: Floats, warm: Floats, around: Floats, seen_around: Floats) -> Floats:
    """What is warm is to be as much lighter than the visible surroundings as it is than the thermal ones."""
    lifted = fused + np.float32(GLOW) * warm * np.maximum(seen_around + thermal - around - fused, 0)
    return np.asarray(np.clip(lifted, 0.0, 1.0), np.float32)


def beside(picture: Floats, warm: Floats) -> Floats:
    """The mean light of what is not warm about each place, black borders left out.

    Within large things it comes from afar.
    """
    cold = np.asarray((1 - warm) * (picture > BORDER) + np.float32(1e-5), np.float32)
    light, share = box(picture * cold, AROUND), box(cold, AROUND)
    light += np.float32(FAR_SHARE) * box(picture * cold, FAR)
    share += np.float32(FAR_SHARE) * box(cold, FAR)
    return np.asarray(light / share, np.float32)


def box(x: Floats, share: float) -> Floats:
    """The mean in a square window of that share of the short side."""
    side = max(3, round(share * min(x.shape)) | 1)
    return np.asarray(cv2.blur(x, (side, side)), np.float32)


def falling(depth: int) -> list[float]:
    """How much thermal detail is trusted at each scale, the finest first."""
    return [TRUST * FALLING**level for level in range(depth)]


def blended(visible: Floats, thermal: Floats, trusts: Sequence[float], base: Floats | None = None) -> Floats:
    """The stronger detail at each scale, on the visible frame's coarsest level, or on `base` in its place."""
    if not trusts or min(visible.shape) < 2:
        return np.array(visible, np.float32) if base is None else base
    lower = [down(one) for one in (visible, thermal)]
    seen, heat = (one - up(small, one) for one, small in zip((visible, thermal), lower, strict=True))
    chosen = seen + _thermal_share(seen, heat, trusts[0]) * (heat - seen)
    coarse = blended(lower[0], lower[1], trusts[1:], base)
    return np.asarray(chosen + up(coarse, visible), np.float32)


def _thermal_share(visible: Floats, thermal: Floats, trust: float) -> Floats:
    """Of the detail, from its strength in a window of 5 px."""
    strengths = []
    for detail, factor in ((visible, 1.0), (thermal, trust)):
        energy = cv2.GaussianBlur(detail * detail, (5, 5), 1.2) * np.float32(factor**2)
        strengths.append(np.maximum(energy - FLOOR**2, 0) ** np.float32(FIRM))
    return np.asarray(strengths[1] / (strengths[0] + strengths[1] + np.float32(1e-12)), np.float32)


def down(x: Floats) -> Floats:  # (H, W) -> (ceil(H / 2), ceil(W / 2))
    return np.asarray(cv2.pyrDown(x), np.float32)


def up(x: Floats, like: NDArray[Any]) -> Floats:
    return np.asarray(cv2.pyrUp(x, dstsize=(like.shape[1], like.shape[0])), np.float32)
