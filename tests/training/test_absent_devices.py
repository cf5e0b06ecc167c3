"""Training and searching on a device that is not there: one sentence, no fault of the program."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from mefcli.cli.app import run
from mefcli.training.loop import Trainer
from mefcli.training.prepare import prepare
from mefcli.training.settings import Settings, all_recipes


@pytest.mark.parametrize(
    "command",
    [
        ["train", "lcndr", "--data", "{data}", "--runs", "{tmp}"],
        ["search", "crmef", "--measure-latency", "-o", "{tmp}/table.json"],
    ],
    ids=["train", "search"],
)
def test_a_missing_card_is_one_sentence(
    command: list[str],
    packed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = [part.format(data=packed, tmp=tmp_path) for part in command]
    assert run([*words, "--device", "cuda"]) == 1
    said = capsys.readouterr().err
    assert "No CUDA device was found" in said
    assert "fault in mef" not in said


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no card here")
@pytest.mark.parametrize("name", sorted(all_recipes()))
def test_every_recipe_learns_on_a_card(name: str, packed: Path, tmp_path: Path) -> None:
    """A few steps through all stages, validated on the card, as a plan would have it."""
    settings = Settings(
        model=name, data=packed, runs=tmp_path, smoke=True, fresh=True, device="cuda", batch_times=2
    )
    outcome = Trainer(prepare(settings)).train()
    assert outcome.why == "steps"
    assert all(math.isfinite(value) for value in outcome.scores.values())
