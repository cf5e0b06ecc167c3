"""Frames that are spent: the same picture, and their memory is given back while it comes to be."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from mefcli import api, pipeline
from mefcli.api import load_fuser, plan
from mefcli.job import Job
from mefnets.engine.spent import LEAST_BYTES, Spent
from mefnets.taste import Taste

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes back part of an array's memory")
ROWS, WIDTH = 3000, 1000  # 9 MB a frame, above what is looked at whole


def frames(dtype: type = np.uint8) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    top = np.iinfo(dtype).max
    coarse = rng.random((30, 10, 3)).repeat(100, 0).repeat(100, 1)
    return [np.asarray(coarse * share * top, dtype) for share in (0.3, 0.6, 1.0)]


@LINUX
def test_rows_go_once_all_strips_above_are_finished() -> None:
    frame = np.full((ROWS, WIDTH, 3), 9, np.uint8)
    spent = Spent([frame], halo=100)
    spent.done(1000, 2000)
    assert frame.all(), "the first strip is not finished"
    spent.done(0, 1000)
    page = 1 + 4096 // (3 * WIDTH)  # rows that share a page with what stays
    assert not frame[page : 1900 - page].any()
    assert frame[1900:].all(), "the next strip reads a hundred rows above itself"
    spent.done(2000, ROWS)
    assert not frame[page : ROWS - 100 - page].any()
    assert frame[ROWS - 100 :].all()


def test_memory_that_belongs_to_others_stays() -> None:
    whole = np.full((ROWS + 1, WIDTH, 3), 9, np.uint8)
    views = [whole[1:], np.asfortranarray(whole), whole[:, ::-1], np.frombuffer(bytes(whole), np.uint8)]
    spent = Spent([*views[:3], views[3].reshape(whole.shape)])
    spent.done(0, ROWS)
    assert ROWS * WIDTH * 3 > LEAST_BYTES
    assert all(view.all() for view in views)
    assert whole.all()


@pytest.mark.parametrize("model", ["house", "ffmef", "mertens"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_picture_is_the_same_to_the_bit(model: str, dtype: type) -> None:
    fuser = load_fuser(model)
    kept = frames(dtype)
    wanted = fuser.fuse(kept, (-2.0, 0.0, 2.0), resolution="guided", working_size_mp=0.1)
    assert all(np.array_equal(one, other) for one, other in zip(kept, frames(dtype), strict=True))
    found = fuser.fuse(kept, (-2.0, 0.0, 2.0), resolution="guided", working_size_mp=0.1, spend=True)
    assert np.array_equal(found, wanted)
    if sys.platform == "linux":
        assert not kept[0][100:2000].any()


def test_a_look_that_reads_beyond_its_strips_is_the_same_too() -> None:
    fuser = load_fuser("house")
    wanted, found = (
        fuser.fuse(
            frames(),
            (-2.0, 0.0, 2.0),
            resolution="guided",
            working_size_mp=0.1,
            taste=Taste(0.3),
            spend=spend,
        )
        for spend in (False, True)
    )
    assert np.array_equal(found, wanted)


def test_a_stack_of_ones_own_is_never_spent(tmp_path: Path) -> None:
    """Only what `make` has read itself: whoever prepares a stack fuses it as often as they like."""
    import cv2

    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, frame in zip(paths, frames(), strict=True):
        cv2.imwrite(str(path), frame)
    job = Job(align="off", working_size=0.1, resolution="guided")
    bracket = plan(paths, ev=(-2, 0, 2), job=job)
    stack = api.prepare(bracket, job=job)
    fuser = load_fuser("house")
    first, second = (api.fuse_stack(stack, fuser=fuser, job=job) for _ in range(2))
    assert np.array_equal(first.pixels, second.pixels)
    made = pipeline.make(bracket, job, fuser=fuser)
    assert np.array_equal(made.pixels, first.pixels)
