"""The guided transfer: reduction, local fits, and their application at full size."""

import numpy as np
import pytest
import torch

from mefnets.engine import guided
from mefnets.engine.pixels import load_planes


def picture(height, width, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (height, width, 3)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_reduction_is_the_area_average_even_at_ragged_ends(dtype):
    frame = picture(23, 31, dtype)
    small = guided.reduce_frames([frame], 4)[0].numpy()
    white = np.iinfo(dtype).max
    assert small.shape == (3, 6, 8)
    assert np.allclose(small[:, 2, 3], frame[8:12, 12:16].mean((0, 1)) / white, atol=1e-6)
    assert np.allclose(small[:, 5, 7], frame[20:, 28:].mean((0, 1)) / white, atol=1e-6)


@pytest.mark.parametrize("count", [2, 3, 9])
def test_every_window_gets_its_ridge_regression(count):
    torch.manual_seed(0)
    x, t = torch.rand(count, 8, 9), torch.rand(8, 9)
    slopes, offset = guided.solve(x, t, 1, 1e-3)
    window = x[:, 2:5, 3:6].reshape(count, 9).double()
    target = t[2:5, 3:6].reshape(9).double()
    centred = window - window.mean(1, keepdim=True)
    system = centred @ centred.T / 9 + 1e-3 * torch.eye(count, dtype=torch.float64)
    expected = torch.linalg.solve(system, centred @ (target - target.mean()) / 9)
    assert torch.allclose(slopes[:, 2, 3].double(), expected, atol=1e-4)
    assert torch.allclose(offset[2, 3].double(), target.mean() - expected @ window.mean(1), atol=1e-4)


@pytest.mark.parametrize("count", [2, 3, 30])
@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_flat_clipped_and_identical_frames_stay_finite(count, value):
    frames = torch.full((count, 1, 12, 12), value)
    coefficients = guided.fit(frames, torch.full((1, 12, 12), 0.5))
    assert torch.isfinite(coefficients).all()
    assert torch.allclose(
        coefficients[0, -1] + coefficients[0, :-1].sum(0) * value, torch.tensor(0.5), atol=1e-4
    )


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
    ramp = torch.linspace(0.2, 0.8, 20).expand(1, 10, 20)
    black = [np.zeros((50, 100, 3), np.float32)] * 2
    coefficients = torch.zeros(3, 3, 10, 20)
    coefficients[:, 2] = ramp
    out = np.empty((50, 100, 3), np.float32)
    guided.apply_rgb(black, coefficients, 5, out)
    averages = load_planes(out).reshape(3, 10, 5, 20, 5).mean((2, 4))
    assert torch.allclose(averages[:, :, 1:-1], ramp[:, :, 1:-1].expand(3, 10, 18), atol=1e-4)
