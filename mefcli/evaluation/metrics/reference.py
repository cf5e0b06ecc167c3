"""Metrics against a reference picture: PSNR, SSIM, FSIM and CIEDE2000."""

from __future__ import annotations

import numpy as np

from mefcli.evaluation.metrics.phase import feature_similarity
from mefcli.evaluation.metrics.picture import Picture, Real, smoothed

D65 = np.array([0.95047, 1.0, 1.08883])
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def _psnr(x: Real, y: Real) -> float:
    error = float(((x - y) ** 2).mean())
    return float(10 * np.log10(255**2 / error)) if error > 0 else float("inf")


def psnr(truth: Picture, fused: Picture) -> float:
    return _psnr(truth.values, fused.values)


def psnr_luma(truth: Picture, fused: Picture) -> float:
    return _psnr(truth.gray, fused.gray)


def _ssim(x: Real, y: Real) -> float:
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = smoothed(x, 11, 1.5), smoothed(y, 11, 1.5)
    vx, vy = smoothed(x * x, 11, 1.5) - mx * mx, smoothed(y * y, 11, 1.5) - my * my
    cov = smoothed(x * y, 11, 1.5) - mx * my
    return float((((2 * mx * my + c1) * (2 * cov + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean())


def ssim_gray(truth: Picture, fused: Picture) -> float:
    return _ssim(truth.gray, fused.gray)


def ssim_colour(truth: Picture, fused: Picture) -> float:
    return _ssim(truth.values, fused.values)


def fsim(truth: Picture, fused: Picture) -> float:
    return _both_fsim(truth, fused)[0]


def fsim_colour(truth: Picture, fused: Picture) -> float:
    return _both_fsim(truth, fused)[1]


def _both_fsim(truth: Picture, fused: Picture) -> tuple[float, float]:
    key = f"fsim {truth.serial}"
    if key not in fused.kept:
        fused.kept[key] = feature_similarity(truth, fused)
    pair: tuple[float, float] = fused.kept[key]
    return pair


def to_lab(values: Real) -> Real:
    """sRGB values 0...255 to CIELAB under D65."""
    v = values / 255
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    xyz = linear @ TO_XYZ.T / D65
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    lightness = 116 * f[..., 1] - 16
    return np.stack((lightness, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])), axis=-1)


def ciede2000(lab1: Real, lab2: Real) -> Real:
    """CIEDE2000 with kL = kC = kH = 1 (Sharma, Wu and Dalal 2005), any shape ending in 3."""
    l1, a1, b1 = np.moveaxis(lab1, -1, 0)
    l2, a2, b2 = np.moveaxis(lab2, -1, 0)
    c_mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(c_mean**7 / (c_mean**7 + 25.0**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    gray = c1 * c2 == 0
    turn = h2 - h1
    turn = np.where(turn > 180, turn - 360, np.where(turn < -180, turn + 360, turn))
    turn = np.where(gray, 0.0, turn)
    d_l, d_c = l2 - l1, c2 - c1
    d_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    l_mean, c_mean = (l1 + l2) / 2, (c1 + c2) / 2
    far = np.abs(h1 - h2) > 180
    h_mean = np.where(far, np.where(h1 + h2 < 360, h1 + h2 + 360, h1 + h2 - 360), h1 + h2) / 2
    h_mean = np.where(gray, h1 + h2, h_mean)
    t = (
        1
        - 0.17 * np.cos(np.radians(h_mean - 30))
        + 0.24 * np.cos(np.radians(2 * h_mean))
        + 0.32 * np.cos(np.radians(3 * h_mean + 6))
        - 0.20 * np.cos(np.radians(4 * h_mean - 63))
    )
    rotation = 30 * np.exp(-(((h_mean - 275) / 25) ** 2))
    r_c = 2 * np.sqrt(c_mean**7 / (c_mean**7 + 25.0**7))
    s_l = 1 + 0.015 * (l_mean - 50) ** 2 / np.sqrt(20 + (l_mean - 50) ** 2)
    s_c, s_h = 1 + 0.045 * c_mean, 1 + 0.015 * c_mean * t
    r_t = -np.sin(np.radians(2 * rotation)) * r_c
    light, c, h = d_l / s_l, d_c / s_c, d_h / s_h
    return np.asarray(np.sqrt(np.maximum(light * light + c * c + h * h + r_t * c * h, 0)))


def colour_difference(truth: Picture, fused: Picture) -> float:
    """Mean CIEDE2000 difference."""
    return float(ciede2000(to_lab(truth.values), to_lab(fused.values)).mean())
