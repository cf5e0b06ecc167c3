"""The guided transfer: reduction, local fits, and their application at full size."""

import numpy as np
import pytest

from mefnets.engine import guided


def picture(height, width, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (height, width, 3)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_reduction_is_the_area_average_even_at_ragged_ends(dtype):
    frame = picture(23, 31, dtype)
    small = guided.reduce_frames([frame], 4)[0]
    white = np.iinfo(dtype).max
    assert small.shape == (3, 6, 8)
    assert np.allclose(small[:, 2, 3], frame[8:12, 12:16].mean((0, 1)) / white, atol=1e-6)
    assert np.allclose(small[:, 5, 7], frame[20:, 28:].mean((0, 1)) / white, atol=1e-6)


def test_a_pyramid_is_reduced_by_powers_of_two():
    assert [guided.halving_for(int(mp * 1e6), 5e5) for mp in (0.4, 0.8, 0.9, 3, 12, 24, 51, 61, 100)] == [
        1, 1, 2, 2, 4, 8, 8, 16, 16,
    ]  # fmt: skip


@pytest.mark.parametrize("count", [2, 3, 9])
def test_every_window_gets_its_ridge_regression(count):
    rng = np.random.default_rng(0)
    x, t = rng.random((count, 8, 9)), rng.random((8, 9))
    slopes, offset = guided.solve(x, t, 1, 1e-3)
    window = x[:, 2:5, 3:6].reshape(count, 9)
    target = t[2:5, 3:6].reshape(9)
    centred = window - window.mean(1, keepdims=True)
    system = centred @ centred.T / 9 + 1e-3 * np.eye(count)
    expected = np.linalg.solve(system, centred @ (target - target.mean()) / 9)
    assert np.allclose(slopes[:, 2, 3], expected, atol=1e-4)
    assert np.allclose(offset[2, 3], target.mean() - expected @ window.mean(1), atol=1e-4)


@pytest.mark.parametrize("count", [2, 3, 30])
@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_flat_clipped_and_identical_frames_stay_finite(count, value):
    frames = np.full((count, 1, 12, 12), value, np.float32)
    coefficients = guided.fit(frames, np.full((1, 12, 12), 0.5, np.float32))
    assert np.isfinite(coefficients).all()
    assert np.allclose(coefficients[-1] + coefficients[:-1].sum(0) * value, 0.5, atol=1e-4)


def test_a_local_linear_fusion_is_carried_over_exactly():
    frames = [picture(60, 80, seed=s) for s in (1, 2)]
    small = guided.reduce_frames(frames, 4)
    coefficients = guided.fit(small, 0.3 * small[0] + 0.5 * small[1] + 0.1, ridge=1e-7)
    out = np.empty((60, 80, 3), np.float32)
    guided.apply_rgb(frames, coefficients, 4, out)
    expected = (0.3 * frames[0] + 0.5 * frames[1].astype(np.float64)) / 255 + 0.1
    assert np.abs(out - expected).max() < 1 / 255


def test_grey_frames_stay_grey():
    grey = [np.repeat(picture(40, 60, seed=s)[..., :1], 3, axis=2) for s in (1, 2)]
    luma = guided.reduce_frames(grey, 2)[:, :1]
    out = np.empty((40, 60, 3), np.float32)
    guided.apply_luma(grey, guided.fit(luma, luma.mean(0)), 2, out)
    assert np.ptp(out, axis=2).max() < 1e-3


def test_strips_are_invisible(monkeypatch):
    frames = [picture(90, 70, seed=s) for s in (1, 2, 3)]
    small = guided.reduce_frames(frames, 3)
    results = []
    for strip in (guided.STRIP_PX, 70 * 8):
        monkeypatch.setattr(guided, "STRIP_PX", strip)
        out = np.empty((90, 70, 3), np.uint16)
        guided.apply_rgb(frames, guided.fit(small, small.mean(0)), 3, out)
        results.append(out.astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1


def test_coefficients_sit_where_pixels_sit():
    """A ramp in the offset comes out as the same ramp: no shift between the two grids."""
    ramp = np.broadcast_to(np.linspace(0.2, 0.8, 20, dtype=np.float32)[None, :, None], (10, 20, 3))
    black = [np.zeros((50, 100, 3), np.float32)] * 2
    coefficients = np.zeros((3, 10, 20, 3), np.float32)
    coefficients[2] = ramp
    out = np.empty((50, 100, 3), np.float32)
    guided.apply_rgb(black, coefficients, 5, out)
    averages = out.reshape(10, 5, 20, 5, 3).mean((1, 3))
    assert np.allclose(averages[:, 1:-1], ramp[:, 1:-1], atol=1e-4)


def test_opened_shadows_are_calmed_alike_in_any_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    frames = [rng.integers(level, level + 12, (96, 80, 3)).astype(np.uint8) for level in (20, 30)]
    frames = [np.where(np.arange(80)[:, None] < 40, frame, frame + 190).astype(np.uint8) for frame in frames]
    coefficients = np.full((3, 24, 20, 3), 0.5, np.float32)
    coefficients[-1] = 0

    def carried(ripple: float, strip_px: int) -> np.ndarray:
        monkeypatch.setattr(guided, "STRIP_PX", strip_px)
        out = np.empty((96, 80, 3), np.uint16)
        guided.apply_rgb(frames, coefficients, 4, out, ripple=ripple)
        return out.astype(np.float64) / 257

    plain, calm, whole = carried(0.0, 320), carried(3 / 255, 320), carried(3 / 255, 10**6)
    assert np.abs(calm - whole).max() < 0.01
    assert calm[:, :38].std() < 0.7 * plain[:, :38].std()
    assert np.abs(calm[:, 42:] - plain[:, 42:]).max() < 0.01  # what is not dark keeps its detail
    assert abs(calm[:, :38].mean() - plain[:, :38].mean()) < 0.1
