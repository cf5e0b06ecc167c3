"""Two-pass resampling: the same picture as one 8 x 8 kernel, for gentle motions only."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mefcli.motion.geometry import Matrix, rigid
from mefcli.motion.resample import is_gentle, resample
from mefcli.values import Pixels

WIDTH, HEIGHT = 620, 310


def waves(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """A picture known between its pixels: 12 waves up to 0.7 of the finest a grid holds."""
    rng = np.random.default_rng(1)
    total = np.zeros((*x.shape, 3))
    for _ in range(12):
        across, down = rng.uniform(-0.7, 0.7, 2) * np.pi
        total += np.cos(across * x[..., None] + down * y[..., None] + rng.uniform(0, 6, 3))
    return 0.5 + 0.03 * total


def grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float64), np.arange(HEIGHT, dtype=np.float64))
    return x, y


def seen_through(matrix: Matrix) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    x, y = grid()
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / w
    v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / w
    inside = (u > 8) & (v > 8) & (u < WIDTH - 9) & (v < HEIGHT - 9)
    return waves(u, v), inside


TILTED = rigid(2.3, -7.6, 0.3, (WIDTH, HEIGHT)) @ np.array([[1.0005, 0, 0], [0, 1, 0], [2e-7, 1e-7, 1]])
MOTIONS = [rigid(3.4, 2.7, 0.0, (WIDTH, HEIGHT)), rigid(-30.2, 11.1, -0.6, (WIDTH, HEIGHT)), TILTED]


@pytest.mark.parametrize("matrix", MOTIONS, ids=["shift", "turn", "tilt"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_gentle_motions_are_followed_about_as_exactly_as_opencv_does(matrix: Matrix, dtype: type) -> None:
    assert is_gentle(matrix, WIDTH, HEIGHT)
    scale = 1.0 if dtype is np.float32 else float(np.iinfo(dtype).max)
    exact = waves(*grid()) * scale
    frame: Pixels = (exact if dtype is np.float32 else np.rint(exact)).astype(dtype)
    truth, inside = seen_through(matrix)
    ours = resample(frame, matrix, WIDTH, HEIGHT) / scale
    flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    theirs = cv2.warpPerspective(frame, matrix, (WIDTH, HEIGHT), flags=flags) / scale
    error, their_error = (np.sqrt(np.square(one - truth)[inside].mean()) for one in (ours, theirs))
    assert error < 1.25 * their_error  # both round positions to 1/32 px, ours twice
    assert np.abs(ours - theirs)[inside].max() < 0.02


def test_a_whole_number_of_pixels_copies_them_and_repeats_the_edges() -> None:
    frame = np.random.default_rng(0).integers(0, 65536, (140, 530, 3), dtype=np.uint16)
    moved = resample(frame, rigid(5, -3, 0.0, (530, 140)), 530, 140)
    rows, columns = np.clip(np.arange(140) - 3, 0, 139), np.clip(np.arange(530) + 5, 0, 529)
    assert np.array_equal(moved, frame[rows[:, None], columns])


def test_overshoot_beside_hard_edges_stays_in_range() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, 32:] = 255
    moved = resample(frame, rigid(0.5, 0.5, 0.0, (64, 64)), 64, 64)
    assert moved[:, :24].max() < 8
    assert moved[:, 40:].min() > 247


def test_steep_motions_are_left_to_the_other_way() -> None:
    for steep in (rigid(0, 0, 4.0, (6000, 4000)), rigid(0, 0, 90.0, (6000, 4000)), np.diag([1.1, 1.1, 1.0])):
        assert not is_gentle(steep, 6000, 4000)
