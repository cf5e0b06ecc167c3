"""`--max-memory` is kept or refused: what is held is counted, and frames are let go as they are moved."""

from __future__ import annotations

import gc
import shutil
import tracemalloc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toolkit import Mef

import mefcli
from mefcli import api
from mefcli.batch import runners, share
from mefcli.batch.plan import Work
from mefcli.bench.motion_cases import make_case
from mefcli.brackets.discover import discover
from mefcli.errors import TooLargeError
from mefcli.job import Job
from mefcli.memory import Pictures, held_mb, pictures_of
from mefcli.motion import chain, sizes
from mefcli.motion.reduced import reduce
from mefcli.motion.warp import Rim
from mefcli.pipeline import check, prepare, read
from mefcli.pipeline.align import align
from mefcli.pipeline.results import Failed
from mefcli.values import Bracket, Shot, Stack, Step

SIZE = (240, 160)


def scene(size_px: tuple[int, int]) -> np.ndarray:
    import cv2

    rng = np.random.default_rng(5)
    stops = rng.standard_normal((size_px[1] // 6, size_px[0] // 6, 3)).astype(np.float32)
    return np.exp2(cv2.resize(stops, size_px, interpolation=cv2.INTER_CUBIC) * 1.2)


def moved_stack(count: int) -> Stack:
    """Every frame but the reference lies elsewhere; the stack's frames are its own to give up."""
    known = make_case("test", scene, SIZE, np.random.default_rng(3), kind="shift", frames=count, step_ev=0.3)
    shots = tuple(Shot(Path(f"IMG_{i}.tif"), "tiff") for i in range(count))
    evs = tuple(0.3 * (i - known.reference) for i in range(count))
    frames = [frame.copy() for frame in known.frames]
    return Stack(Bracket(shots, evs, known.reference, "made for a test"), frames, None)


@pytest.mark.parametrize("crop", ["reference", "none"])
def test_a_frame_is_let_go_as_soon_as_it_has_been_moved(crop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the stack, and whoever gave it, are still there."""
    monkeypatch.setattr(sizes, "REDUCED_MP", 0.01)  # else frames so small are their own reduced pictures
    stack = moved_stack(7)
    originals = [weakref.ref(frame) for frame in stack.frames]
    alive: list[int] = []

    def count(step: Step) -> None:
        if step.note == "moving frames":
            gc.collect()
            alive.append(sum(one() is not None for one in originals))

    done = align(stack, Job(crop=crop), count, spend=True)
    moved = [index for index, one in enumerate(originals) if one() is None]
    assert len(moved) >= 5
    assert alive == [7 - sum(index <= at for index in moved) for at in range(7)]
    assert done.frames is stack.frames


def test_a_stack_that_is_not_to_be_spent_keeps_its_frames() -> None:
    stack = moved_stack(3)
    before = [frame.copy() for frame in stack.frames]
    done = align(stack, Job())
    assert any(one is not other for one, other in zip(done.frames, stack.frames, strict=True))
    assert all(np.array_equal(one, other) for one, other in zip(stack.frames, before, strict=True))


def test_few_pictures_made_ready_for_motion_are_held_however_many_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[weakref.ref[Any]] = []
    prepare_one = chain.prepare

    def noted(greys: Any) -> Any:
        levels = prepare_one(greys)
        made.append(weakref.ref(levels[0]))
        return levels

    monkeypatch.setattr(chain, "prepare", noted)
    held: list[int] = []

    def count(_: int) -> None:
        gc.collect()
        held.append(sum(one() is not None for one in made))

    stack = moved_stack(13)
    chain.place_all(reduce(stack.frames), stack.bracket.reference, on_frame=count)
    assert len(made) == 13
    assert max(held) <= sizes.HELD


def test_edges_of_many_large_frames_are_worked_out_tile_by_tile() -> None:
    shifted = np.array([[1, 0, 7.5], [0, 1, -4.0], [0, 0, 1]])
    tracemalloc.start()
    rims = [Rim(shifted, (0, 0, 4000, 3000), (4000, 3000)) for _ in range(30)]
    weights = [rim.tile(place).weight.min() for rim in rims[:1] for place in rim.places]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert min(weights) == 0
    assert held < 5e6  # all tiles at once are 200 MB


def test_prepared_frames_carry_no_small_pictures_into_the_fusion(jpegs: list[Path]) -> None:
    assert prepare(api.plan(jpegs), Job(max_memory=1000)).reduced is None


def test_what_is_held_at_the_busiest_is_counted() -> None:
    job, still = Job(), Job(align="off")
    jpeg = Pictures((4000, 3000), 30, 8)
    frames = 30 * 12e6 * 3 / 2**20
    assert held_mb(jpeg, still, 16) >= frames + 2 * 12e6 * 3 / 2**20
    assert held_mb(jpeg, job, 16) > held_mb(jpeg, still, 16)
    assert held_mb(jpeg, Job(align="off", hdr=True), 8) > held_mb(jpeg, still, 8) + 5
    assert held_mb(Pictures((4000, 3000), 30, 16), still, 16) > 1.9 * frames
    assert held_mb(Pictures((4000, 3000), 3, 16, raw=True), still, 16) > held_mb(
        Pictures((4000, 3000), 3, 16), still, 16
    )
    assert held_mb(jpeg, still, 16, network_mb=5000) > 5000 + frames


def test_depths_are_told_by_headers(jpegs: list[Path], tiffs: list[Path], tmp_path: Path) -> None:
    import tifffile

    floating = tmp_path / "floating.tif"
    tifffile.imwrite(floating, np.zeros((20, 20, 3), np.float32), photometric="rgb")
    for paths, depth in ((jpegs, 8), (tiffs, 16), ([floating], 32)):
        pictures = pictures_of(Bracket(tuple(discover(paths)), (0.0,) * len(paths), 0, "made for a test"))
        assert pictures is not None
        assert pictures.depth == depth


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("extra", [[], ["--dry-run"]])
def test_frames_beyond_the_limit_are_refused_with_what_they_take(
    jpegs: list[Path], tmp_path: Path, mef: Mef, extra: list[str]
) -> None:
    answer = mef("fuse", *jpegs, "-o", tmp_path / "out.tif", "--max-memory", "60M", *extra)
    assert answer.code == 1
    assert "3 frames of this size take" in answer.err
    assert "--max-memory allows 60 MB. Give --max-memory" in answer.err
    assert not (tmp_path / "out.tif").exists()
    answer = mef("batch", tmp_path, "-o", tmp_path / "out", "--max-memory", "60M", *extra)
    assert answer.code == 1
    assert "--max-memory allows 60 MB" in answer.err
    alike = [shutil.copy(jpegs[1], tmp_path / f"alike{number}.jpg") for number in range(3)]
    answer = mef("focus", *alike, "-o", tmp_path / "out.tif", "--max-memory", "60M", *extra)
    assert answer.code == 1
    assert "--max-memory allows 60 MB" in answer.err


def test_what_no_header_tells_is_refused_once_a_frame_is_decoded(
    jpegs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mefcli.memory.pictures_of", lambda bracket: None)
    decoded: list[Path] = []
    decode_one = read._decoded

    def noted(shot: Shot, *more: Any) -> Any:
        decoded.append(shot.path)
        return decode_one(shot, *more)

    monkeypatch.setattr(read, "_decoded", noted)
    with pytest.raises(TooLargeError, match=r"3 frames of this size take"):
        mefcli.fuse(jpegs, max_memory=60)
    assert decoded


def test_a_canvas_that_alignment_grew_counts_too() -> None:
    frame = np.zeros((2000, 3000, 3), np.uint8)
    check.check_pixels(frame, 3, Job(max_memory=500), 16)
    with pytest.raises(TooLargeError):
        check.check_pixels(np.zeros((6000, 9000, 3), np.uint8), 3, Job(max_memory=500), 16)


def test_a_batch_under_a_limit_reads_in_turn_and_one_at_a_time(
    jpegs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead: list[Work] = []
    read_one = runners._read
    monkeypatch.setattr(runners, "_read", lambda work: ahead.append(work) or read_one(work))
    bracket = api.plan(jpegs)
    for limit, read_ahead in ((None, 2), (1000.0, 0)):
        works = [
            Work(bracket, (tmp_path / f"{limit}_{number}.tif",), Job(max_memory=limit, align="off"))
            for number in range(2)
        ]
        ahead.clear()
        results = [result for _, result in runners.here(works)]
        assert [str(result.error) for result in results if isinstance(result, Failed)] == []
        assert len(ahead) == read_ahead
    monkeypatch.setattr(share, "processors", lambda: 8)
    monkeypatch.setattr(share, "WORTH_S", 1e-6)
    assert share.jobs_for([*works, *works]) == 1
