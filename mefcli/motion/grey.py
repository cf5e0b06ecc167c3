"""Pictures made for measuring motion: small, grey, logarithmic, with a weight for every pixel.

In the logarithm of linear light an exposure step is a constant, so after a high-pass two exposures of one
scene look the same wherever both are well exposed. The weight says where that is: it fades out towards
white, and falls with the square of the signal towards black, where noise and rounding take over.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.geometry import IDENTITY
from mefcli.values import Matrix, Pixels

Plane = NDArray[np.float32]  # (H, W)
Greys = NDArray[np.float32]  # (H, W, 2): luminance and brightest channel, display-referred, in [0, 1]


@dataclass(frozen=True)
class Level:
    """One size of one frame, before any comparison."""

    stops: Plane  # log2 of linear light
    trust: Plane  # 0..1

    @property
    def size_px(self) -> tuple[int, int]:
        return self.stops.shape[1], self.stops.shape[0]


@dataclass(frozen=True)
class Detail:
    """What a frame looks like without its exposure, and how far each pixel is to be trusted."""

    value: Plane  # high-passed stops
    weight: Plane  # 0..1

    @cached_property
    def smooth(self) -> Plane:
        """As motion looks at it: derivatives and positions between pixels want no single pixel's noise."""
        import cv2

        result: Plane = cv2.GaussianBlur(self.value, (0, 0), 0.7)
        return result


def greys(small: Pixels) -> Greys:
    import cv2

    scale = {"uint8": 1 / 255, "uint16": 1 / 65535}.get(small.dtype.name, 1.0)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    brightest = np.maximum(np.maximum(small[..., 0], small[..., 1]), small[..., 2])
    both = np.stack([grey, brightest], axis=2).astype(np.float32) * np.float32(scale)
    result: Greys = np.clip(both, 0.0, 1.0)
    return result


def level(greys: Greys, full_trust: float = 0.17) -> Level:
    """`full_trust` is the coded grey from which on noise no longer matters; lower for averaged pictures."""
    stops = np.log2(_linear(greys[..., 0]) + np.float32(2e-4))
    return Level(stops, _trust(greys, full_trust))


def detail(level: Level, trust: Plane | None = None) -> Detail:
    """High-pass of the logarithm, averaged over trusted neighbours (`trust`: the level's own if None)."""
    weight = level.trust if trust is None else trust
    return _details(weight, level.stops)[0]


def _details(weight: Plane, *several: Plane) -> list[Detail]:
    """Each of several frames' stops, high-passed over the same trusted pixels."""
    mass = _blur(weight) + np.float32(1e-3)
    # A pixel whose neighbourhood is mostly clipped has a one-sided mean: trust it less.
    trust = weight * np.clip(mass * np.float32(1.25), 0, 1) ** 2
    return [Detail(stops - _blur(stops * weight) / mass, trust) for stops in several]


def _blur(plane: Plane) -> Plane:
    """About a Gaussian of 3.7 px, at a price that does not depend on it."""
    import cv2

    result: Plane = cv2.blur(cv2.blur(plane, (9, 9)), (9, 9))
    return result


def joint_details(reference: Level, frame: Level, matrix: Matrix) -> tuple[Detail, Detail]:
    """Both frames where the reference has them, high-passed over the same trusted pixels.

    With a mask each, the two local means would be taken over different pixels wherever one frame clips, and
    the difference, largest along the edges of windows and lamps, would pull at the motion.
    """
    import cv2

    stops, trust = (frame.stops, frame.trust) if np.array_equal(matrix, IDENTITY) else _moved(frame, matrix)
    joint = reference.trust * trust
    # What is clipped in one frame reaches its neighbours through interpolation and derivative.
    reach = 5 if min(joint.shape) > 300 else 3
    clear = cv2.erode((joint > 1e-3).astype(np.uint8), np.ones((reach, reach), np.uint8))
    joint *= clear
    one, other = _details(joint, reference.stops, stops)
    return one, other


def _moved(frame: Level, matrix: Matrix) -> tuple[Plane, Plane]:
    import cv2

    # Linear blurs but does not shift. OpenCV's cubic (a = -0.75) does, by up to 0.035 px; its Lanczos4 rounds
    # positions to 1/32 px.
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    stops = cv2.warpPerspective(
        frame.stops, matrix, frame.size_px, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return stops, cv2.warpPerspective(frame.trust, matrix, frame.size_px, flags=flags)


def _linear(grey: Plane) -> Plane:
    """sRGB decoding; a camera's own curve differs by a slope, which the fit takes as a gain."""
    low = grey / np.float32(12.92)
    high = ((grey + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    result: Plane = np.where(grey <= 0.04045, low, high)
    return result


def _trust(greys: Greys, full_trust: float) -> Plane:
    """A pixel is useless once its brightest channel clips, whatever its luminance says."""
    dark = np.clip((greys[..., 0] - np.float32(0.008)) / np.float32(full_trust - 0.008), 0, 1)
    bright = np.clip((np.float32(0.985) - greys[..., 1]) / np.float32(0.05), 0, 1)
    result: Plane = dark * dark * bright
    return result


def halve(greys: Greys) -> Greys:
    """Half the size by averaging; odd rows and columns at the end are dropped with their half pixel."""
    import cv2

    height, width = greys.shape[0] // 2 * 2, greys.shape[1] // 2 * 2
    result: Greys = cv2.resize(
        greys[:height, :width], (width // 2, height // 2), interpolation=cv2.INTER_AREA
    )
    return result
