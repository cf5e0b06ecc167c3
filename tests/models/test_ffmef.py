"""FFMEF: the facts of its paper, its loss, and that it computes the authors' function."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from imageio.v3 import imread
from safetensors.torch import load_file, safe_open

from mefcli.errors import ModelError
from mefcli.importing import import_checkpoint
from mefcli.training.settings import find_recipe
from mefnets import ffmef
from mefnets.colour import from_studio, to_studio
from mefnets.engine.fuser import build_network
from mefnets.ffmef.importer import convert
from mefnets.ffmef.loss import (
    GIF,
    PRINTED,
    GIFObjective,
    ProportionalObjective,
    StructureObjective,
    gradient,
    overwritten_weights,
    saturation_weights,
    steep_masks,
)
from mefnets.ffmef.network import build
from mefnets.ffmef.recipe import RECIPE
from mefnets.layers.blocks import recording, replaying
from mefnets.recipe import Batch

CHECKPOINTS = Path(__file__).resolve().parents[2].parent / "shared/data/dev/checkpoints"
needs_checkpoint = pytest.mark.skipif(
    not CHECKPOINTS.is_dir(),
    reason="PARITY NOT CHECKED: their checkpoint is not beside the repository",
)


@pytest.fixture
def network():
    torch.manual_seed(3)
    return build().eval().requires_grad_(False)


def pair(height=33, width=47, batch=1, frames=2):
    torch.manual_seed(5)
    return torch.rand(batch, frames, 1, height, width)


# ---- network ---------------------------------------------------------------------------------------------


def test_it_has_the_papers_parameters_part_by_part(network):
    def count(module):
        return sum(p.numel() for p in module.parameters())

    assert count(network) == 7662
    assert count(network.stem) == 8
    assert count(network.extractor) == 3464
    assert [count(head) for head in network.heads] == [155, 571, 3323]
    assert [count(a) for a in network.attentions] == [46, 46, 46]
    assert network.alpha.numel() == 3


@pytest.mark.parametrize("size", [(33, 47), (3, 3), (1, 40), (17, 1)])
def test_any_size_is_taken(network, size):
    fused = network(pair(*size))
    assert fused.shape == (1, 1, *size)
    assert fused.isfinite().all()


def test_a_batch_of_two_equals_two_batches_of_one(network):
    frames = pair(batch=2)
    alone = torch.cat([network(frames[:1]), network(frames[1:])])
    torch.testing.assert_close(network(frames), alone, atol=2e-5, rtol=1e-4)


def test_two_frames_take_the_same_way_as_many_frames(network):
    """The shortcut for pairs must agree with the general form it stands for."""
    attention = network.attentions[1]
    R = torch.randn(2, 2, 4, 9, 8)
    gates = [
        attention.gates(R[:, 0], R[:, 1])[:, :1],
        attention.gates(R[:, 0], R[:, 1])[:, 1:],
    ]
    torch.testing.assert_close(attention(R), torch.stack([R[:, 0] * gates[0], R[:, 1] * gates[1]], 1))
    middle = attention(torch.stack([R[:, 0], R[:, 0], R[:, 1]], 1))  # three frames run the general form
    assert middle.shape == (2, 3, 4, 9, 8)


@pytest.mark.parametrize("frames", [3, 5])
def test_more_frames_than_two_fuse_at_once(network, frames):
    fused = network(pair(frames=frames))
    assert fused.shape == (1, 1, 33, 47)
    assert fused.isfinite().all()


def test_a_picture_repeated_four_times_is_about_as_bright_as_repeated_twice(network):
    one = pair(frames=1)
    twice, four = network(one.repeat(1, 2, 1, 1, 1)), network(one.repeat(1, 4, 1, 1, 1))
    assert abs(float(four.mean() - twice.mean())) < 0.3 * float(twice.abs().mean())


def test_replicated_borders_leave_a_flat_source_flat_under_a_constant_filter(network):
    from mefnets.layers.dynamic_filter import filter_pixels

    flat = torch.full((1, 1, 9, 9), 0.5)
    taps = torch.full((1, 25, 9, 9), 0.04)
    torch.testing.assert_close(filter_pixels(flat, taps, "replicate"), flat)
    assert float(filter_pixels(flat, taps, "zeros")[0, 0, 0, 0]) < 0.2


def test_tiles_that_replay_the_statistics_equal_the_whole_picture(network):
    frames = pair(96, 96)
    with recording(network):
        whole = network(frames)
    with replaying(network):
        tile = network(frames[..., :72, :72])
    margin = 24  # 11 convolutions of 3 x 3 in a row, one of 5 x 5 and the filter, reach 15
    torch.testing.assert_close(
        tile[..., : 72 - margin, : 72 - margin],
        whole[..., : 72 - margin, : 72 - margin],
        atol=1e-4,
        rtol=1e-3,
    )


@pytest.mark.parametrize("options", [{}, {"padding": "zeros"}])
@pytest.mark.parametrize("count", [2, 3])
def test_any_number_of_frames_runs_with_either_padding(options, count):
    network = build_network(replace(ffmef.SPEC, options=options))
    assert network(pair(frames=count)).shape == (1, 1, 33, 47)


def test_gradients_reach_every_parameter():
    network = build()
    loss, terms = GIFObjective()(network, Batch(torch.rand(2, 2, 3, 24, 24), torch.zeros(2, 2)), 0.0)
    loss.backward()
    assert set(terms) == {"steep", "smooth", "overall"}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


# ---- loss ------------------------------------------------------------------------------------------------


def scene():
    torch.manual_seed(0)
    picture = torch.rand(1, 1, 16, 16).repeat_interleave(4, 2).repeat_interleave(4, 3)
    sources = torch.stack((picture * 0.4, (picture * 1.8).clamp(max=1)), 1)
    return sources, torch.zeros(1, 2, 2, 64, 64)


def test_gif_has_the_papers_constants():
    assert GIF().weights == (1.25, 1.0, 2.0)
    sources, chroma = scene()
    terms = GIF().terms(sources, chroma, sources.mean(1))
    torch.testing.assert_close(
        GIF()(sources, chroma, sources.mean(1)), 1.25 * terms.steep + terms.smooth + 2 * terms.overall
    )


def test_gif_is_zero_for_two_equal_sources_fused_to_themselves():
    sources, chroma = scene()
    same = sources[:, :1].expand(-1, 2, -1, -1, -1)
    assert float(GIF()(same, chroma, same[:, 0])) == pytest.approx(0, abs=1e-6)


def test_a_blurred_result_scores_worse_in_every_steep_and_overall_term():
    sources, chroma = scene()
    good = sources.mean(1)
    bad = torch.nn.functional.avg_pool2d(good, 9, 1, 4)
    a, b = GIF().terms(sources, chroma, good), GIF().terms(sources, chroma, bad)
    assert b.overall > a.overall
    assert GIF()(sources, chroma, bad) > GIF()(sources, chroma, good)


def test_smooth_zones_want_the_more_saturated_source():
    sources = torch.stack((torch.full((1, 1, 8, 8), 0.2), torch.full((1, 1, 8, 8), 0.8)), 1)
    chroma = torch.zeros(1, 2, 2, 8, 8)
    chroma[:, 1] = 0.3
    gif = GIF(temperature=1 / 255)
    at = {y: float(gif(sources, chroma, torch.full((1, 1, 8, 8), y))) for y in (0.3, 0.5, 0.6386)}
    assert at[0.6386] < at[0.5] < at[0.3]  # softmax(1, 0) = 0.731: 0.269 * 0.2 + 0.731 * 0.8
    plain = GIF(smooth_target="mean")
    assert float(plain(sources, chroma, torch.full((1, 1, 8, 8), 0.5))) == pytest.approx(0, abs=1e-6)


def test_saturation_weights_sum_to_one_unlike_the_authors_overwritten_softmax():
    weights = saturation_weights(torch.rand(2, 2, 2, 5, 5) - 0.5)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 1, 5, 5))


def test_a_clean_edge_along_one_axis_is_steep():
    edge = torch.zeros(1, 1, 1, 9, 9)
    edge[..., 5:] = 1.0
    mask = steep_masks(gradient(edge[0])[None])
    assert bool(mask[0, 0, 0, :, 3:7].all())
    assert not bool(mask[0, 0, 0, :, :2].any())


def test_switching_a_term_off_removes_it():
    sources, chroma = scene()
    fused = torch.rand(1, 1, 64, 64)
    terms = GIF().terms(sources, chroma, fused)
    torch.testing.assert_close(
        GIF(weights=(1.25, 1.0, 0.0))(sources, chroma, fused), 1.25 * terms.steep + terms.smooth
    )
    assert float(GIF(masks="raw").terms(sources, chroma, fused).steep) != float(terms.steep)


def test_gif_has_the_right_gradient():
    torch.manual_seed(1)
    sources = torch.rand(1, 2, 1, 5, 5, dtype=torch.double) * 0.05
    chroma = torch.rand(1, 2, 2, 5, 5, dtype=torch.double) - 0.5
    fused = (torch.rand(1, 1, 5, 5, dtype=torch.double) * 0.02).requires_grad_()  # below saturation
    assert torch.autograd.gradcheck(lambda y: GIF()(sources, chroma, y), fused)


def test_results_outside_the_range_are_pulled_back_because_nothing_is_clamped():
    level = torch.nn.Parameter(torch.tensor(1.4))

    class Constant(torch.nn.Module):
        def forward(self, frames):
            return level.expand_as(frames[:, 0])

    batch = Batch(torch.full((1, 2, 3, 8, 8), 0.5), torch.zeros(1, 2))
    GIFObjective()(Constant(), batch, 0.0)[0].backward()
    assert level.grad is not None
    assert float(level.grad) > 0


def test_raw_gradients_replace_both_the_steep_and_the_smooth_term():
    """In the paper's ablation L_raw stands for both; an L_smooth left beside it holds flat zones."""
    sources, chroma = scene()
    fused = torch.rand(1, 1, 64, 64)
    gif = GIF(masks="raw")
    terms = gif.terms(sources, chroma, fused)
    torch.testing.assert_close(gif(sources, chroma, fused), 1.25 * terms.steep + 2 * terms.overall)
    g = gradient(sources[0])
    expected = sum((g[i] * (sources[0, i] - fused[0]).abs()).mean() for i in (0, 1))
    torch.testing.assert_close(terms.steep, expected)


def test_at_the_printed_scale_saturation_decides_and_in_zero_to_one_it_hardly_does():
    torch.manual_seed(0)
    chroma = (torch.rand(1, 2, 2, 32, 32) - 0.5) * 0.3
    off = {t: float((saturation_weights(chroma, t)[:, 0] - 0.5).abs().mean()) for t in (1.0, PRINTED)}
    assert off[1.0] < 0.03
    assert off[PRINTED] > 0.15


def test_the_authors_overwritten_softmax_sums_to_0992_for_grey():
    assert float(overwritten_weights(torch.zeros(1, 2, 2, 1, 1)).sum()) == pytest.approx(0.992, abs=5e-4)


def test_to_the_authors_code_an_edge_along_one_axis_is_not_steep():
    edge = torch.zeros(1, 1, 1, 9, 9)
    edge[..., 5:] = 1.0
    assert not bool(steep_masks(gradient(edge[0])[None], "code").any())
    corner = torch.zeros(1, 1, 1, 9, 9)
    corner[..., 5:, 5:] = 1.0
    assert bool(steep_masks(gradient(corner[0])[None], "code")[0, 0, 0, 4:6, 4:6].all())


def test_losses_that_gif_is_compared_with_are_least_where_they_ought_to_be():
    sources, _ = scene()
    batch = Batch(sources.expand(-1, -1, 3, -1, -1), torch.zeros(1, 2))

    def loss(objective, fused):
        return float(objective(lambda frames: fused, batch, 0.0)[0])

    mean = sources.mean(1)
    noisy = mean + 0.05 * torch.randn_like(mean)
    for objective in (StructureObjective(), ProportionalObjective()):
        assert loss(objective, mean) < loss(objective, noisy)
    assert loss(ProportionalObjective(), mean) < loss(ProportionalObjective(), sources[:, 0])


# ---- the paper's recipe ----------------------------------------------------------------------------------


def test_the_papers_recipe_has_nothing_of_ours():
    recipe = find_recipe("ffmef", "paper")
    objective = recipe.objective()
    assert (objective.tone, objective.measures) == (0, 0)
    assert (objective.studio, objective.clamped, objective.gif.temperature) == (True, True, 1 / 255)
    assert (recipe.data.crop_px, recipe.data.batch, recipe.steps) == (128, 2, 7230)
    assert (recipe.optimiser, recipe.lr, recipe.weight_decay) == ("adamw", 1e-3, 0.01)
    assert (recipe.schedule, recipe.warmup_steps, recipe.clip_norm) == ("constant", 0, None)
    assert (recipe.ema, recipe.wide) == (0, False)
    network = build(**recipe.options)
    assert (network.padding, network.luma) == ("zeros", "studio")
    assert find_recipe("ffmef", "code").data.crop_px == 320


@pytest.mark.parametrize("name", [name for name in RECIPE.variants if name != "late"])  # that one is taught
def test_every_variant_gives_finite_gradients(name):
    recipe = find_recipe("ffmef", name)
    network = build(**recipe.options)
    loss, _ = recipe.objective()(network, Batch(torch.rand(1, 2, 3, 32, 32), torch.zeros(1, 2)), 0.0)
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(("name", "count"), [("1", 3_674), ("1-3", 4_292), ("3-5", 7_460), ("1-3-5-7", 0)])
def test_the_papers_filter_ablation_can_be_built(name, count):
    recipe = find_recipe("ffmef", f"filters-{name}")
    network = build(**recipe.options)
    sides = [head.conv_2.kernel_size[0] for head in network.heads]
    assert sides == [int(side) for side in name.split("-")]
    assert network.alpha.sum().item() == pytest.approx(1.0)
    assert network(pair()).shape == (1, 1, 33, 47)
    if count:
        assert sum(p.numel() for p in network.parameters()) == count


def test_other_filters_than_there_are_refused():
    with pytest.raises(ValueError, match="Filters have sides of 1, 3, 5, 7"):
        build(kernels=(2,))


def test_studio_range_inside_is_the_same_function_as_studio_range_outside():
    torch.manual_seed(0)
    outside, inside = build(padding="zeros"), build(padding="zeros", luma="studio")
    inside.load_state_dict(outside.state_dict())
    frames = pair()
    expected = from_studio(outside(to_studio(frames)))
    torch.testing.assert_close(inside(frames), expected)


# ---- the authors' weights --------------------------------------------------------------------------------


def authors_ycbcr(rgb):
    matrix = np.array(
        [[0.256789, 0.504129, 0.097906], [-0.148223, -0.290992, 0.439215], [0.439215, -0.367789, -0.071426]]
    )
    return rgb.astype(np.float64) @ matrix.T + np.array([16, 128, 128])


def authors_rgb(y, c):
    y, cb, cr = 1.164383 * (y - 16), c[..., 0] - 128, c[..., 1] - 128
    rgb = np.stack([y + 1.596027 * cr, y - 0.391762 * cb - 0.812969 * cr, y + 2.01723 * cb], -1)
    return np.clip(rgb, 0, 255).astype(np.uint8)  # they truncate


@needs_checkpoint
def test_the_authors_weights_reproduce_their_result_within_one_level(tmp_path):

    out = tmp_path / "authors.safetensors"
    import_checkpoint(
        "ffmef", CHECKPOINTS / "ffmef_authors_mef.pth", out, zero_padding=True, studio_luma=True
    )
    network = build_network(replace(ffmef.SPEC, options={"padding": "zeros"}), load_file(out))
    under, over, expected = (
        imread(CHECKPOINTS / "ffmef_507" / name) for name in ("under.png", "over.png", "authors_result.png")
    )
    a, b = authors_ycbcr(under), authors_ycbcr(over)
    luma = torch.tensor(np.stack((a[..., 0], b[..., 0]))[None, :, None] / 255, dtype=torch.float32)
    y = network(luma)[0, 0].clamp(0, 1).double().numpy() * 255
    wa, wb = abs(a[..., 1:] - 128), abs(b[..., 1:] - 128)
    total = wa + wb
    # Below a thousandth of a level both are grey: only the rounded matrix makes them differ from 128.
    chroma = np.where(total > 1e-3, (a[..., 1:] * wa + b[..., 1:] * wb) / np.maximum(total, 1e-12), 128)
    difference = abs(authors_rgb(y, chroma).astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert difference.mean() < 1e-3


@needs_checkpoint
def test_the_import_remembers_padding_and_luma_range(tmp_path):
    from mefcli.checkpoints import load_fuser_weights

    out = tmp_path / "authors.safetensors"
    import_checkpoint(
        "ffmef", CHECKPOINTS / "ffmef_authors_mef.pth", out, zero_padding=True, studio_luma=True
    )
    with safe_open(out, "pt") as file:
        assert json.loads(file.metadata()["options"]) == {"padding": "zeros"}
    spec, tensors, _, _ = load_fuser_weights(str(out))
    assert (spec.luma_range, spec.options["padding"]) == ("studio", "zeros")
    assert build_network(spec, tensors).padding == "zeros"


def test_a_transposed_kernel_becomes_the_equal_plain_one():
    torch.manual_seed(0)
    x, w = torch.rand(1, 4, 6, 7), torch.rand(4, 4, 3, 3)
    transposed = torch.nn.functional.conv_transpose2d(x, w, padding=1)
    theirs = {"encode.up1.conv.0.weight": w, **{f"alpha{i}": torch.ones(1) for i in (1, 2, 3)}}
    plain = convert(theirs)["extractor.up1.conv.weight"]
    torch.testing.assert_close(torch.nn.functional.conv2d(x, plain, padding=1), transposed)


def test_keys_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"state_dict": {"module.layer.weight": torch.ones(2)}}, path)
    with pytest.raises(ModelError, match=r"layer\.weight"):
        import_checkpoint("ffmef", path, tmp_path / "out.safetensors")
    state = build().state_dict()
    state["alpha"] = torch.ones(4)
    del state["stem.bias"]
    torch.save(state, path)
    with pytest.raises(ModelError, match=r"missing \(stem\.bias\).*alpha \(4,\) instead of \(3,\)"):
        import_checkpoint("ffmef", path, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_file_that_could_run_code_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"model": Path("x")}, path)
    with pytest.raises(ModelError, match="could run code"):
        import_checkpoint("ffmef", path, tmp_path / "out.safetensors")
