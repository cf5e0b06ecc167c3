"""What `mef fuse` makes of the files it is given: one bracket, or the plan that a batch would follow."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from cards import Card, write_files
from PIL import Image
from toolkit import MakeBracket, Mef

from mefcli import api, formats
from mefcli.brackets.group import group
from mefcli.brackets.order import one_bracket
from mefcli.errors import MismatchError
from mefcli.formats.spaces import space_name
from mefcli.values import Shot
from tests.formats.profiles import named

FAST = ("--model", "average", "--align", "off")


def taken(exposures: list[float], pause_s: float = 0.2, biases: list[float] | None = None) -> list[Shot]:
    card = Card(random.Random(1), tells_bias=biases is not None)
    for place, exposure in enumerate(exposures):
        card.shoot(exposure, biases[place] if biases else 0.0)
        card.pause(pause_s, pause_s)
    return card.shots


@pytest.mark.parametrize(
    ("names", "spaces", "one"),
    [
        (("Adobe RGB (1998)", "Camera RGB"), ("adobergb", "adobergb"), True),
        (("Camera RGB", "Camera RGB"), ("adobergb", "p3"), False),
        (("Camera RGB", None), ("srgb", None), True),
        (("Camera RGB", None), ("p3", None), False),
    ],
    ids=["two names", "two spaces of a name", "untagged sRGB", "untagged and P3"],
)
def test_profiles_are_compared_by_what_they_mean(
    names: tuple[str, str | None], spaces: tuple[str, str | None], one: bool
) -> None:
    profiles = [
        named(name, space) if name and space else None for name, space in zip(names, spaces, strict=True)
    ]
    shots = [
        replace(shot, icc=profile, icc_name=space_name(profile) if profile else None)
        for shot, profile in zip(taken([1 / 60, 1 / 250]), profiles, strict=True)
    ]
    parts = group(shots, thumbnail=None)
    assert len(parts.brackets) == one
    if one:
        assert len(one_bracket(shots).shots) == 2
    else:
        with pytest.raises(MismatchError, match=r"IMG_0001.JPG is in \S+ .*IMG_0002.JPG in "):
            one_bracket(shots)


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


def test_a_folder_is_the_bracket_in_it_twice_in_a_row(mef: Mef, jpegs: list[Path]) -> None:
    folder = jpegs[0].parent
    done = mef("fuse", folder, *FAST)
    assert done.code == 0, done.err
    assert done.out == f"{folder / 'room_1_fused.tif'}\n"
    again = mef("fuse", folder, *FAST, "--overwrite", "--json")
    assert again.code == 0, again.err
    assert [Path(path).name for path in json.loads(again.out)["inputs"]] == [path.name for path in jpegs]
    assert "room_1_fused.tif is an earlier result" in again.err


def test_a_folder_of_two_brackets_is_refused_with_the_plan(mef: Mef, tmp_path: Path) -> None:
    card = Card(random.Random(1))
    for _ in range(2):
        card.bracket(3, 2.0, "rising", 1 / 60)
        card.pause(8, 8)
    folder = write_files(card.shots, tmp_path)[0].parent
    done = mef("fuse", folder)
    assert done.code == 1
    assert "IMG_0001.JPG IMG_0002.JPG IMG_0003.JPG | IMG_0004.JPG IMG_0005.JPG IMG_0006.JPG" in done.err


@pytest.mark.parametrize("command", ["fuse", "batch", "info", "align"])
def test_a_pattern_that_no_shell_expanded_is_expanded(mef: Mef, jpegs: list[Path], command: str) -> None:
    """Shells on Windows leave patterns to the program."""
    folder = jpegs[0].parent
    arguments = {
        "fuse": (folder / "room_[123].*", *FAST, "-o", folder / "x.tif"),
        "batch": (folder / "room_?.jpg", *FAST, "-o", folder / "out"),
        "info": (folder / "room_*.jpg",),
        "align": (folder / "room_*.jpg", "-o", folder / "aligned"),
    }
    done = mef(command, *arguments[command], "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert len(told["shots"] if command == "info" else told["inputs"]) == 3
    (odd,) = [path.rename(path.with_name("a[1].jpg")) for path in jpegs[:1]]  # a name is a name first
    assert mef("info", odd).code == 0


def test_aligned_frames_are_a_bracket_again(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    """What mef align wrote is no result of a fusion."""
    aligned = tmp_path / "aligned"
    assert mef("align", *jpegs, "-o", aligned).code == 0
    done = mef("batch", aligned, "-o", tmp_path / "out", *FAST, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert [Path(path).name for path in told["inputs"]] == [f"{path.stem}_aligned.tif" for path in jpegs]
    assert mef("fuse", *sorted(aligned.iterdir()), *FAST, "-o", tmp_path / "x.tif").code == 0
    assert formats.read_shot(tmp_path / "x.tif").fused
    assert not formats.read_shot(Path(told["inputs"][0])).fused


def test_a_raw_demo_is_a_bracket_for_a_batch(mef: Mef, tmp_path: Path) -> None:
    assert mef("demo", tmp_path / "demo", "--raw", "--width", "96", "--model", "average").code == 0
    done = mef("info", tmp_path / "demo", "--groups", "--json")
    assert [len(one["inputs"]) for one in json.loads(done.out)["brackets"]] == [5]


def test_a_refusal_says_which_odd_file_is_an_earlier_result(
    copy_bracket: MakeBracket, mef: Mef, tmp_path: Path
) -> None:
    """Also where a program took away what the file said of itself: then its name tells."""
    frames = copy_bracket("jpeg", "card")
    result = frames[0].with_name(f"{frames[0].stem}_fused.jpg")
    assert mef("fuse", *frames, "-o", result, "--align", "off").code == 0
    told = mef("fuse", *frames, result, "--ev", "-2,0,2")
    assert told.code == 2
    assert f"{result.name} is an earlier result of mef's." in told.err
    with Image.open(result) as picture:
        picture.resize((72, 48)).save(result)  # without metadata, of another size
    told = mef("fuse", *frames, result)
    assert told.code == 1
    assert "Fuse what belongs together" in told.err
    assert f"{result.name}, by the name, is an earlier result of mef's." in told.err


def test_files_that_record_no_exposure_are_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    light = rng.uniform(0.05, 0.4, (30, 40, 3)).repeat(10, 0).repeat(10, 1)
    paths = [tmp_path / f"view_{gain}.png" for gain in (1, 2, 4)]
    for path, gain in zip(paths, (0.6, 1.2, 2.4), strict=True):
        Image.fromarray((255 * np.clip(light * gain, 0, 1) ** (1 / 2.2)).astype(np.uint8)).save(path)
    read: list[Path] = []
    decode = formats.decode_reduced

    def counted(path: Path, max_side_px: int) -> formats.Picture:
        read.append(path)
        return decode(path, max_side_px)

    monkeypatch.setattr(formats, "decode_reduced", counted, raising=False)
    bracket = api.plan(paths)
    assert [path.name for path in bracket.paths] == [path.name for path in paths]
    assert sorted(read) == sorted(paths)
    Image.fromarray((255 * np.clip(light * 9, 0, 1)).astype(np.uint8)).save(paths[0])
    assert api.plan(paths).paths[-1] == paths[0]  # a file that has changed is looked at again
