"""A first guess at how a frame moved: phase correlation of small pictures over a fan of rotations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.geometry import IDENTITY, rigid
from mefcli.motion.grey import Detail, Level, Plane, detail
from mefcli.values import Matrix

ROTATIONS_DEG = (0.0, -1.0, 1.0, -2.0, 2.0, -3.0, 3.0, -4.0, 4.0)
CANDIDATES = 4


def global_starts(reference: Level, frame: Level) -> list[Matrix]:
    """Rigid guesses at this coarse size, the highest correlation peaks first; no motion comes last."""
    guesses = sorted(peaks(detail(reference), detail(frame), ROTATIONS_DEG), key=lambda guess: -guess[0])
    starts: list[Matrix] = []
    for _, matrix in guesses:
        if len(starts) < CANDIDATES and all(_apart(matrix, other) > 2.5 for other in starts):
            starts.append(matrix)
    return [*starts, IDENTITY]


def _apart(one: Matrix, other: Matrix) -> float:
    return float(np.abs(one[:2] - other[:2]).max())


def peaks(reference: Detail, frame: Detail, rotations: Sequence[float]) -> list[tuple[float, Matrix]]:
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
