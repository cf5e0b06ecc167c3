"""A choice between two frames, drawn: cleaned of what is smaller than a window, its border along edges.

The border is laid by a guided filter (He, Sun and Tang, "Guided Image Filtering", 2010) whose guide is the
picture as the choice would have it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mefnets.engine.frames import FULL_SCALE, Floats, Frame
from mefnets.focus.fold import Cover, Rows

CLEANED_PX = 6  # half window of the majority
GUIDE_PX, GUIDE_NOISE = 3, 1e-3  # half window and ridge of the guided filter
CERTAIN = 0.02  # weights nearer than this to 0 or 1 are 0 or 1


def border(picture: Frame, frame: Frame, sharper: NDArray[np.uint8], rows: Rows, cover: Cover) -> Floats:
    """The weight of the frame in these rows, where `sharper` (H, W) is 1 wherever it should be taken."""
    margin = CLEANED_PX + 2 * GUIDE_PX
    top, bottom = max(0, rows[0] - margin), min(frame.shape[0], rows[1] + margin)
    inner = slice(rows[0] - top, rows[1] - top)
    chosen = sharper[top:bottom].astype(np.float32)
    if not chosen.any():
        return np.zeros((rows[1] - rows[0], frame.shape[1]), np.float32)
    chosen = np.asarray(box(chosen, CLEANED_PX) > 0.5, np.float32)
    weight = chosen
    if chosen.any() and not chosen.all():
        guide = luminance(picture[top:bottom])
        guide += (luminance(frame[top:bottom]) - guide) * chosen
        weight = guided(chosen, guide)
    weight = np.clip((weight[inner] - CERTAIN) / (1 - 2 * CERTAIN), 0.0, 1.0)
    shown = cover(*rows)
    return np.asarray(weight if shown is None else weight * shown, np.float32)


def luminance(frame: Frame) -> Floats:
    """BT.601, in [0, 1]."""
    kind = frame if frame.dtype != np.float64 else frame.astype(np.float32)
    grey = cv2.cvtColor(np.ascontiguousarray(kind), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey.astype(np.float32) * np.float32(1 / FULL_SCALE[kind.dtype.name]), np.float32)


def box(plane: Floats, half: int) -> Floats:
    side = 2 * half + 1
    return np.asarray(cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT_101), np.float32)


def guided(plane: Floats, guide: Floats) -> Floats:
    """`plane` as, in every small window, a linear function of the guide."""
    mean_g, mean_p = box(guide, GUIDE_PX), box(plane, GUIDE_PX)
    variance = box(guide * guide, GUIDE_PX) - mean_g * mean_g
    shared = box(guide * plane, GUIDE_PX) - mean_g * mean_p
    slope = np.asarray(shared / (np.maximum(variance, 0) + GUIDE_NOISE), np.float32)
    offset = np.asarray(mean_p - slope * mean_g, np.float32)
    return np.asarray(box(slope, GUIDE_PX) * guide + box(offset, GUIDE_PX), np.float32)
