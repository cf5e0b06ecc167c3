"""NIQE (Mittal, Soundararajan and Bovik 2013): how far a picture's local statistics are from photographs'.

Blocks of 96 x 96 pixels and their halves give 36 numbers each: shapes and widths of the locally normalised
luma and of its products with four neighbours. NIQE is the distance of their normal distribution from that of
sharp blocks of well exposed photographs. The model here is fitted on our free photographs (`fit`), so values
are comparable with each other and not with those of the model that its authors publish. Halving is by areas.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from io import BytesIO

import numpy as np

from mefcli.evaluation.metrics.picture import Picture, Real, smoothed

BLOCK_PX = 96
WINDOW_PX, SIGMA = 7, 7 / 6
SHARP = 0.75  # of a photograph's sharpest block; duller ones teach nothing
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
MODEL = "naturalness.npz"


@dataclass(frozen=True)
class Model:
    """The normal distribution of photographs' blocks."""

    mean: Real  # (36,)
    covariance: Real  # (36, 36)


@lru_cache(maxsize=1)
def model() -> Model:
    data = (files("mefcli.evaluation") / "data" / MODEL).read_bytes()
    with np.load(BytesIO(data)) as kept:
        return Model(kept["mean"].astype(np.float64), kept["covariance"].astype(np.float64))


def niqe(sources: object, fused: Picture) -> float:
    """NIQE of the result; the frames have no part in it. NaN for pictures smaller than two blocks."""
    features = block_features(fused.gray)[0]
    if len(features) < 2:
        return math.nan
    return distance(features, model())


def distance(features: Real, photographs: Model) -> float:
    mean, covariance = features.mean(0), np.cov(features, rowvar=False)
    away = mean - photographs.mean
    both = (covariance + photographs.covariance) / 2
    return float(np.sqrt(max(0.0, away @ np.linalg.pinv(both) @ away)))


def fit(photographs: Iterable[Real]) -> Model:
    """The model of grey photographs (0 to 255), from their sharp blocks."""
    found = []
    for grey in photographs:
        features, sharpness = block_features(grey)
        if len(features):
            found.append(features[sharpness > SHARP * sharpness.max()])
    blocks = np.concatenate(found)
    return Model(blocks.mean(0), np.cov(blocks, rowvar=False))


def save(found: Model) -> bytes:
    """A model as the bytes of its file."""
    data = BytesIO()
    np.savez(data, mean=found.mean.astype(np.float32), covariance=found.covariance.astype(np.float32))
    return data.getvalue()


def block_features(grey: Real) -> tuple[Real, Real]:
    """(blocks, 36) and the sharpness of each block. What does not fill a block is left out."""
    import cv2

    rows, columns = grey.shape[0] // BLOCK_PX, grey.shape[1] // BLOCK_PX
    if not rows or not columns:
        return np.zeros((0, 36)), np.zeros(0)
    fine = np.ascontiguousarray(grey[: rows * BLOCK_PX, : columns * BLOCK_PX], np.float64)
    half = cv2.resize(fine, (fine.shape[1] // 2, fine.shape[0] // 2), interpolation=cv2.INTER_AREA)
    halves, sharpness = [], np.zeros(rows * columns)
    for level, side in ((fine, BLOCK_PX), (half, BLOCK_PX // 2)):
        normalised, spread = _normalised(level)
        here = []
        for k in range(rows * columns):
            top, left = k // columns * side, k % columns * side
            place = slice(top, top + side), slice(left, left + side)
            here.append(_features(normalised[place]))
            if side == BLOCK_PX:
                sharpness[k] = spread[place].mean()
        halves.append(here)
    features = np.concatenate([np.array(half) for half in halves], 1)
    sound = np.isfinite(features).all(1)  # a flat block has no shape
    return features[sound], sharpness[sound]


def _normalised(grey: Real) -> tuple[Real, Real]:
    """Luma less its local mean, over its local spread; and the spread."""
    mean = smoothed(grey, WINDOW_PX, SIGMA, "repeat")
    spread = np.sqrt(np.abs(smoothed(grey * grey, WINDOW_PX, SIGMA, "repeat") - mean * mean))
    return (grey - mean) / (spread + 1), spread


def _features(block: Real) -> list[float]:
    """18 numbers: shape and width of the values, then shape, mean and both widths of four products."""
    shape, left, right = asymmetric_shape(block.ravel())
    found = [shape, (left + right) / 2]
    for down, across in NEIGHBOURS:
        products = block * np.roll(block, (down, across), (0, 1))
        shape, left, right = asymmetric_shape(products.ravel())
        mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape) if shape else math.nan
        found += [shape, mean, left, right]
    return found


@lru_cache(maxsize=1)
def _shapes() -> tuple[Real, Real]:
    """Shapes from 0.2 to 10, and the ratio of moments that each has."""
    shapes = np.arange(200, 10001) / 1000
    first, second, third = (np.array([math.gamma(x) for x in k / shapes]) for k in (1, 2, 3))
    return shapes, second**2 / (first * third)


def asymmetric_shape(values: Real) -> tuple[float, float, float]:
    """Shape, left and right width of the asymmetric generalised Gaussian with these values' moments."""
    below, above = values[values < 0], values[values > 0]
    if not len(below) or not len(above):
        return math.nan, math.nan, math.nan
    left, right = math.sqrt((below**2).mean()), math.sqrt((above**2).mean())
    lopsided = left / right
    ratio = np.abs(values).mean() ** 2 / (values**2).mean()
    ratio *= (lopsided**3 + 1) * (lopsided + 1) / (lopsided**2 + 1) ** 2
    shapes, ratios = _shapes()
    shape = float(shapes[np.argmin((ratios - ratio) ** 2)])
    width = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))
    return shape, left * width, right * width
