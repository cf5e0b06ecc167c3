"""A whole card, interrupted, changed and resumed."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from toolkit import Mef

from mefcli import demo, formats
from mefcli.batch import sources
from mefcli.batch.journal import Journal
from mefcli.batch.look import apply_curve

FAST = ("--model", "average", "--align", "off")


def make_card(folder: Path, light: NDArray[np.float32], count: int) -> Path:
    for number in range(count):
        place = folder / f"{number:02d}"
        place.mkdir(parents=True)
        demo.make_bracket(place, stops=(-2.0, 0.0, 2.0), light=light * np.float32(1 - 0.05 * number))
    return folder


@pytest.fixture
def card(tmp_path: Path, light: NDArray[np.float32]) -> Path:
    return make_card(tmp_path / "card", light, 3)


def pictures(folder: Path) -> dict[str, bytes]:
    """Every file below but the journal, which holds times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".mef-journal")
    }


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def statuses(text: str) -> list[object]:
    return [line["status"] for line in lines(text)]


def test_each_bracket_is_fused_once_and_outputs_mirror_folders(mef: Mef, card: Path, tmp_path: Path) -> None:
    first = mef("batch", card, "-o", tmp_path / "out", *FAST, "--json")
    assert first.code == 0, first.err
    assert statuses(first.out) == ["done"] * 3
    assert sorted(pictures(tmp_path / "out")) == [f"0{i}/room_2_fused.tif" for i in range(3)]
    told = lines(first.out)[0]
    assert told["evs"] == [-2.0, 0.0, 2.0]
    assert {
        "inputs",
        "alignment",
        "model",
        "seconds",
        "peak_memory_mb",
        "outputs",
        "warnings",
        "error",
    } <= set(told)
    assert {"read", "fuse", "write"} <= set(told["seconds"])  # type: ignore[call-overload]
    before = pictures(tmp_path / "out")
    again = mef("batch", card, "-o", tmp_path / "out", *FAST, "--json")
    assert statuses(again.out) == ["finished before"] * 3
    assert pictures(tmp_path / "out") == before


def test_only_what_changed_is_done_again(mef: Mef, card: Path, tmp_path: Path) -> None:
    command = ("batch", card, "-o", tmp_path / "out", "--json")
    assert mef(*command, *FAST).code == 0
    shutil.copy(card / "00" / "room_1.jpg", card / "01" / "room_1.jpg")
    copied = (card / "02" / "room_3.jpg").read_bytes()
    (card / "02" / "room_3.jpg").write_bytes(copied)  # another time, the same picture
    assert statuses(mef(*command, *FAST).out) == ["finished before", "finished before", "done"]
    (tmp_path / "out" / "00" / "room_2_fused.tif").unlink()
    assert sorted(map(str, statuses(mef(*command, *FAST).out))) == [
        "done",
        "finished before",
        "finished before",
    ]
    changed = mef(*command, "--model", "average", "--align", "off", "--compression", "none")
    assert statuses(changed.out) == ["done"] * 3


def test_one_bad_bracket_stops_nothing_and_exits_1(mef: Mef, card: Path, tmp_path: Path) -> None:
    path = card / "01" / "room_2.jpg"
    path.write_bytes(path.read_bytes()[:3000])
    done = mef("batch", card, "-o", tmp_path / "out", *FAST, "--json")
    assert done.code == 1
    assert sorted(map(str, statuses(done.out))).count("done") == 2
    assert len(pictures(tmp_path / "out")) == 2
    assert "room_2.jpg" in done.err


def test_results_beside_their_sources_are_not_fused_again(mef: Mef, card: Path) -> None:
    command = ("batch", card / "00", "-o", card / "00", "--format", "jpg", *FAST, "--json")
    assert statuses(mef(*command).out) == ["done"]
    assert statuses(mef(*command).out) == ["finished before"]
    assert len(pictures(card / "00")) == 4


def test_files_of_others_are_never_replaced(mef: Mef, card: Path, tmp_path: Path) -> None:
    mine = tmp_path / "out" / "00" / "room_2_fused.tif"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    done = mef("batch", card, "-o", tmp_path / "out", *FAST)
    assert done.code == 1
    assert mine.read_text() == "mine"
    other = tmp_path / "out" / "01" / "room_2_fused.tif"
    other.write_text("retouched")
    assert mef("batch", card, "-o", tmp_path / "out", *FAST, "--quality", "90").code == 1
    assert other.read_text() == "retouched"
    assert mef("batch", card, "-o", tmp_path / "out", *FAST, "--overwrite").code == 0
    assert other.read_bytes()[:2] == b"II"


def test_two_brackets_for_one_file_are_refused_before_any_work(mef: Mef, card: Path, tmp_path: Path) -> None:
    done = mef("batch", card / "00", card / "01", "-o", tmp_path / "out", "--name", "{date}", *FAST)
    assert done.code == 2
    assert "two brackets" in done.err
    assert not (tmp_path / "out").exists()
    done = mef("batch", card / "00", card / "01", "-o", tmp_path / "out", *FAST)  # two cards that count alike
    assert done.code == 2
    assert "output folder of their own" in done.err
    assert mef("batch", card, "-o", tmp_path / "out", "--name", "../{stem}", *FAST).code == 2
    assert mef("batch", card, "-o", tmp_path / "out", "--name", "{camera}", *FAST).code == 2


def test_names_follow_the_template(mef: Mef, card: Path, tmp_path: Path) -> None:
    name = "{date}/{first}-{last}_{model}_{ev}"
    done = mef("batch", card / "00", "-o", tmp_path / "out", "--name", name, "--format", "jpg", *FAST)
    assert done.code == 0, done.err
    (only,) = pictures(tmp_path / "out")
    assert only.endswith("/room_1-room_3_average_-2+0+2.jpg")


def test_dry_run_shows_the_plan_and_writes_nothing(mef: Mef, card: Path, tmp_path: Path) -> None:
    done = mef("batch", card, "-o", tmp_path / "out", "--dry-run", "--json")
    told = json.loads(done.out)
    assert [len(bracket["inputs"]) for bracket in told["brackets"]] == [3, 3, 3]
    assert not (tmp_path / "out").exists()
    groups = json.loads(mef("info", card, "--groups", "--json").out)
    assert [b["inputs"] for b in groups["brackets"]] == [b["inputs"] for b in told["brackets"]]


def test_two_batches_never_share_a_folder(mef: Mef, card: Path, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out")
    done = mef("batch", card, "-o", tmp_path / "out", *FAST)
    journal.close()
    assert done.code == 1
    assert "Another mef batch" in done.err


def test_two_processes_give_the_same_files_as_one(mef: Mef, card: Path, tmp_path: Path) -> None:
    assert mef("batch", card, "-o", tmp_path / "one", *FAST).code == 0
    assert mef("batch", card, "-o", tmp_path / "two", *FAST, "--jobs", "2").code == 0
    assert pictures(tmp_path / "one") == pictures(tmp_path / "two")


def test_watching_fuses_what_has_settled_and_stops_when_idle(mef: Mef, card: Path, tmp_path: Path) -> None:
    done = mef(
        "batch", card, "-o", tmp_path / "out", *FAST, "--watch", "--watch-idle", "2", "--gap", "0.6", "--json"
    )
    assert done.code == 0, done.err
    assert statuses(done.out) == ["done"] * 3


def test_a_picture_that_has_not_changed_is_read_once(card: Path) -> None:
    paths, known = sorted(card.rglob("*.jpg")), {}
    first, _ = sources.read_all(paths, known)
    paths[0].write_bytes(paths[1].read_bytes())
    paths[8].unlink()
    again, bad = sources.read_all(paths, known)
    assert [one is two for one, two in zip(first, again, strict=False)] == [False] + [True] * 7
    assert [path for path, _ in bad] == [paths[8]]
    assert len(known) == 8


def test_same_look_brings_a_panorama_closer_together(
    mef: Mef, tmp_path: Path, light: NDArray[np.float32]
) -> None:
    from mefcli.batch.look import same_look, tone_of
    from mefcli.batch.plan import Work
    from mefcli.brackets.group import group
    from mefcli.job import Job

    works = []
    for number, part in enumerate((light[:, :80], light[:, 64:])):
        place = tmp_path / str(number)
        place.mkdir()
        demo.make_bracket(place, stops=(-2.0, 0.0, 2.0), light=np.ascontiguousarray(part))
        shots = [formats.read_shot(path) for path in sorted(place.iterdir())]
        works.append(Work(group(shots).brackets[0], (tmp_path / f"{number}.tif",), Job(model="mertens")))
    import mefcli.batch.look as look

    tones = [tone_of(work) for work in works]
    common = look._common(tones)
    apart = together = 0.0
    for one in set(tones[0]) & set(tones[1]):
        values = [tone[one][0] for tone in tones]
        curves = [look.curve_between(tone, common) for tone in tones]
        moved = [float(np.interp(v, *np.array(c).T)) for v, c in zip(values, curves, strict=True)]
        apart += abs(values[0] - values[1])
        together += abs(moved[0] - moved[1])
    assert together < 0.5 * apart
    assert [work.curve for work in same_look(works)] == [None, None]  # two folders are no series


def test_a_straight_curve_changes_no_pixel() -> None:
    pixels = np.random.default_rng(1).integers(0, 65536, (300, 20, 3)).astype(np.uint16)
    np.testing.assert_array_equal(apply_curve(pixels.copy(), ((0.0, 0.0), (1.0, 1.0))), pixels)


def kill_and_resume(card: Path, folder: Path, kills: int, seed: int) -> None:
    """Kill -9 at random instants, look for partial files, resume, and compare with an undisturbed run."""
    command = [sys.executable, "-m", "mefcli", "batch", str(card), "--quiet", *FAST, "-o"]
    start = time.monotonic()
    subprocess.run([*command, str(folder / "calm")], check=True, capture_output=True, timeout=120)
    took = time.monotonic() - start
    calm = pictures(folder / "calm")
    rng = random.Random(seed)
    disturbed = folder / "disturbed"
    for _ in range(kills):
        process = subprocess.Popen([*command, str(disturbed)], stdout=-3, stderr=-3)
        time.sleep(rng.uniform(0.3, 1.0) * took)
        process.kill()
        process.wait()
        for name, data in pictures(disturbed).items() if disturbed.exists() else ():
            assert ".mef-unfinished" in name or data == calm[name], name
        if len(pictures(disturbed)) >= len(calm) - 1 if disturbed.exists() else False:
            shutil.rmtree(disturbed)  # begin again, so that every kill strikes at work
    subprocess.run([*command, str(disturbed)], check=True, capture_output=True, timeout=120)
    assert pictures(disturbed) == calm


def test_three_kills_lose_nothing_and_leave_nothing_partial(
    tmp_path: Path, light: NDArray[np.float32]
) -> None:
    kill_and_resume(make_card(tmp_path / "card", light, 6), tmp_path, 3, 1)


@pytest.mark.slow
def test_fifty_kills_lose_nothing_and_leave_nothing_partial(
    tmp_path: Path, light: NDArray[np.float32]
) -> None:
    kill_and_resume(make_card(tmp_path / "card", light, 12), tmp_path, 50, 2)
