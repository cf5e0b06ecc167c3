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
Mask = NDArray[np.bool_]

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
MID_TONES = (0.15, 0.6)  # of the picture's light, where it agrees with the scene
LEAST_SHARE = 0.005  # of the picture, for its mid-tones to say something
OPENS = (0.2, 0.8)  # of the picture's light, in its brightest colour
REACH_PX = 3  # of the smoothing that keeps to the picture's edges
STRIP_PX = 1 << 16  # of the map, that are worked on together: few enough for the cache
FLAT = 0.003  # variance of the picture's signal below which the map is averaged
LEAST_STOPS = 0.05  # below it a map shows nothing
LEVELS = 255


def gain_map(picture: Floats, radiance: Floats, headroom: float) -> GainMap | None:
    """`picture` and `radiance` are linear light, float32 (3, h, w), reduced alike; white in the picture is 1.

    The radiance counts only where it is `looked_at`. None where nothing in the scene is brighter than the
    picture shows it.
    """
    from mefnets.engine.threads import in_parallel

    _, height, width = picture.shape
    light, brightest = _luminance(picture), picture.max(axis=0)
    scale = np.float32(_anchor(light, radiance))
    stops = np.zeros(picture.shape, np.float32)
    smooth = np.zeros(picture.shape, np.float32)
    rows = max(4 * REACH_PX, STRIP_PX // width)

    def gain(top: int) -> None:
        strip = slice(top, top + rows)
        places = np.flatnonzero(brightest[strip] > OPENS[0])  # nowhere else is there any gain
        if len(places):
            shown, scene = (
                np.stack([one.ravel()[places] for one in whole[:, strip]]) for whole in (picture, radiance)
            )
            opening = _opening(brightest[strip].ravel()[places])
            found = _stops(shown, light[strip].ravel()[places], scale * scene, opening, headroom)
            for plane, gained in zip(stops[:, strip], found, strict=True):
                plane.reshape(-1)[places] = gained

    def smoothen(top: int) -> None:
        above, bottom = min(top, 2 * REACH_PX), min(top + rows, height)  # that far a smoothing looks
        wide = slice(top - above, bottom + 2 * REACH_PX)
        if stops[:, wide].any():
            found = _smoothed(stops[:, wide], np.sqrt(brightest[wide]))
            smooth[:, top:bottom] = np.clip(found[:, above : above + bottom - top], 0, headroom)

    in_parallel(gain, range(0, height, rows))
    in_parallel(smoothen, range(0, height, rows))
    most = float(smooth.max())
    if most < LEAST_STOPS:
        return None
    smooth *= np.float32(LEVELS / most)
    return GainMap(np.rint(smooth.transpose(1, 2, 0)).astype(np.uint8), most)


def looked_at(picture: Floats) -> Mask:
    """Where the radiance has a say in the map of a picture."""
    return np.asarray((picture.max(axis=0) > OPENS[0]) | _middle(_luminance(picture)))


def _luminance(colours: Floats) -> Floats:
    red, green, blue = LUMINANCE
    return np.asarray(red * colours[0] + green * colours[1] + blue * colours[2], np.float32)


def _middle(light: Floats) -> Mask:
    """The mid-tones of a picture, or what comes nearest to them."""
    middle = np.asarray((light > MID_TONES[0]) & (light < MID_TONES[1]))
    if middle.mean() < LEAST_SHARE:  # a night, or a page
        middle = np.asarray(light > np.median(light))
    return middle


def _anchor(light: Floats, radiance: Floats) -> float:
    """What the scene's light is multiplied by, to be the picture's in its mid-tones."""
    places = np.flatnonzero(_middle(light))
    scene = _luminance(np.stack([one.ravel()[places] for one in radiance]))
    shown, scene = light.ravel()[places[scene > 0]], scene[scene > 0]
    if not len(scene):
        return 1.0
    return float(2 ** np.median(np.log2(np.maximum(shown, 1e-6) / scene)))


def _stops(shown: Floats, light: Floats, scene: Floats, opening: Floats, headroom: float) -> Floats:
    """(3, n): log2 of the gain."""
    offset = np.float32(GAIN_OFFSET)
    missing = np.log2((_luminance(scene) + offset) / (light + offset))
    above = np.maximum(missing, 0)
    stops: Floats = np.log2((scene + offset) / (shown + offset)) - missing
    stops *= -np.expm1(-above)
    stops += np.float32(headroom) * -np.expm1(above / np.float32(-headroom))
    stops *= opening
    return np.clip(stops, 0, headroom, out=stops)


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
    smooth = np.empty_like(stops)  # (3, h, w)
    for colour, plane in enumerate(stops):
        average = mean(plane)
        slope = (mean(guide * plane) - middle * average) / variance
        smooth[colour] = mean(slope) * guide + mean(average - slope * middle)
    return smooth
