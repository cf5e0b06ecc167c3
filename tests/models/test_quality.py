"""What is said of a model's quality is of the weights that are shipped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mefcli import checkpoints, quality
from mefcli.training import lineage
from mefnets import MODELS
from tests.toolkit import Mef

SHIPPED = Path(__file__).resolve().parents[2] / "weights"


@pytest.mark.parametrize("name", MODELS)
def test_every_shipped_model_is_measured_with_the_weights_that_are_shipped(name: str) -> None:
    spec = MODELS[name]
    if spec.task == "exposure" and checkpoints.is_ready(spec):
        found = quality.quality_of(spec)
        assert found is not None, "measure it: mef train scores SCENES"
        assert set(found) == set(quality.NAMES)
        path = checkpoints.find_weights(spec)
        asked = lineage.asked_of(path) if path else ()
        assert quality.trained_on(spec) == tuple(name for name in quality.NAMES if name in asked)


def test_what_weights_were_trained_on_has_a_star(mef: Mef) -> None:
    row = {"MEF_SSIM": 0.97, "Q_CV": 280.0, "crushed": 0.001, "blown": 0.002}
    assert quality.words(row) == "structure 0.970, tone 280, lost 0.3 %"
    assert quality.words(row, ("MEF_SSIM", "crushed", "blown")) == "structure 0.970*, tone 280, lost 0.3 %*"
    listed = mef("models", "list")
    assert "*" not in listed.out.partition("ffmef@paper")[2]  # the paper asks for no measure
    assert "0.982*" in listed.out
    assert "what the weights were trained on" in listed.err


def test_scores_of_other_weights_count_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (quality.SCORES, checkpoints.HASHES):
        shutil.copy(SHIPPED / name, tmp_path / name)
    monkeypatch.setenv("MEF_WEIGHTS", str(tmp_path))
    assert quality.quality_of(MODELS["ffmef"])
    hashes = json.loads((tmp_path / checkpoints.HASHES).read_text())
    (tmp_path / checkpoints.HASHES).write_text(json.dumps({**hashes, "ffmef.safetensors": "0" * 64}))
    assert quality.quality_of(MODELS["ffmef"]) is None


def test_only_what_has_changed_is_measured_again(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    scenes, weights = tmp_path / "scenes", tmp_path / "weights"
    scenes.mkdir()
    weights.mkdir()
    (scenes / "room").mkdir()
    for path in jpegs:
        shutil.copy(path, scenes / "room" / path.name)
    words = ("train", "scores", scenes, weights, "--models", "average,mertens")
    done = mef(*words)
    assert done.code == 0, done.err
    assert "average: structure 0." in done.err
    table = json.loads((weights / quality.SCORES).read_text())
    assert table["pictures"].startswith("darkest and brightest usable frame of 1 scene")
    assert "average" not in mef(*words).err
    assert "average: structure" in mef(*words, "--anew").err


def test_damaged_scores_are_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / quality.SCORES).write_text("{")
    monkeypatch.setenv("MEF_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(checkpoints, "weight_folders", lambda: iter([tmp_path]))
    assert quality.quality_of(MODELS["average"]) is None
