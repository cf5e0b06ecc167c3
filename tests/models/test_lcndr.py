"""LCNDR: the facts of its specification, its losses, and that it does not begin as a global mix."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mefcli.training.loop import learning_rate
from mefcli.training.settings import find_recipe
from mefnets import lcndr
from mefnets.engine.fuser import build_network
from mefnets.layers.blocks import place, recording, replaying
from mefnets.lcndr.loss import LCNDRObjective, collapse_residual, mse_loss, ssim_loss
from mefnets.lcndr.network import ERM, LCNDR, MULTIPLE, build
from mefnets.lcndr.recipe import RECIPE
from mefnets.recipe import Batch


def parameters(**options: object) -> int:
    return sum(p.numel() for p in build(**options).parameters())


def bracket(batch: int = 1, size: int = 48) -> Tensor:  # (B, 2, 1, H, W)
    x = torch.linspace(0, 1, size)
    scene = (x[:, None] * x[None, :]).sqrt() + 0.1 * torch.sin(40 * x)[None, :]
    pair = torch.stack((scene * 0.4, scene * 1.6)).clamp(0, 1)
    return pair[None, :, None].repeat(batch, 1, 1, 1, 1)


def test_has_the_316_thousand_parameters_of_the_specified_reading():
    assert parameters() == 316_185


def test_each_ablation_switch_removes_its_module():
    full = parameters()
    assert parameters(sam=False) == full - sum(p.numel() for p in LCNDR().sam.parameters())
    assert parameters(erm=False) == full - (224 * 32 + 32) - (32 * 32 * 9 + 32) - (32 * 9 + 1) + (224 * 9 + 1)
    without = [parameters(attentions=n) for n in range(4)]
    assert len({b - a for a, b in itertools.pairwise(without)}) == 1
    names = dict(build(cem=False).named_modules())
    assert not any("attention" in name or "pooling" in name for name in names)


@pytest.mark.parametrize("changes", [{}, *(v["options"] for v in RECIPE.variants.values() if "options" in v)])
def test_every_variant_of_the_recipe_runs(changes: dict[str, object]):
    fused = build(**changes).eval()(bracket(size=33))
    assert fused.shape == (1, 1, 33, 33)
    assert fused.min() >= 0
    assert fused.max() <= 1


def test_branch_ends_do_what_they_are_called():
    under, over = torch.full((1, 1, 32, 32), -0.4), torch.full((1, 1, 32, 32), 0.6)
    frames = torch.stack((under, over), 1) * 0.5 + 0.5
    for over_end, under_end in itertools.product(("add", "multiply"), repeat=2):
        network = LCNDR(over_end=over_end, under_end=under_end).train()
        fused = network(frames) * 2 - 1
        w_o, w_u = network.last_maps["w_o"], network.last_maps["w_u"]
        expected = (w_o * over if over_end == "multiply" else w_o + over) + (
            w_u * under if under_end == "multiply" else w_u + under
        )
        torch.testing.assert_close(fused, expected, atol=1e-6, rtol=0)


def test_gradient_filter_is_the_larger_of_a_pixel_and_its_lower_right_neighbour():
    p = torch.rand(1, 1, 6, 7)
    filtered = ERM.gradient_filter(p)
    for i, j in itertools.product(range(4), range(1, 5)):

        def g(i: int, j: int) -> float:
            left, below = p[0, 0, i, j] - p[0, 0, i, j - 1], p[0, 0, i, j] - p[0, 0, i + 1, j]
            return math.sqrt(left**2 + below**2 + 1e-6)

        assert filtered[0, 0, i, j].item() == pytest.approx(max(g(i, j), g(i + 1, j + 1)), abs=1e-5)


def test_gradient_filter_has_finite_gradients_on_a_flat_picture():
    p = torch.zeros(1, 2, 8, 8, requires_grad=True)
    ERM.gradient_filter(p).sum().backward()
    assert torch.isfinite(p.grad).all()


def test_begins_as_a_local_blend_and_not_as_one_global_mix():
    frames = bracket()
    fused = build().eval()(frames)
    assert fused.std() > 0.05
    assert collapse_residual(frames[:, 0], frames[:, 1], fused).item() > 3.0
    assert ((fused >= frames.amin(1) - 0.03) & (fused <= frames.amax(1) + 0.03)).float().mean() > 0.95


def test_gates_of_a_tile_are_its_part_of_the_whole_pictures():
    network = build().eval()
    frames = bracket(size=96)
    with torch.inference_mode():
        whole = network(frames)
        with recording(network):
            network(frames)
        with replaying(network):
            place(network, (48 / 96, 1.0, 0.0, 1.0))
            tile = network(frames[..., 48:, :])
    torch.testing.assert_close(tile[..., 32:, :], whole[..., 80:, :], atol=1e-3, rtol=0)


def test_attention_reads_at_most_64_by_64_keys():
    network = build().eval()
    with torch.inference_mode(), recording(network):
        network(torch.rand(1, 2, 1, 8, 8 * MULTIPLE * 16))
    keys, _ = network.sam.statistic.kept[0]
    assert keys.shape[1] == 1 * 64


# ---- as the paper prints it ----------------------------------------------------------------------------


def test_equation_one_sums_what_the_default_puts_side_by_side():
    torch.manual_seed(0)
    network = build(join="sum").eval()
    assert network.widths == (32, 32)
    x, attended = torch.rand(1, 32, 16, 16), torch.zeros(1, 32, 2, 2)
    expected = network.cem.start(x) + sum(x * a_h * a_w for a_h, a_w in network.cem.gates(x))
    expected = network.erm.reduce(torch.cat((expected, torch.zeros_like(x)), 1))
    torch.testing.assert_close(network._reduced(network.erm.reduce, x, attended), expected, atol=1e-5, rtol=0)
    with torch.no_grad():
        assert network._reduced(network.erm.reduce, x, attended).sub(expected).abs().max() < 1e-5


def test_the_sum_is_read_without_edge_revision_too():
    assert build(join="sum", erm=False).eval()(bracket(size=33)).shape == (1, 1, 33, 33)


def test_every_convolution_of_the_papers_attention_has_a_batch_norm():
    sam = build(norms=True).sam
    convolutions = [m for m in sam.modules() if isinstance(m, torch.nn.Conv2d)]
    norms = [m for m in sam.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert [m.num_features for m in norms] == [m.out_channels for m in (sam.conv0, sam.conv1)] + [8, 8, 32]
    assert len(norms) == len(convolutions)
    assert parameters(norms=True) == 316_185 + 2 * (8 + 8 + 32)


def test_attention_may_read_every_position():
    network = build(grid=0).eval()
    with torch.inference_mode(), recording(network):
        network(torch.rand(1, 2, 1, 8, 8 * MULTIPLE * 16))
    assert network.sam.statistic.kept[0][0].shape[1] == 8 * 16


def test_edges_alone_leave_out_what_is_smooth():
    torch.manual_seed(0)
    erm = ERM(8, "alone")
    level = torch.rand(1, 32, 1, 1).expand(-1, -1, 9, 9)
    torch.testing.assert_close(erm.head(level), erm.head(level + 0.5))


def test_without_coordination_each_colour_is_fused_by_itself():
    network = build(planes="rgb").eval()
    frames = torch.cat((bracket(), bracket().flip(-1), bracket().flip(-2)), 2)  # (1, 2, 3, H, W)
    fused = network(frames)
    for plane in range(3):
        torch.testing.assert_close(fused[:, plane, None], network(frames[:, :, plane, None]))
    spec = lcndr.adapt(replace(lcndr.SPEC, options={"planes": "rgb"}))
    assert spec.colour == "rgb"


def test_the_papers_recipe_has_nothing_of_ours():
    recipe = find_recipe("lcndr", "paper")
    objective = recipe.objective()
    assert (objective.ssim_weight, objective.mse_weight, objective.fidelity_weight) == (0.3, 20, 0)
    assert (recipe.data.crop_px, recipe.data.batch, recipe.steps) == (256, 16, 11_687)
    assert (recipe.warmup_steps, recipe.clip_norm, recipe.ema, recipe.wide) == (0, None, 0, False)
    assert learning_rate(recipe, 0, 0.0) == pytest.approx(1e-4)
    assert learning_rate(recipe, 9, 1 / 500) == pytest.approx(0.9e-4)
    spec = lcndr.adapt(replace(lcndr.SPEC, options=recipe.options))
    assert spec.tiling.mirror_px == 0
    network = build_network(spec)
    assert network.start == "none"
    assert network.cem.summed
    assert network.erm.alone
    assert float(network.erm.conv2.weight.detach().std()) > 0.01  # not held near zero


# ---- losses --------------------------------------------------------------------------------------------


def test_loss_weights_are_the_papers():
    frames = bracket()
    objective = LCNDRObjective()
    rgb = frames.expand(-1, -1, 3, -1, -1)
    network = build().train()
    loss, terms = objective(network, Batch(rgb, torch.zeros(1, 2)), 0.0)
    assert loss.item() == pytest.approx(0.3 * terms["ssim"] + 5 * terms["mse"], rel=1e-5)
    assert {"w_o_spread", "w_u_mean", "residual_levels"} <= terms.keys()


def test_losses_pass_gradcheck():
    under, over, fused = torch.rand(3, 1, 1, 12, 12, dtype=torch.float64).unbind(0)
    fused = fused.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: ssim_loss(under, over, f), fused)
    assert torch.autograd.gradcheck(lambda f: mse_loss(under, over, f), fused)


def test_losses_are_least_where_they_should_be():
    under, over = bracket()[:, 0], bracket()[:, 1]
    assert ssim_loss(over, over, over).item() == pytest.approx(0, abs=1e-5)
    mean = (under + over) / 2
    assert mse_loss(under, over, mean) < mse_loss(under, over, mean + 0.05)
    assert mse_loss(under, over, mean) < mse_loss(under, over, mean - 0.05)
    assert ssim_loss(under, over, mean) < ssim_loss(under, over, torch.rand_like(mean))


def test_collapse_residual_is_zero_for_any_global_mix_and_large_for_a_local_one():
    under, over = torch.rand(2, 3, 1, 32, 32).unbind(0)
    assert collapse_residual(under, over, 0.47 * over + 1.04 * under - 6 / 255).max() < 0.01
    assert collapse_residual(under, over, torch.maximum(under, over)).min() > 3.0
