"""`mef focus`: files to files, aligned, evened, in order, in little memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from stacks import psnr, saved, scaled, stack, wall
from toolkit import Mef

import mefcli
from mefcli import api, formats
from mefcli.motion.breathing import Chain
from mefcli.motion.geometry import apply, grid
from mefcli.pipeline.even import evened, gains_between


def test_a_stack_becomes_one_sharp_picture(mef: Mef, tmp_path: Path) -> None:
    truth = wall()
    files = saved(stack(truth, 3), tmp_path)
    done = mef("focus", *files, "--json", "--report", tmp_path / "page.html")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    output = tmp_path / "f0_focus.tif"
    assert told["outputs"] == [str(output)]
    picture = formats.decode(output).pixels
    assert picture.dtype == np.uint16
    assert psnr(picture / np.float32(65535), truth) > 33
    assert [one["frame"] for one in told["sharp"]] == ["f0.png", "f1.png", "f2.png"]
    assert all(one["share"] == pytest.approx(1 / 3, abs=0.05) for one in told["sharp"])
    page = (tmp_path / "page.html").read_text()
    assert "Sharp where" in page
    assert "f2.png" in page


def test_breathing_and_a_moved_hand_are_undone(mef: Mef, tmp_path: Path) -> None:
    truth = wall(240, 320)
    first, second = stack(truth)
    files = saved([scaled(first, 1.03, (2.0, -1.5)), second], tmp_path)
    for align, least in (("auto", 29.0), ("off", 0.0)):
        assert mef("focus", *files, "--align", align, "-o", tmp_path / f"{align}.png").code == 0
        found = formats.decode(tmp_path / f"{align}.png").pixels / np.float32(65535)
        inner = psnr(found[20:-20, 20:-20], truth[20:-20, 20:-20])
        assert inner > least if align == "auto" else inner < 25


@pytest.mark.parametrize("scale", [0.95, 0.99, 1.0, 1.05])
def test_scale_is_measured_through_blur(scale: float) -> None:
    first, second = stack(wall(240, 320))
    moved = scaled(second, scale, (3.0, 2.0))
    placed = Chain(0, first, 1, (320, 240)).place(1, moved)
    x, y = 159.5, 119.5
    true = np.array([[scale, 0, x - scale * x + 3], [0, scale, y - scale * y + 2], [0, 0, 1.0]])
    places = grid((320, 240))
    assert placed.trusted
    off = np.linalg.norm(apply(placed.matrix, places) - apply(true, places), axis=1)
    assert off.mean() < 0.5


def test_a_motion_that_brings_nothing_nearer_is_none() -> None:
    """Blur that spreads to one side looks like motion to a fit; the pictures do not come nearer by it."""
    truth = wall(240, 320)
    lopsided = scaled(truth, 1.0, (1.2, 0.0))
    second = np.where(np.arange(320)[None, :, None] % 64 < 24, lopsided, truth)
    assert Chain(0, truth, 1, (320, 240)).place(1, second.astype(np.uint8)).kept_identity


def test_brightness_that_drifts_is_evened_and_white_stays_white() -> None:
    frame = wall()
    darker = np.rint(frame * 0.9).astype(np.uint8)
    gains = gains_between(frame, darker, None)
    assert gains == pytest.approx((1 / 0.9,) * 3, abs=0.01)
    assert abs(evened(darker, gains) / 257.0 - frame).mean() < 3
    assert (evened(np.full((2, 2, 3), 255, np.uint8), gains) == 65535).all()
    assert evened(frame, gains_between(frame, frame, None)) is frame


def test_recorded_distances_give_the_order_and_time_without_them(tmp_path: Path) -> None:
    shots = stack(wall(), 3)
    far_first = saved(shots, tmp_path, [3.0, 1.0, 2.0], "jpg")
    bracket = api.plan_focus(far_first)
    assert [path.name for path in bracket.paths] == ["f1.jpg", "f2.jpg", "f0.jpg"]
    assert bracket.shots[0].focus_m == 1.0
    assert "focus distance" in bracket.why
    assert bracket.reference == 1
    timed = api.plan_focus(saved(shots, tmp_path, None, "jpg")[::-1])
    assert [path.name for path in timed.paths] == ["f0.jpg", "f1.jpg", "f2.jpg"]


def test_the_order_of_files_changes_no_pixel(tmp_path: Path) -> None:
    files = saved(stack(wall(), 3), tmp_path)
    assert (mefcli.focus(files) == mefcli.focus(files[::-1])).all()


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path) -> None:
    """What a run allocates for 12 frames is what it allocates for 4, but for less than a frame."""
    peaks = []
    for count in (4, 12):
        files = saved(stack(wall(300, 400), count), tmp_path)[:count]
        mefcli.focus(files[:2])
        tracemalloc.start()
        mefcli.focus(files)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 300 * 400 * 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-m", "house"], "fuses exposures"),
        (["--align", "flow"], "shifted, turned and scaled"),
        (["--reference", "9"], "from 1 (nearest)"),
    ],
)
def test_what_a_stack_has_no_use_for_is_refused(
    mef: Mef, tmp_path: Path, words: list[str], said: str
) -> None:
    files = saved(stack(wall()), tmp_path)
    done = mef("focus", *files, *words)
    assert done.code != 0
    assert said in done.err
    assert not list(tmp_path.glob("*focus*"))


def test_a_bracket_of_exposures_is_sent_to_fuse_and_a_focus_model_to_focus(
    mef: Mef, jpegs: list[Path], tmp_path: Path
) -> None:
    done = mef("focus", *jpegs)
    assert done.code == 1
    assert "mef fuse" in done.err
    done = mef("fuse", *jpegs, "-m", "focus", "-o", tmp_path / "x.tif")
    assert done.code == 1
    assert "mef focus" in done.err


def test_an_output_that_exists_is_kept(mef: Mef, tmp_path: Path) -> None:
    files = saved(stack(wall()), tmp_path)
    (tmp_path / "o.tif").write_bytes(b"kept")
    assert mef("focus", *files, "-o", tmp_path / "o.tif").code == 1
    assert (tmp_path / "o.tif").read_bytes() == b"kept"


def test_a_dry_run_tells_the_order_and_writes_nothing(mef: Mef, tmp_path: Path) -> None:
    files = saved(stack(wall(), 3), tmp_path)
    done = mef("focus", *files, "--dry-run", "--json")
    assert json.loads(done.out)["inputs"] == [str(path) for path in files]
    assert not list(tmp_path.glob("*focus*"))
