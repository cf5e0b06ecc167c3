"""Metrics from information theory: histograms of values, and of pairs of values. R, G and B averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.evaluation.metrics.picture import Picture, Real

TE_ORDER = 1.85  # q of Tsallis entropy


def entropy(p: Real) -> float:
    """Shannon entropy in bits; 0 log 0 = 0."""
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def joint_histogram(x: NDArray[Any], y: NDArray[Any]) -> Real:
    """Joint probabilities of two channels of integer values 0...255, `(256, 256)`: row x, column y."""
    code = x.astype(np.int64).ravel() * 256 + y.astype(np.int64).ravel()
    return np.bincount(code, minlength=65536).reshape(256, 256) / code.size


def mutual_information(joint: Real) -> float:
    """H(x) + H(y) - H(x, y) in bits."""
    return entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint)


def _stretched_joint(x: Picture, f: Picture, channel: int) -> Real:
    """Joint histogram of stretched channels, remembered: three metrics ask for it."""
    key = f"joint{channel}-{x.serial}"
    if key not in f.kept:
        f.kept[key] = joint_histogram(x.stretched[..., channel], f.stretched[..., channel])
    return np.asarray(f.kept[key])


def cross_entropy(inputs: Sequence[Picture], fused: Picture) -> float:
    """CE: sum p_X log2(p_X / p_F) over values that occur in both; mean over inputs."""
    total = 0.0
    for x in inputs:
        for p, q in zip(x.histogram, fused.histogram, strict=True):
            both = (p > 0) & (q > 0)
            total += float((p[both] * np.log2(p[both] / q[both])).sum())
    return total / (3 * len(inputs))


def value_entropy(_: Sequence[Picture], fused: Picture) -> float:
    """EN: entropy of the result's values."""
    return float(np.mean([entropy(p) for p in fused.histogram]))


def normalised_mutual_information(inputs: Sequence[Picture], fused: Picture) -> float:
    """NMI: sum over inputs of 2 I(X, F) / (H(X) + H(F)), stretched."""
    total = 0.0
    for x in inputs:
        for c in range(3):
            joint = _stretched_joint(x, fused, c)
            both = entropy(joint.sum(1)) + entropy(joint.sum(0))
            total += 2 * mutual_information(joint) / both if both > 0 else 0.0
    return total / 3


def peak_ratio(inputs: Sequence[Picture], fused: Picture) -> float:
    """PSNR as the benchmark has it: the error is a root sum of squares over n, averaged inside the log."""
    n = fused.shape[0] * fused.shape[1]
    scores = []
    for c in range(3):
        error = np.mean([np.sqrt(((x.values[..., c] - fused.values[..., c]) ** 2).sum()) / n for x in inputs])
        scores.append(20 * np.log10(255 / np.sqrt(error)) if error > 0 else np.inf)
    return float(np.mean(scores))


def nonlinear_correlation(inputs: Sequence[Picture], fused: Picture) -> float:
    """Q_NCIE: entropy of the eigenvalues of the matrix of mutual informations over 8 bits."""
    a, b = inputs
    scores = []
    for c in range(3):
        ab = mutual_information(_stretched_joint(a, b, c)) / 8
        af = mutual_information(_stretched_joint(a, fused, c)) / 8
        bf = mutual_information(_stretched_joint(b, fused, c)) / 8
        values = np.linalg.eigvalsh(np.array([[1, ab, af], [ab, 1, bf], [af, bf, 1]])) / 3
        values = values[values > 0]
        scores.append(1 + (values * np.log2(values)).sum() / 8)
    return float(np.mean(scores))


def tsallis_entropy(inputs: Sequence[Picture], fused: Picture) -> float:
    """TE, with the transposed marginals of the published code; dominated by a few scenes."""
    total = 0.0
    for x in inputs:
        for c in range(3):
            joint = _stretched_joint(x, fused, c)
            p_x, p_f = joint.sum(1), joint.sum(0)
            below = np.outer(p_f, p_x)
            used = (below > 0) & (joint > 0)
            ratio = (joint[used] ** TE_ORDER / below[used] ** (TE_ORDER - 1)).sum()
            total += (1 - ratio) / (1 - TE_ORDER)
    return float(total / 3)


def total_mutual_information(inputs: Sequence[Picture], fused: Picture) -> float:
    """MI: sum over inputs of I(X, F) in bits, not stretched."""
    total = 0.0
    for x in inputs:
        for c in range(3):
            total += mutual_information(joint_histogram(x.bytes[..., c], fused.bytes[..., c]))
    return total / 3


def correlation(inputs: Sequence[Picture], fused: Picture) -> float:
    """CC: mean Pearson correlation of input and result; 0 where one of them is constant."""
    total = 0.0
    for x in inputs:
        for c in range(3):
            a = x.values[..., c] - x.values[..., c].mean()
            f = fused.values[..., c] - fused.values[..., c].mean()
            norm = np.sqrt((a * a).sum() * (f * f).sum())
            total += (a * f).sum() / norm if norm > 0 else 0.0
    return float(total / (3 * len(inputs)))
