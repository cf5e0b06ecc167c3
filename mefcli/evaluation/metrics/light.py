"""PSNR-mu: how near one light is to another, as an eye sees it after tone mapping.

Both are linear, 1 at one white, and are compressed by log(1 + 5000 x) / log(5001), as papers on moving scenes
have it since Kalantari and Ramamoorthi (2017). Not one of `METRICS`, which measure pictures of 8 bits.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MU = 5000.0


def compressed(light: NDArray[np.floating]) -> NDArray[np.floating]:
    """Linear light in [0, 1] after mu-law; what lies beyond is clipped."""
    return np.asarray(np.log1p(MU * np.clip(light, 0, 1)) / math.log1p(MU), light.dtype)


def psnr_mu(light: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Decibels; infinite where both are the same."""
    error = compressed(light.astype(np.float64)) - compressed(truth.astype(np.float64))
    mean = float(np.square(error).mean())
    return -10 * math.log10(mean) if mean > 0 else math.inf
