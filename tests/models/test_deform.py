"""Deformable convolution v2: against a slow reference written from its definition, and by its gradients."""

from __future__ import annotations

import math

import pytest
import torch

from mefnets.crmef.deform import DeC, deform_conv
from mefnets.crmef.genotype import REACH_PX


def slow_reference(x, offset, mask, weight, bias):
    """One output value at a time, one corner of one tap at a time."""
    B, n, H, W = x.shape
    m, _, k, _ = weight.shape
    y = torch.zeros(B, m, H, W, dtype=x.dtype)
    for b in range(B):
        for i in range(H):
            for j in range(W):
                total = bias.clone()
                for t in range(k * k):
                    at_y = i + t // k - k // 2 + float(offset[b, 2 * t, i, j])
                    at_x = j + t % k - k // 2 + float(offset[b, 2 * t + 1, i, j])
                    top, left = math.floor(at_y), math.floor(at_x)
                    value = torch.zeros(n, dtype=x.dtype)
                    for r, c in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                        if 0 <= r < H and 0 <= c < W:
                            value += (1 - abs(at_y - r)) * (1 - abs(at_x - c)) * x[b, :, r, c]
                    total = total + weight[:, :, t // k, t % k] @ value * mask[b, t, i, j]
                y[b, :, i, j] = total
    return y


@pytest.mark.parametrize(("k", "size"), [(1, (4, 3)), (3, (5, 7)), (5, (6, 4)), (3, (1, 6))])
def test_it_equals_the_slow_reference_with_offsets_that_leave_the_picture(k, size):
    torch.manual_seed(k)
    x = torch.rand(2, 3, *size, dtype=torch.double)
    offset = torch.randn(2, 2 * k * k, *size, dtype=torch.double) * 3
    mask = torch.rand(2, k * k, *size, dtype=torch.double)
    weight, bias = torch.randn(4, 3, k, k, dtype=torch.double), torch.randn(4, dtype=torch.double)
    torch.testing.assert_close(
        deform_conv(x, offset, mask, weight, bias), slow_reference(x, offset, mask, weight, bias)
    )


def test_without_offsets_and_with_full_masks_it_is_a_convolution():
    x, weight = torch.rand(1, 3, 9, 8), torch.randn(2, 3, 3, 3)
    y = deform_conv(x, torch.zeros(1, 18, 9, 8), torch.ones(1, 9, 9, 8), weight)
    torch.testing.assert_close(y, torch.nn.functional.conv2d(x, weight, padding=1), atol=1e-5, rtol=1e-4)


def test_all_its_gradients_are_right():
    torch.manual_seed(2)
    inputs = (
        torch.rand(1, 2, 4, 3, dtype=torch.double),
        torch.rand(1, 18, 4, 3, dtype=torch.double) * 0.8 + 0.1,  # between pixels: bilinear has kinks on them
        torch.rand(1, 9, 4, 3, dtype=torch.double),
        torch.randn(2, 2, 3, 3, dtype=torch.double),
        torch.randn(2, dtype=torch.double),
    )
    assert torch.autograd.gradcheck(deform_conv, tuple(t.requires_grad_() for t in inputs))


def test_it_starts_as_half_a_plain_convolution_because_steering_starts_at_zero():
    torch.manual_seed(0)
    layer = DeC(4, 4, 3)
    x, feature = torch.rand(1, 4, 8, 8), torch.rand(1, 4, 8, 8)
    plain = torch.nn.functional.conv2d(x, layer.weight, None, padding=1)
    expected = plain / 2 + layer.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(layer(x, feature), expected, atol=1e-5, rtol=1e-4)


def test_offsets_stay_within_their_bound_however_strong_the_steering():
    layer = DeC(2, 2, 3).requires_grad_(False)
    layer.steer.bias[:18] = 1e4  # far beyond any picture, if it were not bounded
    x = torch.zeros(1, 2, 40, 40)
    x[..., 20, 20] = 1.0
    touched = (layer(x, x) - layer.bias.view(1, -1, 1, 1)).abs().amax((0, 1)) > 1e-6
    rows = touched.nonzero()[:, 0]
    assert rows.min() >= 20 - REACH_PX - 1
    assert rows.max() <= 20


def test_a_feature_can_move_a_picture():
    """Steered by 2 px, a 1-tap-in-effect kernel reads what lies 2 px to the right."""
    weight = torch.zeros(1, 1, 3, 3)
    weight[..., 1, 1] = 1.0
    x = torch.rand(1, 1, 6, 9)
    offset = torch.zeros(1, 18, 6, 9)
    offset[:, 1::2] = 2.0
    moved = deform_conv(x, offset, torch.ones(1, 9, 6, 9), weight)
    torch.testing.assert_close(moved[..., :-2], x[..., 2:])
