"""A first guess at how a frame moved: phase correlation of small pictures over a fan of rotations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.geometry import IDENTITY, Matrix, is_plausible, rigid
from mefcli.motion.grey import Detail, Plane
from mefcli.motion.refine import Fit, choose_points, refine

ROTATIONS_DEG = (0.0, -1.0, 1.0, -2.0, 2.0, -3.0, 3.0, -4.0, 4.0)
CANDIDATES = 4


def global_start(reference: Detail, frame: Detail) -> Fit | None:
    """The best rigid motion at this coarse size; None when no guess holds up.

    Every rotation gives the highest peaks of its correlation; the most promising are refined, and the one
    whose refined correlation is highest wins. No motion is always among the candidates.
    """
    points = choose_points(reference, limit=20_000)
    guesses = sorted(_peaks(reference, frame, ROTATIONS_DEG), key=lambda guess: -guess[0])
    starts = [IDENTITY]
    for _, matrix in guesses:
        if len(starts) <= CANDIDATES and all(np.abs(matrix - other).max() > 1.5 for other in starts[1:]):
            starts.append(matrix)
    best: Fit | None = None
    for matrix in starts:
        shifted = refine(points, frame, matrix, "shift", steps=6)
        fit = refine(points, frame, shifted.matrix if shifted else matrix, "rigid", steps=15)
        if fit is None or not is_plausible(fit.matrix, (reference.value.shape[1], reference.value.shape[0])):
            continue
        if best is None or _merit(fit) > _merit(best):
            best = fit
    return best


def _merit(fit: Fit) -> float:
    return fit.correlation * min(1.0, fit.support / 0.5) ** 0.5


def _peaks(reference: Detail, frame: Detail, rotations: Sequence[float]) -> list[tuple[float, Matrix]]:
    import cv2

    width, height = (reference.value.shape[1], reference.value.shape[0])
    window = cv2.createHanningWindow((width, height), cv2.CV_32F) ** 0.5
    still = np.fft.rfft2(_signal(reference.value, reference.weight) * window)
    found = []
    for degrees in rotations:
        turn = rigid(0, 0, degrees, (width, height))
        turned = [
            cv2.warpAffine(plane, turn[:2], (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            for plane in (frame.value, frame.weight)
        ]
        cross = np.conj(still) * np.fft.rfft2(_signal(turned[0], turned[1]) * window)
        surface = np.fft.irfft2(cross / (np.abs(cross) ** 0.6 + 1e-6), s=(height, width))
        spread = float(surface.std()) + 1e-12
        for _ in range(2):
            row, column = np.unravel_index(int(surface.argmax()), surface.shape)
            score = float(surface[row, column]) / spread
            shift_y = int(row) - height if row > height // 2 else int(row)
            shift_x = int(column) - width if column > width // 2 else int(column)
            step = np.eye(3)
            step[:2, 2] = shift_x, shift_y
            found.append((score, turn @ step))
            _blank(surface, int(row), int(column))
    return found


def _signal(value: Plane, weight: Plane) -> NDArray[np.float32]:
    return np.clip(value, -1.5, 1.5) * weight


def _blank(surface: NDArray[np.float64], row: int, column: int, radius: int = 3) -> None:
    rows = np.arange(row - radius, row + radius + 1) % surface.shape[0]
    columns = np.arange(column - radius, column + radius + 1) % surface.shape[1]
    surface[np.ix_(rows, columns)] = surface.min()
