"""Brightness that drifts between the frames of a focus stack, evened: a curve a channel, as a table.

Lamps flicker, daylight changes, and a lens lets a little less light in when it focuses near. The change is
told from blurred small pictures, where focus does not count: the median ratio over well exposed pixels. Black
and white stay what they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.mapping import floats
from mefcli.values import Pixels

LEAST = 0.004  # a smaller change is none: one level of 255
MOST = 0.35
BLUR_PX = 6.0
ENOUGH = 400  # pixels

Gains = tuple[float, float, float]
NONE: Gains = (1.0, 1.0, 1.0)


def gains_between(reference: Pixels, small: Pixels, seen: NDArray[np.bool_] | None) -> Gains:
    """What brings a frame to the reference, R, G and B; of aligned small pictures."""
    import cv2

    one, other = (cv2.GaussianBlur(floats(picture), (0, 0), BLUR_PX) for picture in (reference, small))
    low, high = np.minimum(one, other).min(2), np.maximum(one, other).max(2)
    use = (low > 0.08) & (high < 0.92)
    if seen is not None:
        use &= seen
    if int(use.sum()) < ENOUGH:
        return NONE
    ratios = np.median(one[use] / other[use], axis=0)
    if float(np.abs(ratios - 1).max()) < LEAST:
        return NONE
    red, green, blue = np.clip(ratios, 1 - MOST, 1 + MOST).tolist()
    return red, green, blue


def evened(frame: Any, gains: Gains) -> Pixels:
    """The frame through its curves; 8 bits come out at 16, so that no level is lost."""
    if gains == NONE:
        same: Pixels = frame
        return same
    if frame.dtype == np.float32:
        curves = [_curve(frame[..., c], gain) for c, gain in enumerate(gains)]
        return np.asarray(np.stack(curves, 2), np.float32)
    levels = 256 if frame.dtype == np.uint8 else 65536
    at = np.linspace(0.0, 1.0, levels, dtype=np.float32)
    result = np.empty(frame.shape, np.uint16)
    for channel, gain in enumerate(gains):
        table = np.rint(_curve(at, gain) * 65535).astype(np.uint16)
        np.take(table, frame[..., channel], out=result[..., channel])
    return result


def _curve(value: NDArray[np.float32], gain: float) -> NDArray[np.float32]:
    """A gain in the shadows and mid-tones that leaves white where it is; rises everywhere."""
    return np.asarray(value * gain / (1 + (gain - 1) * value**4), np.float32)
