"""Which shots belong together, on cards whose truth is known."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from cards import ORDERS, Card, random_card, write_files

from mefcli.batch.names import in_time
from mefcli.brackets.group import Grouping, group, series
from mefcli.brackets.thumbnails import Thumbnail
from mefcli.errors import UsageError, flag, spelled
from mefcli.formats import read_shot
from mefcli.values import Shot


def card(**facts: object) -> Card:
    return Card(random.Random(1), **facts)  # type: ignore[arg-type]


def found(grouping: Grouping) -> list[frozenset[Path]]:
    return [frozenset(bracket.paths) for bracket in grouping.brackets]


def alone(grouping: Grouping) -> dict[str, str]:
    return {shot.path.name: why for shot, why in grouping.leftovers}


def test_of_500_random_cards_99_percent_of_brackets_are_found_exactly() -> None:
    right = wrong = missed = 0
    for seed in range(500):
        one = random_card(seed)
        got, truth = set(found(group(one.shots, thumbnail=None))), set(one.truth)
        right += len(got & truth)
        wrong += len(got - truth)
        missed += len(truth - got)
    assert right > 2000
    assert right / (right + missed) >= 0.99, (right, wrong, missed)
    assert right / (right + wrong) >= 0.99, (right, wrong, missed)


def test_files_tell_what_the_cards_shots_tell(tmp_path: Path) -> None:
    """Cards go through real EXIF, and so do their brackets."""
    for seed in range(8):
        one, root = random_card(seed), tmp_path / str(seed)
        shots = [read_shot(path) for path in write_files(one.shots, root)]
        for told, shot in zip(shots, one.shots, strict=True):
            assert (told.camera, told.serial, told.lens) == (shot.camera, shot.serial, shot.lens)
            assert told.drive == shot.drive
            assert told.ev == pytest.approx(shot.ev, abs=0.02)
            assert told.bias_ev == pytest.approx(shot.bias_ev, abs=0.001)
            assert shot.taken_at is not None
            assert told.taken_at is not None
            assert abs((told.taken_at - shot.taken_at).total_seconds()) < 0.011
        got = [{path.relative_to(root) for path in bracket} for bracket in found(group(shots))]
        want = [set(bracket) for bracket in found(group(one.shots, thumbnail=None))]
        assert got == want


@pytest.mark.parametrize("manual", [True, False, None])
def test_files_tell_who_chose_the_exposure(manual: bool | None, tmp_path: Path) -> None:
    one = card(manual=manual)
    one.shoot(1 / 60)
    assert [read_shot(path).manual for path in write_files(one.shots, tmp_path)] == [manual]


@pytest.mark.slow
def test_of_500_cards_of_files_99_percent_of_brackets_are_found_exactly(tmp_path: Path) -> None:
    right = wrong = missed = 0
    for seed in range(500):
        one, root = random_card(seed), tmp_path / str(seed)
        shots = [read_shot(path) for path in write_files(one.shots, root)]
        got = {frozenset(path.relative_to(root) for path in paths) for paths in found(group(shots))}
        right += len(got & set(one.truth))
        wrong += len(got - set(one.truth))
        missed += len(set(one.truth) - got)
    assert right / (right + missed) >= 0.99, (right, wrong, missed)
    assert right / (right + wrong) >= 0.99, (right, wrong, missed)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [3, 5, 7, 9])
def test_identical_brackets_back_to_back_are_told_apart(order: str, count: int) -> None:
    one = card()
    for _ in range(4):
        one.bracket(count, 1.0, order, 1 / 60, (0.15, 0.2))
    assert found(group(one.shots, thumbnail=None)) == one.truth


def test_a_pause_counts_from_the_end_of_a_30_second_exposure() -> None:
    one = card()
    one.bracket(3, 2.0, "rising", 8.0, (0.3, 0.5))
    assert max(shot.exposure_s or 0 for shot in one.shots) > 30
    assert found(group(one.shots, thumbnail=None, gap_s=1.0)) == one.truth


def test_a_burst_of_one_exposure_is_no_bracket_and_says_so() -> None:
    one = card()
    for _ in range(8):
        one.shoot(1 / 500)
        one.pause(0.1, 0.1)
    grouping = group(one.shots, thumbnail=None)
    assert not grouping.brackets
    assert all("same exposure" in why for why in alone(grouping).values())
    assert len(grouping.leftovers) == 8


def test_the_clock_set_back_an_hour_mixes_nothing() -> None:
    one = card()
    for _ in range(3):
        one.bracket(3, 1.0, "zero first", 1 / 60)
        one.pause(2, 3)
    one.now -= timedelta(seconds=8)
    for _ in range(3):
        one.bracket(3, 1.0, "zero first", 1 / 60)
        one.pause(2, 3)
    assert set(found(group(one.shots, thumbnail=None))) == set(one.truth)


@pytest.mark.parametrize("order", ["falling", "zero first", "rising"])
def test_names_that_run_against_the_times_part_no_bracket(order: str) -> None:
    """Frames renamed by brightness, or numbered backwards by a converter: the times are right."""
    one = card()
    one.bracket(3, 2.0, order, 1 / 60)
    shots = [replace(shot, path=Path(f"DCIM/frame_{9 - place}.JPG")) for place, shot in enumerate(one.shots)]
    (bracket,) = group(shots, thumbnail=None).brackets
    assert set(bracket.shots) == set(shots)
    by_light = sorted(one.shots, key=lambda shot: shot.exposure_s or 0)
    shots = [replace(shot, path=Path(f"DCIM/frame_{place}.JPG")) for place, shot in enumerate(by_light)]
    assert len(group(shots, thumbnail=None).brackets) == 1


def test_a_counter_that_starts_again_parts_no_bracket_and_first_and_last_go_by_time() -> None:
    one = card()
    one.bracket(3, 2.0, "zero first", 1 / 60)
    names = ["DSC_9999", "DSC_0001", "DSC_0002"]
    shots = [
        replace(shot, path=Path(f"DCIM/{name}.JPG")) for shot, name in zip(one.shots, names, strict=True)
    ]
    coarse = [replace(shot, taken_at=shots[0].taken_at) for shot in shots]  # all in one second
    clockless = [replace(shot, taken_at=None) for shot in shots]
    for row in (shots, coarse, clockless):
        (bracket,) = group(row, thumbnail=None).brackets
        assert [shot.path.stem for shot in in_time(bracket)] == names


@pytest.mark.parametrize("order", ["rising", "falling"])
def test_nine_compensations_without_a_gap_are_one_bracket_though_the_camera_paused(order: str) -> None:
    one = card()
    for number, steps in enumerate(ORDERS[order](9)):
        one.shoot(2.0**steps / 60, float(steps))
        one.pause(*((17, 17) if number == 3 else (0.2, 0.3)))
    grouping = group(one.shots, thumbnail=None)
    assert [len(bracket.shots) for bracket in grouping.brackets] == [9]


def test_two_halves_that_are_brackets_themselves_stay_two() -> None:
    one = card()
    for _ in range(2):
        one.bracket(5, 1.0, "rising", 1 / 60)
        one.pause(17, 17)
    assert found(group(one.shots, thumbnail=None)) == one.truth


def test_a_bracket_may_run_into_the_cards_next_folder_but_not_into_any_other() -> None:
    one = card(number=9998)
    one.bracket(5, 1.0, "rising", 1 / 60)
    assert {path.parent.name for path in one.truth[0]} == {"100CANON", "101CANON"}
    assert found(group(one.shots, thumbnail=None)) == one.truth
    moved = [
        replace(shot, path=Path("a" if i < 2 else "b") / shot.path.name) for i, shot in enumerate(one.shots)
    ]
    assert one.truth[0] != set(found(group(moved, thumbnail=None))[0])


@pytest.mark.parametrize(
    "change",
    [{"size_px": (4000, 6000)}, {"lens": "other"}, {"focal_mm": 50.0}, {"orientation": 6}, {"serial": "2"}],
)
def test_what_cannot_be_of_one_scene_is_parted(change: dict[str, object]) -> None:
    one = card()
    one.bracket(3, 1.0, "rising", 1 / 60)
    shots = [*one.shots[:2], replace(one.shots[2], **change)]  # type: ignore[arg-type]
    assert one.truth[0] not in found(group(shots, thumbnail=None))


def test_of_raw_and_jpeg_one_is_used_and_the_other_named() -> None:
    one = card()
    one.bracket(3, 1.0, "rising", 1 / 60)
    raws = [replace(shot, kind="raw", path=shot.path.with_suffix(".CR3")) for shot in one.shots]
    grouping = group([*one.shots, *raws], thumbnail=None)
    assert found(grouping) == [frozenset(shot.path for shot in raws)]
    assert set(alone(grouping).values()) == {"its RAW of the same name is used"}
    assert found(group([*one.shots, *raws], thumbnail=None, raw_or_jpeg="jpeg")) == one.truth


def test_without_exposures_runs_of_names_are_brackets() -> None:
    names = ["a1", "a2", "a3", "b7", "b8", "b9"]
    shots = [Shot(Path(f"{name}.png"), "png", (90, 60)) for name in names]
    brackets = group(shots, thumbnail=None).brackets
    assert [[path.stem for path in bracket.paths] for bracket in brackets] == [names[:3], names[3:]]


def test_without_exposures_three_rising_and_a_stray_picture_are_not_two_pairs() -> None:
    brightness = {"a1": -7.3, "a2": -4.5, "a3": -2.3, "a4": -3.8}
    shots = [Shot(Path(f"{name}.png"), "png", (90, 60)) for name in brightness]
    cells = np.linspace(0.1, 0.9, 576, dtype=np.float32).reshape(24, 24)
    grouping = group(shots, thumbnail=lambda shot: Thumbnail(brightness[shot.path.stem], cells))
    assert [[path.stem for path in bracket.paths] for bracket in grouping.brackets] == [["a1", "a2", "a3"]]
    assert list(alone(grouping)) == ["a4.png"]


def test_without_exposures_two_frames_as_dark_as_each_other_count_as_one() -> None:
    """Pixels do not tell apart what is nearly black, or nearly white."""
    brightness = {"a1": -9.30, "a2": -9.28, "a3": -6.0, "a4": -3.0, "a5": -1.02, "a6": -1.0}
    shots = [Shot(Path(f"{name}.png"), "png", (90, 60)) for name in brightness]
    cells = np.linspace(0.1, 0.9, 576, dtype=np.float32).reshape(24, 24)
    grouping = group(shots, thumbnail=lambda shot: Thumbnail(brightness[shot.path.stem], cells))
    assert [len(bracket.shots) for bracket in grouping.brackets] == [6]
    burst = [Shot(Path(f"b{number}.png"), "png", (90, 60)) for number in range(6)]
    assert not group(burst, thumbnail=lambda shot: Thumbnail(-3.0, cells)).brackets


def test_a_folder_of_one_bracket_may_hold_an_exposure_twice_but_not_two_brackets() -> None:
    one = card()
    one.bracket(3, 2.0, "rising", 1 / 60)
    one.shoot(4 / 60, 2.0)
    (bracket,) = group(one.shots, mode="folder", thumbnail=None).brackets
    assert len(bracket.shots) == 4
    one.bracket(3, 2.0, "rising", 1 / 60)
    grouping = group(one.shots, mode="folder", thumbnail=None)
    assert not grouping.brackets
    assert set(alone(grouping).values()) == {"its folder holds several brackets"}


def test_results_among_the_sources_are_no_frames() -> None:
    one = card()
    one.bracket(3, 2.0, "rising", 1 / 60)
    result = replace(one.shots[1], path=one.shots[1].path.with_name("IMG_0002_fused.JPG"), fused=True)
    grouping = group([*one.shots, result], thumbnail=None)
    assert found(grouping) == one.truth
    assert alone(grouping) == {"IMG_0002_fused.JPG": "it is a fused picture itself"}


def test_a_number_takes_brackets_of_that_length_only() -> None:
    one = card(tells_bias=False)
    one.bracket(5, 1.0, "rising", 1 / 60)
    one.bracket(3, 1.0, "rising", 1 / 60)
    lengths = [len(bracket.shots) for bracket in group(one.shots, mode=3, thumbnail=None).brackets]
    assert set(lengths) == {3}
    assert one.truth[1] in found(group(one.shots, mode=3, thumbnail=None))
    with pytest.raises(UsageError):
        group(one.shots, mode=1)


def test_two_shots_of_a_meter_are_left_and_told_how_they_become_a_bracket() -> None:
    """Nothing tells them from two pictures between which the camera was turned to the window."""
    one = card(tells_bias=False, manual=False)
    for _ in range(2):
        for exposure_s in (1 / 100, 1 / 25):
            one.shoot(exposure_s)
            one.pause(0.2, 0.3)
        one.pause(30, 60)
    one.shoot(1 / 60)
    got = group(one.shots, thumbnail=None)
    assert not got.brackets
    told = {name: spelled(why, flag) for name, why in alone(got).items()}
    names = [f"IMG_{number:04d}.JPG" for number in range(1, 6)]
    for name in names[:4]:
        assert "2.0 stops apart, as a meter may have it" in told[name]
        assert told[name].endswith("take them with --group 2")
    assert "--group" not in told[names[4]]
    assert len(group(one.shots, mode=2, thumbnail=None).brackets) == 2
    chosen = [replace(shot, manual=True) for shot in one.shots]
    assert len(group(chosen, thumbnail=None).brackets) == 2


def test_folder_mode_takes_each_folder_as_one_bracket() -> None:
    one = card()
    one.bracket(3, 1.0, "rising", 1 / 60, (100, 200))
    assert found(group(one.shots, mode="folder", thumbnail=None)) == one.truth


def test_a_bracket_that_met_the_shutters_limit_stays_whole() -> None:
    one = card()
    for _ in range(2):
        one.bracket(9, 1.0, "to and fro", 2.0**-9.4, (0.1, 0.2))
        one.pause(3, 4)
    assert min(shot.exposure_s or 0 for shot in one.shots) == round(2.0**-13, 6)
    assert found(group(one.shots, thumbnail=None)) == one.truth


def test_the_brackets_of_a_panorama_form_a_series() -> None:
    one = card()
    for pause in (3, 3, 500, 3):
        one.bracket(3, 2.0, "zero first", 1 / 60)
        one.pause(pause, pause)
    assert [len(run) for run in series(group(one.shots, thumbnail=None).brackets)] == [3, 1]


def test_every_shot_is_in_one_bracket_or_left_over_with_a_reason() -> None:
    for seed in range(40):
        one = random_card(seed)
        grouping = group(one.shots, thumbnail=None)
        used = [path for bracket in grouping.brackets for path in bracket.paths]
        assert sorted([*used, *(shot.path for shot, _ in grouping.leftovers)]) == sorted(
            s.path for s in one.shots
        )
        assert all(why for _, why in grouping.leftovers)


def test_ten_thousand_shots_are_grouped_in_seconds() -> None:
    one = card()
    while len(one.shots) < 10_000:
        one.bracket(5, 1.0, "zero first", 1 / 60)
        one.pause(1, 20)
    assert len(group(one.shots, thumbnail=None).brackets) == len(one.truth)


BRACKETS = Path(__file__).resolve().parents[2].parent / "shared/data/dev/brackets"


@pytest.mark.skipif(not BRACKETS.is_dir(), reason="the real brackets are not beside the repository")
def test_real_brackets_thrown_into_one_folder_are_found_again(tmp_path: Path) -> None:
    truth, shots, number = set(), [], 1
    for scene in sorted(path for path in BRACKETS.iterdir() if path.is_dir()):
        paths = sorted(path for path in scene.iterdir() if path.name[:2].isdecimal())
        links = []
        for path in paths:
            link = tmp_path / f"IMG_{number:04d}{path.suffix}"
            link.symlink_to(path)
            links.append(link)
            number += 1
        truth.add(frozenset(links))
        shots += [read_shot(link) for link in links]
    got = set(found(group(shots)))
    assert len(got & truth) >= len(truth) - 1, sorted(sorted(p.name for p in one) for one in got ^ truth)
