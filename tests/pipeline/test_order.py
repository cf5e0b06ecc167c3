"""What `mef fuse` makes of the files it is given: one bracket, or the plan that a batch would follow."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from cards import Card
from toolkit import Mef

from mefcli import api, formats
from mefcli.brackets.group import group
from mefcli.brackets.order import one_bracket
from mefcli.errors import MismatchError
from mefcli.values import Shot


def taken(exposures: list[float], pause_s: float = 0.2, biases: list[float] | None = None) -> list[Shot]:
    card = Card(random.Random(1), tells_bias=biases is not None)
    for place, exposure in enumerate(exposures):
        card.shoot(exposure, biases[place] if biases else 0.0)
        card.pause(pause_s, pause_s)
    return card.shots


def test_an_exposure_taken_twice_counts_once_and_is_told() -> None:
    bracket = one_bracket(taken([1 / 60, 1 / 250, 1 / 60, 1 / 15]))
    assert len(bracket.shots) == 4
    (note,) = bracket.notes
    assert "IMG_0001.JPG and IMG_0003.JPG have the same exposure" in note
    assert "twice" in note


@pytest.mark.parametrize("biases", [None, [0.0, -2.0, 0.0, 2.0]])
def test_an_exposure_taken_twice_parts_nothing_in_the_middle_of_a_bracket(biases: list[float] | None) -> None:
    """Two pairs could be seen in it, and they share one exposure."""
    assert len(one_bracket(taken([1 / 60, 1 / 250, 1 / 60, 1 / 15], biases=biases)).shots) == 4


def test_frames_of_one_exposure_only_are_refused() -> None:
    with pytest.raises(MismatchError, match="have the same exposure"):
        one_bracket(taken([1 / 60, 1 / 60, 1 / 60]))


def test_two_brackets_are_refused_with_the_plan_a_batch_would_follow() -> None:
    shots = taken([1 / 60, 1 / 250, 1 / 15] * 2)
    with pytest.raises(MismatchError) as caught:
        one_bracket(shots)
    for bracket in group(shots).brackets:
        assert " ".join(sorted(path.name for path in bracket.paths)) in caught.value.message
    assert "2 brackets" in caught.value.message


def test_a_pause_that_batch_would_part_at_is_no_reason_to_refuse_named_files() -> None:
    """A long bracket joined from two of the camera's; half a minute between them is another matter."""
    near, far = taken([1 / 1000, 1 / 250, 1 / 60]), taken([1 / 30, 1 / 8, 1 / 2])
    for pause_s, refused in ((10, False), (40, True)):
        moved = [
            replace(
                shot,
                path=shot.path.with_name(f"IMG_{place + 4:04d}.JPG"),
                taken_at=shot.taken_at and shot.taken_at + timedelta(seconds=pause_s + 1),
            )
            for place, shot in enumerate(far)
        ]
        assert len(group([*near, *moved]).brackets) == 2
        if refused:
            with pytest.raises(MismatchError, match="2 brackets"):
                one_bracket([*near, *moved])
        else:
            assert len(one_bracket([*near, *moved]).shots) == 6


def test_an_earlier_result_among_the_frames_is_left_out_and_named() -> None:
    shots = taken([1 / 60, 1 / 250, 1 / 15])
    result = replace(shots[0], path=Path("DCIM/IMG_0001_fused.jpg"), fused=True, size_px=(10, 10))
    bracket = one_bracket([*shots, result])
    assert set(bracket.shots) == set(shots)
    assert "IMG_0001_fused.jpg is an earlier result" in bracket.notes[0]
    assert len(one_bracket([*shots, replace(result, size_px=(6000, 4000))], [-2, -1, 0, 1]).shots) == 4


def plain(folder: Path, name: str, pixels: np.ndarray) -> Path:
    import imagecodecs

    path = folder / name
    path.write_bytes(imagecodecs.png_encode(pixels))
    return path


def scene(seed: int, stops: float) -> np.ndarray:
    light = np.random.default_rng(seed).random((12, 18, 1)).repeat(8, 0).repeat(8, 1).repeat(3, 2)
    return np.rint(255 * np.clip(0.4 * light * 2.0**stops, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def test_frames_without_exif_that_are_equally_bright_are_fused_and_told(mef: Mef, tmp_path: Path) -> None:
    stops = [-14.0, -13.5, -4.0, 0.0, 2.0]  # the first two are black
    paths = [plain(tmp_path, f"{place}.png", scene(1, stop)) for place, stop in enumerate(stops)]
    out = tmp_path / "out.tif"
    done = mef("fuse", *paths, "--model", "average", "--align", "off", "-o", out)
    assert done.code == 0, done.err
    assert "0.png and 1.png are equally bright" in done.err
    assert "count as one exposure" in done.err
    assert formats.read_shot(out).fused


def test_two_scenes_without_exif_are_refused_with_the_plan(mef: Mef, tmp_path: Path) -> None:
    paths = [
        plain(tmp_path, f"{letter}{place}.png", scene(seed, stop))
        for letter, seed in (("a", 1), ("b", 2))
        for place, stop in enumerate((-3.0, -1.0, 1.0))
    ]
    done = mef("fuse", *paths, "--dry-run")
    assert done.code == 1
    assert "a0.png a1.png a2.png | b0.png b1.png b2.png" in done.err


def test_a_batch_fuses_what_fuse_would(jpegs: list[Path]) -> None:
    """Same frames, same exposures, same reference."""
    shutil.copy(jpegs[0], jpegs[0].with_name("x.txt"))
    (planned,) = group([formats.read_shot(path) for path in jpegs]).brackets
    named = api.plan(jpegs)
    assert (planned.paths, planned.evs, planned.reference) == (named.paths, named.evs, named.reference)
