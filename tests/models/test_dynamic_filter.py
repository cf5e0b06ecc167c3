"""Per-pixel filters: checked against unfolded patches, and by their gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mefnets.layers.dynamic_filter import filter_pixels


@pytest.mark.parametrize("k", [1, 3, 5, 7])
@pytest.mark.parametrize(("padding", "mode"), [("replicate", "replicate"), ("zeros", "constant")])
def test_filtering_equals_the_sum_over_unfolded_patches(k, padding, mode):
    x, taps = torch.rand(2, 3, 9, 11), torch.randn(2, k * k, 9, 11)
    r = k // 2
    patches = F.unfold(F.pad(x, (r,) * 4, mode=mode), k).view(2, 3, k * k, 9, 11)
    torch.testing.assert_close(filter_pixels(x, taps, padding), (patches * taps[:, None]).sum(2))


def test_memory_format_does_not_change_the_result():
    x, taps = torch.rand(1, 4, 8, 6), torch.randn(1, 9, 8, 6)
    last = torch.channels_last
    torch.testing.assert_close(
        filter_pixels(x.to(memory_format=last), taps.to(memory_format=last)), filter_pixels(x, taps)
    )


@pytest.mark.parametrize("padding", ["replicate", "zeros"])
def test_gradients_of_picture_and_taps_are_right(padding):
    x = torch.rand(2, 2, 4, 5, dtype=torch.double, requires_grad=True)
    taps = torch.randn(2, 9, 4, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: filter_pixels(a, b, padding), (x, taps))


def test_a_kernel_without_a_centre_is_refused():
    with pytest.raises(ValueError, match="centre"):
        filter_pixels(torch.rand(1, 1, 4, 4), torch.rand(1, 4, 4, 4))
