"""`mef bench`: whole processes measured, at sizes of a thumbnail."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("resource", reason="the kernel's process counters are read on Unix only")

from mefcli.bench import measure, scene, suite
from mefcli.bench.alignment import sources
from mefcli.bench.measure import Cost
from mefcli.bench.motion_cases import random_cases
from mefcli.cli import app
from mefcli.errors import MefError
from mefnets import MODELS


@pytest.fixture(autouse=True)
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gigabytes of memory are not worth touching for a thumbnail."""
    monkeypatch.setattr(measure, "MOST_WARMED", 1 << 20)


def test_memory_is_warmed_before_each_program_and_never_more_than_half_of_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(measure.np, "ones", lambda count, kind: asked.append(count))
    measure.run([sys.executable, "-c", "pass"], tmp_path)
    monkeypatch.setattr(measure.os, "sysconf", {"SC_AVPHYS_PAGES": 100, "SC_PAGE_SIZE": 4096}.__getitem__)
    measure.warm_memory()
    assert asked == [1 << 20, 50 * 4096]


def test_a_process_costs_what_it_burns_and_holds(tmp_path: Path) -> None:
    idle = measure.run([sys.executable, "-c", "pass"], tmp_path)
    code = "import time as t; b = bytearray(200 << 20)\nwhile t.process_time() < 0.5: 0"
    busy = measure.run([sys.executable, "-c", code], tmp_path)
    assert busy.cpu_s > idle.cpu_s + 0.2
    assert busy.peak_mb > idle.peak_mb + 150
    assert busy.wall_s >= 0.3


def test_a_failing_program_is_told_by_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(MefError, match=r"code 3: no such luck"):
        measure.run(
            [sys.executable, "-c", "import os; os.write(2, b'no such luck'); os._exit(3)"],
            tmp_path,
        )


def test_the_same_bracket_is_made_every_time_dark_to_bright(tmp_path: Path) -> None:
    from mefcli import formats

    first = [path.read_bytes() for path in scene.write_bracket(tmp_path, 0.02, 3)]
    again = scene.write_bracket(tmp_path, 0.02, 3)
    assert first == [path.read_bytes() for path in again]
    means = [formats.decode(path).pixels.mean() for path in again]
    assert means[0] < means[1] < means[2]


def test_a_bracket_from_the_hand_moves_and_can_be_aligned(tmp_path: Path) -> None:
    from mefcli import formats
    from mefcli.motion.chain import place_all
    from mefcli.motion.reduced import reduce

    paths = scene.write_bracket(tmp_path, 0.1, 2, moved=True)
    still, moved = place_all(reduce([formats.decode(path).pixels for path in paths]), 0)
    assert still.moved_px == 0
    assert moved.trusted
    assert 0.5 < moved.moved_px < 12


def test_medians_and_ratios_are_to_enfuse_in_the_same_rounds(tmp_path: Path) -> None:
    costs = iter([4.0, 1.0, 9.0])
    said = json.dumps({"seconds": {"read": 0.5, "fuse": 1.5}})
    programs: dict[str, suite.Runner] = {
        "mef mertens": lambda files, folder: Cost(next(costs), 1.0, 100.0, said),
        suite.REFERENCE: lambda files, folder: Cost(8.0, 1.0, 100.0),
    }
    (rows,) = suite.measure(tmp_path, programs, [0.01], [2], 3, lambda note: None)
    assert [row.cpu_s for row in rows] == [4.0, 8.0]
    assert [row.cpu_ratio for row in rows] == [0.5, 1.0]
    assert rows[0].stages_s == {"read": 0.5, "fuse": 1.5}
    assert not list(tmp_path.glob("*.jpg"))


def test_a_program_that_fails_leaves_its_trouble_in_the_table(tmp_path: Path) -> None:
    def fail(files: list[Path], folder: Path) -> Cost:
        raise MefError("It broke.")

    (rows,) = suite.measure(tmp_path, {"broken": fail}, [0.01], [2], 2, lambda note: None)
    assert rows[0].trouble == "It broke."


def test_the_command_prints_one_json_object_a_program_with_its_stages(
    capfd: pytest.CaptureFixture[str],
) -> None:
    code = app.run(
        [
            "bench",
            "--megapixels",
            "0.01",
            "--frames",
            "2",
            "-m",
            "average",
            "--repeats",
            "1",
            "--only-mef",
            "--json",
        ]
    )
    out, err = capfd.readouterr()
    assert code == 0, err
    (row,) = [json.loads(line) for line in out.splitlines()]
    assert (row["program"], row["megapixels"], row["frames"]) == ("mef average", 0.01, 2)
    assert row["trouble"] == ""
    assert row["cpu_s"] > 0
    assert {"read", "fuse", "write"} <= set(row["stages_s"])


def test_a_profile_tells_processor_and_memory_of_every_stage(
    jpegs: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    code = app.run(["bench", "fusion", *map(str, jpegs), "--stages", "-m", "average", "--json"])
    out, err = capfd.readouterr()
    assert code == 0, err
    told = json.loads(out)
    assert (told["bracket"], told["model"]) == ("your exposures", "average")
    names = [stage["name"] for stage in told["stages"]]
    assert names[:3] == ["start-up", "plan", "read"]
    assert names[-2:] == ["fuse", "write"]
    peaks = [stage["peak_mb"] for stage in told["stages"]]
    assert peaks == sorted(peaks)
    assert all(stage["cpu_s"] >= 0 for stage in told["stages"])
    assert not list(jpegs[0].parent.glob("*.tif"))


def test_the_cost_of_a_model_stands_beside_what_its_spec_states(capfd: pytest.CaptureFixture[str]) -> None:
    options = ["-m", "house,average", "--megapixels", "0.02", "--repeats", "1", "--json"]
    assert app.run(["bench", "models", *options]) == 0
    house, average = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert house["cpu_s"] > average["cpu_s"] > 0
    assert house["held_bytes"] > 100
    assert average["held_bytes"] is None
    cost = MODELS["house"].cost
    assert cost is not None
    assert house["stated"] == asdict(cost)


@pytest.mark.parametrize(
    "wrong",
    [
        ["-m", "nosuch"],
        ["--megapixels", "six"],
        ["--frames", "1"],
        ["fusion", "a.jpg"],
        ["models", "-m", "nosuch"],
        ["alignment", "--maps", "."],
        ["alignment", "--against", "x"],
    ],
)
def test_a_slip_in_the_options_is_told_in_one_sentence(
    wrong: list[str], capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.run(["bench", *wrong]) == 2
    assert "Error" in capfd.readouterr().err


def alignment_row(capfd: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    command = ["bench", "alignment", "--megapixels", "0.06", "--only-mef", "--json", *options]
    code = app.run(command)
    out, err = capfd.readouterr()
    assert code == 0, err
    row: dict[str, Any] = json.loads(out)
    return row


def test_alignment_finds_known_motions_to_a_fraction_of_a_pixel(capfd: pytest.CaptureFixture[str]) -> None:
    row = alignment_row(capfd, "--cases", "2")
    assert (row["method"], row["brackets"], row["frames"]) == ("mef align", 2, 4)
    assert row["median_px"] < 0.5
    missed = sum(miss["residual_px"] > 1 for miss in row["missed"])
    assert row["within_a_pixel"] == pytest.approx(1 - missed / 4)


def test_a_seed_draws_the_same_brackets_again_and_more_of_them_change_none() -> None:
    scenes = sources(None, 0.02)
    size = (150, 100)
    one, other = (list(random_cases(scenes, count, size, seed=3)) for count in (1, 2))
    assert one[0].name == other[0].name
    assert all(np.array_equal(a, b) for a, b in zip(one[0].frames, other[0].frames, strict=True))
    assert not np.array_equal(one[0].frames[0], next(random_cases(scenes, 1, size, seed=4)).frames[0])
