"""CRMEF: the facts of its paper, its losses, and that tiles see as far as the SPECs say."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch

from mefcli.training.loop import learning_rate
from mefcli.training.settings import find_recipe
from mefnets import MODELS, crmef
from mefnets.crmef import genotype as genotypes
from mefnets.crmef import strips
from mefnets.crmef.loss import (
    CRMEFObjective,
    PatchCritic,
    critic_loss,
    gradient_loss,
    intensity_loss,
)
from mefnets.crmef.network import SRSM, build, fixed
from mefnets.crmef.recipe import RECIPES, UNIFORM
from mefnets.engine.fuser import build_network
from mefnets.recipe import Batch


def count(network):
    return sum(p.numel() for p in network.parameters())


def pair(height=33, width=47, batch=1):
    torch.manual_seed(5)
    return torch.rand(batch, 2, 3, height, width)


def lively(variant, **options):
    """A network whose maps, offsets and norms do something, as after training."""
    torch.manual_seed(1)
    network = build(variant, **options).eval().requires_grad_(False)
    for name, value in network.named_parameters():
        if "steer" in name:
            value.normal_(std=0.05)
        elif "head" in name:
            value.mul_(10)
    for name, value in network.named_buffers():
        if "running_var" in name:
            value.uniform_(0.05, 0.3)
    return network


# ---- counts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "published", "in_use"),
    [
        # Unused: a 1x1 convolution in each of the four SRSM (4 x 4,160), and six parameters in the DRM.
        ("general", 1_879_330, 1_862_684),
        ("fast", 684_450, 667_804),
        ("align", 2_634_526, 2_617_880),
    ],
)
def test_published_counts_hold_with_the_unused_layers(variant, published, in_use):
    assert count(build(variant, unused=True)) == published
    assert count(build(variant)) == in_use


def test_the_shipped_misaligned_form_has_its_count_in_use():
    """2,411,203 in use, 2,485,494 published: three convolutions of the authors' file do nothing."""
    assert count(build("align-code")) == 2_411_203
    assert count(build("align-code", unused=True)) == 2_485_494


def test_parts_have_their_published_counts():
    network = build("general", unused=True)
    assert [count(m) for m in (*network.under, *network.over)] == [155_332] * 4
    assert count(network.drm) == 1_258_002


@pytest.mark.parametrize(
    ("drm", "width", "published"),
    [
        (["RC-3", "RC-3", "RC-3", "RC-3"], 32, 700_834),
        (["RC-3", "RC-3", "RC-1", "RC-1"], 128, 1_617_186),
    ],
)
def test_the_papers_other_sizes_follow_from_other_genotypes(drm, width, published):
    genotype = {"srsm": ["C-3"] * 3, "drm": drm, "width": width}
    assert count(build("general", genotype=genotype, unused=True)) == published


def test_the_critic_has_277_hundred_thousand_parameters():
    assert round(count(PatchCritic()) / 1e6, 2) == 2.77


# ---- network ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(33, 47), (1, 9), (2, 2), (40, 24)])
def test_the_fast_model_takes_any_size(size):
    fused = lively("fast")(pair(*size))
    assert fused.shape == (1, 3, *size)
    assert fused.isfinite().all()


@pytest.mark.parametrize("variant", ["align", "align-code"])
def test_the_aligning_models_take_multiples_of_four(variant):
    assert lively(variant)(pair(16, 24)).shape == (1, 3, 16, 24)


@pytest.mark.parametrize("variant", ["fast", "align"])
def test_a_batch_of_two_equals_two_batches_of_one(variant):
    network, frames = lively(variant), pair(16, 24, batch=2)
    alone = torch.cat([network(frames[:1]), network(frames[1:])])
    torch.testing.assert_close(network(frames), alone, atol=1e-4, rtol=1e-3)


def test_the_untrained_model_is_nearly_the_mean_of_the_exposures():
    torch.manual_seed(0)
    network = build("fast").eval()
    frames = pair()
    with torch.no_grad():
        assert float((network(frames) - frames.mean(1)).abs().mean()) < 0.05


def test_without_relighting_both_exposures_stand_side_by_side():
    """The paper's ablation. A sum divided by at most one would be white whatever is learnt."""
    network = build("fast", relightings=0).eval().requires_grad_(False)
    frames = pair()
    assert network.drm.stem.in_channels == 6
    assert not torch.allclose(network(frames), network(frames.flip(1)))  # a sum would not tell them apart
    network.drm.head.bias.fill_(100.0)  # L = 1 everywhere
    torch.testing.assert_close(network(frames), frames.mean(1) / 1.01)


def test_without_alignment_nothing_is_deformed_and_aligning_first_relights_what_is_aligned():
    none, first = lively("align", alignment="none"), lively("align", alignment="before")
    assert not any("dasm" in name for name, _ in none.named_parameters())
    frames = pair(16, 24)
    for network in (none, first):
        assert network(frames).shape == (1, 3, 16, 24)
    seen = []
    first.under.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    first(frames)
    assert not torch.allclose(seen[0], frames[:, 0])  # not the exposure as it came


def test_gradients_reach_every_parameter_of_the_model_that_aligns_first():
    network = build("align", alignment="before", start="default")
    network(pair(16, 16, 2)).mean().backward()
    idle = {name for name, p in network.named_parameters() if p.grad is None}
    assert idle == set()


@pytest.mark.parametrize("name", UNIFORM)
def test_one_operator_everywhere_can_be_trained(name):
    for model, width in (("crmef", 128), ("crmef-fast", 32)):
        changes = RECIPES[model].variants[name]["options"]
        chosen = genotypes.from_table(changes["genotype"])
        assert chosen.width == width
        assert len(set(chosen.srsm)) == len(set(chosen.drm)) == 1
    assert build("fast", **changes)(pair()).shape == (1, 3, 33, 47)


def test_every_relighting_module_may_have_operators_of_its_own():
    srsm = ("C-1", "C-3", "C-5", "DC-3", "C-3", "C-7", "C-3", "DC-5", "C-1", "C-5", "C-5", "DC-7")
    chosen = genotypes.Genotype(srsm, ("RC-1",) * 4, 8)
    network = build("general", genotype=json.loads(json.dumps(chosen.__dict__)))
    kernels = [m.kernel_size[0] for s in (*network.under, *network.over) for m in (s.m0, s.m1, s.m2)]
    assert kernels == [int(name[-1]) for name in srsm]
    shared = genotypes.Genotype(("C-3",) * 3, ("RC-1",) * 4, 8)
    assert genotypes.reach(chosen) > genotypes.reach(shared)
    assert genotypes.reach(genotypes.Genotype(shared.srsm * 4, shared.drm, 8)) == genotypes.reach(shared)


def test_the_division_floor_keeps_black_maps_finite():
    network = build("fast").eval().requires_grad_(False)
    network.drm.head.bias.fill_(-100.0)  # L = 0 everywhere
    assert float(network(pair()).max()) <= 2 / 0.01


def test_relighting_does_not_darken_the_frame_of_a_flat_picture():
    """The authors' pooling counts the zeros outside; ours does not. Convolutions are made to see nothing."""
    module = SRSM(fixed(genotypes.read("fast"))).requires_grad_(False)
    for layer in (module.stem, module.m0, module.m1, module.m2):
        centre = layer.weight[..., 1, 1].clone()
        layer.weight.zero_()
        layer.weight[..., 1, 1] = centre
    module.head.weight[..., [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0
    relit = module(torch.full((1, 3, 20, 20), 0.5))
    torch.testing.assert_close(relit, relit[..., 10:11, 10:11].expand_as(relit))


@pytest.mark.parametrize("spec", [crmef.FAST, crmef.ALIGN])
def test_strips_give_the_same_picture_as_the_whole(spec, monkeypatch):
    network = lively(**spec.options)
    frames = pair(200, 8)
    whole = network(frames)
    monkeypatch.setattr(strips, "STRIP_PX", 1)  # the least rows at once: 64
    torch.testing.assert_close(network(frames), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["crmef", "crmef-fast", "crmef-align"])
def test_the_spec_states_the_reach_of_its_genotype(name):
    spec = MODELS[name]
    genotype = genotypes.read({"crmef": "general", "crmef-fast": "fast", "crmef-align": "align"}[name])
    assert spec.tiling.reach == genotypes.reach(genotype)
    assert spec.tiling.multiple == (4 if spec.aligns else 2)


def influence(variant, size, **options):
    """How far from the changed pixel in the middle anything changes."""
    network = lively(variant, **options)
    frames = pair(*size)
    changed = frames.clone()
    middle = (size[0] // 2, size[1] // 2)
    changed[..., middle[0], middle[1]] = 1 - changed[..., middle[0], middle[1]]
    moved = ((network(changed) - network(frames)).abs().amax((0, 1)) > 0).nonzero()
    return int((moved - torch.tensor(middle)).abs().max())


def test_no_pixel_is_seen_beyond_the_stated_reach_and_it_is_not_far_from_tight():
    assert 14 <= influence("fast", (80, 80)) <= crmef.FAST.tiling.reach


@pytest.mark.parametrize("spec", [crmef.FAST, crmef.ALIGN])
def test_a_tile_with_the_stated_margin_equals_the_whole(spec):
    network = lively(**spec.options)
    core, margin = 12, -(-spec.tiling.reach // spec.tiling.multiple) * spec.tiling.multiple
    width = core + 2 * margin + 24
    frames = pair(8, width)
    whole = network(frames)
    start = 8
    tile = network(frames[..., start : start + core + 2 * margin])
    torch.testing.assert_close(
        tile[..., margin : margin + core],
        whole[..., start + margin : start + margin + core],
        atol=2e-4,
        rtol=1e-3,
    )


def test_gradients_reach_every_parameter_of_the_aligning_model():
    network = build("align", anchored=True)
    for name, value in network.named_parameters():
        if "steer" in name:
            torch.nn.init.normal_(value, std=0.05)
    batch = Batch(pair(16, 16, 2), torch.zeros(2, 2), target=torch.rand(2, 3, 16, 16))
    loss, _ = CRMEFObjective(discriminative=0, structure=0.5)(network, batch, 0.0)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


# ---- genotypes -------------------------------------------------------------------------------------------


def test_a_genotype_file_builds_a_network_and_tells_its_reach(tmp_path):
    chosen = genotypes.Genotype(("C-5", "DC-3", "C-1"), ("RC-7", "RC-1", "RDC-5", "RC-3"), 8)
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(asdict(chosen)))
    assert genotypes.read(path) == chosen
    network = build_network(crmef.adapt(_spec(json.loads(path.read_text()))))
    assert network(pair()).shape == (1, 3, 33, 47)
    assert crmef.adapt(_spec(str(path))).tiling.reach == genotypes.reach(chosen) != crmef.FAST.tiling.reach


def _spec(genotype):
    return replace(crmef.FAST, options={"variant": "general", "genotype": genotype})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"drm": ["RC-3"] * 3}, "drm needs 4"),
        ({"srsm": ["RC-3"] * 3}, "srsm has no operator 'RC-3'"),
        ({"width": 7}, "even number"),
    ],
)
def test_an_unfit_genotype_is_refused(change, complaint):
    table = {"srsm": ["C-3"] * 3, "drm": ["RC-3"] * 4, "width": 32} | change
    with pytest.raises(ValueError, match=complaint):
        genotypes.from_table(table)


# ---- losses ----------------------------------------------------------------------------------------------


def test_the_weights_are_the_papers():
    objective = CRMEFObjective()
    assert (objective.gradient, objective.discriminative, objective.structure) == (0.75, 0.05, 0.0)


def test_intensity_and_gradient_are_zero_on_the_reference_and_grow_with_damage():
    torch.manual_seed(0)
    reference = torch.rand(1, 3, 16, 16)
    near, far = reference + 0.01 * torch.randn_like(reference), reference + 0.1 * torch.randn_like(reference)
    for loss in (intensity_loss, gradient_loss):
        assert float(loss(reference, reference)) == 0
        assert 0 < loss(near, reference) < loss(far, reference)


def test_the_gradient_loss_ignores_brightness_inside_and_sees_blur():
    reference = torch.rand(1, 3, 16, 16)
    blurred = torch.nn.functional.avg_pool2d(reference, 3, 1, 1, count_include_pad=False)
    inside = slice(1, -1)
    from mefnets.measures import sobel

    across, down = sobel((reference + 0.2) - reference)
    assert float(across[..., inside, inside].abs().max()) < 1e-5
    assert float(down[..., inside, inside].abs().max()) < 1e-5
    assert gradient_loss(blurred, reference) > 0.01


def test_losses_have_the_right_gradient():
    torch.manual_seed(0)
    reference = torch.rand(1, 3, 5, 4, dtype=torch.double)
    y = (reference + 0.1 * torch.randn_like(reference)).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: intensity_loss(y, reference), y)
    assert torch.autograd.gradcheck(lambda y: gradient_loss(y, reference), y)


class LinearCritic(torch.nn.Module):
    """A critic whose slope is known."""

    def __init__(self, slope):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.full((3, 4, 4), slope / 48**0.5))

    def forward(self, picture):
        return (picture * self.slope).flatten(1).sum(1)


def test_the_penalty_is_zero_for_slope_one_and_ten_times_its_squared_excess_otherwise():
    y, reference = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    assert float(critic_loss(LinearCritic(1.0), y, reference).detach()) == pytest.approx(0, abs=1e-9)
    assert float(critic_loss(LinearCritic(3.0), y, reference).detach()) == pytest.approx(40, rel=1e-5)


def test_the_critic_learns_to_prefer_references():
    torch.manual_seed(0)
    critic = PatchCritic()
    optimiser = torch.optim.Adam(critic.parameters(), 1e-3, betas=(0.5, 0.9))
    y, reference = torch.full((2, 3, 32, 32), 0.2), torch.rand(2, 3, 32, 32)
    first = None
    for _ in range(3):
        loss = critic_loss(critic, y, reference)
        first = first if first is not None else float(loss.detach())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < first


def test_the_critic_is_trained_by_its_own_loss_and_not_the_network():
    network = build("fast")
    objective = CRMEFObjective()
    batch = Batch(pair(32, 32, 2), torch.zeros(2, 2), target=torch.rand(2, 3, 32, 32))
    objective.critic_loss(network, batch).backward()
    assert all(p.grad is None for p in network.parameters())
    assert any(float(p.grad.abs().sum()) > 0 for p in objective.critic.parameters())
    assert CRMEFObjective(discriminative=0).critic_loss(network, batch) is None


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_asks_for_what_its_loss_needs(name):
    taught = "untaught" in RECIPES[name].variants
    assert RECIPES[name].data.clean is taught
    plain = find_recipe(name, "untaught" if taught else "").data
    assert plain.target
    assert plain.frames == (2, 2)  # its loss folds nothing
    assert RECIPES[name].data.frames == ((2, 7) if taught else (2, 2))


def test_a_few_steps_of_the_recipe_improve_the_fast_model():
    torch.manual_seed(0)
    recipe = find_recipe("crmef-fast", "untaught")
    network, objective = build("fast"), recipe.objective()
    scene = torch.rand(2, 3, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
    batch = Batch(torch.stack((scene * 0.3, (scene * 2).clamp(max=1)), 1), torch.zeros(2, 2), target=scene)
    optimiser = torch.optim.Adam(network.parameters(), recipe.lr)
    losses = []
    for _ in range(8):
        loss, _ = objective(network, batch, 0.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.95 * losses[0]


# ---- the paper's recipe ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "steps"), [("crmef", 43_000), ("crmef-fast", 43_000), ("crmef-align", 13_333)]
)
def test_the_papers_recipe_has_nothing_of_ours(name, steps):
    recipe = find_recipe(name, "paper")
    objective = recipe.objective()
    assert (objective.fidelity, objective.colour, objective.structure) == (0, 0, 0)
    assert (recipe.steps, recipe.data.batch, recipe.data.crop_px) == (steps, 12, 128)
    assert (recipe.ema, recipe.warmup_steps, recipe.clip_norm, recipe.clip_value) == (0, 0, None, 0.01)
    assert (recipe.optimiser, recipe.wide, recipe.data.views) == ("adam", False, "patches")
    assert learning_rate(recipe, 0, 0.0) == pytest.approx(1e-4)
    assert learning_rate(recipe, steps, 1.0) == pytest.approx(1e-10)
    spec = crmef.adapt(replace(MODELS[name], options={**MODELS[name].options, **recipe.options}))
    assert spec.tiling.mirror_px == 0
    network = build_network(spec)
    head = (network.drm if name != "crmef-align" else network).head
    assert float(head.weight.detach().std()) > 0.02  # not softened
    assert float(head.bias.detach().abs().max()) > 0


def test_the_papers_division_has_the_papers_floor():
    recipe = find_recipe("crmef-fast", "paper")
    assert build(variant="fast", **recipe.options).drm.floor == 1e-5


def test_the_papers_alignment_starts_from_nothing_and_its_offsets_may_run():
    recipe = find_recipe("crmef-align", "paper")
    spec = crmef.adapt(replace(crmef.ALIGN, options={**crmef.ALIGN.options, **recipe.options}))
    network = build_network(spec)
    assert not network.anchored
    assert not network.dasm.level1.deform.bounded
    assert spec.tiling.whole  # no tile is sure to hold what an endless offset points at


def test_the_authors_pooling_darkens_the_frame():
    module = SRSM(fixed(genotypes.read("fast")), padding="zeros").requires_grad_(False)
    for layer in (module.stem, module.m0, module.m1, module.m2):
        centre = layer.weight[..., 1, 1].clone()
        layer.weight.zero_()
        layer.weight[..., 1, 1] = centre
    relit = module(torch.full((1, 3, 20, 20), 0.5))
    assert not torch.allclose(relit[..., 0, 10], relit[..., 10, 10], atol=1e-4)


def test_a_gradients_elements_are_cut_one_by_one():
    """As the authors' code has it: at 0.01, before any step."""
    from types import SimpleNamespace

    from mefcli.training import loop
    from mefcli.training.state import new_state

    recipe = replace(find_recipe("crmef-fast", "paper"), objective=lambda: CRMEFObjective(discriminative=0))
    network = build("fast", start="default")
    trainer = loop.Trainer.__new__(loop.Trainer)
    trainer.recipe, trainer._bad = recipe, 0
    trainer.state = new_state(recipe, network, recipe.objective())
    batch = Batch(pair(16, 16, 2), torch.zeros(2, 2), target=torch.rand(2, 3, 16, 16) * 1000)
    trainer.run = SimpleNamespace()
    trainer.step(batch, 1e-4, 0.0)
    gradients = torch.cat([p.grad.flatten() for p in network.parameters()])
    assert float(gradients.abs().max()) == pytest.approx(0.01)
