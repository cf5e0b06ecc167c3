"""Radiance and gain map by their formulas alone, whole, in double precision: what the fast ways must give."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mefcli.hdr.beyond import FLAT, LUMINANCE, MID_TONES, OPENS, REACH_PX
from mefcli.hdr.curves import Curves
from mefcli.hdr.merge import LAST_RESORT
from mefcli.values import GAIN_OFFSET, Pixels

Exact = NDArray[np.float64]


def radiance(frames: list[Pixels], curves: Curves, evs: list[float]) -> Exact:
    """(h, w, 3), of finished pictures of one sensitivity."""
    times = [2.0**ev for ev in evs]
    light, usable = [], []
    for index, frame in enumerate(frames):
        opened = cv2.erode(curves.open[frame, 0].min(axis=2), np.ones((3, 3), np.uint8))
        if index == 0:
            opened = np.maximum(opened, LAST_RESORT)
        assert curves.shown is not None
        light.append(curves.light[frame, 0].astype(np.float64))
        usable.append(opened[..., None] * curves.shown[frame, 0].astype(np.float64))
    expected = sum(u * x for u, x in zip(usable, light, strict=True))
    expected = expected / sum(u * t for u, t in zip(usable, times, strict=True))
    total, weights = np.zeros_like(expected), np.zeros_like(expected)
    for x, u, t in zip(light, usable, times, strict=True):
        share = np.clip(expected * t / curves.top, 0, 1)
        weight = (
            u * t * t * np.interp(np.sqrt(share), np.linspace(0, 1, len(curves.certainty)), curves.certainty)
        )
        total += weight * x / t
        weights += weight
    return np.asarray(total / weights)


def stops(picture: Exact, scene: Exact, headroom: float) -> Exact:
    """log2 of the gain, (h, w, 3), of linear light, (h, w, 3)."""
    light, shines = picture @ LUMINANCE, scene @ LUMINANCE
    middle = (light > MID_TONES[0]) & (light < MID_TONES[1])
    scale = 2 ** np.median(np.log2(light[middle] / shines[middle]))
    missing = np.log2((scale * shines + GAIN_OFFSET) / (light + GAIN_OFFSET))
    above = np.maximum(missing, 0)
    colours = np.log2((scale * scene + GAIN_OFFSET) / (picture + GAIN_OFFSET)) - missing[..., None]
    brightest = picture.max(axis=2)
    share = np.clip((brightest - OPENS[0]) / (OPENS[1] - OPENS[0]), 0, 1)
    roll = headroom * (1 - np.exp(-above / headroom))
    raw = (share * share * (3 - 2 * share))[..., None] * (
        roll[..., None] + (1 - np.exp(-above))[..., None] * colours
    )
    raw, guide = np.clip(raw, 0, headroom), np.sqrt(brightest)[..., None]
    middles = _mean(guide)
    slope = (_mean(guide * raw) - middles * _mean(raw)) / (_mean(guide * guide) - middles**2 + FLAT)
    return np.clip(_mean(slope) * guide + _mean(_mean(raw) - slope * middles), 0, headroom)


def _mean(planes: Exact) -> Exact:
    side = 2 * REACH_PX + 1
    found = cv2.blur(planes, (side, side), borderType=cv2.BORDER_REFLECT)
    return np.asarray(found).reshape(planes.shape)
