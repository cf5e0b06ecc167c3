"""Simulated moving scenes: three frames, and the light of the middle one as the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from toolkit import Mef

from mefcli.bench.moving import measure
from mefcli.pipeline.moving import load
from mefcli.training import moving, preview
from mefcli.training.camera import SRGB, Camera, response_curve
from mefcli.training.loader import to_batch
from mefcli.training.moving import REFERENCE, MovingSimulator, response_table
from mefcli.training.prepare import held_of, simulator_for
from mefcli.training.settings import find_recipe
from mefcli.training.store import Store
from mefcli.training.validate import judge
from mefnets import MODELS
from mefnets.engine.fuser import build_network
from mefnets.recipe import Data

DATA = Data(frames=(3, 3), stack="moving", crop_px=64, batch=2, misaligned=0.0, target=True)
CLEAN = Camera(SRGB)


def clean(store: Store, data: Data = DATA) -> MovingSimulator:
    simulator = MovingSimulator(store, data, seed=3)
    simulator.fixed = CLEAN
    return simulator


def test_batches_are_frames_of_six_channels_and_always_the_same(store: Store) -> None:
    simulator = simulator_for(store, DATA, seed=3)
    assert isinstance(simulator.with_data(DATA), MovingSimulator)
    batch = to_batch(simulator.batch(5), torch.device("cpu"))
    again = to_batch(simulator.batch(5), torch.device("cpu"))
    assert torch.equal(batch.frames, again.frames)
    assert batch.target is not None
    assert torch.equal(batch.target, again.target)  # type: ignore[arg-type]
    assert batch.frames.shape == (2, 3, 6, 64, 64)
    assert batch.target.shape == (2, 3, 64, 64)
    assert batch.frames.min() >= 0
    assert batch.frames.max() <= 1
    assert batch.target.max() <= 1
    levels = batch.frames[:, :, :3] * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)  # of eight bits
    assert (torch.diff(batch.evs) > 0).all()


def test_the_middle_frame_stands_as_the_target_does(store: Store) -> None:
    for number in range(12):
        sample = clean(store).sample(number)
        assert sample.target is not None
        assert sample.lights is not None
        shown = (sample.frames[REFERENCE] > 20) & (sample.frames[REFERENCE] < 250)
        error = np.abs(sample.lights[REFERENCE] / np.maximum(sample.target, 1e-6) - 1)[shown]
        assert error.size == 0 or error.max() < 0.06  # rounding to 8 bits


def test_other_frames_differ_where_something_moved_and_nowhere_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "STIRRED", 0.0)
    moved = still = 0
    for number in range(12):
        sample = clean(store).sample(number)
        assert sample.target is not None
        assert sample.lights is not None
        assert sample.moved is not None
        assert not sample.moved[REFERENCE].any()
        for index in (0, 2):
            shown = ((sample.frames[index] > 40) & (sample.frames[index] < 250)).all(axis=2)
            away = np.abs(np.log2(np.maximum(sample.lights[index], 1e-6) / np.maximum(sample.target, 1e-6)))
            away = away.max(axis=2)
            if (shown & ~sample.moved[index]).any():
                assert away[shown & ~sample.moved[index]].max() < 0.08
                still += 1
            if (shown & sample.moved[index]).any():
                moved += bool(away[shown & sample.moved[index]].max() > 0.3)
    assert still >= 12
    assert moved >= 6


def test_the_camera_moves_in_as_many_samples_as_are_asked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "STIRRED", 0.0)
    monkeypatch.setattr(moving, "MOST_THINGS", 0)
    shaken = clean(store, replace(DATA, misaligned=1.0)).sample(1)
    still = clean(store).sample(1)
    assert still.target is not None
    assert shaken.target is not None
    np.testing.assert_array_equal(still.target, shaken.target)
    assert (shaken.frames[0] != still.frames[0]).any()
    np.testing.assert_array_equal(shaken.frames[REFERENCE], still.frames[REFERENCE])


def test_brackets_clip_somewhere(store: Store) -> None:
    samples = [simulator_for(store, DATA, seed=0).sample(number) for number in range(12)]
    assert sum((sample.frames[2] == 255).mean() > 0.02 for sample in samples) >= 4


@pytest.mark.parametrize("curve", [SRGB, response_curve(0.5, 2.1, 2.0, 0.2, 0.12)])
def test_a_response_is_undone(curve: np.ndarray) -> None:
    camera = Camera(curve)
    light = np.linspace(0.02, 0.98, 50, dtype=np.float32)
    stored = (camera.develop(light) * 255 + 0.5).astype(np.uint8)
    np.testing.assert_allclose(response_table(camera)[stored], light, rtol=0.04)


def test_held_out_scenes_are_never_trained_on_and_the_truth_is_judged_best(store: Store) -> None:
    held = held_of(store, 3, 64, "moving")[:3]
    trained = {store.entries[index].name for index in store.indices("train", "panorama", "radiance", "photo")}
    assert not trained & {one.scene for one in held}
    truths = [one.truth for one in held if one.truth is not None]
    middles = [one.lights[REFERENCE] for one in held if one.lights is not None]
    assert judge(held, truths)["score"] > judge(held, middles)["score"]
    assert [one.scene for one in moving.held_out(store, 48, 3)] == [
        one.scene for one in moving.held_out(store, 48, 3)
    ]


def test_a_contact_sheet_shows_the_light_after_mu_law(store: Store) -> None:
    sample = clean(store).sample(0)
    assert sample.target is not None
    row = preview.row(sample, 64)
    assert row.shape == (64 + 16, 4 * 64, 3)
    assert row[16:, 3 * 64 :].mean() > 255 * sample.target.mean()  # linear light would be darker


def test_mgdn_learns_from_moving_scenes(store: Store) -> None:
    recipe = find_recipe("mgdn-moving")
    network = build_network(MODELS["mgdn-moving"]).requires_grad_(True).train()
    batch = to_batch(simulator_for(store, DATA, seed=0).batch(0), torch.device("cpu"))
    loss, _ = recipe.objective()(network, batch, 0.5)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_ghosts_are_judged_against_the_truth(
    store: Store, doubting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = moving.held_out(store, 96, 3)
    monkeypatch.setenv("MEF_WEIGHTS", str(doubting.parent))
    load.cache_clear()
    rows = {row.method: row for row in measure(held, weights=str(doubting))}
    assert list(rows) == ["off", "auto", "mgdn", "model"]
    assert rows["auto"].better == 0
    assert all(np.isfinite(row.psnr_mu) and row.worst <= row.psnr_mu for row in rows.values())
    assert rows["model"].psnr_mu > rows["off"].psnr_mu


def test_the_command_tells_a_line_a_method(
    mef: Mef, packed: Path, tmp_path: Path, doubting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "held_out", partial(moving.held_out, short_side_px=64))
    words = ("bench", "moving", "--data", packed, "--runs", tmp_path, "--scenes", 2)
    done = mef(*words, "--methods", "auto,model", "--weights", doubting, "--json")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [(row["method"], row["scenes"]) for row in rows] == [("auto", 2), ("model", 2)]
    refused = mef(*words, "--methods", "auto,magic")
    assert refused.code == 2
    assert "no way to remove ghosts" in refused.err
