"""TMQI (Yeganeh and Wang 2013): a picture against the light of its scene.

Structural fidelity: at five scales, whether contrast that an eye sees in the radiance is seen in the picture,
and has its shape. Naturalness: whether brightness and contrast are those of photographs. As the paper and its
authors' code have it: radiance stretched to 32 bits, windows of 11 pixels, naturalness from blocks of 11
(whole ones, where theirs fills up with zeros).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mefcli.evaluation.metrics.picture import Picture, Real, smoothed

LUMA = np.array([0.2126, 0.7152, 0.0722])
MOST_LIGHT = 2.0**32 - 1
SHARE, FIDELITY_POWER, NATURALNESS_POWER = 0.8012, 0.3046, 0.7088
LEVELS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW_PX, SIGMA = 11, 1.5
C1, C2 = 0.01, 10.0
FIRST_FREQUENCY = 16.0  # cycles a degree at the finest scale; half of it at each next
BRIGHT, BRIGHT_SPREAD = 115.94, 27.99  # of photographs' mean luma
CONTRAST_A, CONTRAST_B, CONTRAST_MOST = 4.4, 10.1, 64.29  # beta distribution of their contrast
SMALLEST_SIDE_PX = WINDOW_PX * 2 ** (len(LEVELS) - 1)

Radiance = NDArray[np.floating]


def tmqi(radiance: Radiance, fused: Picture) -> float:
    """0 to 1. NaN for pictures whose coarsest scale does not hold a window."""
    if min(fused.shape) < SMALLEST_SIDE_PX:
        return math.nan
    light = radiance.astype(np.float64) @ LUMA if radiance.ndim == 3 else radiance.astype(np.float64)
    luma = fused.values.astype(np.float64) @ LUMA
    fidelity, natural = structural_fidelity(light, luma), naturalness(luma)
    return float(SHARE * fidelity**FIDELITY_POWER + (1 - SHARE) * natural**NATURALNESS_POWER)


def structural_fidelity(light: Real, luma: Real) -> float:
    least, most = float(light.min()), float(light.max())
    light = (light - least) * (MOST_LIGHT / max(most - least, 1e-12))
    found, frequency = 1.0, FIRST_FREQUENCY
    for weight in LEVELS:
        found *= max(_fidelity(light, luma, frequency), 0.0) ** weight
        light, luma = _halved(light), _halved(luma)
        frequency /= 2
    return found


def _fidelity(light: Real, luma: Real, frequency: float) -> float:
    mean_light, mean_luma = (smoothed(x, WINDOW_PX, SIGMA) for x in (light, luma))
    spread_light = np.sqrt(np.maximum(smoothed(light * light, WINDOW_PX, SIGMA) - mean_light**2, 0))
    spread_luma = np.sqrt(np.maximum(smoothed(luma * luma, WINDOW_PX, SIGMA) - mean_luma**2, 0))
    together = smoothed(light * luma, WINDOW_PX, SIGMA) - mean_light * mean_luma
    seen_light, seen_luma = _seen(spread_light, frequency), _seen(spread_luma, frequency)
    strength = (2 * seen_light * seen_luma + C1) / (seen_light**2 + seen_luma**2 + C1)
    shape = (together + C2) / (spread_light * spread_luma + C2)
    return float((strength * shape).mean())


def _seen(spread: Real, frequency: float) -> Real:
    """The chance that an eye sees a contrast of this spread, at a frequency in cycles a degree."""
    bent = 0.114 * frequency
    sensitivity = 100 * 2.6 * (0.0192 + bent) * math.exp(-(bent**1.1))
    threshold = 128 / (1.4 * sensitivity)
    return _normal((spread - threshold) / (threshold / 3))


def _normal(x: Real) -> Real:
    """The distribution function of the standard normal distribution."""
    erf = np.frompyfunc(math.erf, 1, 1)
    return np.asarray(0.5 * (1 + erf(np.clip(x, -9, 9) / math.sqrt(2)).astype(np.float64)))


def _halved(x: Real) -> Real:
    """Means of two by two, the last row and column repeated where they stand alone."""
    x = np.pad(x, [(0, side % 2) for side in x.shape], mode="edge")
    return np.asarray(x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean((1, 3)))


def naturalness(luma: Real) -> float:
    height, width = (side // WINDOW_PX * WINDOW_PX for side in luma.shape)
    blocks = luma[:height, :width].reshape(height // WINDOW_PX, WINDOW_PX, width // WINDOW_PX, WINDOW_PX)
    contrast = float(blocks.std(axis=(1, 3), ddof=1).mean()) / CONTRAST_MOST
    bright = math.exp(-(((float(luma.mean()) - BRIGHT) / BRIGHT_SPREAD) ** 2) / 2)
    mode = (CONTRAST_A - 1) / (CONTRAST_A + CONTRAST_B - 2)
    return bright * _beta(contrast) / _beta(mode)


def _beta(x: float) -> float:
    """The beta density but for its constant, which cancels."""
    return x ** (CONTRAST_A - 1) * (1 - x) ** (CONTRAST_B - 1) if 0 < x < 1 else 0.0
