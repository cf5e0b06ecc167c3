"""MGDN: published parameter counts, both forms of mutual guidance, windows, tasks, losses."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mefcli.training.settings import find_recipe
from mefnets import mgdn
from mefnets.engine.fuser import build_network
from mefnets.mgdn.light import mu_law, weighed
from mefnets.mgdn.loss import (
    MaskedMI,
    MGDNObjective,
    deghosting_loss,
    normalised_mutual_information,
)
from mefnets.mgdn.mgdf import DynamicFilter, MutualGuidance
from mefnets.mgdn.network import TASKS, build
from mefnets.mgdn.pff import Block, WindowAttention, relative_index, wrap_mask
from mefnets.recipe import Batch

PUBLISHED = {
    "exposure": 908_311,
    "focus": 182_755,
    "deghosting": 1_826_685,
    "depth": 297_892,
    "depth16": 1_149_394,
}
SHAPES = {
    "exposure": (1, 2, 3, 24, 16),
    "focus": (1, 2, 3, 13, 10),
    "deghosting": (1, 3, 6, 16, 16),
    "depth": (1, 1, 4, 12, 8),
    "depth16": (1, 1, 4, 8, 8),
    "bracket": (1, 5, 3, 16, 16),
    "moving": (1, 3, 6, 16, 16),
    "guided": (1, 1, 7, 18, 15),
}
OF_DEPTH = ("depth", "depth16", "guided")


def parameters(**options: object) -> int:
    return sum(p.numel() for p in build(**options).parameters())


@pytest.mark.parametrize(("task", "count"), PUBLISHED.items())
def test_with_idle_layers_and_the_codes_guidance_counts_are_the_published_ones(task: str, count: int):
    assert parameters(task=task, exchange="code", norm_residual=False, unused=True) == count


def test_idle_layers_are_two_norms_and_one_convolution_a_stage():
    lean, full = (parameters(norm_residual=False, unused=unused) for unused in (False, True))
    assert full - lean == 2 * 120 + 2 * 7260


def test_paper_guidance_adds_one_norm_a_stage():
    assert parameters() == 908_311 - 2 * 120 - 2 * 7260 + 2 * 120 == 893_791


@pytest.mark.parametrize("task", TASKS)
def test_every_task_builds_runs_and_learns(task: str):
    network = build(task=task).train()
    frames = torch.rand(SHAPES[task])
    fused = network(frames)
    channels = 1 if task in OF_DEPTH else 3
    assert fused.shape == (1, channels, *SHAPES[task][-2:])
    fused.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("options", [{"exchange": "code", "norm_residual": False}, {"unused": True}])
def test_forms_of_guidance_give_different_pictures_of_the_same_shape(options: dict[str, object]):
    frames = torch.rand(1, 2, 3, 16, 16)
    assert build(**options).eval()(frames).shape == (1, 3, 16, 16)


def test_bracket_form_takes_any_number_from_three_and_refuses_two():
    network = build(task="bracket").eval()
    with torch.no_grad():
        for count in (3, 4, 7):
            assert network(torch.rand(1, count, 3, 16, 16)).shape == (1, 3, 16, 16)
        with pytest.raises(ValueError, match="three frames or more"):
            network(torch.rand(1, 2, 3, 16, 16))


def test_begins_as_the_mean_of_the_exposures():
    network = build(start="mean").eval()
    frames = torch.rand(1, 2, 3, 32, 32)
    with torch.no_grad():
        fused = network(frames)
    torch.testing.assert_close(fused, torch.sigmoid(5 * frames.mean(1) - 2.5), atol=0.06, rtol=0)


# ---- moving scenes ---------------------------------------------------------------------------------------


def standing(light: torch.Tensor) -> torch.Tensor:
    """Frames two stops apart of linear light (3, H, W), 1 at the darkest's white: (1, 3, 6, H, W)."""
    shots = [(light * 4.0**k).clamp(0, 1) for k in range(3)]
    return torch.stack([torch.cat((shot ** (1 / 2.2), shot / 4.0**k)) for k, shot in enumerate(shots)])[None]


def smooth_light() -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(40.0), indexing="ij")
    waves = 0.5 + 0.5 * torch.sin(x / 6) * torch.cos(y / 5)
    return torch.stack([0.6 * waves + 0.02, 0.5 * waves + 0.02, 0.3 * waves + 0.01])


def test_frames_that_agree_give_their_light_whoever_is_believed():
    light = smooth_light()
    frames = standing(light)
    torch.testing.assert_close(weighed(frames, torch.randn(1, 3, 32, 40))[0], light, atol=0.02, rtol=0)
    clipped = frames[0, 2, 3:] < 0.9 * light
    assert clipped.any(), "the test shows a frame that says less than the light"


def test_where_all_are_clipped_the_darkest_is_believed():
    light = weighed(standing(torch.full((3, 8, 8), 3.0)), torch.zeros(1, 3, 8, 8))
    torch.testing.assert_close(light, torch.ones_like(light), atol=0.02, rtol=0)


@pytest.mark.parametrize("moved", [0, 2])
def test_begins_in_doubt_of_a_frame_that_differs(moved: int):
    torch.manual_seed(0)
    light = 0.02 + 0.04 * smooth_light()
    passed = light.clone()
    passed[:, 8:24, 8:24] *= 0.3  # a dark thing
    frames, other = standing(light), standing(light)
    other[0, moved] = standing(passed)[0, moved]
    network = build(task="moving", start="mean").eval()
    with torch.no_grad():
        away = (network(other)[0] - light).abs().mean()
        plain = (weighed(other, torch.zeros(1, 3, 32, 40))[0] - light).abs().mean()
        trust = network.trust(other)
        torch.testing.assert_close(network(frames)[0], light, atol=2e-3, rtol=0)
    assert away < 0.3 * plain
    assert trust.abs().max() <= 8


def test_the_papers_deghosting_paints_light_and_has_no_trust():
    network = build(task="deghosting").eval()
    with torch.no_grad():
        assert network(standing(smooth_light()[:, :16, :16])).min() > 0
    assert network.gives == "picture"


def test_moving_scenes_are_judged_after_mu_law():
    objective = MGDNObjective("moving", mi_weight=0.0, ssim_weight=0.0)
    network = build(task="moving", start="mean").train()
    batch = Batch(standing(smooth_light()), torch.zeros(1, 3), target=smooth_light()[None])
    loss, terms = objective(network, batch, 0.5)
    with torch.no_grad():
        network.eval()
        expected = deghosting_loss(network(batch.frames), batch.target)
    assert list(terms) == ["l1"]
    assert loss.item() == pytest.approx(expected.item(), rel=0.2)  # stochastic depth


def test_the_papers_recipe_for_moving_scenes_says_nothing_of_ours():
    recipe = find_recipe("mgdn-moving", "paper")
    assert (recipe.data.crop_px, recipe.data.batch, recipe.lr, recipe.stages) == (128, 4, 1e-4, ())
    assert [recipe.schedule(p) for p in (0.5, 0.6, 0.9)] == [1.0, 0.5, 0.1]
    objective = recipe.objective()
    assert objective.absolute is deghosting_loss
    assert objective.mi_over == "sum"
    spec = mgdn.adapt(replace(mgdn.MOVING, options={**mgdn.MOVING.options, **recipe.options}))
    network = build_network(spec)
    assert sum(p.numel() for p in network.parameters()) == parameters(task="deghosting")
    assert spec.tiling.mirror_px == 0


# ---- mutual guidance -----------------------------------------------------------------------------------


def test_channel_attention_equals_its_definition():
    torch.manual_seed(0)
    C, heads = 12, 3
    ca = MutualGuidance(C, heads, norm=False)
    guide, op = torch.randn(2, 2, C, 9, 7).unbind(0)
    q = ca.q2(ca.q1(guide)).view(2, heads, C // heads, 63)
    k, v = (t.reshape(2, heads, C // heads, 63) for t in ca.kv2(ca.kv1(op)).chunk(2, 1))
    q, k = F.normalize(q, dim=3), F.normalize(k, dim=3)
    slow = (q @ k.mT * ca.temperature).softmax(3) @ v
    expected = ca.out(slow.reshape(2, C, 9, 7))
    torch.testing.assert_close(ca.apply_mixing(ca.mixing(guide, op), op), expected, atol=1e-5, rtol=1e-4)


def test_paper_guides_by_the_other_stream_and_code_takes_the_others_values():
    torch.manual_seed(0)
    ca = MutualGuidance(12, 6, norm=False)
    own, other = torch.randn(2, 1, 12, 8, 8).unbind(0)
    for exchange, (guide, op) in {"paper": (other, own), "code": (own, other), "own": (own, own)}.items():
        layer = DynamicFilter(12, exchange, residual=False)
        seen: list[torch.Tensor] = []
        layer.head.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        layer(ca, own, other)
        torch.testing.assert_close(seen[0], ca.apply_mixing(ca.mixing(guide, op), op))


def test_dynamic_kernels_begin_as_the_identity():
    torch.manual_seed(0)
    layer = DynamicFilter(12, "paper", residual=True)
    own, other = torch.rand(2, 1, 12, 10, 10).unbind(0)
    expected = F.leaky_relu(layer.after(own), 0.1)
    torch.testing.assert_close(layer(MutualGuidance(12, 6, True), own, other), expected, atol=0.1, rtol=0)


def test_strips_at_inference_equal_the_whole_picture():
    torch.manual_seed(0)
    network = build(task="focus").eval()
    frames = torch.rand(1, 2, 3, 72, 12)
    with torch.no_grad():
        frugal = network(frames)
    torch.testing.assert_close(network(frames).detach(), frugal, atol=2e-5, rtol=0)


def test_equation_one_divides_by_what_the_code_multiplies_with():
    torch.manual_seed(0)
    multiplied, divided = MutualGuidance(12, 6, False), MutualGuidance(12, 6, False, "divide")
    divided.load_state_dict(multiplied.state_dict())
    guide, op = torch.rand(2, 1, 12, 8, 8).unbind(0)
    torch.testing.assert_close(multiplied.mixing(guide, op), divided.mixing(guide, op))  # both start at 1
    with torch.no_grad():
        multiplied.temperature.fill_(4.0)
        divided.temperature.fill_(0.25)
    torch.testing.assert_close(multiplied.mixing(guide, op), divided.mixing(guide, op))


def test_static_filters_are_the_same_for_all_pixels_and_guided_by_nobody():
    torch.manual_seed(0)
    network = build(filters="static").eval()
    assert not any("guidance" in name or "head" in name for name, _ in network.named_parameters())
    layer = network.stages[0].filters[0]
    x = torch.rand(1, 60, 12, 12)
    torch.testing.assert_close(layer(None, x, x), F.leaky_relu(layer.after(x), 0.1))  # begins as a delta
    assert build(filters="static", start="mean").eval()(torch.rand(1, 2, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_default_kernels_are_no_deltas():
    layer = build(start="default").stages[0].filters[0]
    assert float(layer.head.conv3.bias.detach().abs().max()) < 0.2


# ---- the paper's recipe --------------------------------------------------------------------------------


def test_the_papers_recipe_has_nothing_of_ours():
    recipe = find_recipe("mgdn", "paper")
    objective = recipe.objective()
    assert (objective.ssim_weight, objective.fidelity_weight, objective.colour_weight) == (0, 0, 0)
    assert objective.mi_weight > 0
    assert objective.mi_over == "sum"
    assert (recipe.data.crop_px, recipe.data.views, recipe.steps) == (64, "patches", 5_500)
    assert (recipe.optimiser, recipe.weight_decay, recipe.schedule) == ("adam", 0, "constant")
    assert (recipe.warmup_steps, recipe.clip_norm, recipe.wide) == (0, None, False)
    assert recipe.ema > 0  # the authors average
    spec = mgdn.adapt(replace(mgdn.SPEC, options={**mgdn.SPEC.options, **recipe.options}))
    assert spec.tiling.mirror_px == 0
    network = build_network(spec)
    assert network.stages[0].guidance.scale == "divide"
    frames = torch.rand(1, 2, 3, 16, 16)
    with torch.no_grad():
        assert float((network(frames) - frames.mean(1)).abs().mean()) > 0.1  # not the mean to begin with


@pytest.mark.parametrize(
    ("name", "crop_px", "turns"),
    [("mgdn", 64, 4), ("mgdn-focus", 64, 4), ("mgdn-moving", 128, 2), ("mgdn-depth", 64, 4)],
)
def test_the_papers_patches_are_patches(name: str, crop_px: int, turns: int):
    """Its own words: whole views of recorded pictures, made small, would be another recipe."""
    data = find_recipe(name, "paper").data
    assert (data.views, data.crop_px, data.turns, data.batch) == ("patches", crop_px, turns, 4)
    if name != "mgdn":
        assert find_recipe(name).data.views == "patches"  # small, a blurred picture is as sharp as any


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_an_objective(task: str):
    """Widths and stages are the task's: with those of exposures, every other one failed."""
    network, objective = build(task=task).train(), MGDNObjective(task)
    frames = torch.rand(SHAPES[task])
    channels = 1 if task in OF_DEPTH else 3
    target = torch.rand(1, channels, *SHAPES[task][-2:])
    loss, terms = objective(network, Batch(frames, torch.zeros(1, 2), target=target), 0.0)
    loss.backward()
    assert math.isfinite(loss.item())
    assert "mi" in terms
    if task == "deghosting":
        with torch.no_grad():
            network.eval()
            assert terms["l1"] != pytest.approx(F.l1_loss(network(frames), target).item())


def test_stages_are_summed_where_the_paper_sums_them():
    kept = [[torch.rand(2, 60, 16, 16) for _ in range(2)] for _ in range(2)]
    torch.manual_seed(0)
    mean = MGDNObjective()
    torch.manual_seed(0)
    total = MGDNObjective(mi_over="sum")
    assert total.mutual_information(kept).item() == pytest.approx(2 * mean.mutual_information(kept).item())


# ---- windows -------------------------------------------------------------------------------------------


def test_window_attention_equals_its_definition():
    torch.manual_seed(0)
    layer = WindowAttention(12, 4, 3)
    t = torch.randn(1, 4, 4, 12)  # one window
    q, k, v = layer.qkv(t).view(1, 16, 3, 3, 4).permute(2, 0, 3, 1, 4)
    logits = q @ k.mT / math.sqrt(4)
    for i in range(16):
        for j in range(16):
            dy, dx = i // 4 - j // 4 + 3, i % 4 - j % 4 + 3
            logits[0, :, i, j] = logits[0, :, i, j] + layer.bias_table[dy * 7 + dx]
    expected = layer.proj((logits.softmax(3) @ v).transpose(1, 2).reshape(1, 4, 4, 12))
    torch.testing.assert_close(layer(t, layer.bias(), (False, False)), expected, atol=1e-5, rtol=1e-4)


def test_masks_and_indices_are_made_once():
    assert relative_index(8) is relative_index(8)
    assert wrap_mask(8, True, False) is wrap_mask(8, True, False)


def test_shifted_windows_do_not_see_across_the_wrapped_edge():
    torch.manual_seed(0)
    block = Block(16, 4, 2, 2, shifted=True, drop=0.0).eval()
    x = torch.randn(1, 12, 12, 16, requires_grad=True)
    # The gate averages over the picture, so only the attention of one band is looked at.
    ends = torch.cat((x[:, 10:], x[:, :2]), 1)
    block._band(ends, block.norm1(ends), block.attention.bias(), True)[0, 0, 0].sum().backward()
    assert x.grad[0, 10:, :2].abs().sum() > 0
    assert x.grad[0, :2].abs().sum() == 0
    assert x.grad[0, :, 2:].abs().sum() == 0


def test_stochastic_depth_is_off_in_evaluation_and_on_in_training():
    torch.manual_seed(0)
    block = Block(16, 4, 2, 2, shifted=False, drop=0.9)
    x = torch.randn(8, 4, 4, 16)
    assert torch.equal(block.eval()(x.clone()), block(x.clone()))
    assert not torch.equal(block.train()(x.clone()), block(x.clone()))


# ---- losses --------------------------------------------------------------------------------------------


def test_mutual_information_is_one_for_equal_and_zero_for_independent_codes():
    same = torch.eye(8).repeat(4, 1)
    assert normalised_mutual_information(same, same).item() == pytest.approx(1, abs=1e-5)
    first = torch.eye(4).repeat_interleave(4, 0)
    second = torch.eye(4).repeat(4, 1)
    assert normalised_mutual_information(first, second).item() == pytest.approx(0, abs=1e-5)


def test_mutual_information_and_deghosting_loss_pass_gradcheck():
    codes = torch.rand(6, 5, dtype=torch.float64).softmax(1)
    logits = torch.rand(6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: normalised_mutual_information(x.softmax(1), codes), logits)
    fused, target = torch.rand(2, 1, 3, 4, 4, dtype=torch.float64).unbind(0)
    fused = fused.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: deghosting_loss(x, target), fused)


def test_mu_law_keeps_black_and_white_and_opens_shadows():
    x = mu_law(torch.tensor([0.0, 0.001, 1.0]))
    assert x[0] == 0
    assert x[2].item() == pytest.approx(1)
    assert x[1] > 0.2


def test_masked_mutual_information_passes_gradcheck():
    torch.manual_seed(0)
    estimate = MaskedMI(2, bins=4).double()
    c1, c2 = torch.randn(2, 1, 2, 16, 16, dtype=torch.float64).unbind(0)
    c1 = c1.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda c: estimate(c, c2), c1, fast_mode=True)


def test_critic_finds_more_mutual_information_and_never_moves_the_network():
    torch.manual_seed(0)
    network, objective = build(task="focus").train(), MGDNObjective("focus")
    frames = torch.rand(2, 2, 3, 16, 16)
    batch = Batch(frames, torch.zeros(2, 2), target=frames.mean(1))
    assert objective.critic_loss(network, batch) is None  # nothing seen yet
    loss, terms = objective(network, batch, 0.0)
    assert loss.item() == pytest.approx(terms["l1"] + 0.2 * terms["ssim"] + 0.02 * terms["mi"], rel=1e-4)
    adam = torch.optim.Adam(objective.parameters(), 1e-2)
    found = []
    for _ in range(8):
        critic = objective.critic_loss(network, batch)
        adam.zero_grad()
        critic.backward()
        adam.step()
        found.append(-critic.item())
    assert found[-1] > found[0]
    assert all(p.grad is None for p in network.parameters())


def test_a_worse_picture_costs_more():
    target = torch.rand(1, 3, 24, 24)

    class Fixed(torch.nn.Module):
        def __init__(self, error: float) -> None:
            super().__init__()
            self.error = error

        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            return target + self.error * torch.rand_like(target)

    batch = Batch(torch.rand(1, 2, 3, 24, 24), torch.zeros(1, 2), target=target)
    losses = [MGDNObjective(mi_weight=0)(Fixed(e), batch, 0.0)[0].item() for e in (0.0, 0.1, 0.4)]
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert losses == sorted(losses)
