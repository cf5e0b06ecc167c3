"""info, demo, doctor, models, and folders from Python."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from toolkit import MakeBracket, Mef

import mefcli
from mefcli import checkpoints, demo, formats
from mefcli.demo import files
from mefcli.errors import ModelError


def test_info_shows_a_bracket_dark_to_bright_with_clipping(mef: Mef, jpegs: list[Path]) -> None:
    done = mef("info", *reversed(jpegs))
    assert done.code == 0
    rows = done.out.splitlines()
    assert [row.split()[1] for row in rows[1:]] == [path.name for path in jpegs]
    assert "1/15 s" in rows[2]
    assert "2*" in rows[2]
    assert "%" in rows[3]


def test_info_json_tells_exposures_and_broken_files_and_exits_1(mef: Mef, jpegs: list[Path]) -> None:
    jpegs[0].with_name("broken.jpg").write_text("no")
    done = mef("info", jpegs[0].parent, "--json")
    assert done.code == 1
    told = json.loads(done.out)
    assert told["bracket"]["evs"] == [-2.0, 0.0, 2.0]
    assert [error["file"] for error in told["errors"]] == [str(jpegs[0].with_name("broken.jpg"))]
    white = [shot["clipping"]["white"] for shot in told["shots"]]
    assert white == sorted(white)


def test_info_on_many_files_decodes_no_pixel(
    mef: Mef, jpegs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("pixels decoded")

    for number in range(20):
        shutil.copy(jpegs[0], jpegs[0].with_name(f"copy_{number}.jpg"))
    monkeypatch.setattr(formats, "decode_reduced", refuse, raising=False)
    assert mef("info", jpegs[0].parent).code == 0


def test_demo_photographs_fuses_and_names_every_file(mef: Mef, tmp_path: Path) -> None:
    done = mef("demo", tmp_path / "room", "--width", "144")
    assert done.code == 0, done.err
    paths = [Path(line) for line in done.out.splitlines()]
    assert len(paths) == 7
    assert sorted((tmp_path / "room").iterdir()) == sorted(paths)
    evs = [formats.read_shot(path).ev for path in paths[:5]]
    np.testing.assert_allclose(np.diff(evs), 2.0, atol=0.02)
    again = mef("demo", tmp_path / "room", "--width", "144")
    assert again.code == 1
    assert "--overwrite" in again.err


def test_a_demo_that_cannot_be_written_leaves_the_earlier_one(
    mef: Mef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "room"
    assert mef("demo", room, "--width", "96", "--model", "average").code == 0
    before = {path: path.read_bytes() for path in room.iterdir()}
    real = files.write_frame

    def full(path: Path, pixels: object, exposure: object) -> None:
        if exposure.number == 3:  # type: ignore[attr-defined]
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, pixels, exposure)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "write_frame", full)
    done = mef("demo", room, "--width", "96", "--model", "average", "--overwrite")
    assert done.code == 1
    assert "The disk is full" in done.err
    assert {path: path.read_bytes() for path in room.iterdir()} == before


def test_the_demos_raw_bracket_develops_to_the_same_picture_as_its_jpegs(tmp_path: Path) -> None:
    light = demo.scene(240)
    pictures = []
    for kind in ("raw", "jpeg"):
        paths = demo.make_bracket(tmp_path, stops=(-2.0, 0.0, 2.0), kind=kind, light=light)  # type: ignore[arg-type]
        pictures.append(mefcli.fuse(paths, align="off"))
    assert pictures[0].shape == pictures[1].shape
    assert abs(pictures[0].mean(axis=(0, 1)) - pictures[1].mean(axis=(0, 1))).max() < 0.04


def test_the_rendered_room_is_the_same_every_time_and_has_a_wide_range() -> None:
    one, two = demo.scene(96), demo.scene(96)
    np.testing.assert_array_equal(one, two)
    dark, bright = np.percentile(one.mean(axis=2), [1, 99])
    assert np.log2(bright / dark) > 9


def test_the_last_pixel_of_a_width_that_its_grid_divides_inexactly_is_lit() -> None:
    """1000 / (1000 / 480) is a little less than 480."""
    from mefcli.demo.render import Frame

    last = np.array([999.3], np.float32), np.array([665.3], np.float32)
    assert np.isfinite(Frame(1000, 666).trace(*last)[0]).all()


def test_the_bracket_steps_by_two_stops_in_its_pixels_too(light: np.ndarray) -> None:  # type: ignore[type-arg]
    from mefcli.demo.camera import expose

    dark, bright = expose(light, -4.0, 0), expose(light, -2.0, 1)
    good = (dark > 0.02) & (bright < 0.9)
    assert np.median(bright[good] / dark[good]) == pytest.approx(4.0, rel=0.02)


def test_doctor_finds_this_installation_whole(mef: Mef) -> None:
    done = mef("doctor", "--json")
    assert done.code == 0, done.err
    found = {check["what"]: check["ok"] for check in json.loads(done.out)}
    assert found["torch"] is True
    assert found["codec JPEG"] is True


def test_doctor_tells_a_wrong_folder_of_weights_and_all_the_rest(
    mef: Mef, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEF_WEIGHTS", str(tmp_path / "gone"))
    done = mef("doctor", "--json")
    assert done.code == 1
    checks = {check["what"]: check for check in json.loads(done.out)}
    assert "gone" in checks["weights"]["found"]
    assert checks["weights"]["ok"] is False
    assert checks["torch"]["ok"] is True
    assert "exiftool" in checks
    assert "--force-reinstall" not in done.err  # would not help


def test_models_list_show_and_verify_answer(mef: Mef) -> None:
    names = [model["name"] for model in json.loads(mef("models", "list", "--json").out)]
    assert {"mertens", "average"} <= set(names)
    assert json.loads(mef("models", "show", "mertens", "--json").out)["state"] == "ready"
    assert mef("models", "verify").code == 0
    wrong = mef("models", "show", "mertns")
    assert wrong.code == 2
    assert "mertens" in wrong.err


def test_weights_that_are_not_the_shipped_ones_are_refused(
    mef: Mef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "ffmef.safetensors"
    save_file({"a": torch.zeros(2)}, path, {"model": "ffmef"})
    (tmp_path / "hashes.json").write_text(json.dumps({path.name: "0" * 64}))
    monkeypatch.setenv("MEF_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError, match="not the file that was shipped"):
        checkpoints.read_weights(path)
    assert mef("models", "verify").code == 1


def test_pickled_weights_are_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"")
    with pytest.raises(ModelError, match=r"not a \.safetensors file"):
        checkpoints.load_fuser_weights("ffmef", path)


def test_a_network_without_weights_is_refused_with_the_remedy(
    mef: Mef, jpegs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "find_weights", lambda spec: None)
    done = mef("fuse", *jpegs, "--model", "ffmef", "--align", "off")
    assert done.code == 1
    assert "--weights" in done.err
    assert sorted(jpegs[0].parent.iterdir()) == jpegs


def test_a_folder_is_fused_bracket_by_bracket_and_one_bad_file_stops_nothing(
    copy_bracket: MakeBracket, tmp_path: Path
) -> None:
    jpegs = copy_bracket("jpeg", "card")
    (tmp_path / "card" / "broken.jpg").write_text("no")
    results = list(mefcli.fuse_folder(tmp_path / "card", tmp_path / "out", model="average", align="off"))
    assert [type(result).__name__ for result in results] == ["Failed", "Done"]
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {"room_2_fused.tif", ".mef-journal.sqlite"}
    assert sorted(path.name for path in (tmp_path / "card").iterdir()) == [
        "broken.jpg",
        *(p.name for p in jpegs),
    ]


def test_a_smoke_test_of_training_without_data_says_what_it_wants(mef: Mef) -> None:
    done = mef("train", "--smoke")
    assert done.code == 2
    assert "--smoke needs pictures to learn from. Add --data" in done.err
    done = mef("train", "--data", "some.mefdata")
    assert done.code == 2
    assert "--data alone trains nothing. Name a model" in done.err
    assert mef("train").code == 0  # the page of help


@pytest.mark.parametrize(
    "words", [("eval", "--models", "average", "-o", "none/x.csv"), ("reproduce", "ffmef", "-o", "none/x.md")]
)
def test_a_table_without_a_folder_is_told_before_anything_is_measured(
    mef: Mef, jpegs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [jpegs[0].parent.parent] if words[0] == "eval" else []
    done = mef(words[0], *given, *words[1:])
    assert done.code == 1
    assert "There is no folder" in done.err
    assert done.out == ""
    assert "scored" not in done.err


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("eval", "scenes", "--models", "average"), "mine.csv"),
        (("reproduce", "ffmef"), "mine.md"),
        (("train", "pack", "--data", "free"), "mine.mefdata"),
        (("train", "preview", "--data", "free"), "mine.jpg"),
        (("train", "niqe", "free"), "mine.npz"),
    ],
)
def test_no_table_or_sheet_replaces_a_file_unasked(
    mef: Mef, tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    mine = tmp_path / name
    mine.write_bytes(b"somebody's")
    done = mef(*words, "-o", mine)
    assert done.code == 1
    assert "exists already" in done.err
    assert "--overwrite" in done.err
    assert mine.read_bytes() == b"somebody's"
