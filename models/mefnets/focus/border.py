"""A choice between two frames, drawn: cleaned of what is small and unsure, its border along edges.

Where neither frame has detail, chance chooses, and leaves specks of one frame in the other: in a cheek, in a
sky. So a majority is taken in a small window, and then an island that is smaller than the wide window and
hardly leans either way joins what surrounds it. A thing seen through a small gap leans hard, and stays.

The border is laid by a guided filter (He, Sun and Tang, "Guided Image Filtering", 2010) whose guide is the
picture as the choice would have it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mefnets.engine.frames import FULL_SCALE, Floats, Frame
from mefnets.engine.threads import in_parallel
from mefnets.focus.fold import Cover, Rows, Weights, rows_of

CLEANED_PX = 6  # half window of the majority
ISLANDS = 50  # at least so many fit into a picture
SURE = 0.2  # an island's mean leaning; of simulated ones that lean less, 41 to 52 % are the sharper frame
GUIDE_PX, GUIDE_NOISE = 3, 1e-3  # half window and ridge of the guided filter
CERTAIN = 0.02  # weights nearer than this to 0 or 1 are 0 or 1


def drawn(picture: Frame, frame: Frame, leaning: Weights, cover: Cover, wide_px: int) -> Weights:
    """The weight of the frame, from how far a judge leans towards it (above 0) or the picture. In place."""
    chosen = np.empty(leaning.shape, np.uint8)

    def choose(rows: Rows) -> None:
        shown = cover(*rows)
        chosen[slice(*rows)] = leaning[slice(*rows)] > 0
        if shown is not None:
            chosen[slice(*rows)] &= shown > 0

    in_parallel(choose, rows_of(picture))
    if chosen.any():
        side = 2 * CLEANED_PX + 1
        chosen *= np.uint8(255)
        most = cv2.blur(chosen, (side, side), borderType=cv2.BORDER_REFLECT_101) > 127
        chosen = most.view(np.uint8)
        island_px = min((2 * wide_px + 1) ** 2, chosen.size // ISLANDS)
        for value in (1, 0):
            _join_islands(chosen, value, leaning, island_px)

    def draw(rows: Rows) -> None:
        leaning[slice(*rows)] = _border(picture, frame, chosen, rows, cover)

    in_parallel(draw, rows_of(picture))
    return leaning


def _join_islands(chosen: NDArray[np.uint8], value: int, leaning: Weights, below_px: int) -> None:
    """Islands of `value` of fewer than `below_px` pixels that are not sure become what is around them."""
    where = (chosen == value).view(np.uint8)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(where, connectivity=4)
    areas = facts[:, cv2.CC_STAT_AREA]
    if not (areas[1:] < below_px).any():
        return
    lean = np.zeros(count)
    for rows in rows_of(chosen):
        part = slice(*rows)
        lean += np.bincount(labels[part].ravel(), leaning[part].ravel(), minlength=count)
    unsure = (areas < below_px) & ((lean if value else -lean) < SURE * areas)
    unsure[0] = False  # what is not of this value
    for rows in rows_of(chosen):
        part = slice(*rows)
        chosen[part][unsure[labels[part]]] = 1 - value


def _border(picture: Frame, frame: Frame, chosen: NDArray[np.uint8], rows: Rows, cover: Cover) -> Floats:
    """The weight of the frame in these rows, where `chosen` (H, W) is 1 wherever it should be taken."""
    margin = 2 * GUIDE_PX
    top, bottom = max(0, rows[0] - margin), min(frame.shape[0], rows[1] + margin)
    inner = slice(rows[0] - top, rows[1] - top)
    choice = chosen[top:bottom].astype(np.float32)
    if not choice.any():
        return np.zeros((rows[1] - rows[0], frame.shape[1]), np.float32)
    weight = choice
    if not choice.all():
        guide = luminance(picture[top:bottom])
        guide += (luminance(frame[top:bottom]) - guide) * choice
        weight = guided(choice, guide)
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
