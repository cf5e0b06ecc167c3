"""The differentiable measures: calibrated values, gradients, and the places where naive formulas break."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mefnets import measures
from tests.evaluation.vector import make_vector


def rgb(pixels: np.ndarray) -> Tensor:
    return torch.tensor(pixels / 255.0, dtype=torch.float64).permute(2, 0, 1)[None]


def luma(pixels: np.ndarray) -> Tensor:
    rounded = np.floor(pixels @ np.array([0.298936, 0.587043, 0.114021]) + 0.5)
    return torch.tensor(rounded / 255.0, dtype=torch.float64)[None, None]


DARK, BRIGHT, FUSED = make_vector()
MEASURES = [measures.mef_ssim, measures.q_abf, measures.q_w, measures.q_cv]


def test_mef_ssim_gives_the_calibrated_value_at_every_scale() -> None:
    frames = torch.stack([luma(DARK), luma(BRIGHT)], 1)
    scales = [float(s) for s in measures.mef_ssim_scales(frames, luma(FUSED))]
    assert scales == pytest.approx([0.946357, 0.942473, 0.941264], abs=1e-6)
    assert float(measures.mef_ssim(frames, luma(FUSED))) == pytest.approx(0.942173, abs=1e-6)


def test_mef_ssim_takes_three_frames() -> None:
    frames = torch.stack([luma(DARK), luma(FUSED), luma(BRIGHT)], 1)
    assert float(measures.mef_ssim(frames, luma(FUSED))) == pytest.approx(0.943753, abs=1e-6)


def test_ssim_gives_the_calibrated_values_for_gray_and_colour() -> None:
    assert float(measures.ssim(luma(FUSED), luma(BRIGHT))) == pytest.approx(0.811281, abs=1e-6)
    assert float(measures.ssim(rgb(FUSED), rgb(BRIGHT))) == pytest.approx(0.811598, abs=1e-6)


@pytest.mark.parametrize(
    ("measure", "exact", "tolerance"),
    [(measures.q_abf, 0.810340, 5e-4), (measures.q_w, 0.876193, 1e-5), (measures.q_cv, 197.346488, 0.3)],
)
def test_smooth_measures_stay_close_to_the_exact_metrics(measure, exact, tolerance) -> None:
    frames = torch.stack([rgb(DARK), rgb(BRIGHT)], 1)
    assert float(measure(frames, rgb(FUSED))) == pytest.approx(exact, abs=tolerance)


def test_single_precision_agrees_with_double_precision() -> None:
    frames, fused = torch.stack([rgb(DARK), rgb(BRIGHT)], 1), rgb(FUSED)
    for measure in MEASURES:
        single = float(measure(frames.float(), fused.float()))
        assert single == pytest.approx(float(measure(frames, fused)), rel=1e-4), measure.__name__


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_match_finite_differences(measure, channels) -> None:
    make = torch.Generator().manual_seed(3)
    frames = torch.rand(1, 3, channels, 17, 20, dtype=torch.float64, generator=make)
    fused = torch.rand(1, channels, 17, 20, dtype=torch.float64, generator=make).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda f: measure(frames, f), (fused,), fast_mode=True, atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_flat_crops_give_finite_values_and_gradients(measure, level) -> None:
    frames = torch.full((2, 2, 3, 48, 40), level)
    fused = torch.full((2, 3, 48, 40), level, requires_grad=True)
    value = measure(frames, fused)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(fused.grad).all()


def test_one_batch_equals_its_pictures_one_by_one() -> None:
    make = torch.Generator().manual_seed(4)
    frames = torch.rand(3, 2, 3, 50, 46, dtype=torch.float64, generator=make)
    fused = frames.mean(1)
    for measure in MEASURES:
        alone = torch.cat([measure(frames[i : i + 1], fused[i : i + 1]) for i in range(3)])
        assert torch.allclose(measure(frames, fused), alone, atol=1e-10)


def test_a_perfect_copy_scores_best() -> None:
    picture = rgb(BRIGHT)
    frames = torch.stack([picture, picture], 1)
    assert float(measures.mef_ssim(frames, picture)) == pytest.approx(1, abs=1e-5)
    assert float(measures.q_w(frames, picture)) == pytest.approx(1, abs=1e-9)
    assert float(measures.q_cv(frames, picture)) == pytest.approx(0, abs=1e-9)
    assert float(measures.q_abf(frames, picture)) == pytest.approx(0.975, abs=2e-3)


def test_q_cv_can_leave_the_false_edge_at_the_border_out() -> None:
    white = torch.full((1, 1, 64, 64), 0.98)
    white[..., 30:34, 30:34] = 0.2  # the only edge of the picture itself
    frames = torch.stack([white, white], 1)
    off_inside, off_at_border = white.clone(), white.clone()
    off_inside[..., 16:48, 16:48] -= 0.1
    off_at_border[..., :8, :] -= 0.1
    for fused, whole in ((off_inside, False), (off_at_border, True)):
        every, none = (float(measures.q_cv(frames, fused, stretch=False, border=b)) for b in (1.0, 0.0))
        assert (every > none) is whole


def test_a_step_down_the_gradient_improves_every_measure() -> None:
    frames = torch.stack([rgb(DARK), rgb(BRIGHT)], 1).float()
    for measure in MEASURES:
        fused = frames.mean(1).requires_grad_()
        value = measure(frames, fused).sum()
        value.backward()
        upwards = -1.0 if measure is measures.q_cv else 1.0
        step = upwards * 1e-3 * fused.grad / fused.grad.abs().max()
        better = float(measure(frames, (fused + step).detach()))
        assert upwards * better > upwards * float(value.detach()), measure.__name__


def test_a_crop_too_small_for_three_scales_is_judged_on_those_it_has() -> None:
    frames = torch.stack([luma(DARK), luma(BRIGHT)], 1)[..., :24, :24]
    scores = measures.mef_ssim_scales(frames, luma(FUSED)[..., :24, :24])
    assert len(scores) == 2
    assert torch.isfinite(measures.mef_ssim(frames, luma(FUSED)[..., :24, :24])).all()


def test_sobel_of_a_ramp_is_eight_times_its_slope() -> None:
    ramp = torch.arange(7.0).expand(1, 1, 5, 7)
    across, down = measures.sobel(ramp)
    assert (across[..., 1:-1, 1:-1] == 8).all()
    assert (down[..., 1:-1, 1:-1] == 0).all()


def test_cast_feels_a_tint_and_neither_light_nor_fine_colour_noise() -> None:
    torch.manual_seed(0)
    target = torch.rand(1, 3, 32, 32)
    green = torch.tensor([-0.1, 0.1, -0.1]).view(1, 3, 1, 1)
    noise = torch.randn(1, 3, 32, 32) * 0.1
    assert float(measures.cast(target + 0.1, target)) < 1e-6
    assert float(measures.cast(target + green, target)) > 0.08
    assert float(measures.cast(target + noise, target)) < 0.03


def test_mef_ssim_by_plane_feels_what_luminance_hides() -> None:
    torch.manual_seed(0)
    scene = torch.rand(1, 1, 3, 64, 64)
    frames = torch.cat((0.3 * scene, 0.7 * scene), 1)
    fused = frames.mean(1)
    red = 0.3 * torch.rand(1, 1, 64, 64)  # structure in red, taken back in blue: luminance stays
    false = fused + torch.cat((red, torch.zeros_like(red), -red * 0.298936 / 0.114021), 1)
    seen, true = (measures.mef_ssim(measures.gray(frames), measures.gray(one)) for one in (false, fused))
    assert float(seen) == pytest.approx(float(true))
    assert measures.mef_ssim_by_plane(frames, false).mean() < seen - 0.1
