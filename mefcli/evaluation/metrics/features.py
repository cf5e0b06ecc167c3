"""Metrics from image features: gradients, contrast, and the edges that the result keeps. R, G, B averaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mefcli.evaluation.metrics.picture import Picture, derivatives


def average_gradient(_: Sequence[Picture], fused: Picture) -> float:
    """AG: central differences, one-sided at the border, over (H-1)(W-1)."""
    down, across = np.gradient(fused.values, axis=(0, 1))
    height, width = fused.shape
    total = np.sqrt((across * across + down * down) / 2).sum((0, 1))
    return float(np.mean(total / ((height - 1) * (width - 1))))


def edge_intensity(_: Sequence[Picture], fused: Picture) -> float:
    """EI: mean Sobel magnitude, border repeated."""
    across, down = derivatives(fused.values, 2.0, "repeat")
    return float(np.sqrt(across * across + down * down).mean())


def standard_deviation(_: Sequence[Picture], fused: Picture) -> float:
    """SD: population standard deviation."""
    return float(fused.values.std(axis=(0, 1)).mean())


def spatial_frequency(_: Sequence[Picture], fused: Picture) -> float:
    """SF: root of the summed squared differences across and down, both over n."""
    n = fused.shape[0] * fused.shape[1]
    x = fused.values
    across = (np.diff(x, axis=1) ** 2).sum((0, 1)) / n
    down = (np.diff(x, axis=0) ** 2).sum((0, 1)) / n
    return float(np.sqrt(across + down).mean())


def edge_preservation(inputs: Sequence[Picture], fused: Picture) -> float:
    """Q_ABF (Xydeas and Petrovic 2000), with the published code's tie rule: equal strengths count as g_F."""
    g_f, angle_f = fused.edge_strength, fused.edge_angle
    kept, total = np.zeros(3), np.zeros(3)
    for x in inputs:
        g = x.edge_strength
        largest = np.maximum(g, g_f)
        strength = np.minimum(g, g_f) / np.where(largest > 0, largest, 1.0)
        tie = g == g_f
        strength[tie] = 255 * g_f[tie]  # the published code measures on values times 255
        direction = 1 - np.abs(x.edge_angle - angle_f) / (np.pi / 2)
        q = 0.9994 / (1 + np.exp(-15 * (strength - 0.5)))
        q *= 0.9879 / (1 + np.exp(-22 * (direction - 0.8)))
        kept += (q * g).sum((0, 1))
        total += g.sum((0, 1))
    return float(np.mean(np.divide(kept, total, out=np.zeros(3), where=total > 0)))
