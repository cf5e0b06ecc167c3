"""Where weights come from: every leg, through checkpoints, files, fine-tuning and blends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mefcli.training import state as states
from mefcli.training.export import write_weights
from mefcli.training.lineage import (
    LEGS,
    UNRECORDED,
    Leg,
    asked,
    asked_of,
    from_json,
    joined,
    legs_of,
    of_metadata,
    table,
    to_json,
)
from mefcli.training.loop import Trainer
from mefcli.training.prepare import start
from mefcli.training.store import Store
from mefnets import MODELS
from mefnets.engine.fuser import build_network
from tests.training.tiny import make_run

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
FIRST = Leg(recipe="lcndr", steps=100, brackets=600, hours=0.5, cpu_hours=0.25, seed=3)


def test_legs_survive_being_written() -> None:
    legs = (FIRST, Leg(recipe="lcndr:paper", steps=7, began="ab12", teacher="cd34", note="short"))
    assert from_json(to_json(legs)) == legs


def test_a_run_counts_its_steps_brackets_and_time_and_keeps_what_came_before(
    store: Store, tmp_path: Path
) -> None:
    run = replace(make_run(store, tmp_path, 6), earlier=(FIRST,), began="ab12")
    Trainer(run).train()
    path = tmp_path / "tiny-seed0" / "last.pt"
    earlier, own = legs_of(torch.load(path, weights_only=True))
    assert earlier == FIRST
    # Three steps with the two brackets of the first stage, three with the three of the second.
    assert (own.steps, own.brackets, own.began) == (6, 3 * 2 + 3 * 3, "ab12")
    assert own.pictures == "32 px, then 40 px"
    # A continued run adds to the same leg, even where it is not told again what it began with.
    again = Trainer(replace(make_run(store, tmp_path, 10)))
    assert again.earlier == (FIRST,)
    again.train()
    earlier, longer = legs_of(torch.load(path, weights_only=True))
    assert (longer.steps, longer.brackets) == (10, 15 + 4 * 3)
    assert longer.hours >= own.hours
    assert again.state.cpu_s > 0


def test_a_checkpoint_from_before_legs_says_so(store: Store, tmp_path: Path) -> None:
    trainer = Trainer(make_run(store, tmp_path, 2))
    extra = {"model": "tiny", "variant": "v", "seed": 4, "device": "CPU", "data_hash": "f" * 64}
    states.save(trainer.state, tmp_path / "old.pt", extra)
    (leg,) = legs_of(torch.load(tmp_path / "old.pt", weights_only=True))
    assert (leg.recipe, leg.seed, leg.note) == ("tiny:v", 4, UNRECORDED)


def test_weights_that_a_run_begins_with_bring_their_legs(tmp_path: Path) -> None:
    network = build_network(MODELS["ffmef"])
    path = tmp_path / "ffmef.safetensors"
    digest = write_weights(network.state_dict(), path, {"model": "ffmef", LEGS: to_json([FIRST])})
    legs, began = start(build_network(MODELS["ffmef"]), path)
    assert legs == (FIRST,)
    assert began == digest[:12]


def test_older_files_tell_their_last_leg() -> None:
    legs = of_metadata({"model": "lcndr", "recipe": "lcndr", "steps": "385", "hours": "0.42", "seed": "1"})
    assert legs == (Leg(recipe="lcndr", steps=385, hours=0.42, seed=1, note=UNRECORDED),)
    assert of_metadata({"model": "lcndr"}) == ()


def test_a_blend_counts_what_both_sides_share_once() -> None:
    ours, theirs = replace(FIRST, steps=50), replace(FIRST, steps=60)
    legs = joined((FIRST, ours), (FIRST, theirs), "0.6 of this run")
    assert [leg.steps for leg in legs] == [100, 60, 50, 0]
    assert legs[-1].note == "0.6 of this run"
    exported = replace(FIRST, commit="abc")  # the same leg, once it was shipped
    assert [leg.steps for leg in joined((FIRST, ours), (exported,), "")] == [100, 50, 0]


def test_the_measures_a_loss_asked_for_are_those_of_every_leg() -> None:
    assert asked((FIRST,)) == ("MEF_SSIM",)  # no teacher: what is called `untaught` today
    taught = Leg(recipe="lcndr", steps=9, teacher="ab12")
    assert asked((FIRST, taught)) == ("MEF_SSIM", "Q_ABF", "Q_W", "crushed", "blown")
    assert asked((Leg(recipe="ffmef:untaught", steps=9), Leg(recipe="blend", steps=0))) == ()
    assert asked((Leg(recipe="ffmef:measured", steps=9),)) == ("MEF_SSIM", "Q_ABF", "Q_W", "Q_CV")
    assert asked((Leg(recipe="a recipe that is no more", steps=9),)) == ()
    assert asked((Leg(recipe="ffmef", steps=9, asks="SD"),)) == ("SD",)  # what a leg says itself goes first


@pytest.mark.parametrize("name", ["ffmef", "crmef", "mefcl", "lcndr", "mgdn", "crmef-align", "house"])
def test_no_shipped_weights_hide_that_structure_was_asked_of_them(name: str) -> None:
    assert "MEF_SSIM" in asked_of(WEIGHTS / f"{name}.safetensors")


def test_a_file_of_weights_is_shown_itself_and_not_the_shipped_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mefcli.cli.app import run

    path = tmp_path / "own.safetensors"
    network = build_network(MODELS["ffmef"])
    write_weights(network.state_dict(), path, {"model": "ffmef", LEGS: to_json([replace(FIRST, steps=77)])})
    assert run(["models", "show", str(path)]) == 0
    out = capsys.readouterr().out
    assert "lcndr: 77 steps" in out
    assert str(path) in out
    assert "quality" not in out  # that of the shipped file
    assert "trained on       MEF_SSIM" in out
    assert run(["models", "show", str(path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["asked_for"], facts["quality"]) == (["MEF_SSIM"], None)


def test_the_table_adds_up_all_legs_and_says_where_some_are_missing(tmp_path: Path) -> None:
    tensors = {"x": torch.zeros(1)}
    write_weights(tensors, tmp_path / "a.safetensors", {LEGS: to_json([FIRST, FIRST])})
    write_weights(tensors, tmp_path / "b.safetensors", {"steps": "5", "hours": "2"})
    rows = table(tmp_path).splitlines()[2:]
    assert rows == [
        "| `a.safetensors` | 2 | 200 | 1,200 | 0.50 |",
        "| `b.safetensors` | 1 and earlier ones | 5 | - | 2.00 |",
    ]


def test_the_hours_told_in_the_weights_readme_are_those_of_the_files() -> None:
    words = (WEIGHTS / "README.md").read_text(encoding="utf-8")
    told = words.partition("<!-- mef train hours -->\n")[2].partition("<!-- end -->")[0]
    assert told == table(WEIGHTS), "write anew: mef train hours"


def test_every_leg_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from mefcli.cli.app import run

    assert run(["models", "show", "lcndr"]) == 0
    assert "leg 1" in capsys.readouterr().out
    assert run(["models", "show", "lcndr", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["lineage"][0]["steps"] > 0
    assert LEGS not in facts["trained"]
