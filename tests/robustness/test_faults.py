"""Whenever a run ends: sources untouched, outputs whole or absent, nothing left after the next run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from toolkit import Mef

from mefcli import formats, storage
from tests.robustness.faults import ENDS, Runs, hidden, shoot

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and forks are for Unix")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    runs = Runs(tmp_path_factory.mktemp("log") / "log")
    yield runs
    runs.close()


ENDED = pytest.mark.parametrize(
    ("kinds", "times", "model"),
    [
        (ENDS, 9, "mertens"),
        pytest.param((signal.SIGINT,), 100, "mertens", marks=pytest.mark.slow),
        pytest.param((signal.SIGTERM,), 100, "mertens", marks=pytest.mark.slow),
        pytest.param((signal.SIGKILL,), 100, "mertens", marks=pytest.mark.slow),
        pytest.param(ENDS, 30, "house", marks=pytest.mark.slow),
    ],
    ids=["all", "interrupted", "terminated", "killed", "default model"],
)


@ENDED
def test_a_fusion_ended_at_any_moment_loses_nothing(
    runs: Runs, jpegs: list[Path], tmp_path: Path, kinds: tuple[signal.Signals, ...], times: int, model: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    met = shoot(runs, ["fuse", *jpegs, "--model", model, "-o", out / "x.tif"], kinds, times, out)
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


@pytest.mark.parametrize("moment", ["decode", "encode", "settle", "put"])
def test_an_output_folder_that_vanishes_during_the_run_is_named(
    mef: Mef, jpegs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    place = formats if moment in ("decode", "encode") else storage
    real, out = getattr(place, moment), tmp_path / "out"

    def robbed(*arguments: object, **options: object) -> object:
        shutil.rmtree(out, ignore_errors=True)
        return real(*arguments, **options)

    monkeypatch.setattr(place, moment, robbed, raising=False)
    out.mkdir()
    done = mef("fuse", *jpegs, "--model", "mertens", "-o", out / "x.tif")
    assert done.code == 1
    assert f"{out / 'x.tif'} could not be written: No such file or directory" in done.err
    assert not out.exists()


def test_an_impatient_second_ctrl_c_changes_nothing(runs: Runs, jpegs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for moment in (0.0, 0.05, 0.1, 0.15):
        pid = runs.start("fuse", *jpegs, "--model", "mertens", "-o", out / "x.tif", "--overwrite")
        time.sleep(moment)
        for _ in range(3):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
            time.sleep(0.002)
        code, said = runs.end()
        assert code in (0, 130), said
        assert "Traceback" not in said
        assert not hidden(out)


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (("fuse", "FILES", "-o", "OUT/x.png"), {"x.png"}),
        (("fuse", "FILES", "-o", "OUT/"), {"room_1_fused.tif"}),
        (("fuse", "FILES", "-o", "OUT/x.png", "--report", "OUT/p.html"), {"x.png", "p.html"}),
        (("align", "FILES", "-o", "OUT"), {f"room_{n}_aligned.tif" for n in (1, 2, 3)}),
        (("hdr", "FILES", "-o", "OUT/x.exr"), {"x.exr"}),
        (
            ("batch", "CARD", "-o", "OUT", "--report", "OUT/p.html"),
            {"room_2_fused.tif", "p.html", ".mef-journal.sqlite"},
        ),
        (("demo", "OUT", "--model", "average", "--width", "96"), None),
        (("compare", "FILES", "--models", "average,mertens", "-o", "OUT/x.png"), {"x.png"}),
    ],
    ids=["fuse", "fuse into it", "page", "align", "hdr", "batch", "demo", "compare"],
)
def test_a_folder_that_may_be_written_into_but_not_opened_gets_what_is_made(
    runs: Runs, jpegs: list[Path], tmp_path: Path, words: tuple[str, ...], made: set[str] | None
) -> None:
    """Such a folder cannot be synced or looked into; what is made is there all the same."""
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o300)
    given: list[object] = []
    for word in words:
        given += (
            jpegs
            if word == "FILES"
            else [word.replace("OUT", str(out)).replace("CARD", str(jpegs[0].parent))]
        )
    fast = ("--model", "average", "--align", "off") if words[0] in ("fuse", "batch") else ()
    try:
        runs.start(*given, *fast, meek=True)
        code, said = runs.end()
    finally:
        out.chmod(0o755)
    assert code == 0, said
    assert "not readable" not in said
    if words[0] in ("fuse", "align", "hdr", "batch"):
        assert "cannot be synced" in said
    found = {path.name for path in out.iterdir()}
    assert found == made if made is not None else "room_fused.jpg" in found
