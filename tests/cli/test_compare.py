"""`mef compare`: what it runs, what it leaves out, and what it tells before a pixel is decoded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toolkit import Mef

from mefcli import errors
from mefcli.evaluation.methods import all_models

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--device", "cuda"], "No CUDA device"),
        (["--models", "house", "--half"], "loses precision in half"),
        (["--models", "mertens", "--look", "bright"], "takes no --look"),
        (["--models", "mertens", "--looks"], "takes no --look"),
        (["--max-pixels", "0.01"], "raise the limit"),
        (["-o", "nowhere/sheet.jpg"], "There is no folder"),
        (["--models", "average", "--max-memory", "100M"], "--max-memory allows 100 MB"),
    ],
    ids=["device", "half", "look", "looks", "pixels", "folder", "memory"],
)
def test_compare_tells_before_a_pixel_is_decoded(
    mef: Mef, jpegs: list[Path], given: list[str], told: str
) -> None:
    done = mef("compare", *jpegs, *given)
    assert done.code in (1, 2)
    assert told in done.err


def test_all_models_says_what_it_leaves_out_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, left_out = all_models()
    assert "crmef-align" not in chosen
    assert "aligns frames by itself" in left_out["crmef-align"]
    quick, more = all_models(quick=True)
    assert {"house", "mertens", "average"} <= set(quick)
    assert "44 CPU-s a megapixel" in more["mgdn"]
    assert set(quick) | set(more) == set(chosen) | set(left_out)
    monkeypatch.setattr("mefcli.checkpoints.find_weights", lambda spec: None)
    assert "no trained weights" in all_models()[1]["mgdn"]


def test_compare_tells_what_is_slow_and_fast_leaves_it_out(
    mef: Mef, jpegs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def run(frames: Any, labels: Any, makers: dict[str, Callable[..., Any]], **rest: Any) -> Any:
        ran.extend(makers)
        raise errors.MefError("stopped here")

    monkeypatch.setattr("mefcli.report.comparison.compare", run)
    done = mef("compare", *jpegs, "--megapixels", "1")
    assert "crmef-align is left out: it aligns frames by itself" in done.err
    assert "Slow: mgdn 88 s" in done.err
    assert "--fast leaves such models out" in done.err
    assert "mgdn" in ran
    ran.clear()
    done = mef("compare", *jpegs, "--fast")
    assert set(ran) == set(all_models(quick=True)[0])
    assert "mgdn is left out: it takes 44 CPU-s a megapixel" in done.err
    assert "Slow" not in done.err


def test_models_may_be_files_of_weights(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    """A run of one's own beside what is shipped: called by the file's name where no other has it."""
    mine, same = tmp_path / "mine.safetensors", tmp_path / "ffmef.safetensors"
    for path in (mine, same):
        shutil.copy(WEIGHTS / "ffmef.safetensors", path)
    names = f"ffmef,{mine},{same}"
    done = mef("compare", *jpegs, "--models", names, "--megapixels", "0.01", "--json")
    assert done.code == 0, done.err
    scores = {row["name"]: row["scores"] for row in json.loads(done.out)["models"]}
    assert list(scores) == ["ffmef", "mine", str(same)]
    assert scores["ffmef"] == scores["mine"] == scores[str(same)]
    scene = tmp_path / "scenes" / "one"
    scene.mkdir(parents=True)
    for path in jpegs:
        shutil.copy(path, scene)
    scored = mef("eval", tmp_path / "scenes", "--models", f"average,{mine}", "--metrics", "Q_ABF", "--json")
    assert scored.code == 0, scored.err
    assert '"mine"' in scored.out
    gone = mef("compare", *jpegs, "--models", str(tmp_path / "gone.safetensors"))
    assert gone.code == 1
    assert "gone.safetensors" in gone.err
    lists = mef("train", "scores", tmp_path / "scenes", "--models", str(mine))
    assert lists.code == 2
    assert "not a model of the lists" in lists.err


def test_a_misspelled_model_is_answered_with_the_near_one(mef: Mef, jpegs: list[Path]) -> None:
    done = mef("compare", *jpegs, "--models", "hause,mertens")
    assert done.code == 2
    assert "Did you mean house" in done.err
