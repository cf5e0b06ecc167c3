"""`mef fuse`: files to files, and what the program says about it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toolkit import Mef

import mefcli
from mefcli import api, formats
from mefcli.job import Job


def pixels(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    return formats.decode(path).pixels


def test_without_output_the_result_lands_beside_the_first_file(mef: Mef, jpegs: list[Path]) -> None:
    done = mef("fuse", *jpegs)
    assert done.code == 0, done.err
    output = jpegs[0].with_name("room_1_fused.tif")
    assert done.out == f"{output}\n"
    assert pixels(output).dtype == np.uint16
    assert pixels(output).shape == (96, 144, 3)


def test_several_outputs_come_from_one_fusion(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("a.tif", "a.png", "a.jpg")]
    done = mef("fuse", *jpegs, *(part for output in outputs for part in ("-o", output)))
    assert done.out.split() == [str(output) for output in outputs]
    tif, png, jpg = (pixels(output) for output in outputs)
    np.testing.assert_array_equal(tif, png)
    assert jpg.dtype == np.uint8
    assert abs(tif / 257.0 - jpg).mean() < 2.5


@pytest.mark.parametrize(("depth", "kind"), [("8", np.uint8), ("16", np.uint16), ("32", np.float32)])
def test_bit_depth_is_what_was_asked_for(
    mef: Mef, tiffs: list[Path], depth: str, kind: type, tmp_path: Path
) -> None:
    assert mef("fuse", *tiffs, "--bit-depth", depth, "-o", tmp_path / "x.tif").code == 0
    assert pixels(tmp_path / "x.tif").dtype == kind


def test_the_order_of_files_changes_no_pixel(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    for number, order in enumerate(([0, 1, 2], [2, 0, 1], [1, 2, 0])):
        assert mef("fuse", *(jpegs[i] for i in order), "-o", tmp_path / f"{number}.png").code == 0
    first = pixels(tmp_path / "0.png")
    np.testing.assert_array_equal(first, pixels(tmp_path / "1.png"))
    np.testing.assert_array_equal(first, pixels(tmp_path / "2.png"))


def test_without_exif_brightness_gives_the_same_picture(mef: Mef, tiffs: list[Path], tmp_path: Path) -> None:
    import tifffile

    bare = []
    for path, name in zip(tiffs, ("m.tif", "a.tif", "z.tif"), strict=True):
        tifffile.imwrite(tmp_path / name, pixels(path), photometric="rgb")
        bare.append(tmp_path / name)
    assert mef("fuse", *tiffs, "-o", tmp_path / "exif.png").code == 0
    done = mef("fuse", *reversed(bare), "-o", tmp_path / "bare.png", "-v")
    assert "measured brightness" in done.err
    np.testing.assert_array_equal(pixels(tmp_path / "exif.png"), pixels(tmp_path / "bare.png"))


def test_a_tripod_bracket_is_the_same_with_and_without_alignment(
    mef: Mef, tiffs: list[Path], tmp_path: Path
) -> None:
    for how in ("auto", "off"):
        assert mef("fuse", *tiffs, "--align", how, "-o", tmp_path / f"{how}.png").code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "auto.png"), pixels(tmp_path / "off.png"))


def test_a_file_named_twice_or_through_a_link_counts_once(
    mef: Mef, jpegs: list[Path], tmp_path: Path
) -> None:
    link = tmp_path / "link.jpg"
    link.symlink_to(jpegs[0])
    done = mef("fuse", *jpegs, jpegs[1], link, "--dry-run", "--json")
    assert len(json.loads(done.out)["inputs"]) == 3


def test_dry_run_shows_the_plan_and_writes_nothing(mef: Mef, jpegs: list[Path]) -> None:
    done = mef("fuse", *reversed(jpegs), "--dry-run")
    assert done.code == 0
    assert done.err.index("room_1.jpg") < done.err.index("room_2.jpg") < done.err.index("room_3.jpg")
    assert "room_3_fused.tif" in done.err
    assert sorted(jpegs[0].parent.iterdir()) == jpegs


def test_json_tells_what_was_done(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    done = mef("fuse", *jpegs, "-o", tmp_path / "x.png", "--json", "--align", "off")
    told = json.loads(done.out)
    assert told["inputs"] == [str(path) for path in jpegs]
    assert told["evs"] == [-2.0, 0.0, 2.0]
    assert told["reference"] == str(jpegs[1])
    assert told["model"] == Job().model
    assert told["outputs"] == [str(tmp_path / "x.png")]
    assert {"read", "fuse", "write"} <= told["seconds"].keys()
    assert told["peak_memory_mb"] > 10
    assert told["error"] is None
    assert told["settings"] == {"align": "off"}


def test_talk_goes_to_stderr_and_quiet_stops_it(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    done = mef("fuse", *jpegs, "-o", tmp_path / "x.png")
    assert "Reading" in done.err
    assert "Writing" in done.err
    quiet = mef("fuse", *jpegs, "-o", tmp_path / "y.png", "--quiet")
    assert quiet.err == ""
    assert quiet.out == f"{tmp_path / 'y.png'}\n"


def test_of_a_raw_and_jpeg_pair_one_kind_is_used() -> None:
    from mefcli.brackets.discover import one_of_each_pair
    from mefcli.values import Shot

    pair = [
        Shot(Path("c/IMG_1.CR2"), "raw"),
        Shot(Path("c/IMG_1.JPG"), "jpeg"),
        Shot(Path("c/IMG_2.JPG"), "jpeg"),
    ]
    assert one_of_each_pair(pair, "raw") == [pair[0], pair[2]]
    assert one_of_each_pair(pair, "jpeg") == [pair[1], pair[2]]


def test_the_reference_can_be_chosen_by_number_and_name(mef: Mef, jpegs: list[Path]) -> None:
    for wanted in ("3", "room_3.jpg"):
        told = json.loads(mef("fuse", *jpegs, "--reference", wanted, "--dry-run", "--json").out)
        assert told["reference"] == str(jpegs[2])
        assert told["evs"] == [-4.0, -2.0, 0.0]


def test_average_is_the_mean_of_the_frames(mef: Mef, pngs: list[Path], tmp_path: Path) -> None:
    assert mef("fuse", *pngs, "-m", "average", "-o", tmp_path / "x.tif", "--bit-depth", "32").code == 0
    mean = np.mean([pixels(path) for path in pngs], axis=0) / 255
    np.testing.assert_allclose(pixels(tmp_path / "x.tif"), mean, atol=1e-6)


def test_16_bit_sources_keep_levels_that_8_bits_cannot_hold(
    mef: Mef, tiffs: list[Path], tmp_path: Path
) -> None:
    assert mef("fuse", *tiffs, "-o", tmp_path / "x.tif").code == 0
    assert len(np.unique(pixels(tmp_path / "x.tif"))) > 4000


def test_the_result_keeps_the_reference_frames_metadata(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    assert mef("fuse", *jpegs, "-o", tmp_path / "x.tif").code == 0
    result, source = formats.read_shot(tmp_path / "x.tif"), formats.read_shot(jpegs[1])
    assert (result.camera, result.exposure_s, result.taken_at) == (
        source.camera,
        source.exposure_s,
        source.taken_at,
    )
    assert formats.profile_name(formats.decode(tmp_path / "x.tif").icc or b"") == formats.profile_name(
        formats.decode(jpegs[1]).icc or b""
    )


def test_names_with_accents_and_spaces_work(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    odd = [Path(shutil.copy(path, tmp_path / f"été [{i}] & co.jpg")) for i, path in enumerate(jpegs)]
    done = mef("fuse", *odd, "-o", tmp_path / "fenêtre *.tif")
    assert done.code == 0, done.err
    assert (tmp_path / "fenêtre *.tif").is_file()


def test_python_gives_the_same_picture_as_the_command_line(
    mef: Mef, jpegs: list[Path], tmp_path: Path
) -> None:
    assert mef("fuse", *jpegs, "-o", tmp_path / "x.tif", "--bit-depth", "32").code == 0
    picture = mefcli.fuse(jpegs)
    assert picture.dtype == np.float32
    np.testing.assert_allclose(picture, pixels(tmp_path / "x.tif"), atol=1e-7)
    again = mefcli.fuse(jpegs, fuser=mefcli.load_fuser())
    np.testing.assert_array_equal(picture, again)


def test_list_models_starts_with_the_default() -> None:
    names = [spec.name for spec in api.list_models()]
    assert names[0] == Job().model
    assert {"mertens", "average"} <= set(names)


def test_ctrl_c_leaves_nothing_and_exits_130(jpegs: list[Path]) -> None:
    """A real process, stopped while it reads: the second frame is a pipe that never ends."""
    program = (
        "import os, signal, sys, threading\n"
        "from mefcli import formats\n"
        "from mefcli.cli.app import run\n"
        "def stop(*a, **k):\n"
        "    open(a[0], 'wb').write(b'half')\n"
        "    os.kill(os.getpid(), getattr(signal, sys.argv[1]))\n"
        "    import time; time.sleep(30)\n"
        "formats.encode = stop\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs ignore it
        "sys.exit(run(['fuse', *sys.argv[2:]]))\n"
    )
    for name in ("SIGINT", "SIGTERM"):
        done = subprocess.run(
            [sys.executable, "-c", program, name, *map(str, jpegs)],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == 130, done.stderr
        assert "Interrupted" in done.stderr
        assert sorted(jpegs[0].parent.iterdir()) == jpegs
