"""Whether anything moved between neighbours in exposure, told with care: still brackets stay unmentioned.

What moved differs in two ways at once. Its values are not what the other exposure allows (`ghosts`), and its
fine structure is another: a person before a wall has edges where the wall has none. Colours that clip or that
a camera bends between exposures differ in value alone; noise and glare, in structure alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.ghosts import AUTO_THRESHOLD, disagreement
from mefcli.motion.grey import Level, Plane, detail, greys, level
from mefcli.motion.mapping import floats
from mefcli.motion.reduced import curve_between
from mefcli.values import Reduced

LEAST_SHARE = 2e-4
"""Of the picture, in one piece: a walker of 40 x 120 px in 24 megapixels."""
WINDOW_PX = 11
ALIKE = 0.3  # correlation of two pictures' structure in a window; what stands still has more
CONTRAST = 0.25  # stops, rms in a window: structure that noise does not make
STRUCTURE = 2.0  # stops, beyond which a difference counts no more
EDGE_PX = 12
"""Left out all around: some cameras and programs leave a line of another colour there."""

Mask = NDArray[np.bool_]


def moved_between(reduced: Reduced, trusted: Sequence[bool]) -> list[int]:
    """Those frames that show something in another place than the next brighter one does.

    Frames that are not aligned (`trusted` False) are compared with none.
    """
    levels: dict[int, Level] = {}
    found = []
    for index in range(len(reduced.frames) - 1):
        if not (trusted[index] and trusted[index + 1]):
            continue
        for one in (index, index + 1):
            if one not in levels:
                levels[one] = level(greys(reduced.frames[one]))
        if _largest(_moved(reduced, index, levels[index], levels[index + 1])) >= LEAST_SHARE:
            found.append(index)
        levels.pop(index, None)
    return found


def _moved(reduced: Reduced, index: int, dark: Level, bright: Level) -> Mask:
    differs = _restructured(dark, bright)
    differs[:EDGE_PX], differs[-EDGE_PX:] = False, False
    differs[:, :EDGE_PX], differs[:, -EDGE_PX:] = False, False
    for seen in reduced.seen[index : index + 2]:
        if seen is not None:
            differs &= seen
    if differs.any():
        still, other = (floats(frame) for frame in reduced.frames[index : index + 2])
        differs &= disagreement(still, other, curve_between(reduced, index, index + 1)) > AUTO_THRESHOLD
    return differs


def _restructured(one: Level, other: Level) -> Mask:
    """Where both are well exposed, at least one has structure, and the two do not agree about it."""
    import cv2

    joint = one.trust * other.trust
    clear = cv2.erode((joint > 1e-3).astype(np.uint8), np.ones((5, 5), np.uint8))
    weight = np.minimum(4 * joint, 1) * clear
    a, b = (
        np.clip(cv2.GaussianBlur(detail(side, weight).value, (0, 0), 0.8), -STRUCTURE, STRUCTURE)
        for side in (one, other)
    )
    mass = _about(weight) + np.float32(1e-3)
    power_a, power_b, common = (
        np.maximum(_about(weight * p * q), 0) / mass for p, q in ((a, a), (b, b), (a, b))
    )
    contrast = np.sqrt(np.maximum(power_a, power_b))
    alike = common / np.sqrt(power_a * power_b + np.float32(1e-6))
    return np.asarray((alike < ALIKE) & (contrast > CONTRAST) & (mass > 0.3))


def _about(plane: Plane) -> Plane:
    import cv2

    mean: Plane = cv2.blur(plane, (WINDOW_PX, WINDOW_PX))
    return mean


def _largest(mask: Mask) -> float:
    """The share of the picture that the largest piece takes; gaps of a few pixels do not part pieces."""
    import cv2

    if not mask.any():
        return 0.0
    joined = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    return float(stats[1:, cv2.CC_STAT_AREA].max()) / mask.size
