"""Metrics of structural similarity: MEF-SSIM (gray, any number of inputs), Q_W, Q_C and Q_Y (pairs)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import UsageError
from mefcli.evaluation.metrics.picture import Picture, Real, derivatives, filtered, gaussian_taps, smoothed

CVEJIC_CONSTANT = 2e-16  # C1 and C2 of Q_C and Q_Y: practically none


def mef_ssim(inputs: Sequence[Picture], fused: Picture) -> float:
    """MEF-SSIM (Ma 2015), three scales: the differentiable measure, in double precision on 8-bit luma."""
    import torch

    from mefnets import measures

    if min(fused.shape) < 44:
        raise UsageError(f"MEF-SSIM needs pictures of at least 44 pixels a side, not {fused.shape}.")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # planes this small cost more in waiting threads than in arithmetic
    try:
        frames = torch.from_numpy(np.stack([x.gray for x in inputs])[None, :, None] / 255)
        return float(measures.mef_ssim(frames, torch.from_numpy(fused.gray[None, None] / 255)))
    finally:
        torch.set_num_threads(threads)


def _edges(picture: Picture) -> Real:
    """Prewitt magnitude, zero border, with its window mean and mean square: `(3, H, W, 3)` in a list."""
    if "prewitt" not in picture.kept:
        across, down = derivatives(picture.values, 1.0, "zero")
        picture.kept["prewitt"] = np.sqrt(across * across + down * down)
    return np.asarray(picture.kept["prewitt"])


def _edge_moments(picture: Picture) -> tuple[Real, Real]:
    """Window mean and variance of the edge image."""
    if "prewitt moments" not in picture.kept:
        e = _edges(picture)
        mean = smoothed(e, 11, 1.5)
        picture.kept["prewitt moments"] = (mean, smoothed(e * e, 11, 1.5) - mean * mean)
    moments: tuple[Real, Real] = picture.kept["prewitt moments"]
    return moments


def weighted_edges(inputs: Sequence[Picture], fused: Picture) -> float:
    """Q_W (Piella 2003, edge dependent): SSIM of edge images where the inputs have edges."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_f, var_f = _edge_moments(fused)
    similar, variances = [], []
    for x in inputs:
        mean, var = _edge_moments(x)
        cov = smoothed(_edges(x) * _edges(fused), 11, 1.5) - mean * mean_f
        similar.append(
            (2 * mean * mean_f + c1)
            * (2 * cov + c2)
            / ((mean * mean + mean_f * mean_f + c1) * (var + var_f + c2))
        )
        variances.append(var)
    v_a, v_b = variances
    nothing = (v_a == 0) & (v_b == 0)
    share = np.where(nothing, 0.5, v_a / np.where(v_a + v_b == 0, 1.0, v_a + v_b))
    salience = np.where(nothing, 0.5, np.maximum(v_a, v_b))
    local = share * similar[0] + (1 - share) * similar[1]
    return float(((salience * local).sum((0, 1)) / salience.sum((0, 1))).mean())


def _window_sums(x: Real) -> Real:
    # The 2-D weights sum to 1 - 2e-15: that tiny, systematic deficit is what the published values contain.
    taps = gaussian_taps(7, 1.5) * (1 - 1e-15)
    return filtered(x, taps, taps, "valid")


def _constant_windows(picture: Picture) -> NDArray[np.bool_]:
    """True where all 7x7 values of a window are the same."""
    import cv2

    box = np.ones((7, 7), np.uint8)
    # Both borders are cropped away again, so what is outside does not matter.
    low, high = cv2.erode(picture.bytes, box), cv2.dilate(picture.bytes, box)
    return np.asarray((low == high)[3:-3, 3:-3])


def _moments(picture: Picture, settled: bool) -> tuple[Real, Real]:
    """Window mean and variance; `settled` sets the variance of constant windows to exactly 0."""
    key = f"moments {settled}"
    if key not in picture.kept:
        mean = _window_sums(picture.values)
        variance = _window_sums(picture.values**2) - mean * mean
        if settled:
            variance = np.where(_constant_windows(picture), 0.0, variance)
        picture.kept[key] = (mean, variance)
    moments: tuple[Real, Real] = picture.kept[key]
    return moments


def _compare(x: Picture, y: Picture, settled: bool) -> tuple[Real, Real]:
    """SSIM map without constants, and covariance."""
    key = f"compare {settled} {x.serial}"
    if key not in y.kept:
        (mx, vx), (my, vy) = _moments(x, settled), _moments(y, settled)
        cov = _window_sums(x.values * y.values) - mx * my
        if settled:
            cov = np.where(_constant_windows(x) | _constant_windows(y), 0.0, cov)
        c = CVEJIC_CONSTANT
        similar = (2 * mx * my + c) * (2 * cov + c) / ((mx * mx + my * my + c) * (vx + vy + c))
        y.kept[key] = (similar, cov)
    pair: tuple[Real, Real] = y.kept[key]
    return pair


def _cvejic(inputs: Sequence[Picture], fused: Picture, settled: bool) -> float:
    a, b = inputs
    (s_a, c_a), (s_b, c_b) = _compare(a, fused, settled), _compare(b, fused, settled)
    with np.errstate(divide="ignore", invalid="ignore"):
        w = c_a / (c_a + c_b)
        q = w * s_a + (1 - w) * s_b
    q[w < 0] = 0.0
    q[w > 1] = 1.0
    return _mean_of_defined(q)


def _yang(inputs: Sequence[Picture], fused: Picture, settled: bool) -> float:
    a, b = inputs
    s_a, s_b = _compare(a, fused, settled)[0], _compare(b, fused, settled)[0]
    s_ab = _compare(a, b, settled)[0]
    v_a, v_b = _moments(a, settled)[1], _moments(b, settled)[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = v_a / (v_a + v_b)
    q = np.where(s_ab >= 0.75, share * s_a + (1 - share) * s_b, np.maximum(s_a, s_b))
    return _mean_of_defined(np.where(np.isnan(share), np.nan, q))


def _mean_of_defined(q: Real) -> float:
    """Mean over positions that are not NaN, channel by channel, then over the channels."""
    defined = ~np.isnan(q)
    count = defined.sum((0, 1))
    total = np.where(defined, q, 0.0).sum((0, 1))
    return float(np.mean(total[count > 0] / count[count > 0])) if (count > 0).any() else float("nan")


def cvejic(inputs: Sequence[Picture], fused: Picture) -> float:
    """Q_C (Cvejic 2005) as published values have it: constant windows are decided by rounding residue."""
    return _cvejic(inputs, fused, settled=False)


def cvejic_settled(inputs: Sequence[Picture], fused: Picture) -> float:
    """Q_C0: the same with variance and covariance of constant windows exactly 0; well defined."""
    return _cvejic(inputs, fused, settled=True)


def yang(inputs: Sequence[Picture], fused: Picture) -> float:
    """Q_Y (Yang 2008) as published values have it."""
    return _yang(inputs, fused, settled=False)


def yang_settled(inputs: Sequence[Picture], fused: Picture) -> float:
    """Q_Y0: the same with variance and covariance of constant windows exactly 0; well defined."""
    return _yang(inputs, fused, settled=True)
