"""Simulated focus stacks: layers that hide each other, discs of light, and the truth all in focus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mefcli.training import defocus, focus
from mefcli.training.camera import SRGB, Camera
from mefcli.training.defocus import Layer, Lens, disc_kernel
from mefcli.training.loader import to_batch
from mefcli.training.prepare import held_of, simulator_for
from mefcli.training.settings import find_recipe
from mefcli.training.store import Store
from mefcli.training.validate import judge
from mefnets import MODELS
from mefnets.engine.fuser import build_network
from mefnets.recipe import Data
from mefnets.truth import TruthObjective

DATA = Data(stack="focus", crop_px=64, batch=2, target=True, disc_px=(10.0, 10.0))


def layers(near_light: float = 8.0) -> list[Layer]:
    whole = np.ones((60, 60), np.float32)
    far = Layer(np.full((60, 60, 3), 0.2, np.float32), whole, np.zeros_like(whole))
    cover = np.zeros((60, 60), np.float32)
    cover[:, 30:] = 1
    near = Layer(np.full((60, 60, 3), near_light, np.float32), cover, whole)
    return [far, near]


def test_a_disc_has_its_diameter_and_keeps_the_light() -> None:
    for diameter in (0.0, 0.7, 3.0, 12.0):
        kernel = disc_kernel(diameter)
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        assert (kernel > 0).sum(1).max() <= diameter + 2
    assert (disc_kernel(0.0) > 0).sum() == 1


def test_what_is_focused_is_sharp_and_light_of_the_rest_spreads_over_it() -> None:
    lens = Lens(disc_px=10.0, field=0.2)
    near = defocus.photographed(layers(), lens, 1.0)
    far = defocus.photographed(layers(), lens, 0.0)
    truth = defocus.all_in_focus(layers())
    assert np.abs(near - truth).max() < 1e-3
    row = far[30, :, 0]
    assert row[20] == pytest.approx(0.2, abs=1e-3)
    assert 0.3 < row[28] < 8  # the bright foreground's disc covers what is sharp behind it
    assert (np.diff(row) > -1e-3).all()


@pytest.mark.parametrize("disc_px", [0.0, 10.0])
def test_things_hide_what_is_behind_them_wholly(disc_px: float) -> None:
    picture = defocus.photographed(layers(), Lens(disc_px, 0.0), 1.0)
    assert picture[30, 50] == pytest.approx(8.0, rel=1e-3)


def test_stacks_come_near_focus_first_with_their_truth(store: Store) -> None:
    simulator = simulator_for(store, DATA, seed=3)
    batch = to_batch(simulator.batch(5), torch.device("cpu"))
    again = to_batch(simulator.batch(5), torch.device("cpu"))
    assert torch.equal(batch.frames, again.frames)
    assert batch.target is not None
    assert batch.frames.shape == (2, 2, 3, 64, 64)
    assert batch.target.shape == (2, 3, 64, 64)
    mean = batch.frames.mean(1)
    assert (mean - batch.target).abs().mean() < 0.1
    assert isinstance(simulator.with_data(DATA), focus.FocusSimulator)


def test_targets_of_a_judge_have_the_noise_of_the_frame_in_focus_and_no_other(store: Store) -> None:
    sharp_everywhere = replace(DATA, disc_px=(0.0, 0.0))
    plain, recorded = (
        simulator_for(store, data, seed=4)
        for data in (sharp_everywhere, replace(sharp_everywhere, as_recorded=True))
    )
    for simulator in (plain, recorded):
        simulator.camera = Camera(SRGB, full_well=2e3)  # type: ignore[attr-defined]
    for index in range(3):
        clean, noisy = plain.sample(index, 2), recorded.sample(index, 2)
        assert np.array_equal(clean.frames, noisy.frames)
        assert clean.target is not None
        assert noisy.target is not None
        noise = noisy.target - clean.target
        assert noise.std() > 0.005
        own = clean.frames / np.float32(255) - clean.target  # the noise of each frame, and how bright it is
        near = np.abs(own - noise - np.median(own - noise, (1, 2), keepdims=True)).max(3)  # (2, H, W)
        depth = clean.depth
        assert depth is not None
        middle = (depth.max() + depth.min()) / 2
        assert np.median(near[0][depth > middle]) < 0.01 < np.median(near[1][depth > middle])
        assert np.median(near[1][depth < middle]) < 0.01 < np.median(near[0][depth < middle])


def test_every_depth_is_sharp_in_some_frame(store: Store) -> None:
    """The best frame at each pixel is far nearer to the truth than the mean of the frames."""
    held = held_of(store, 2, 64, "focus")
    better = 0
    for one in held:
        assert one.truth is not None
        frames = np.stack(one.frames) / np.float32(255)
        best = np.abs(frames - one.truth).max(3).min(0).mean()
        better += best < 0.7 * np.abs(frames.mean(0) - one.truth).max(2).mean()
    assert better >= 0.7 * len(held)


def test_validation_against_the_truth_prefers_it(store: Store) -> None:
    held = held_of(store, 2, 64, "focus")[:2]
    truths = [one.truth for one in held if one.truth is not None]
    frames = [np.asarray(one.frames[0] / np.float32(255)) for one in held]
    assert judge(held, truths)["score"] > judge(held, frames)["score"]


@pytest.mark.parametrize(("name", "sees"), [("ffmef-focus", "luma"), ("mgdn-focus", "rgb")])
def test_networks_learn_from_the_truth(store: Store, name: str, sees: str) -> None:
    network = build_network(MODELS[name]).requires_grad_(True).train()
    batch = to_batch(simulator_for(store, DATA, seed=0).batch(0), torch.device("cpu"))
    loss, terms = TruthObjective(sees)(network, batch, 0.9)  # type: ignore[arg-type]
    loss.backward()
    assert {"l1", "slopes", "ssim", "q_abf"} <= set(terms)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_a_judge_of_focus_learns_with_either_frame_first_and_infrared_with_the_visible_one(
    store: Store,
) -> None:
    """Else flat places go to one place in the order, whatever they show."""
    batch = to_batch(simulator_for(store, DATA, seed=0).batch(0), torch.device("cpu"))
    first: list[torch.Tensor] = []

    class Watched(torch.nn.Module):
        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            first.append(frames[0, 0].clone())
            return frames.mean(1)

    for name in ("ffmef-focus", "ffmef-infrared"):
        objective = find_recipe(name, "").objective()
        for _ in range(20):
            objective(Watched(), batch, 0.0)
    turned = [bool((one - first[0]).abs().max() > 0) for one in first]
    assert 0 < sum(turned[:20]) < 20
    assert not any((one - first[20]).abs().max() > 0 for one in first[20:])


def test_held_out_stacks_know_their_depth(store: Store) -> None:
    for one in focus.held_out(store, 64, count=2):
        assert one.depth is not None
        assert one.depth.shape == (64, 64)
        assert 0 <= one.depth.min() <= one.depth.max() <= 1
