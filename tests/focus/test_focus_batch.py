"""Focus stacks on a card: what belongs together, what each task takes and leaves, how a batch goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from stacks import saved, stack, wall
from toolkit import Mef

import mefcli
from mefcli import api, demo
from mefcli.brackets.stacks import sorted_for
from mefcli.brackets.thumbnails import Thumbnail
from mefcli.errors import flag, spelled
from mefcli.pipeline.results import Done
from mefcli.values import Shot

START = datetime(2024, 5, 1, 12)


def shot(number: int, second: float, focus_m: float | None = None, exposure_s: float = 0.01) -> Shot:
    return Shot(
        Path(f"card/IMG_{number:04d}.jpg"),
        "jpeg",
        (60, 40),
        exposure_s,
        8.0,
        100.0,
        taken_at=START + timedelta(seconds=second, microseconds=1),
        camera="C",
        focus_m=focus_m,
    )


def numbers(shots: Sequence[Shot]) -> list[int]:
    return [int(one.path.stem[4:]) for one in shots]


def stacks_of(shots: Sequence[Shot], **rest: object) -> list[list[int]]:
    found = sorted_for("focus", shots, thumbnail=None, **rest)  # type: ignore[arg-type]
    assert found.task == "focus"
    assert sum(len(one.shots) for one in found.brackets) + len(found.leftovers) == len(shots)
    return [numbers(one.shots) for one in found.brackets]


def test_a_focus_that_turns_back_begins_the_next_stack() -> None:
    shots = [shot(n, n, metres) for n, metres in enumerate((0.3, 0.4, 0.5, 0.3, 0.4, 0.5, 0.6))]
    assert stacks_of(shots) == [[0, 1, 2], [3, 4, 5, 6]]


def test_near_focus_comes_first_whichever_way_it_went() -> None:
    assert stacks_of([shot(n, n, 5.0 - n) for n in range(4)]) == [[3, 2, 1, 0]]


def test_recorded_focus_bears_longer_pauses_and_drift_and_none_does_not() -> None:
    slow = [shot(n, 20 * n, 0.3 + 0.1 * n, 0.01 * 2 ** (0.2 * (n % 2))) for n in range(3)]
    assert stacks_of(slow) == [[0, 1, 2]]
    assert stacks_of([shot(n, 20 * n) for n in range(3)]) == []
    quick = [shot(n, n) for n in range(3)] + [shot(n, 20 + n) for n in range(3, 5)]
    assert stacks_of(quick) == [[0, 1, 2], [3, 4]]
    assert stacks_of(quick, gap_s=30.0) == [[0, 1, 2, 3, 4]]


def test_names_decide_where_times_are_equal() -> None:
    assert stacks_of([shot(n, 0) for n in (2, 0, 1)]) == [[0, 1, 2]]


def test_a_burst_with_one_focus_distance_is_none_and_counts_are_held() -> None:
    burst = [shot(n, n, 2.0) for n in range(4)]
    found = sorted_for("focus", burst, thumbnail=None)
    assert not found.brackets
    assert {why for _, why in found.leftovers} == {"it is one of 4 shots with one focus distance"}
    run = [shot(n, n, 0.3 + n) for n in range(4)]
    assert stacks_of(run, mode=4) == [[0, 1, 2, 3]]
    assert stacks_of(run, mode=3) == []


def test_each_task_takes_its_own_and_says_which_command_takes_the_rest() -> None:
    card = [shot(n, n, 1.0, 0.01 * 4.0**n) for n in range(3)]  # a bracket
    card += [shot(n, 100 + n, 0.2 * n) for n in range(3, 8)]  # a stack
    card += [shot(8, 500)]
    exposures = sorted_for("exposure", card, thumbnail=None)
    assert [numbers(one.shots) for one in exposures.brackets] == [[0, 1, 2]]
    told = {numbers([one])[0]: spelled(why, flag) for one, why in exposures.leftovers}
    assert all(
        "one of 5 frames of a focus stack, which mef batch --task focus" in told[n] for n in range(3, 8)
    )
    assert "focus" not in told[8]
    found = sorted_for("focus", card, thumbnail=None)
    assert [numbers(one.shots) for one in found.brackets] == [[3, 4, 5, 6, 7]]
    told = {numbers([one])[0]: why for one, why in found.leftovers}
    assert all("one of 3 exposures of a bracket, which mef batch takes" in told[n] for n in range(3))


def test_pictures_are_looked_at_once_and_only_where_nothing_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cells = np.arange(576, dtype=np.float32).reshape(24, 24) / 600
    looked: list[Path] = []

    def look(one: Shot) -> Thumbnail:
        looked.append(one.path)
        return Thumbnail(-3.0, cells)

    unrecorded = [replace(shot(n, n), exposure_s=None) for n in range(4)]
    found = sorted_for("focus", unrecorded, thumbnail=look)
    assert [numbers(one.shots) for one in found.brackets] == [[0, 1, 2, 3]]
    assert sorted(looked) == sorted(one.path for one in unrecorded)

    def refused(shots: Sequence[Shot]) -> bool:
        raise AssertionError("pixels of recorded exposures are nobody's business")

    monkeypatch.setattr("mefcli.brackets.order.sharp_in_turn", refused)
    steps = [shot(n, n, exposure_s=0.01 * 2 ** (n / 3)) for n in range(3)]
    assert not api.bracket_of(steps).notes
    assert api.stack_of([shot(n, n) for n in range(3)], measure=False) is None
    assert api.stack_of([shot(n, n, 0.3 + n) for n in range(3)], measure=False) is not None


@pytest.fixture
def card(tmp_path: Path, light: NDArray[np.float32]) -> Path:
    place = tmp_path / "card"
    place.mkdir()
    saved(stack(wall(), 3), place, [0.3, 0.4, 0.5], "jpg")
    demo.make_bracket(place, stops=(-2.0, 0.0, 2.0), light=light)
    return place


def test_a_batch_folds_the_stacks_and_goes_on(mef: Mef, card: Path, tmp_path: Path) -> None:
    page = tmp_path / "out" / "index.html"
    command = ("batch", card, "-o", tmp_path / "out", "--task", "focus", "--report", page, "--json")
    first = mef(*command)
    assert first.code == 0, first.err
    (told,) = map(json.loads, first.out.splitlines())
    assert told["status"] == "done"
    assert told["model"] == "focus"
    assert told["outputs"] == [str(tmp_path / "out" / "f1_focus.tif")]
    assert [one["frame"] for one in told["sharp"]] == ["f0.jpg", "f1.jpg", "f2.jpg"]
    written = page.read_text()
    assert written.count("data:image/jpeg") == 4  # three frames and their result
    assert "mef batch takes" in written
    again = json.loads(mef(*command).out)
    assert again["status"] == "finished before"
    assert again["sharp"] == told["sharp"]
    exposures = mef("batch", card, "-o", tmp_path / "out", "-m", "average", "--align", "off", "--json")
    assert json.loads(exposures.out)["outputs"] == [str(tmp_path / "out" / "room_2_fused.tif")]


def test_a_model_for_stacks_is_enough_and_several_processes_give_the_same(card: Path, tmp_path: Path) -> None:
    results = []
    for jobs in (1, 2):
        (done,) = mefcli.fuse_folder(card, tmp_path / f"out{jobs}", model="focus", jobs=jobs)
        assert isinstance(done, Done)
        results.append(done.outputs[0].read_bytes())
    assert len(results[0]) == len(results[1])
    assert (tmp_path / "out1" / "f1_focus.tif").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task", "focus", "-m", "house"], "house is for exposure, not for focus"),
        (["--task", "focus", "--deghost", "auto"], "--deghost is of no use for focus stacks"),
        (["--task", "focus", "--look", "bright"], "takes no --look"),
        (["--task", "focus", "--same-look"], "not for focus stacks"),
        (["--task", "fcus"], "Did you mean focus?"),
    ],
)
def test_what_does_not_go_together_is_refused(
    mef: Mef, card: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    done = mef("batch", card, "-o", tmp_path / "out", *words)
    assert done.code in (1, 2)
    assert said in done.err
    assert not (tmp_path / "out").exists()


def test_settings_for_exposures_do_not_disturb_a_stack(mef: Mef, card: Path, tmp_path: Path) -> None:
    (card / "mef.toml").write_text('model = "average"\nlook = "bright"\ndeghost = "auto"\nalign = "flow"\n')
    done = mef("batch", card, "-o", tmp_path / "out", "--task", "focus", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["model"] == "focus"


def test_info_and_fuse_tell_a_stack_and_focus_tells_a_bracket(mef: Mef, card: Path, tmp_path: Path) -> None:
    frames = sorted(card.glob("f*.jpg"))
    assert "looks like a focus stack of 3 frames" in mef("info", *frames).err
    told = json.loads(mef("info", *frames, "--json").out)["focus_stack"]
    assert told["inputs"] == [str(path) for path in frames]
    groups = mef("info", card, "--groups", "--task", "focus")
    assert "1 focus stacks" in groups.err
    done = mef("fuse", *frames)
    assert done.code == 1
    assert f"mef focus {frames[0]}" in done.err
    plain = tmp_path / "plain"
    plain.mkdir()
    unrecorded = saved(stack(wall(240, 360)), plain)
    done = mef("fuse", *unrecorded)
    assert "mef focus" in done.err
    assert "focus stack" not in mef("info", *sorted(card.glob("room*.jpg"))).err


def test_pictures_that_record_nothing_are_told_by_their_brightness(mef: Mef, tmp_path: Path) -> None:
    truth = wall()
    files = saved([truth, (truth * 0.4).astype(np.uint8)], tmp_path)
    done = mef("focus", *files)
    assert done.code == 1
    assert "mef fuse" in done.err


def test_models_for_stacks_are_compared(mef: Mef, card: Path, tmp_path: Path) -> None:
    frames = sorted(card.glob("f*.jpg"))
    sheet, page = tmp_path / "sheet.png", tmp_path / "page.html"
    words = ("--models", "focus,ffmef-focus", "-o", sheet, "--report", page, "--json")
    done = mef("compare", *frames, "--task", "focus", *words)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert [one["name"] for one in told["models"]] == ["focus", "ffmef-focus"]
    assert set(told["models"][0]["scores"]) == {"Q_ABF", "AG", "SF", "outside"}
    assert "f0.jpg  0.3 m" in told["inputs"]
    assert sheet.is_file()
    assert "one scene" in page.read_text()
    assert "not all for one task" in mef("compare", *frames, "--models", "focus,house").err
    assert "have no looks" in mef("compare", *frames, "--task", "focus", "--looks").err
