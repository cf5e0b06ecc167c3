"""Metrics from models of human vision: Q_CB, Q_CV and the fusion version of VIF. R, G, B averaged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mefcli.evaluation.metrics.picture import Picture, Real, derivatives, filtered, smoothed


@lru_cache(maxsize=8)
def _radius(height: int, width: int, divisor: float) -> Real:
    """Distance from zero frequency on the half spectrum: Nyquist is side / divisor, `(H, W // 2 + 1)`."""
    down = 2 * np.fft.fftfreq(height) * height / divisor
    across = 2 * np.fft.rfftfreq(width) * width / divisor
    return np.asarray(np.hypot(down[:, None], across[None]))


def _dft_filtered(x: Real, transfer: Real) -> Real:
    """Periodic filter of `(H, W, C)` by a transfer function on the half spectrum."""
    spectrum = np.fft.rfft2(x, axes=(0, 1))
    # The half spectrum runs along the last transformed axis, the columns.
    return np.fft.irfft2(spectrum * transfer[..., None], s=(x.shape[0], x.shape[1]), axes=(0, 1))


# ---- Chen and Blum 2009 ----------------------------------------------------------------------------------


def _masked_contrast(picture: Picture) -> Real:
    if "masked contrast" not in picture.kept:
        r = _radius(*picture.shape, 30.0)
        transfer = np.exp(-((r / 15.3870) ** 2)) - 0.7622 * np.exp(-((r / 1.3456) ** 2))
        z = _dft_filtered(picture.stretched_from_unit, transfer)
        at = np.arange(-15, 16)
        narrow, wide = (np.exp(-(at**2) / (2.0 * s * s)) / (np.sqrt(2 * np.pi) * s) for s in (2, 4))
        near, far = filtered(z, narrow, narrow, "zero"), filtered(z, wide, wide, "zero")
        with np.errstate(divide="ignore", invalid="ignore"):
            k = np.abs(near / far - 1)
        k = np.nan_to_num(k, nan=0.0, posinf=1e6)
        picture.kept["masked contrast"] = k**3 / (k * k + 1e-4)
    return np.asarray(picture.kept["masked contrast"])


def chen_blum(inputs: Sequence[Picture], fused: Picture) -> float:
    """Q_CB: how much of the inputs' masked local contrast the result keeps."""
    k_a, k_b, k_f = (_masked_contrast(p) for p in (*inputs, fused))
    kept = []
    for k in (k_a, k_b):
        largest = np.maximum(k, k_f)
        kept.append(np.where(largest > 0, np.minimum(k, k_f) / np.where(largest > 0, largest, 1), 1.0))
    squares_a, squares_b = k_a * k_a, k_b * k_b
    total = squares_a + squares_b
    share = np.where(total > 0, squares_a / np.where(total > 0, total, 1), 0.5)
    return float((share * kept[0] + (1 - share) * kept[1]).mean())


# ---- Chen and Varshney 2007 ------------------------------------------------------------------------------


def _blocks(x: Real) -> Real:
    """Sums over 16x16 blocks, zero-padded at the right and at the bottom, `(rows, columns, C)`."""
    height, width, channels = x.shape
    padded = np.pad(x, ((0, -height % 16), (0, -width % 16), (0, 0)))
    return np.asarray(padded.reshape(padded.shape[0] // 16, 16, -1, 16, channels).sum((1, 3)))


def _salience(picture: Picture) -> Real:
    if "salience" not in picture.kept:
        across, down = derivatives(picture.stretched, 2.0, "zero")
        square = across * across + down * down
        picture.kept["salience"] = _blocks(square * square * np.sqrt(square))
    return np.asarray(picture.kept["salience"])


def chen_varshney(inputs: Sequence[Picture], fused: Picture) -> float:
    """Q_CV: visible difference in blocks, weighted by the inputs' edges. Smaller is better."""
    r = 0.144 * _radius(*fused.shape, 8.0)
    transfer = 2.6 * (0.0192 + r) * np.exp(-(r**1.1))
    above, below = np.zeros(3), np.zeros(3)
    for x in inputs:
        visible = _dft_filtered(x.stretched - fused.stretched, transfer)
        weight = _salience(x)
        above += (weight * _blocks(visible * visible) / 256).sum((0, 1))
        below += weight.sum((0, 1))
    return float(np.divide(above, below, out=np.zeros(3), where=below > 0).mean())


# ---- visual information fidelity for fusion, Han 2013 ----------------------------------------------------

VIF_NOISE = 0.005 * 255**2
VIF_SCALES = ((17, 1.0), (9, 0.0), (5, 0.15), (3, 1.0))  # window size, weight


def _vif_scale(sources: Sequence[Real], fused: Real, size: int) -> Real:
    """Fidelity at one scale, per channel."""
    tiny = 1e-10
    sigma = size / 5
    mean_f = smoothed(fused, size, sigma)
    var_f = np.maximum(smoothed(fused * fused, size, sigma) - mean_f * mean_f, 0)
    best_gain: Real | None = None
    for x in sources:
        mean = smoothed(x, size, sigma)
        var = np.maximum(smoothed(x * x, size, sigma) - mean * mean, 0)
        cov = smoothed(x * fused, size, sigma) - mean * mean_f
        gain = cov / (var + tiny)
        rest = var_f - gain * cov
        flat = var < tiny
        gain[flat], var[flat] = 0.0, 0.0
        rest[flat] = var_f[flat]
        flat = var_f < tiny
        gain[flat], rest[flat] = 0.0, 0.0
        against = gain < 0
        rest[against] = var_f[against]
        gain[against] = 0.0
        rest = np.maximum(rest, tiny)
        if best_gain is None:
            best_gain, best_var, best_rest = gain, var, rest
        else:
            take = gain <= best_gain  # the later, brighter source on ties
            best_gain = np.where(take, gain, best_gain)
            best_var = np.where(take, var, best_var)
            best_rest = np.where(take, rest, best_rest)
    assert best_gain is not None
    told = np.log10(1 + best_gain * best_gain * best_var / (best_rest + VIF_NOISE))
    there = np.log10(1 + best_var / VIF_NOISE)
    return np.asarray((told + 1e-7).sum((0, 1)) / (there + 1e-7).sum((0, 1)))


def visual_fidelity(inputs: Sequence[Picture], fused: Picture) -> float:
    """VIF for fusion (VIFF): can exceed 1 where the result has more contrast than its inputs."""
    sources, f = [x.values for x in inputs], fused.values
    total, weights = np.zeros(3), 0.0
    for index, (size, weight) in enumerate(VIF_SCALES):
        if index:
            sources = [np.ascontiguousarray(smoothed(x, size, size / 5)[::2, ::2]) for x in sources]
            f = np.ascontiguousarray(smoothed(f, size, size / 5)[::2, ::2])
        if weight:
            total += weight * _vif_scale(sources, f, size)
            weights += weight
    return float((total / weights).mean())
