"""Simulated depth: colour and depth share outlines, and what is measured of the depth tells it in full."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from toolkit import Mef

from mefcli.bench.depth import in_folder, measure, simulated
from mefcli.depth.enlarge import resized
from mefcli.depth.guided import Guide
from mefcli.errors import InputError
from mefcli.training import depth, preview
from mefcli.training.depth import FACTORS, DepthSimulator
from mefcli.training.loader import to_batch
from mefcli.training.prepare import held_of, simulator_for
from mefcli.training.settings import find_recipe
from mefcli.training.store import Store
from mefcli.training.validate import judge, save_sheet
from mefnets import MODELS
from mefnets.engine.fuser import build_network
from mefnets.recipe import Data

DATA = Data(frames=(1, 1), stack="depth", crop_px=64, batch=2, misaligned=0.0, target=True)


def test_batches_are_colour_with_what_is_known_of_depth_and_always_the_same(store: Store) -> None:
    simulator = simulator_for(store, DATA, seed=3)
    assert isinstance(simulator.with_data(DATA), DepthSimulator)
    batch = to_batch(simulator.batch(5), torch.device("cpu"))
    again = to_batch(simulator.batch(5), torch.device("cpu"))
    assert torch.equal(batch.frames, again.frames)
    assert batch.target is not None
    assert torch.equal(batch.target, again.target)  # type: ignore[arg-type]
    assert batch.frames.shape == (2, 1, 7, 64, 64)
    assert batch.target.shape == (2, 1, 64, 64)
    levels = batch.frames[:, :, :3] * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)  # of eight bits
    factors = 16 ** batch.frames[:, 0, 6, 0, 0]
    assert ((factors >= 1.9) & (factors <= 16.1)).all()


def test_what_is_measured_enlarges_to_nearly_the_target(store: Store) -> None:
    """In one unit: the network's own depth and the target differ at edges, not at large."""
    for step in range(6):
        batch = to_batch(simulator_for(store, DATA, seed=0).batch(step), torch.device("cpu"))
        assert batch.target is not None
        away = (batch.frames[:, 0, 3:4] - batch.target).abs().flatten(1)
        assert (away.median(1).values < 0.1).all()


def test_depth_has_edges_where_colour_has_and_colour_has_more(store: Store) -> None:
    simulator = DepthSimulator(store, DATA, seed=1)
    rng = np.random.default_rng(0)
    shared, depths = 0, 0
    for view in store.indices("train", "panorama", "radiance", "photo")[:6]:
        light, far = simulator.scene(view, rng, 96)
        stops = np.log2(np.maximum(light.mean(2), 1e-5))
        edge = np.abs(np.diff(far, axis=1)) > 0.1 * far[:, 1:]
        step = np.abs(np.diff(stops, axis=1))
        depths += int(edge.sum())
        shared += int((step[edge] > 2 * np.median(step)).sum())
        assert (step > np.quantile(step, 0.9)).sum() > edge.sum() / 20
    assert depths > 200
    assert shared > 0.6 * depths


def test_held_out_scenes_are_never_trained_on_and_the_truth_is_judged_best(
    store: Store, tmp_path: Path
) -> None:
    held = held_of(store, 3, 64, "depth")[:3]
    trained = {store.entries[index].name for index in store.indices("train", "panorama", "radiance", "photo")}
    assert not trained & {one.scene for one in held}
    assert [round(64 / one.low.shape[0]) for one in held if one.low is not None] == list(FACTORS)
    truths = [one.truth for one in held if one.truth is not None]
    plain = [resized(one.low, (64, 64))[..., None] for one in held if one.low is not None]
    assert judge(held, truths) == {"rmse": 0.0, "score": 0.0}
    assert judge(held, plain)["score"] < 0
    save_sheet(tmp_path / "sheet.jpg", held, plain)
    assert (tmp_path / "sheet.jpg").is_file()


def test_a_contact_sheet_shows_colour_and_depth(store: Store) -> None:
    row = preview.row(simulator_for(store, DATA, seed=0).sample(0), 64)
    assert row.shape == (64 + 16, 2 * 64, 3)
    shown = row[16:, 64:]
    assert (shown == shown[..., :1]).all()
    assert np.ptp(shown) > 200


def test_mgdn_learns_from_simulated_depth(store: Store) -> None:
    recipe = find_recipe("mgdn-depth")
    torch.manual_seed(0)
    network = build_network(MODELS["mgdn-depth"]).requires_grad_(True).train()
    batch = to_batch(simulator_for(store, DATA, seed=0).batch(0), torch.device("cpu"))
    objective, optimiser = recipe.objective(), torch.optim.Adam(network.parameters(), 1e-3)
    losses = []
    for _ in range(12):
        loss, _ = objective(network, batch, 0.5)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert min(losses[-3:]) < losses[0] - 0.005


def test_the_papers_network_learns_from_the_same_and_enlarges_by_the_same(store: Store) -> None:
    recipe = find_recipe("mgdn-depth", "paper")
    spec = replace(MODELS["mgdn-depth"], options={**MODELS["mgdn-depth"].options, **recipe.options})
    network = build_network(spec).requires_grad_(True).train()
    data = replace(recipe.data, crop_px=32, batch=1)
    loss, terms = recipe.objective()(
        network, to_batch(simulator_for(store, data, seed=0).batch(0), torch.device("cpu")), 0.5
    )
    loss.backward()
    assert set(terms) == {"l1", "mi"}
    low = np.linspace(1, 2, 64, dtype=np.float32).reshape(8, 8)
    found = Guide(network).enlarged(low, np.zeros((32, 32, 3), np.uint8))
    assert found.shape == (32, 32)
    assert 0.9 < found.min() <= found.max() < 2.1


def saved_pair(folder: Path, size: tuple[int, int] = (32, 48)) -> None:
    folder.mkdir(parents=True)
    far = np.full(size, 4.0, np.float32)
    far[:, : size[1] // 3] = 1.0
    np.save(folder / "depth.npy", far)
    cv2.imwrite(str(folder / "rgb.png"), np.repeat((far * 50).astype(np.uint8)[..., None], 3, axis=2))


def test_enlarged_depth_is_judged_against_the_truth(store: Store, tmp_path: Path) -> None:
    saved_pair(tmp_path / "a" / "one")
    scenes = in_folder(tmp_path / "a")
    (row,) = measure("a", scenes, None, ["bicubic"], [4])
    assert (row.count, row.better) == (1, 0)
    assert 0.2 < row.rmse == row.worst < 1.0  # of a step of 3
    rows = list(measure("simulated", simulated(depth.held_out(store, 64, 3)), None, ["bicubic", "guided"]))
    assert [(one.factor, one.method) for one in rows[:2]] == [(4, "bicubic"), (4, "guided")]
    assert all(0 < one.rmse <= one.worst < 100 for one in rows)
    with pytest.raises(InputError, match="holds no folders"):
        in_folder(tmp_path / "nothing")


def test_the_command_tells_a_line_a_factor_and_method(
    mef: Mef, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depth, "held_out", partial(depth.held_out, short_side_px=64))
    saved_pair(tmp_path / "pairs" / "one")
    words = ("bench", "depth", "--runs", tmp_path, "--methods", "bicubic,guided", "--scenes", 2)
    done = mef(*words, "--data", packed, "--pairs", tmp_path / "pairs", "--factors", "4", "--json")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [(row["method"], row["count"]) for row in rows] == [("bicubic", 1), ("guided", 1)] + [
        ("bicubic", 2),
        ("guided", 2),
    ]
    for more, told in ((("--methods", "magic"), "no way to enlarge depth"), ((), "nothing to measure")):
        refused = mef("bench", "depth", *more)
        assert refused.code == 2
        assert told in refused.err
