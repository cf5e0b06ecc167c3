"""A card with brackets of many kinds, killed and resumed, its paths typed in four ways."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pipeline.cards import write_files
from pipeline.days import TOLD, random_day

from mefcli.batch.journal import NAME as JOURNAL

ROOT = Path(__file__).resolve().parents[2]
FAST = ("--model", "average", "--align", "off", "--jobs", "1", "--json", "--quiet")


class Batch:
    """`mef batch` in processes of their own, from the folder that holds card and results."""

    def __init__(self, place: Path) -> None:
        self.place = place
        paths = os.pathsep.join([str(ROOT), str(ROOT / "models")])
        self.environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        self.typed = [
            ("card", "out"),
            ("card/", "out/"),
            ("./card", "./out"),
            (str(place / "card"), str(place / "out")),
        ]
        self.runs = 0

    def start(self) -> subprocess.Popen[str]:
        source, output = self.typed[self.runs % len(self.typed)]
        self.runs += 1
        return subprocess.Popen(
            [sys.executable, "-m", "mefcli", "batch", source, "-o", output, *FAST],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.place,
            env=self.environment,
        )

    def whole(self) -> list[dict[str, Any]]:
        out, _ = self.start().communicate()
        return [json.loads(line) for line in out.splitlines()]

    def killed_after(self, brackets: int, moment_s: float) -> list[dict[str, Any]]:
        """The lines it wrote until it had fused so many, and then some moments."""
        process = self.start()
        assert process.stdout is not None
        told = []
        for line in process.stdout:
            told.append(json.loads(line))
            if sum(one["status"] == "done" for one in told) >= brackets:
                break
        time.sleep(moment_s)
        process.kill()
        process.communicate()
        return told


def stamps(place: Path) -> dict[str, tuple[int, int]]:
    """What was written when: a picture that is fused again is another file."""
    return {
        str(path.relative_to(place / "out")): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted((place / "out").rglob("*.tif"))
        if not path.name.startswith(".")
    }


def make_card(place: Path, brackets: int) -> tuple[set[frozenset[Path]], list[frozenset[Path]]]:
    """Days of every kind that tells of its brackets, a folder each; the brackets, and those given up."""
    truth: set[frozenset[Path]] = set()
    aborted: list[frozenset[Path]] = []
    number = 0
    while len(truth) < brackets:
        kind = TOLD[number % len(TOLD)]
        shots, whole, parts = random_day(kind, number)
        root = place / f"{number:02d} {kind}"
        write_files(shots, root)
        truth |= {frozenset(root / path for path in bracket) for bracket in whole}
        aborted += [frozenset(root / path for path in frames) for frames in parts]
        number += 1
    return truth, aborted


@pytest.mark.parametrize(
    ("brackets", "kills"), [(20, 2), pytest.param(300, 10, marks=pytest.mark.slow)], ids=["small", "whole"]
)
def test_a_card_killed_and_typed_in_four_ways_has_each_bracket_fused_once(
    brackets: int, kills: int, tmp_path: Path
) -> None:
    truth, aborted = make_card(tmp_path / "card", brackets)
    most = len(truth) * 3 // 4 // kills  # done between two kills: some are left for the end
    batch, chance = Batch(tmp_path), random.Random(7)
    stranger = None
    for kill in range(kills):
        before = stamps(tmp_path) if (tmp_path / "out").exists() else {}
        told = batch.killed_after(chance.randint(most // 4, most), chance.random() * 0.1)
        after = stamps(tmp_path)
        again = [name for name, stamp in before.items() if after[name] != stamp]
        assert len(again) <= 1, f"fused again: {again}"  # what was in work when it was killed
        assert sum(one["status"] == "finished before" for one in told) >= len(before) - 1 - bool(stranger)
        if kill == kills // 2:
            done = {path.resolve() for path in (tmp_path / "out").rglob("*.tif")}
            plan = [tmp_path / one for one in batch_plan(batch)]
            # On a quick machine all may be fused before the kill strikes; then a fused one is replaced.
            stranger = next((one for one in plan if one.resolve() not in done), plan[-1])
            stranger.unlink(missing_ok=True)
            stranger.parent.mkdir(parents=True, exist_ok=True)
            stranger.write_bytes(b"a stranger's")
    told = batch.whole()
    assert stranger is not None
    assert stranger.read_bytes() == b"a stranger's"
    (failed,) = [one for one in told if one["status"] == "failed"]
    kept = "exists already", "was changed since it was fused"
    assert any(words in failed["error"]["message"] for words in kept)
    stranger.unlink()
    told = batch.whole()
    assert {one["status"] for one in told} == {"done", "finished before"}
    assert [one["status"] for one in told].count("done") == 1
    found = {frozenset(tmp_path / path for path in one["inputs"]) for one in told}
    assert truth <= found, f"{len(truth - found)} of {len(truth)} brackets are not found"
    none = [one for one in found - truth if not any(one <= frames for frames in aborted)]
    assert len(none) <= 0.02 * len(truth), f"{len(none)} are none"
    before = stamps(tmp_path)
    assert len(before) == len(told)
    assert batch.runs >= len(batch.typed)
    assert {one["status"] for one in batch.whole()} == {"finished before"}
    assert stamps(tmp_path) == before
    hidden = {path.name for path in (tmp_path / "out").rglob(".*")}
    assert hidden == {JOURNAL}


def batch_plan(batch: Batch) -> list[str]:
    """The outputs as planned, in order."""
    done = subprocess.run(
        [sys.executable, "-m", "mefcli", "batch", "card", "-o", "out", "--dry-run", "--json"],
        check=True,
        capture_output=True,
        text=True,
        cwd=batch.place,
        env=batch.environment,
    )
    return [output for one in json.loads(done.stdout)["brackets"] for output in one["outputs"]]
