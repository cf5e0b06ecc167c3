"""FMI (Haghighat 2011): mutual information of edge patterns in 3x3 windows.

A window is nine bits, so there are only 512 x 512 pairs of patterns: each pair that occurs is evaluated once
in the life of the process and looked up ever after.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefcli.evaluation.metrics.picture import Picture, Real, derivatives

_known: NDArray[np.float64] = np.full(512 * 512, np.nan)


def edge_map(channel: Real) -> NDArray[np.bool_]:
    """Thinned Sobel edges above four times the mean squared gradient, of values 0...255 `(H, W)`."""
    across, down = (d / 8 for d in derivatives(channel, 2.0, "repeat"))
    b = across * across + down * down
    strong = b > 4 * b.mean()
    # A neighbour outside of the picture counts as smaller.
    p = np.pad(b, 1, constant_values=-1.0)
    left, right, up, under = p[1:-1, :-2], p[1:-1, 2:], p[:-2, 1:-1], p[2:, 1:-1]
    across, down = np.abs(across), np.abs(down)
    horizontal = (across >= down) & (left <= b) & (b > right)
    vertical = (down >= across) & (up <= b) & (b > under)
    return np.asarray(strong & (horizontal | vertical))


def window_codes(edges: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Nine bits of each whole 3x3 window, column by column, the first position as the lowest bit."""
    height, width = edges.shape
    bits = edges.astype(np.int64)
    code = np.zeros((height - 2, width - 2), np.int64)
    for place in range(9):
        column, row = divmod(place, 3)
        code += bits[row : row + height - 2, column : column + width - 2] << place
    return code


def _evaluate(pairs: NDArray[np.int64]) -> Real:
    """The windows' value for pairs of patterns coded as 512 * x + f."""
    places = np.arange(9)
    patterns = ((np.arange(512)[:, None] >> places) & 1).astype(np.float64)
    patterns[0] = 1.0  # nothing marked: as good as everything marked
    p = patterns / patterns.sum(1, keepdims=True)
    cumulative = np.cumsum(p, axis=1)
    count = patterns.sum(1)
    mean = p @ (places + 1.0)
    spread = np.sqrt(np.maximum(p @ (places + 1.0) ** 2 - mean**2, 0))
    spread[count == 1] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = -np.where(p > 0, p * np.log2(p), 0).sum(1)

    x, f = pairs // 512, pairs % 512
    # Correlation of two 0-1 patterns from whole numbers, so that its sign and its zero are exact.
    numerator = 9 * (patterns[x] * patterns[f]).sum(1) - count[x] * count[f]
    below = np.sqrt((9 * count[x] - count[x] ** 2) * (9 * count[f] - count[f] ** 2))
    c = np.divide(numerator, below, out=np.zeros_like(below), where=below > 0)

    P_f, P_x = cumulative[f][:, :, None], cumulative[x][:, None, :]
    M = np.where((c >= 0)[:, None, None], np.minimum(P_f, P_x), np.maximum(P_f + P_x - 1, 0))
    scale = spread[f] * spread[x]
    k = np.divide((M - P_f * P_x).sum((1, 2)), scale, out=np.zeros_like(scale), where=scale > 0)
    w = np.divide(c, k, out=np.zeros_like(k), where=(k != 0) & (c != 0))[:, None, None]
    difference = np.diff(np.diff(M, axis=1, prepend=0), axis=2, prepend=0)
    joint = w * difference + (1 - w) * p[f][:, :, None] * p[x][:, None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        together = -np.where(joint != 0, joint * np.log2(np.abs(joint)), 0).sum((1, 2))
    apart = bits[x] + bits[f]
    shared = 2 * (apart - together)
    return np.asarray(np.divide(shared, apart, out=np.zeros_like(apart), where=(apart > 0) & (shared != 0)))


def window_values(codes_x: NDArray[np.int64], codes_f: NDArray[np.int64]) -> float:
    """Mean value over the windows of two pictures' codes."""
    counts = np.bincount((codes_x * 512 + codes_f).ravel(), minlength=512 * 512)
    occurring = np.flatnonzero(counts)
    unknown = occurring[np.isnan(_known[occurring])]
    same = unknown // 512 == unknown % 512
    _known[unknown[same]] = 1.0
    unknown = unknown[~same]
    for start in range(0, unknown.size, 2048):  # 2048 pairs keep every array within the cache
        part = unknown[start : start + 2048]
        _known[part] = _evaluate(part)
    return float((counts[occurring] * _known[occurring]).sum() / counts.sum())


def _codes(picture: Picture) -> list[NDArray[np.int64]]:
    if "edge codes" not in picture.kept:
        picture.kept["edge codes"] = [window_codes(edge_map(picture.values[..., c])) for c in range(3)]
    codes: list[NDArray[np.int64]] = picture.kept["edge codes"]
    return codes


def feature_mutual_information(inputs: Sequence[Picture], fused: Picture) -> float:
    """FMI: mean over windows, inputs and channels."""
    return float(
        np.mean(
            [
                window_values(c_x, c_f)
                for x in inputs
                for c_x, c_f in zip(_codes(x), _codes(fused), strict=True)
            ]
        )
    )
