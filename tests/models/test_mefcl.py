"""MEF-CL: the facts of its specification, its loss, and the feature networks it is trained with."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mefcli import checkpoints
from mefcli.errors import ModelError
from mefcli.training.features import load_features
from mefcli.training.settings import find_recipe
from mefnets import mefcl
from mefnets.mefcl.features import (
    ALTERATIONS,
    FeatureNet,
    VGG16Features,
    alter,
    load_vgg16,
    vgg16_from,
)
from mefnets.mefcl.loss import MEFCLObjective, Memory, info_nce, mse_loss, ssim_loss, unit
from mefnets.mefcl.network import build
from mefnets.mefcl.recipe import RECIPE
from mefnets.recipe import Batch


def batch(size: int = 32, count: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(count, 2, 3, size, size, generator=generator)
    normal = torch.rand(count, 3, size, size, generator=generator)
    extreme = torch.rand(5, 3, size, size, generator=generator) * 0.1
    return Batch(frames, torch.zeros(count, 2), normal=normal, extreme=extreme)


# ---- network -------------------------------------------------------------------------------------------


def test_has_661_379_parameters_layer_by_layer():
    network = build()
    by_layer = [sum(p.numel() for p in layer.parameters()) for layer in (*network.dense, *network.narrow)]
    assert by_layer == [2420, 17468, 34892, 52316, 69740, 87164, 304256, 73792, 18464, 867]
    assert sum(by_layer) == 661_379


def test_sees_21_by_21_pixels():
    frames = torch.rand(1, 2, 3, 31, 31, requires_grad=True)
    build(start="none")(frames)[0, :, 15, 15].sum().backward()
    touched = torch.nonzero(frames.grad.abs().amax((0, 1, 2)))
    assert (touched.amax(0) - touched.amin(0) + 1).tolist() == [21, 21]


def test_begins_as_the_mean_of_both_pictures_by_weights_alone():
    frames = torch.rand(1, 2, 3, 24, 24)
    difference = (build()(frames) - frames.mean(1)).abs()
    assert difference.mean() < 0.04
    assert (build(start="none")(frames) - frames.mean(1)).abs().mean() > 2 * difference.mean()


def test_luma_variant_takes_and_gives_one_channel():
    assert build(channels=1)(torch.rand(1, 2, 1, 16, 16)).shape == (1, 1, 16, 16)


def test_strips_at_inference_equal_the_whole_picture():
    network = build().eval()
    frames = torch.rand(1, 2, 3, 300, 8)
    with torch.no_grad():
        in_strips = network(frames)
    torch.testing.assert_close(network(frames).detach(), in_strips, atol=1e-5, rtol=0)


# ---- losses --------------------------------------------------------------------------------------------


def test_losses_pass_gradcheck():
    one, two, fused = torch.rand(3, 1, 3, 12, 12, dtype=torch.float64).unbind(0)
    fused = fused.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: mse_loss(f, one, two), fused)
    assert torch.autograd.gradcheck(lambda f: ssim_loss(f, one, two), fused)


def test_mean_square_is_least_at_the_mean_of_both_sources():
    one, two = torch.rand(2, 1, 3, 16, 16).unbind(0)
    mean = (one + two) / 2
    assert mse_loss(mean, one, two) < mse_loss(mean + 0.02, one, two)
    assert ssim_loss(one, one, one).item() == pytest.approx(0, abs=1e-5)


def test_unit_products_are_the_mean_cosine_over_positions():
    f, g = torch.rand(2, 1, 5, 3, 4).unbind(0)
    expected = torch.nn.functional.cosine_similarity(f, g, dim=1).mean()
    torch.testing.assert_close((unit(f) * unit(g)).sum(), expected)


def test_info_nce_equals_its_definition():
    anchor, positive = torch.nn.functional.normalize(torch.randn(2, 3, 8), dim=2).unbind(0)
    negatives = torch.nn.functional.normalize(torch.randn(6, 8), dim=1)
    slow = 0.0
    for i in range(3):
        up = math.exp(float(anchor[i] @ positive[i]) / 0.5)
        down = sum(math.exp(float(anchor[i] @ n) / 0.5) for n in negatives)
        slow -= math.log(up / (up + down)) / 3
    assert info_nce(anchor, positive, negatives, t=0.5).mean().item() == pytest.approx(slow, rel=1e-5)


def test_info_nce_is_finite_at_its_extremes_even_from_half_floats():
    a = torch.tensor([[1.0, 0.0]], dtype=torch.float16)
    worst = info_nce(a, -a, a.repeat(360, 1))
    assert worst.dtype == torch.float32
    assert worst.item() == pytest.approx(200 + math.log(360), rel=1e-4)
    assert info_nce(a, a, -a.repeat(360, 1)).item() == pytest.approx(0, abs=1e-6)


def test_info_nce_falls_when_the_anchor_turns_to_its_positive():
    positive, negative = torch.eye(2).unbind(0)
    losses = [
        info_nce(torch.tensor([[math.sin(x), math.cos(x)]]), positive[None], negative[None], 0.1).item()
        for x in (0.1, 0.7, 1.4)
    ]
    assert losses == sorted(losses, reverse=True)


def test_memory_keeps_the_newest_and_forgets_the_oldest():
    memory = Memory(4)
    memory.push(torch.zeros(3, 2))
    kept = memory.push(torch.ones(2, 2))
    assert kept[:, 0].tolist() == [1, 1, 0, 0]
    assert memory.push(torch.ones(1, 5)).shape == (1, 5)  # another patch size starts afresh


def test_objective_sums_its_terms_with_the_papers_weights():
    objective = MEFCLObjective(FeatureNet(), swap=False)
    loss, terms = objective(build(), batch(), 0.0)
    assert loss.item() == pytest.approx(terms["mse"] + 10 * terms["ssim"] + 20 * terms["nce"], rel=1e-4)
    assert {"lead_shallow", "lead_deep", "mean_luma"} <= terms.keys()


def test_the_papers_recipe_has_nothing_of_ours():
    recipe = find_recipe("mefcl", "paper")
    objective = recipe.objective()
    assert (objective.mse_weight, objective.ssim_weight, objective.nce_weight) == (1, 10, 20)
    assert (objective.t, objective.memories["deep"].size) == (0.01, 360)
    assert (objective.colour_weight, objective.fidelity_weight, objective.release) == (0, 0, 0)
    assert objective.own_sources
    assert not objective.subtract_mean
    assert not objective.style
    assert not objective.swap
    assert (recipe.optimiser, recipe.schedule, recipe.warmup_steps) == ("rmsprop", "constant", 0)
    assert (recipe.clip_norm, recipe.clip_value, recipe.ema, recipe.wide) == (None, None, 0, False)
    assert (recipe.lr, recipe.data.batch, recipe.data.crop_px, recipe.data.lopsided) == (1e-4, 20, 64, 0)
    spec = mefcl.adapt(replace(mefcl.SPEC, options=recipe.options))
    assert (mefcl.SPEC.tiling.mirror_px, spec.tiling.mirror_px) == (16, 0)
    network = build(**recipe.options)
    assert float(network.narrow[-1].conv.weight.detach().abs().max()) <= 0.1  # truncated normal, no carrier


def test_own_sources_join_the_negatives_where_the_paper_wants_them():
    for own, count in ((True, 9), (False, 5)):
        objective = MEFCLObjective(FeatureNet(), own_sources=own)
        objective.contrast(torch.rand(2, 3, 32, 32), batch())  # 5 extremes, 2 pairs
        assert len(objective.memories["deep"].kept) == count


@pytest.mark.parametrize("variant", ["untaught", "paper"])
def test_vgg16_splits_planes_once(variant):
    """Shown by a loss that splits them, too, it gave 1152 and 4608 channels at three times the cost."""
    network, looks = VGG16Features(), []
    network.features[0].register_forward_pre_hook(lambda _, inputs: looks.append(len(inputs[0])))
    made = find_recipe("mefcl", variant).objective()
    made.use_features(network)
    maps = made._maps(torch.rand(2, 3, 32, 32))
    assert {name: x.shape[1] for name, x in maps.items()} == {"shallow": 384, "deep": 1536}
    assert looks == [6]  # three grey pictures each


def test_our_eyes_are_shown_planes_by_the_loss():
    objective = MEFCLObjective(FeatureNet(), by_plane=True)
    maps = objective._maps(torch.rand(2, 3, 32, 32))
    assert {name: x.shape[1] for name, x in maps.items()} == {"shallow": 96, "deep": 288}


@pytest.mark.parametrize("name", [name for name in RECIPE.variants if name != "late"])  # that one is taught
def test_every_objective_of_the_recipe_gives_finite_gradients(name: str):
    objective = RECIPE.variants[name].get("objective", RECIPE.objective)()
    objective.use_features(FeatureNet())
    network = build()
    loss, _ = objective(network, batch(), 0.0)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())
    assert all(p.grad is None for p in objective.features.parameters()), "the features must stay frozen"


def test_contrastive_term_without_features_says_what_to_do():
    with pytest.raises(ValueError, match="use_features"):
        MEFCLObjective()(build(), batch(), 0.0)


def test_sources_are_swapped_at_random_and_only_when_asked():
    seen: list[Tensor] = []

    class Spy(torch.nn.Module):
        def forward(self, frames: Tensor) -> Tensor:
            seen.append(frames)
            return frames.mean(1)

    torch.manual_seed(0)
    data = batch(count=16)
    MEFCLObjective(nce_weight=0)(Spy(), data, 0.0)
    MEFCLObjective(nce_weight=0, swap=False)(Spy(), data, 0.0)
    swapped = (seen[0] != data.frames).flatten(1).any(1).sum()
    assert 0 < swapped < 16
    assert torch.equal(seen[1], data.frames)


# ---- features ------------------------------------------------------------------------------------------


def test_the_shipped_features_are_found_where_weights_are_found(tmp_path: Path, monkeypatch):
    """An installed package has them in mefcli/weights, not beside the folder that holds mefcli."""
    network = FeatureNet()
    installed = tmp_path / "site-packages" / "mefcli"
    (installed / "weights").mkdir(parents=True)
    save_file(network.state_dict(), installed / "weights" / "features.safetensors")
    monkeypatch.delenv("MEF_WEIGHTS", raising=False)
    monkeypatch.setattr(checkpoints.resources, "files", lambda package: installed)
    found = load_features()
    assert torch.equal(found.head.weight, network.head.weight)


def test_a_file_that_holds_no_features_is_refused(tmp_path: Path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="no feature network"):
        load_features(tmp_path / "a.safetensors")


def test_feature_net_taps_at_a_half_and_an_eighth_and_predicts_each_alteration():
    network = FeatureNet()
    shallow, deep = network.taps(torch.rand(2, 3, 32, 48))
    assert shallow.shape == (2, 32, 16, 24)
    assert deep.shape == (2, 96, 4, 6)
    assert network(torch.rand(2, 3, 32, 48)).shape == (2, len(ALTERATIONS))


def test_alterations_do_to_pictures_what_they_say():
    x = torch.rand(64, 3, 24, 24, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.2
    y, how = alter(x, torch.Generator().manual_seed(2))
    assert y.shape == x.shape
    assert how.shape == (64, 5)
    assert y.min() >= 0
    assert y.max() <= 1
    brighter = (y.mean((1, 2, 3)) - x.mean((1, 2, 3))).flatten()
    assert torch.corrcoef(torch.stack((brighter, how[:, 0])))[0, 1] > 0.7


def test_vgg16_has_torchvisions_layout_and_the_specified_taps():
    network = VGG16Features()
    keys = list(network.state_dict())
    assert keys[0] == "features.0.weight"
    assert keys[-1] == "features.21.bias"
    shallow, deep = network.taps(torch.rand(1, 3, 32, 32))
    assert shallow.shape == (1, 384, 16, 16)
    assert deep.shape == (1, 1536, 4, 4)


def test_vgg16_file_is_checked_key_by_key(tmp_path: Path):
    state = VGG16Features().state_dict()
    torch.save({**state, "classifier.0.weight": torch.zeros(1)}, tmp_path / "vgg16.pth")
    assert not any(p.requires_grad for p in load_vgg16(tmp_path / "vgg16.pth").parameters())
    with pytest.raises(ValueError, match=r"features\.5\.weight is missing"):
        vgg16_from({k: v for k, v in state.items() if k != "features.5.weight"})
    with pytest.raises(ValueError, match="vgg16_bn"):
        vgg16_from({**state, "features.2.weight": torch.zeros(64)})
    (tmp_path / "notes.txt").write_text("no weights here")
    with pytest.raises(ValueError, match=r"notes\.txt is not a state dict"):
        load_vgg16(tmp_path / "notes.txt")
