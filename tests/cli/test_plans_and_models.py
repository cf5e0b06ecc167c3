"""Estimates, threads, and what is said of models that have no weights."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from toolkit import Mef

from mefcli import api, checkpoints, formats
from mefcli.cli import screen, threads
from mefcli.estimate import estimate
from mefcli.evaluation.methods import chosen_models
from mefcli.job import Job
from mefcli.values import Step
from mefnets import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINTS = Path(__file__).resolve().parents[2].parent / "shared/data/dev/checkpoints"


def test_a_dry_run_estimates_time_and_memory(mef: Mef, jpegs: list[Path]) -> None:
    assert "Estimate: " in mef("fuse", *jpegs, "--dry-run").err
    told = json.loads(mef("fuse", *jpegs, "--dry-run", "--json").out)["estimate"]
    assert 0.5 < told["cpu_seconds"] < 10
    assert 100 < told["memory_mb"] < 1000


def test_estimates_know_every_model_and_grow_with_what_is_asked(jpegs: list[Path]) -> None:
    bracket = api.plan(jpegs)
    plain = estimate(bracket, [Path("a.tif")], Job(align="off"))
    assert estimate(bracket, [Path("a.tif")], Job(align="auto")).total_s > plain.total_s
    assert estimate(bracket, [Path("a.tif")], Job(align="off", model="mgdn")).total_s > plain.total_s
    assert estimate(bracket, [Path("a.tif"), Path("b.tif")], Job(align="off")).total_s > plain.total_s
    assert estimate(api.plan(jpegs[:2]), [Path("a.tif")], Job(align="off")).memory_mb < plain.memory_mb


def test_progress_gives_each_stage_the_share_that_was_estimated() -> None:
    shares = screen.shares({"read": 1.0, "align": 0.0, "fuse": 2.0, "write": 1.0})
    assert shares["read"] == (0.0, 0.25)
    assert shares["fuse"] == (0.25, 0.5)
    assert shares["write"] == (0.75, 0.25)
    screen.Progress()(Step("deghost", 0.5))  # every stage has a place, estimated or not


@pytest.mark.parametrize(("load", "expected"), [(0.2, 8), (4.0, 4), (40.0, 1)])
def test_threads_leave_busy_processors_alone(
    load: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mefnets.engine.threads.own_load", lambda: 0.0)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    assert threads.free_processors() == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    threads.settle("fuse")
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_models_alone_lists_them_and_marks_those_without_weights(
    mef: Mef, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = checkpoints.find_weights
    monkeypatch.setattr(checkpoints, "find_weights", lambda spec: None if spec.name == "mgdn" else find(spec))
    lines = mef("models").out.splitlines()
    assert "not trained yet" in next(line for line in lines if line.startswith("mgdn"))
    assert "structure 0.97" in next(line for line in lines if line.startswith("mertens"))


def test_compare_takes_models_with_weights_and_self_aligning_ones_only_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoints, "find_weights", lambda spec: None if spec.name == "mgdn" else Path("x"))
    of_exposures = set(checkpoints.known_models("exposure"))
    assert {"house", "ffmef", "ffmef@paper", "mertens"} <= of_exposures
    assert set(chosen_models("all")) == of_exposures - {"mgdn", "crmef-align"}
    assert chosen_models("crmef-align,mgdn") == ["crmef-align", "mgdn"]


def test_a_model_without_weights_is_refused_before_anything_is_read(
    mef: Mef, jpegs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "find_weights", lambda spec: None)
    done = mef("fuse", *jpegs, "--model", "mgdn")
    assert done.code == 1
    assert "Reading" not in done.err
    for word in ("mgdn", "mef train mgdn", "--weights", "mertens"):
        assert word in done.err


def test_models_show_names_what_was_trained(mef: Mef) -> None:
    lines = mef("models", "show", DEFAULT_MODEL).out.splitlines()
    assert any(line.split()[0] == "steps" for line in lines)


def test_an_imported_checkpoint_fuses(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(ROOT / "weights" / "ffmef.safetensors"), tmp_path / "x.pth")
    out = tmp_path / "x.safetensors"
    done = mef("models", "import", "ffmef", tmp_path / "x.pth", "-o", out)
    assert done.code == 0, done.err
    assert done.out == f"{out}\n"
    assert mef("models", "import", "ffmef", tmp_path / "x.pth", "-o", out).code == 1  # it exists
    fused = mef("fuse", *jpegs, "--weights", out, "--model", "ffmef", "-o", tmp_path / "x.png")
    assert fused.code == 0, fused.err


@pytest.mark.skipif(not CHECKPOINTS.is_dir(), reason="needs the authors' checkpoint and result")
def test_the_authors_weights_give_the_authors_picture(mef: Mef, tmp_path: Path) -> None:
    weights, out = tmp_path / "authors.safetensors", tmp_path / "out.png"
    pth = CHECKPOINTS / "ffmef_authors_mef.pth"
    assert mef("models", "import", "ffmef", pth, "-o", weights, "--zero-padding", "--studio-luma").code == 0
    frames = [CHECKPOINTS / "ffmef_507" / name for name in ("over.png", "under.png")]
    options = ["--weights", weights, "--model", "ffmef", "--align", "off", "--bit-depth", "8", "-o", out]
    assert mef("fuse", *frames, *options).code == 0
    ours, theirs = (
        formats.decode(path).pixels.astype(int)
        for path in (out, CHECKPOINTS / "ffmef_507" / "authors_result.png")
    )
    assert abs(ours - theirs).max() <= 1


def test_debug_dir_holds_pictures_of_what_was_replaced(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "looks"
    done = mef("fuse", *jpegs, "--deghost", "auto", "--debug-dir", folder, "-o", tmp_path / "x.png")
    assert done.code == 0, done.err
    kinds = {path.name.split(".", 1)[1] for path in folder.iterdir()}
    assert kinds == {"ghosts.png", "confidence.png"}


@pytest.mark.parametrize("link", [False, True], ids=["file", "link to a source"])
def test_debug_dir_replaces_nothing_unasked_and_no_source(
    mef: Mef, jpegs: list[Path], tmp_path: Path, link: bool
) -> None:
    kept = tmp_path / "looks" / f"{jpegs[0].stem}.ghosts.png"
    kept.parent.mkdir()
    if link:
        kept.symlink_to(jpegs[0])
    else:
        kept.write_bytes(b"mine")
    before = kept.read_bytes()
    words = ["--deghost", "auto", "--debug-dir", kept.parent, "-o", tmp_path / "x.png"]
    done = mef("fuse", *jpegs, *words, *(["--overwrite"] if link else []))
    assert done.code == (2 if link else 1)
    assert ("Sources are never touched" if link else "exists already") in done.err
    assert kept.read_bytes() == before
    if not link:
        assert mef("fuse", *jpegs, *words, "--overwrite").code == 0
        assert kept.read_bytes() != before


@pytest.mark.parametrize("command", ["fuse", "batch"])
def test_a_file_of_weights_stands_where_a_models_name_does(
    mef: Mef, jpegs: list[Path], tmp_path: Path, command: str
) -> None:
    own = tmp_path / "own.safetensors"
    shutil.copy(ROOT / "weights" / "house.safetensors", own)
    place = ["-o", tmp_path / ("x.tif" if command == "fuse" else "out")]
    sources = jpegs if command == "fuse" else [jpegs[0].parent]
    plan = mef(command, *sources, *place, "--model", own, "--dry-run")
    assert plan.code == 0, plan.err
    done = mef(command, *sources, *place, "--model", own, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out.splitlines()[0])["model"] == "house"


def test_a_file_that_names_no_model_says_what_to_do(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    done = mef("fuse", *jpegs, "--model", tmp_path / "x.safetensors", "--dry-run")
    assert done.code == 1
    assert "--weights" in done.err
