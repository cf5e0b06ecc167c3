"""Whenever a run ends: sources untouched, outputs whole or absent, nothing left after the next run."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mefcli import formats
from tests.robustness.faults import Runs, hashes, hidden

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and forks are for Unix")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 130, signal.SIGKILL: -signal.SIGKILL}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    runs = Runs(tmp_path_factory.mktemp("log") / "log")
    yield runs
    runs.close()


def shoot(
    runs: Runs, arguments: list[object], signals: tuple[signal.Signals, ...], times: int, out: Path
) -> dict[str, int]:
    """Runs a command `times` over, each ended by a signal at a random moment; what became of them."""
    sources = sorted(path for path in out.parent.rglob("*.jpg"))
    before = hashes(sources)
    for again in ((), ("--overwrite",)):  # the first run warms up, the second is timed
        start = time.monotonic()
        runs.start(*arguments, *again)
        assert runs.end()[0] == 0
        whole_s = time.monotonic() - start
    whole = {path.name: path.stat().st_size for path in out.rglob("*.tif")}
    assert whole
    chance = random.Random(4)
    met = {"ended": 0, "done": 0}
    for number in range(times):
        shutil.rmtree(out)
        out.mkdir()
        pid = runs.start(*arguments)
        time.sleep(chance.random() * whole_s * 0.9)
        kind = signals[number % len(signals)]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, kind)
        code, said = runs.end()
        assert code in (0, CODES[kind]), said
        assert "Traceback" not in said
        met["done" if code == 0 else "ended"] += 1
        assert hashes(sources) == before
        for path in out.rglob("*.tif"):
            if not path.name.startswith("."):
                assert path.stat().st_size == whole[path.name], "an output that is not whole"
                formats.decode(path)
        if kind != signal.SIGKILL:
            assert not hidden(out), said
    runs.start(*arguments, "--overwrite")
    assert runs.end()[0] == 0
    assert not hidden(out)
    assert {path.name: path.stat().st_size for path in out.rglob("*.tif")} == whole
    return met


@pytest.mark.parametrize(
    ("kinds", "times"),
    [
        ((signal.SIGINT, signal.SIGTERM, signal.SIGKILL), 9),
        pytest.param((signal.SIGINT,), 100, marks=pytest.mark.slow),
        pytest.param((signal.SIGTERM,), 100, marks=pytest.mark.slow),
        pytest.param((signal.SIGKILL,), 100, marks=pytest.mark.slow),
    ],
    ids=["all", "interrupted", "terminated", "killed"],
)
def test_a_fusion_ended_at_any_moment_loses_nothing(
    runs: Runs, jpegs: list[Path], tmp_path: Path, kinds: tuple[signal.Signals, ...], times: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    met = shoot(runs, ["fuse", *jpegs, "--model", "mertens", "-o", out / "x.tif"], kinds, times, out)
    assert met["ended"] > times // 4, "too few signals met a running fusion to prove anything"


def test_a_source_that_vanishes_during_the_run_is_named(
    runs: Runs, jpegs: list[Path], tmp_path: Path
) -> None:
    for moment in (0.0, 0.05, 0.2):
        runs.start("fuse", *jpegs, "--model", "mertens", "-o", tmp_path / "x.tif", "--overwrite")
        time.sleep(moment)
        away = jpegs[1].rename(tmp_path / "away")
        code, said = runs.end()
        away.rename(jpegs[1])
        assert "Traceback" not in said
        assert "fault in mef" not in said
        assert code in (0, 1), said
        assert code == 0 or jpegs[1].name in said
        assert not hidden(tmp_path)


def test_an_output_folder_that_vanishes_during_the_run_is_named(
    runs: Runs, jpegs: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for moment in (0.02, 0.1, 0.2, 0.3):
        out.mkdir(exist_ok=True)
        runs.start("fuse", *jpegs, "--model", "mertens", "-o", out / "x.tif", "--overwrite")
        time.sleep(moment)
        shutil.rmtree(out, ignore_errors=True)
        code, said = runs.end()
        assert "Traceback" not in said
        assert "fault in mef" not in said
        assert code in (0, 1), said
        assert code == 0 or "x.tif" in said, said
        shutil.rmtree(out, ignore_errors=True)
