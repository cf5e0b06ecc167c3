"""The loop: exact continuation, budgets, interruption, logs, and what it exports."""

from __future__ import annotations

import copy
import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from mefcli.errors import ModelError, UnreadableError, UsageError
from mefcli.training import state as states
from mefcli.training.export import record_hash, write_weights
from mefcli.training.loop import Tick, Trainer, learning_rate
from mefcli.training.settings import Settings, check_length, find_recipe, parse_duration, varied
from mefcli.training.store import Store
from mefcli.training.validate import held_out, linear_residual
from mefnets.recipe import Batch, Data, Objective
from tests.training.tiny import RECIPE, Tiny, make_run


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    state = trainer.state
    return {
        **{f"network.{k}": v for k, v in state.network.state_dict().items()},
        **{f"average.{k}": v for k, v in state.average.state_dict().items()},
        **{f"objective.{k}": v for k, v in state.objective.state_dict().items()},
    }


@pytest.fixture(autouse=True)
def one_thread() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def straight(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights after 120 steps without a stop."""
    torch.set_num_threads(1)
    trainer = Trainer(make_run(store, tmp_path_factory.mktemp("straight"), 120))
    trainer.train()
    return weights(trainer)


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_killed_with_kill_9_continues_to_exactly_the_same_weights(
    store: Store, tmp_path: Path, straight: dict[str, torch.Tensor]
) -> None:
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "models")))}
    program = [
        sys.executable,
        str(Path(__file__).with_name("tiny.py")),
        str(store.folder),
        str(tmp_path),
        "120",
    ]
    with subprocess.Popen(program, env=env, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        for line in victim.stdout:
            if int(line) >= 30:
                victim.send_signal(signal.SIGKILL)
                break
    assert victim.returncode == -signal.SIGKILL
    trainer = Trainer(make_run(store, tmp_path, 120))
    assert 0 < trainer.state.step < 120
    trainer.train()
    assert same(weights(trainer), straight)


def test_ctrl_c_saves_and_the_run_goes_on_where_it_stopped(
    store: Store, tmp_path: Path, straight: dict[str, torch.Tensor]
) -> None:
    def interrupt(tick: Tick) -> None:
        if tick.step == 50:
            os.kill(os.getpid(), signal.SIGINT)

    outcome = Trainer(make_run(store, tmp_path, 120), interrupt).train()
    assert outcome.why == "interrupted"
    assert 50 <= outcome.step < 60
    trainer = Trainer(make_run(store, tmp_path, 120))
    assert trainer.state.step == outcome.step
    trainer.train()
    assert same(weights(trainer), straight)


def test_another_seed_ends_elsewhere(store: Store, tmp_path: Path, straight: dict[str, torch.Tensor]) -> None:
    trainer = Trainer(make_run(store, tmp_path, 120, seed=1))
    trainer.train()
    assert not same(weights(trainer), straight)


def test_fresh_starts_again_where_a_checkpoint_lies(store: Store, tmp_path: Path) -> None:
    Trainer(make_run(store, tmp_path, 5)).train()
    assert Trainer(make_run(store, tmp_path, 5)).state.step == 5
    assert Trainer(make_run(store, tmp_path, 5, fresh=True)).state.step == 0


def test_a_budget_ends_the_run_and_completes_the_schedule(store: Store, tmp_path: Path) -> None:
    rates: list[float] = []
    run = make_run(store, tmp_path, None, budget_s=1.5)
    outcome = Trainer(run, lambda tick: rates.append(tick.lr)).train()
    assert outcome.why == "budget"
    assert 1.5 <= outcome.elapsed_s < 15
    assert rates[-1] < 0.2 * max(rates)


def test_the_log_has_rows_of_losses_and_of_validation_and_is_cut_back_on_resume(
    store: Store, tmp_path: Path
) -> None:
    trainer = Trainer(make_run(store, tmp_path, 40))
    trainer.train()
    path = tmp_path / "tiny-seed0" / "log.csv"
    trainer.log.add(99, 1.0, 0.5, 0.1, 0.0, {})
    Trainer(make_run(store, tmp_path, 40))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert max(int(row["step"]) for row in rows) == 40
    assert "luma" in json.loads(rows[0]["terms"])
    assert {"mef_ssim", "q_abf", "q_w", "residual", "luma"} <= set(json.loads(rows[-1]["scores"]))
    assert list((tmp_path / "tiny-seed0" / "validation").glob("*.jpg"))


def test_the_memory_of_mef_cls_contrastive_term_survives_a_checkpoint() -> None:
    """Same loss before and after: negatives and mean features come back, not only parameters."""
    from mefcli.training.features import untrained_features
    from mefnets.mefcl.loss import MEFCLObjective
    from mefnets.recipe import Batch

    def batch() -> Batch:
        frames, extreme = torch.rand(2, 2, 3, 32, 32), torch.rand(4, 3, 32, 32)
        return Batch(frames, torch.zeros(2, 2), normal=torch.rand(2, 3, 32, 32), extreme=extreme)

    features = untrained_features()
    first = MEFCLObjective(features, style=True, swap=False)
    network = torch.nn.Identity()
    network.forward = lambda frames: frames.mean(1)  # type: ignore[method-assign]
    first(network, batch(), 0.0)
    again, forgetful = (MEFCLObjective(features, style=True, swap=False) for _ in range(2))
    again.load_state_dict(first.state_dict())
    later = batch()
    loss, recalled = (float(one(network, later, 0.0)[0]) for one in (first, again))
    assert recalled == loss
    assert float(forgetful(network, later, 0.0)[0]) != loss


@pytest.mark.parametrize("given", [False, True])
def test_the_papers_recipe_of_mefcl_says_through_what_it_compares(
    given: bool, packed: Path, tmp_path: Path
) -> None:
    from mefcli.training.prepare import WITHOUT_VGG16, prepare
    from mefnets.mefcl.features import VGG16Features

    file = tmp_path / "vgg16.pth"
    torch.save(VGG16Features().state_dict(), file)
    told: list[str] = []
    run = prepare(
        Settings(
            "mefcl", packed, tmp_path, variant="paper", crop_px=32, steps=1, vgg16=file if given else None
        ),
        told.append,
    )
    assert (WITHOUT_VGG16 in told) != given
    assert Trainer(run).leg().note == ("compared through VGG-16" if given else "")


@pytest.mark.parametrize(
    ("model", "variant", "given"),
    [("mefcl", "", "vgg16"), ("mefcl", "", "features"), ("ffmef", "untaught", "teacher")],
)
def test_a_file_that_a_recipe_has_no_use_for_is_refused(
    model: str, variant: str, given: str, packed: Path, tmp_path: Path
) -> None:
    from mefcli.training.prepare import prepare

    words = {given: tmp_path / "x.pth"}
    with pytest.raises(UsageError, match="no use here"):
        prepare(Settings(model, packed, tmp_path, variant=variant, steps=1, **words))  # type: ignore[arg-type]


def test_a_checkpoint_of_another_network_is_refused(store: Store, tmp_path: Path) -> None:
    Trainer(make_run(store, tmp_path, 2)).train()
    run = make_run(store, tmp_path, 2)
    run.state.network.layers[0] = torch.nn.Conv2d(6, 8, 5, padding=2)
    with pytest.raises(UnreadableError, match="does not fit"):
        Trainer(run)


def test_a_step_whose_loss_is_not_finite_leaves_the_weights_alone(store: Store, tmp_path: Path) -> None:
    trainer = Trainer(make_run(store, tmp_path, 2))
    before = [p.detach().clone() for p in trainer.state.network.parameters()]
    batch = next_batch(store)
    trainer.step(replace(batch, frames=batch.frames * float("nan")), 1e-2, 0.0)
    after = trainer.state.network.parameters()
    assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))


class Edge(Objective):
    """A finite loss with a gradient that is none."""

    def forward(
        self, network: nn.Module, batch: Batch, progress: float
    ) -> tuple[torch.Tensor, dict[str, float]]:
        mean = network(batch.frames).mean()
        return (mean - mean.detach()).abs().sqrt(), {}


@pytest.mark.parametrize("bound", [1.0, None])
def test_a_gradient_that_is_not_finite_leaves_the_weights_alone(
    store: Store, tmp_path: Path, bound: float | None
) -> None:
    """Also where a paper's recipe bounds none."""
    made = make_run(store, tmp_path, 2)
    made.state.objective = Edge()
    trainer = Trainer(replace(made, recipe=replace(made.recipe, clip_norm=bound)))
    before = [p.detach().clone() for p in trainer.state.network.parameters()]
    loss, _ = trainer.step(next_batch(store), 1e-2, 0.0)
    assert loss == 0
    after = trainer.state.network.parameters()
    assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))


def next_batch(store: Store):  # type: ignore[no-untyped-def]
    from mefcli.training.loader import to_batch
    from mefcli.training.simulator import Simulator

    return to_batch(Simulator(store, RECIPE.data).batch(0), torch.device("cpu"))


def test_the_average_lags_behind_the_network_and_starts_near_it(store: Store, tmp_path: Path) -> None:
    state = make_run(store, tmp_path, 1).state
    with torch.no_grad():
        for parameter in state.network.parameters():
            parameter.add_(1.0)
    states.update_average(state, 0.9)
    gap = next(state.network.parameters()) - next(state.average.parameters())
    assert torch.allclose(gap, torch.full_like(gap, 0.1), atol=1e-5)


def test_the_averages_norms_keep_averaged_statistics(store: Store, tmp_path: Path) -> None:
    state = make_run(store, tmp_path, 1).state
    state.network, state.average = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    state.network.running_mean.fill_(1.0)
    state.network.num_batches_tracked.fill_(7)
    state.step = 10_000
    states.update_average(state, 0.9)
    assert state.average.running_mean.tolist() == pytest.approx([0.1, 0.1])
    assert int(state.average.num_batches_tracked) == 7


class Plain(Objective):
    """Towards the darkest frame, by whatever network."""

    def forward(
        self, network: nn.Module, batch: Batch, progress: float
    ) -> tuple[torch.Tensor, dict[str, float]]:
        return (network(batch.frames[:, -1]) - batch.frames[:, 0]).square().mean(), {}


def test_from_a_recipes_share_on_norms_use_the_statistics_they_keep(store: Store, tmp_path: Path) -> None:
    made = make_run(store, tmp_path, 1)
    norm = nn.BatchNorm2d(3)
    made.state.network = nn.Sequential(norm, nn.Conv2d(3, 3, 1))
    made.state.objective = Plain()
    made.state.average = copy.deepcopy(made.state.network)
    trainer = Trainer(replace(made, recipe=replace(made.recipe, norms_rest=0.5)))
    batch = next_batch(store)
    trainer.step(batch, 1e-3, 0.4)
    learnt = norm.running_mean.clone()
    assert learnt.abs().max() > 0.01
    weight = norm.weight.detach().clone()
    trainer.state.optimiser = torch.optim.SGD(trainer.state.network.parameters())
    trainer.step(batch, 1e-1, 0.6)
    assert torch.equal(norm.running_mean, learnt)
    assert not torch.equal(norm.weight, weight), "its scale is still learnt"


def test_learning_rate_warms_up_and_falls_to_its_floor() -> None:
    assert learning_rate(RECIPE, 0, 0.0) < learning_rate(RECIPE, 2, 0.0) == pytest.approx(RECIPE.lr)
    assert learning_rate(RECIPE, 50, 1.0) == pytest.approx(RECIPE.lr * 0.01)
    assert learning_rate(replace(RECIPE, schedule="constant"), 50, 1.0) == RECIPE.lr


def test_a_budget_replaces_the_recipes_steps_and_given_steps_hold() -> None:
    assert check_length(RECIPE, None, None) == RECIPE.steps
    assert check_length(RECIPE, 60.0, None) is None
    assert check_length(RECIPE, 60.0, 7) == 7
    with pytest.raises(UsageError):
        check_length(RECIPE, -1.0, None)


def test_durations_are_read_as_people_write_them() -> None:
    assert parse_duration("90m") == 5400
    assert parse_duration("1h30m") == 5400
    assert parse_duration("45") == 45
    with pytest.raises(UsageError, match="not a duration"):
        parse_duration("soon")


def test_a_variant_changes_recipe_data_and_network_options() -> None:
    recipe = varied(RECIPE, {"lr": 0.5, "lopsided": 0.3, "options": {"width": 8}, "depth": 2})
    assert (recipe.lr, recipe.data.lopsided) == (0.5, 0.3)
    assert recipe.options == {"width": 8, "depth": 2}
    assert varied(RECIPE, {"data": Data(batch=9)}).data.batch == 9
    with pytest.raises(UsageError, match="no variant"):
        find_recipe("lcndr", "nonsense")
    with pytest.raises(ModelError, match="no recipe"):
        find_recipe("mertens")


def test_one_setting_of_the_paper_is_taken_alone() -> None:
    ours, paper = find_recipe("lcndr"), find_recipe("lcndr", "paper")
    assert find_recipe("lcndr", "paper.ema") == replace(ours, ema=0.0)
    assert find_recipe("lcndr", "paper.grid") == replace(ours, options={"grid": 0})
    batch = find_recipe("lcndr", "paper.batch")
    assert batch.data == replace(ours.data, batch=paper.data.batch)
    with pytest.raises(UsageError, match="no 'emma' that differs") as error:
        find_recipe("lcndr", "paper.emma")
    assert "clip_norm" in str(error.value.hint)
    assert "optimiser" not in str(error.value.hint)  # Adam is the paper's
    with pytest.raises(UsageError, match="no variant 'nonsense'"):
        find_recipe("lcndr", "nonsense.ema")


def test_another_crop_has_a_folder_of_its_own() -> None:
    usual, small = (Settings("lcndr", Path("data"), crop_px=crop) for crop in (None, 64))
    assert usual.folder != small.folder


# ---- validation and export -------------------------------------------------------------------------------


def test_a_global_mix_of_the_frames_has_no_residual_and_a_local_one_has() -> None:
    frames = torch.rand(2, 40, 40, generator=torch.Generator().manual_seed(0))
    left = torch.arange(40) < 20
    assert linear_residual(frames, 0.3 * frames[0] + 0.9 * frames[1] - 0.1) < 0.1
    assert linear_residual(frames, torch.where(left, frames[0], frames[1])) > 20


def test_held_out_brackets_are_of_validation_scenes_only_and_always_the_same(store: Store) -> None:
    once, again = held_out(store), held_out(store)
    assert [held.scene for held in once] == ["hdr_panoramas/c.hdr"]
    assert all(np.array_equal(a, b) for a, b in zip(once[0].frames, again[0].frames, strict=True))


def test_exported_weights_carry_their_provenance_and_their_hash_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    digest = write_weights(Tiny().state_dict(), path, {"recipe": "tiny", "seed": "3"})
    record_hash(tmp_path / "other.safetensors", "ab")
    with safe_open(path, "pt") as file:
        assert file.metadata()["seed"] == "3"
        assert file.metadata()["dtype"] == "float32"
    assert json.loads((tmp_path / "hashes.json").read_text()) == {
        "other.safetensors": "ab",
        path.name: digest,
    }


def test_a_real_recipe_trains_and_exports_through_the_command_line(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load

    from mefcli.cli.app import run
    from mefcli.training.export import Blend, export_run

    runs = tmp_path / "runs"
    common = ["--data", str(packed), "--runs", str(runs)]
    assert run(["train", "lcndr", *common, "--smoke"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert (folder / "last.pt").is_file()
    path, _, size = export_run("lcndr", folder, "", "last", tmp_path / "weights")
    assert path.name == "lcndr.safetensors"
    assert size > 100_000
    with safe_open(path, "pt") as file:
        assert len(file.metadata()["data_sha256"]) == 64
    before, blend = path.read_bytes(), Blend(path, 0.5, packed)
    path, _, _ = export_run("lcndr", folder, "", "last", tmp_path / "weights", blend)
    with safe_open(path, "pt") as file:
        assert file.metadata()["blend"].startswith("0.5 of this run, 0.5 of lcndr")
    kept, mixed = load(before), load(path.read_bytes())
    assert all(torch.equal(kept[name], mixed[name]) for name in kept), "half of one and half of the same"
