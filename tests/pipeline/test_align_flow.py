"""Flow: what a plane motion leaves is followed or filled, and what stood still keeps its bits."""

from __future__ import annotations

import numpy as np

from mefcli.bench.motion_cases import expose
from mefcli.motion.flow import follow
from mefcli.motion.reduced import reduce

SIZE = (320, 220)


def scene() -> np.ndarray:
    """Smooth radiance with some structure, (H, W, 3)."""
    import cv2

    rng = np.random.default_rng(4)
    stops = np.zeros((SIZE[1], SIZE[0]), np.float32)
    for scale in (50, 20, 8):
        noise = rng.standard_normal((SIZE[1] // scale + 3, SIZE[0] // scale + 3)).astype(np.float32)
        stops += cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC) * (0.3 + scale / 60)
    return np.repeat(np.exp2(np.clip(stops - 0.5, -3.5, 2.5))[..., None], 3, axis=2)


def parallax(shift_px: int) -> np.ndarray:
    """The scene with a textured board in front, moved sideways."""
    radiance = scene()
    rng = np.random.default_rng(8)
    board = np.exp2(rng.uniform(-1.5, 1.0, (80 // 4, 100 // 4, 1))).astype(np.float32)
    board = np.repeat(np.repeat(board, 4, axis=0), 4, axis=1) * np.ones(3, np.float32)
    radiance[70:150, 110 + shift_px : 210 + shift_px] = board * 0.4
    return radiance


def frames(shift_px: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [expose(parallax(shift_px), 0.25, rng), expose(parallax(0), 1.0, rng)]


def test_a_near_object_that_shifted_is_brought_back() -> None:
    moved, truth = frames(4)[0], frames(0)[0]
    done = frames(4)
    follow(done, reduce(done), 1)
    area = (slice(66, 154), slice(104, 220))
    before = np.abs(moved[area].astype(float) - truth[area]).mean()
    after = np.abs(done[0][area].astype(float) - truth[area]).mean()
    assert after < 0.4 * before


def test_pixels_far_from_what_moved_keep_their_bits() -> None:
    pair = frames(4)
    done = list(pair)
    shares = follow(done, reduce(pair), 1)
    assert 0 < shares[0] < 0.5
    assert np.array_equal(done[0][:, :60], pair[0][:, :60])
    assert np.array_equal(done[0][:, 270:], pair[0][:, 270:])
    assert done[1] is pair[1]


def test_a_still_pair_comes_back_as_the_very_same_arrays() -> None:
    pair = frames(0)
    done = list(pair)
    shares = follow(done, reduce(pair), 1)
    assert done[0] is pair[0]
    assert shares == [0.0, 0.0]
