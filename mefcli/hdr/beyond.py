"""How much brighter a scene was than the picture of it shows: the gain map of a photograph.

The picture is right about everything up to its mid-tones; above, it holds light down so that all of it can be
seen. There the radiance of the bracket comes back,

    log2 gain = s · (roll(e) + (1 - exp(-e)) d),   never below 0,   e = log2(k Y(R) / Y(B))

with B the picture's light and R the scene's, Y their luminance, and k making them equal in the mid-tones. s
opens smoothly towards the picture's lights, so that skin and walls keep theirs; `roll` ends at the headroom.
d is by how many stops a colour departs from that: as its light comes back, a lamp or a sky goes from the
picture's colour to its own, and what is not brighter keeps the picture's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mefcli.values import GAIN_OFFSET, GainMap

Floats = NDArray[np.float32]

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
MID_TONES = (0.15, 0.6)  # of the picture's light, where it agrees with the scene
LEAST_SHARE = 0.005  # of the picture, for its mid-tones to say something
OPENS = (0.2, 0.8)  # of the picture's light, in its brightest colour
REACH_PX = 3  # of the smoothing that keeps to the picture's edges
FLAT = 0.003  # variance of the picture's signal below which the map is averaged
LEAST_STOPS = 0.05  # below it a map shows nothing
LEVELS = 255


def gain_map(picture: Floats, radiance: Floats, headroom: float) -> GainMap | None:
    """`picture` and `radiance` are linear light, float32 (h, w, 3), reduced alike; white in the picture is 1.

    None where nothing in the scene is brighter than the picture shows it.
    """
    light, scene = picture @ LUMINANCE, radiance @ LUMINANCE
    scale = np.float32(_anchor(light, scene))
    offset = np.float32(GAIN_OFFSET)
    missing = np.log2((scale * scene + offset) / (light + offset))
    above = np.maximum(missing, 0)
    brightest = np.maximum(np.maximum(picture[..., 0], picture[..., 1]), picture[..., 2])
    stops = np.log2((scale * radiance + offset) / (picture + offset)) - missing[..., None]
    stops *= -np.expm1(-above)[..., None]
    stops += (np.float32(headroom) * -np.expm1(above / np.float32(-headroom)))[..., None]
    stops = np.clip(stops * _opening(brightest)[..., None], 0, headroom)
    stops = np.clip(_smoothed(stops, np.sqrt(brightest)), 0, headroom)
    most = float(stops.max())
    if most < LEAST_STOPS:
        return None
    levels = np.rint(stops * np.float32(LEVELS / most)).astype(np.uint8)
    return GainMap(levels, most)


def _anchor(light: Floats, scene: Floats) -> float:
    """What the scene's light is multiplied by, to be the picture's in its mid-tones."""
    middle = (light > MID_TONES[0]) & (light < MID_TONES[1])
    if middle.mean() < LEAST_SHARE:  # a night, or a page
        middle = light > np.median(light)
    middle &= scene > 0
    if not middle.any():
        return 1.0
    return float(2 ** np.median(np.log2(np.maximum(light[middle], 1e-6) / scene[middle])))


def _opening(light: Floats) -> Floats:
    start, end = OPENS
    share = np.clip((light - np.float32(start)) / np.float32(end - start), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _smoothed(stops: Floats, guide: Floats) -> Floats:
    """A guided filter: smooth where the picture is, and with its edges where it has them.

    What enlarges the map knows nothing of edges; a map whose steps lie within the picture's makes no halo.
    """
    import cv2

    side = (2 * REACH_PX + 1, 2 * REACH_PX + 1)

    def mean(plane: Floats) -> Floats:
        found: Floats = cv2.blur(plane, side, borderType=cv2.BORDER_REFLECT)
        return found

    middle = mean(guide)
    variance = mean(guide * guide) - middle * middle + np.float32(FLAT)
    smooth = np.empty_like(stops)
    for colour in range(3):
        plane = np.ascontiguousarray(stops[..., colour])
        average = mean(plane)
        slope = (mean(guide * plane) - middle * average) / variance
        smooth[..., colour] = mean(slope) * guide + mean(average - slope * middle)
    return smooth
