"""Two sets of weights for one system: NAME, and NAME@SET where its file lies beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from mefcli import api
from mefcli.checkpoints import HASHES, find_model, find_weights, load_fuser_weights
from mefcli.cli.app import run
from mefcli.errors import ModelError
from mefcli.training.export import write_weights

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of FFMEF's `paper` recipe, as far as their name goes."""
    place = tmp_path / "weights"
    tensors = load_file(WEIGHTS / "ffmef.safetensors")
    write_weights(tensors, place / "ffmef@paper.safetensors", {"model": "ffmef"})
    write_weights(tensors, place / "nothing@paper.safetensors", {"model": "nothing"})
    monkeypatch.setenv("MEF_WEIGHTS", str(place))
    return place


def test_a_set_is_a_model_of_the_same_system_with_weights_of_its_own(folder: Path) -> None:
    spec, own = find_model("ffmef@paper"), find_model("ffmef")
    assert find_weights(spec) == folder / "ffmef@paper.safetensors"
    assert (spec.module, spec.colour, spec.paper) == (own.module, own.colour, own.paper)
    _, tensors, sha256, _ = load_fuser_weights("ffmef@paper")
    assert tensors
    assert sha256 == json.loads((folder / HASHES).read_text())["ffmef@paper.safetensors"]


def test_sets_are_listed_after_their_files_and_foreign_ones_are_not(folder: Path) -> None:
    names = [spec.name for spec in api.list_models()]
    assert "ffmef@paper" in names
    assert not any(name.startswith("nothing") for name in names)


def test_a_set_that_is_not_there_is_refused_with_those_that_are(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"Did you mean ffmef@paper"):
        find_model("ffmef@papers")


def test_a_set_fuses_by_its_name(folder: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (40, 48, 3), np.uint8) for _ in range(2)]
    fused = api.load_fuser("ffmef@paper").fuse(frames, depth=8)
    assert fused.shape == (40, 48, 3)


def test_a_set_fuses_files_and_is_planned_for(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    for k in range(2):
        Image.new("RGB", (64, 48), (60 + 90 * k,) * 3).save(tmp_path / f"{k}.png")
    files = [str(tmp_path / f"{k}.png") for k in range(2)]
    words = ["fuse", *files, "--model", "ffmef@paper", "-o", str(tmp_path / "out.png")]
    assert run([*words, "--dry-run"]) == 0
    assert run(words) == 0
    assert (tmp_path / "out.png").is_file()
