"""Sub-pixel motion by inverse-compositional Gauss-Newton (Baker and Matthews 2004) with robust weights.

Compares two `Detail` pictures at a few ten thousand well-exposed pixels with strong gradients: the work per
step is a handful of dot products, so it costs milliseconds where a dense ECC costs seconds. People and
branches that moved on their own are outvoted by Tukey's biweight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.grey import Detail, Plane
from mefcli.values import Matrix

Floats = NDArray[np.float32]
FitModel = Literal["shift", "rigid", "similarity", "homography"]
FEWEST = 120
"""Fewer points than this decide nothing."""
SHARED_NOISE = 9.0
"""Neighbouring points share their noise through blur and high-pass: this many count as one."""
BEND = 0.01
"""How far a hand-held homography is from rigid, about: 1 % over half the picture. A prior for the places
where a picture has nothing to hold on to; wherever it has, the measurement drowns it."""


@dataclass(frozen=True)
class Points:
    """Chosen pixels of the reference: where, what, and how they change."""

    x: Floats  # (N,)
    y: Floats
    value: Floats
    weight: Floats
    grad_x: Floats
    grad_y: Floats
    size_px: tuple[int, int]


@dataclass(frozen=True)
class Fit:
    matrix: Matrix
    correlation: float  # of reference and moved frame over the trusted points, -1..1
    support: float  # share of the chosen points that both frames trust
    points: int  # effective number of points
    spread_px: float  # expected error of the motion over the picture, rms, from noise alone


def choose_points(reference: Detail, limit: int = 60_000) -> Points:
    """The strongest gradients, taken cell by cell so that one busy corner does not speak for the picture."""
    import cv2

    value = reference.smooth
    grad_x = cv2.sepFilter2D(value, cv2.CV_32F, _DERIVATIVE, _SMOOTH)
    grad_y = cv2.sepFilter2D(value, cv2.CV_32F, _SMOOTH, _DERIVATIVE)
    energy = np.sqrt(grad_x**2 + grad_y**2) * reference.weight
    energy[:3], energy[-3:], energy[:, :3], energy[:, -3:] = 0, 0, 0, 0
    height, width = energy.shape
    cells = 12
    keep = np.zeros(energy.shape, bool)
    share = limit // cells**2
    for rows in np.array_split(np.arange(height), cells):
        for columns in np.array_split(np.arange(width), cells):
            if not len(rows) or not len(columns):
                continue
            part = energy[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            if part.size > share:
                some = part[::2, ::2].ravel()  # a quarter tells the floor nearly as well
                place = some.size - 1 - (some.size - 1) * share // part.size
                floor = np.partition(some, place)[place]
            else:
                floor = np.float32(0)
            keep[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = (part >= floor) & (part > 1e-4)
    rows, columns = np.nonzero(keep)
    at = (rows, columns)
    return Points(
        columns.astype(np.float32),
        rows.astype(np.float32),
        value[at],
        reference.weight[at],
        grad_x[at],
        grad_y[at],
        (width, height),
    )


def reach(points: Points) -> tuple[float, float]:
    """How far the points spread over the picture, lesser axis first; 1 is evenly, from side to side."""
    weight = points.weight * (points.grad_x**2 + points.grad_y**2)
    total = float(weight.sum())
    if not total > 0:
        return 0.0, 0.0
    spreads = []
    for at, side in ((points.x, points.size_px[0]), (points.y, points.size_px[1])):
        middle = float((weight * at).sum()) / total
        variance = float((weight * (at - middle) ** 2).sum()) / total
        spreads.append(math.sqrt(12 * variance) / side)
    return min(spreads), max(spreads)


_DERIVATIVE = np.array([1, -8, 0, 8, -1], np.float64) / 12  # fourth order; symmetric, so noise adds no bias
_SMOOTH = np.array([1.0])
"""Kernels of the gradient: none along the other axis, the picture is smoothed once before."""


def refine(
    points: Points,
    frame: Detail,
    start: Matrix,
    model: FitModel,
    *,
    steps: int = 30,
    tolerance_px: float = 4e-3,
) -> Fit | None:
    """The motion near `start` that best explains the frame, or None when too little is seen in both."""
    if len(points.x) < FEWEST:
        return None
    value = frame.smooth
    width, height = points.size_px
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    half = max(width, height) / 2
    u, v = (
        (points.x - np.float32(centre[0])) / np.float32(half),
        (points.y - np.float32(centre[1])) / np.float32(half),
    )
    jacobian = _jacobian(points, u, v, model)  # (N, P)
    lift = np.array([[half, 0, centre[0]], [0, half, centre[1]], [0, 0, 1.0]])  # normalised -> pixels
    drop = np.linalg.inv(lift)
    matrix = start.copy()
    total = np.zeros(jacobian.shape[1])
    for _ in range(steps):
        seen = _look(points, value, frame.weight, matrix)
        if seen is None:
            return None
        moved, trust = seen
        support = float(trust.sum() / max(float(points.weight.sum()), 1e-6))
        if float(trust.sum()) < FEWEST / 4:
            return None
        gain, offset, correlation = _line(points.value, moved, trust)
        if gain <= 0.05:
            return None
        residual = (moved - offset) / gain - points.value
        weight = _tukey(residual, trust)
        weighted = jacobian * weight[:, None]
        normal = (weighted.T @ jacobian).astype(np.float64)
        right = (weighted.T @ residual).astype(np.float64)
        normal[np.diag_indices_from(normal)] *= 1 + 1e-6
        pull = np.zeros(len(normal))
        if model == "homography":
            noise = SHARED_NOISE * float(weight @ residual**2) / max(float(weight.sum()), 1e-6)
            pull[2:] = noise / BEND**2
        try:
            change = np.linalg.solve(normal + np.diag(pull), right - pull * total)
        except np.linalg.LinAlgError:
            return None
        total += change
        update = lift @ _matrix_of(change, model) @ drop
        try:
            matrix = matrix @ np.linalg.inv(update)
        except np.linalg.LinAlgError:
            return None
        matrix /= matrix[2, 2]
        if not np.isfinite(matrix).all():
            return None
        found = (correlation, support, int(trust.sum()))
        last = (residual, weight, normal + np.diag(pull))
        if np.abs(change).max() * half < tolerance_px:
            break
    return Fit(matrix, *found, _spread_px(jacobian, *last) * half)


def misfits(points: Points, frame: Detail, motions: Sequence[Matrix]) -> tuple[list[float], float]:
    """How badly each motion explains the frame, and over how many points (those of little weight count less).

    Tukey's loss, its scale that of the best, averaged over the points where every motion finds both frames
    trusted: differences are the motions', not the points'.
    """
    value = frame.smooth
    seen = [look for motion in motions if (look := _look(points, value, frame.weight, motion)) is not None]
    if len(seen) < len(motions):
        return [], 0.0
    trust = np.min([trust for _, trust in seen], axis=0)
    total = float(trust.sum())
    if total < FEWEST / 4:
        return [], 0.0
    trusted = trust > 0.1 * float(trust.max())
    residuals = []
    for moved, _ in seen:
        gain, offset, _ = _line(points.value, moved, trust)
        residuals.append(np.abs((moved - offset) / max(gain, 0.05) - points.value))
    scale = 1.4826 * min(_median(residual[trusted]) for residual in residuals)
    limit = np.float32(4.685 * max(scale, 1e-3))
    losses = [1 - np.clip(1 - (residual / limit) ** 2, 0, None) ** 3 for residual in residuals]
    return [float(trust @ loss) / total for loss in losses], total**2 / float(trust @ trust)


def _spread_px(jacobian: Floats, residual: Floats, weight: Floats, normal: NDArray[np.float64]) -> float:
    """rms over the unit picture of the motion's standard error, in units of half its long side.

    Sandwich covariance.
    """
    scores = jacobian * (weight * residual)[:, None]
    inverse = np.linalg.inv(normal)
    covariance = SHARED_NOISE * inverse @ (scores.T @ scores).astype(np.float64) @ inverse
    variance = 0.0
    corners = [(u, v) for u in (-0.8, 0.0, 0.8) for v in (-0.55, 0.0, 0.55)]
    for u, v in corners:
        move_x = np.array([1, 0, u, v, 0, 0, -u * u, -u * v])
        move_y = np.array([0, 1, 0, 0, u, v, -u * v, -v * v])
        if len(normal) == 2:
            move_x, move_y = move_x[:2], move_y[:2]
        elif len(normal) == 3:
            move_x, move_y = np.array([1, 0, -v]), np.array([0, 1, u])
        elif len(normal) == 4:
            move_x, move_y = np.array([1, 0, -v, u]), np.array([0, 1, u, v])
        variance += float(move_x @ covariance @ move_x + move_y @ covariance @ move_y)
    return float(np.sqrt(max(variance, 0.0) / len(corners)))


def _jacobian(points: Points, u: Floats, v: Floats, model: FitModel) -> Floats:
    """d value / d parameter, parameters in units where the picture is about [-1, 1] wide."""
    half = np.float32(max(points.size_px) / 2)
    gx, gy = points.grad_x * half, points.grad_y * half
    if model == "shift":
        columns = [gx, gy]
    elif model == "rigid":
        columns = [gx, gy, gy * u - gx * v]
    elif model == "similarity":
        columns = [gx, gy, gy * u - gx * v, gx * u + gy * v]
    else:
        bend = gx * u + gy * v
        columns = [gx, gy, gx * u, gx * v, gy * u, gy * v, -bend * u, -bend * v]
    return np.stack(columns, axis=1)


def _matrix_of(change: NDArray[np.float64], model: FitModel) -> Matrix:
    if model == "shift":
        return np.array([[1, 0, change[0]], [0, 1, change[1]], [0, 0, 1.0]])
    if model == "rigid":
        cos, sin = np.cos(change[2]), np.sin(change[2])
        return np.array([[cos, -sin, change[0]], [sin, cos, change[1]], [0, 0, 1.0]])
    if model == "similarity":
        tx, ty, turn, grow = change
        return np.array([[1 + grow, -turn, tx], [turn, 1 + grow, ty], [0, 0, 1.0]])
    tx, ty, a, b, c, d, p, q = change
    return np.array([[1 + a, b, tx], [c, 1 + d, ty], [p, q, 1.0]])


def _look(points: Points, value: Plane, weight: Plane, matrix: Matrix) -> tuple[Floats, Floats] | None:
    """The frame's value and joint trust at the points, moved by `matrix`; positions to full precision."""
    import cv2

    m = matrix
    scale = m[2, 0] * points.x + m[2, 1] * points.y + m[2, 2]
    if float(scale.min(initial=1.0)) <= 0:
        return None
    x = (m[0, 0] * points.x + m[0, 1] * points.y + m[0, 2]) / scale
    y = (m[1, 0] * points.x + m[1, 1] * points.y + m[1, 2]) / scale
    # Some releases of OpenCV round positions to 1/32 px; the gradient makes up for the rest.
    near_x, near_y = np.rint(x * 32) / 32, np.rint(y * 32) / 32
    count = len(x)
    padded = -(-count // 256) * 256
    rows = np.zeros((2, padded), np.float32)
    rows[0, :count], rows[1, :count] = near_x, near_y
    map_x, map_y = rows.reshape(2, -1, 256)
    moved = cv2.remap(value, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).ravel()[:count]
    trust = cv2.remap(weight, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    moved = (
        moved
        + points.grad_x * (x - near_x).astype(np.float32)
        + points.grad_y * (y - near_y).astype(np.float32)
    )
    return moved.astype(np.float32), trust.ravel()[:count] * points.weight


def _line(reference: Floats, moved: Floats, trust: Floats) -> tuple[float, float, float]:
    """Gain and offset of moved against reference (both carry noise, so by their spreads), and correlation."""
    total = float(trust.sum())
    limit = np.float32(1.5)  # stops: beyond this a point is an edge of something that moved
    a, b = np.clip(reference, -limit, limit), np.clip(moved, -limit, limit)
    mean_a, mean_b = float(trust @ a) / total, float(trust @ b) / total
    a, b = a - np.float32(mean_a), b - np.float32(mean_b)
    var_a, var_b, cov = (float(trust @ (p * q)) / total for p, q in ((a, a), (b, b), (a, b)))
    if var_a < 1e-9 or var_b < 1e-9:
        return 0.0, 0.0, 0.0
    correlation = cov / np.sqrt(var_a * var_b)
    gain = float(np.clip(np.sqrt(var_b / var_a), 0.25, 4.0)) if correlation > 0 else 1.0
    return gain, mean_b - gain * mean_a, float(correlation)


def _tukey(residual: Floats, trust: Floats) -> Floats:
    """Robust weights; the scale is the median residual of the points both frames trust."""
    trusted = residual[trust > 0.1 * float(trust.max())]
    scale = 1.4826 * _median(np.abs(trusted)) if trusted.size else 1.0
    ratio = residual / np.float32(4.685 * max(scale, 1e-3))
    kept: Floats = np.clip(1 - ratio * ratio, 0, None) ** 2
    result: Floats = kept * trust
    return result


def _median(values: Floats) -> float:
    """As numpy's, which loads numpy's masked arrays for it: 10 ms of a small bracket's 500."""
    middle = values.size // 2
    parted = np.partition(values, middle)
    upper = float(parted[middle])
    return upper if values.size % 2 else (float(parted[:middle].max()) + upper) / 2
