"""Plane motions as 3x3 matrices: models, composition, displacement, and the rectangle all frames share.

A matrix maps pixel centres (x, y) of the reference to pixel centres of the frame; (0, 0) is the centre of
the first pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefcli.values import Box, Matrix

IDENTITY: Matrix = np.eye(3)


def apply(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map points (N, 2)."""
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    result: NDArray[np.float64] = mapped[:, :2] / mapped[:, 2:]
    return result


def rescale(matrix: Matrix, factor_x: float, factor_y: float | None = None) -> Matrix:
    """The same motion for pictures `factor` times the size, resized about their corners as OpenCV does."""
    factor_y = factor_x if factor_y is None else factor_y
    grow = np.array([[factor_x, 0, (factor_x - 1) / 2], [0, factor_y, (factor_y - 1) / 2], [0, 0, 1]])
    result: Matrix = grow @ matrix @ np.linalg.inv(grow)
    result /= result[2, 2]
    return result


def rigid(shift_x: float, shift_y: float, degrees: float, size_px: tuple[int, int]) -> Matrix:
    """A rotation about the middle of a (width, height) picture, then a shift."""
    centre_x, centre_y = (size_px[0] - 1) / 2, (size_px[1] - 1) / 2
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array(
        [
            [cos, -sin, centre_x - cos * centre_x + sin * centre_y + shift_x],
            [sin, cos, centre_y - sin * centre_x - cos * centre_y + shift_y],
            [0.0, 0.0, 1.0],
        ]
    )


def grid(size_px: tuple[int, int], steps: int = 9) -> NDArray[np.float64]:
    """Points spread evenly over a (width, height) picture, corners included."""
    xs, ys = np.meshgrid(np.linspace(0, size_px[0] - 1, steps), np.linspace(0, size_px[1] - 1, steps))
    return np.stack([xs.ravel(), ys.ravel()], axis=1)


def displacement(matrix: Matrix, size_px: tuple[int, int]) -> NDArray[np.float64]:
    """How far each grid point moves, px."""
    points = grid(size_px)
    return distance(matrix, IDENTITY, points)


def distance(one: Matrix, other: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far apart two motions send each point, px."""
    result: NDArray[np.float64] = np.linalg.norm(apply(one, points) - apply(other, points), axis=1)
    return result


def is_plausible(matrix: Matrix, size_px: tuple[int, int]) -> bool:
    """No mirror, no wild zoom, and no motion beyond a quarter of the picture's long side."""
    if not np.isfinite(matrix).all():
        return False
    width, height = size_px
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=np.float64)
    if (np.column_stack([corners, np.ones(4)]) @ matrix[2] <= 0.2).any():
        return False
    moved = apply(matrix, corners)
    if np.linalg.norm(moved - corners, axis=1).max() > 0.25 * max(size_px) * np.sqrt(2):
        return False
    sides = np.linalg.norm(np.roll(moved, -1, axis=0) - moved, axis=1)
    ratio = sides / np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    return bool(ratio.min() > 0.8 and ratio.max() < 1.25)


def union_box(matrices: Sequence[Matrix], size_px: tuple[int, int]) -> Box:
    """The smallest box that holds every frame once moved onto the reference."""
    width, height = size_px
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=np.float64)
    places = np.concatenate(
        [apply(np.asarray(np.linalg.inv(matrix), np.float64), corners) for matrix in matrices]
    )
    left, top = np.floor(places.min(axis=0) + 1e-6).astype(int)
    right, bottom = np.ceil(places.max(axis=0) - 1e-6).astype(int)
    return int(left), int(top), int(right) + 1, int(bottom) + 1


def common_box(matrices: Sequence[Matrix], size_px: tuple[int, int]) -> Box:
    """A large box inside the reference whose every pixel each frame saw; the worst side gives way first.

    Starts from the reference's rectangle and takes a pixel from the side whose edge is missing the most,
    until no edge point is missing. A frame covers a convex region, so clean edges mean a clean inside.
    """
    width, height = size_px
    left, top, right, bottom = 0.0, 0.0, width - 1.0, height - 1.0
    steps = np.linspace(0, 1, 33)

    def outside(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        points = np.column_stack([np.broadcast_to(x, 33), np.broadcast_to(y, 33)]).astype(np.float64)
        worst = np.zeros(33)
        for matrix in matrices:
            moved = apply(matrix, points)
            over = np.maximum(-moved, moved - (width - 1.0, height - 1.0)).max(axis=1)
            worst = np.maximum(worst, over)
        return worst

    while right - left > 1 and bottom - top > 1:
        xs, ys = left + steps * (right - left), top + steps * (bottom - top)
        edges = [
            outside(np.asarray(left), ys),
            outside(xs, np.asarray(top)),
            outside(np.asarray(right), ys),
            outside(xs, np.asarray(bottom)),
        ]
        missing = [float((edge > 1e-3).mean()) for edge in edges]
        if not any(missing):
            break
        worst = max(range(4), key=lambda side: (missing[side], float(edges[side].max())))
        # Half of the overshoot at a time: a corner shared by two sides should not be paid for twice.
        step = max(1.0, np.floor(float(edges[worst].max()) / 2))
        if worst == 0:
            left += step
        elif worst == 1:
            top += step
        elif worst == 2:
            right -= step
        else:
            bottom -= step
    return int(left), int(top), int(right) + 1, int(bottom) + 1
