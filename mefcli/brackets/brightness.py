"""What small versions of pictures tell of their light: exposures nobody recorded, and what is clipped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli.values import Pixels, Shot

MEASURED_SIDE_PX = 256
HELD = 16
"""Small pictures at hand: both what sorts a bracket and what tells its scene look at them."""
Grey = NDArray[np.float32]  # (h, w), linear light


def small_picture(shot: Shot) -> Pixels:
    """At most MEASURED_SIDE_PX on its longer side; read once, as long as the file stays what it is."""
    try:
        seen = shot.path.stat()
    except OSError:  # whoever reads it says so in words
        return _small_picture.__wrapped__(shot.path, ())
    return _small_picture(shot.path, (seen.st_mtime_ns, seen.st_size))


@lru_cache(maxsize=HELD)
def _small_picture(path: Path, _as_it_is: tuple[int, ...]) -> Pixels:
    from mefcli import formats

    pixels = formats.decode_reduced(path, MEASURED_SIDE_PX).pixels
    pixels.flags.writeable = False
    return pixels


def measured_evs(shots: Sequence[Shot]) -> list[float]:
    """Exposure in stops as far as the pixels tell, by the median ratio of linear light between neighbours."""
    lights = [_linear_grey(small_picture(shot)) for shot in shots]
    order = sorted(range(len(lights)), key=lambda i: float(lights[i].mean()))
    evs = [0.0] * len(lights)
    for darker, brighter in pairwise(order):
        evs[brighter] = evs[darker] + _stops_between(lights[darker], lights[brighter])
    return evs


def _linear_grey(pixels: Pixels) -> Grey:
    grey = pixels.astype(np.float32).mean(axis=2)
    grey /= full_scale(pixels)
    linear: Grey = np.clip(grey, 0.0, 1.0) ** np.float32(2.2)
    return linear


def full_scale(pixels: Pixels) -> float:
    return {"uint8": 255.0, "uint16": 65535.0}.get(pixels.dtype.name, 1.0)


def _stops_between(darker: Grey, brighter: Grey) -> float:
    if darker.shape == brighter.shape:
        usable = (darker > 0.003) & (brighter > 0.003) & (darker < 0.85) & (brighter < 0.85)
        if usable.mean() > 0.01:
            return max(0.0, float(np.median(np.log2(brighter[usable] / darker[usable]))))
    return max(0.0, float(np.log2((brighter.mean() + 1e-4) / (darker.mean() + 1e-4))))


def clipped_shares(shot: Shot) -> tuple[float, float]:
    """Percent of the pixels that are black in every channel, and that are white in some channel."""
    from mefcli import formats

    pixels = formats.decode_reduced(shot.path, 2 * MEASURED_SIDE_PX).pixels
    full = full_scale(pixels)
    black = (pixels.max(axis=2) <= 0.008 * full).mean()
    white = (pixels.max(axis=2) >= 0.992 * full).mean()
    return 100.0 * float(black), 100.0 * float(white)
