"""Simulated visible and infrared pairs: deterministic, warm things known, a target without noise."""

from __future__ import annotations

import numpy as np
import torch

from mefcli.training import infrared
from mefcli.training.infrared import InfraredSimulator, Thing, heated
from mefcli.training.loader import to_batch
from mefcli.training.prepare import held_of, simulator_for
from mefcli.training.store import Store
from mefcli.training.validate import judge
from mefnets import MODELS
from mefnets.engine.fuser import build_network
from mefnets.recipe import Data
from mefnets.truth import TruthObjective

DATA = Data(stack="infrared", crop_px=64, batch=2, target=True, misaligned=0.5)


def test_pairs_come_visible_first_and_always_the_same(store: Store) -> None:
    simulator = simulator_for(store, DATA, seed=3)
    assert isinstance(simulator.with_data(DATA), InfraredSimulator)
    batch = to_batch(simulator.batch(5), torch.device("cpu"))
    again = to_batch(simulator.batch(5), torch.device("cpu"))
    assert torch.equal(batch.frames, again.frames)
    assert batch.frames.shape == (2, 2, 3, 64, 64)
    assert batch.target is not None
    thermal = batch.frames[:, 1]
    assert (thermal[:, 0] == thermal[:, 1]).all()
    assert (thermal[:, 0] == thermal[:, 2]).all()


def test_a_warm_thing_is_brighter_and_a_cold_one_is_not_seen_at_all() -> None:
    rng = np.random.default_rng(0)
    scene = rng.uniform(0.1, 0.4, (64, 64, 3)).astype(np.float32)
    cover = np.zeros((64, 64), np.float32)
    cover[20:40, 20:40] = 1
    pictures = [
        heated(scene, [Thing(cover, None, warm, 0.4)], np.random.default_rng(7)) for warm in (True, False)
    ]
    assert (pictures[0] - pictures[1])[20:40, 20:40].mean() > 0.2
    assert (pictures[0] == pictures[1])[cover == 0].all()


def test_the_target_shows_what_is_warm_in_the_visible_frame_s_colours(store: Store) -> None:
    found = 0
    for one in held_of(store, 2, 64, "infrared"):
        assert one.truth is not None
        seen = one.frames[0] / np.float32(255)
        lifted = (one.truth - seen).mean(2)
        found += bool((lifted > 0.15).mean() > 0.002)
        even = (one.truth.max(2) < 0.98) & (one.truth.min(2) > 0.02)
        assert np.abs((one.truth - seen).std(2))[even].mean() < 0.05
    assert found >= 4


def test_validation_against_the_truth_prefers_it(store: Store) -> None:
    held = held_of(store, 2, 64, "infrared")[:3]
    truths = [one.truth for one in held if one.truth is not None]
    frames = [np.asarray(one.frames[0] / np.float32(255)) for one in held]
    assert judge(held, truths)["score"] > judge(held, frames)["score"]
    assert len(infrared.held_out(store, 48, count=2)) == 2


def test_ffmef_learns_from_the_truth(store: Store) -> None:
    network = build_network(MODELS["ffmef-infrared"]).requires_grad_(True).train()
    batch = to_batch(simulator_for(store, DATA, seed=0).batch(0), torch.device("cpu"))
    loss, terms = TruthObjective("luma")(network, batch, 0.9)
    loss.backward()
    assert {"l1", "slopes", "ssim", "q_abf"} <= set(terms)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
