"""`mef bench focus`: stacks whose truth is known are judged by it, others by their edges."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mefcli.bench import focus
from tests.toolkit import Mef

SIDE = 96


def stack(seed: int) -> focus.Scene:
    """A texture whose left half is near: each frame is sharp in one half."""
    rng = np.random.default_rng(seed)
    truth = cv2.resize(rng.random((SIDE // 2, SIDE // 2, 3), np.float32), (SIDE, SIDE))
    blurred = cv2.GaussianBlur(truth, (0, 0), 3)
    near, far = truth.copy(), truth.copy()
    near[:, SIDE // 2 :] = blurred[:, SIDE // 2 :]
    far[:, : SIDE // 2] = blurred[:, : SIDE // 2]
    depth = np.where(np.arange(SIDE) < SIDE // 2, 0.8, 0.1).astype(np.float32)[None].repeat(SIDE, 0)
    frames = tuple(np.uint8(frame * 255 + 0.5) for frame in (near, far))
    return focus.Scene(str(seed), frames, truth, depth)


def test_who_finds_the_truth_is_ahead_and_has_no_veil() -> None:
    scenes = [stack(seed) for seed in range(3)]
    truths = {id(scene.frames): np.uint8(scene.truth * 255 + 0.5) for scene in scenes}  # type: ignore[operator]
    methods = {
        focus.AVERAGE: focus.average,
        "truth": lambda frames: truths[id(frames)],
        focus.ENFUSE: lambda frames: frames[0],
    }
    rows = {row.method: row for row in focus.measure("made", scenes, methods)}
    best, mean, first = rows["truth"], rows[focus.AVERAGE], rows[focus.ENFUSE]
    assert best.psnr is not None
    assert mean.psnr is not None
    assert best.psnr > 50 > mean.psnr
    assert best.veil is not None
    assert mean.veil is not None
    assert best.veil < 0.5 < mean.veil
    assert best.reach_px == 0
    assert (best.better, first.better) == (3, None)
    assert best.q_abf > mean.q_abf


def test_a_veil_is_told_by_its_worst_and_by_how_far_it_is_seen() -> None:
    scene = stack(1)
    assert scene.truth is not None
    assert scene.depth is not None
    assert focus.borders(scene.depth).sum() == 2 * SIDE
    # Pixels beside the step are at 0; eight more columns on either side are 20 levels too bright.
    veiled = np.full((SIDE, SIDE, 3), 0.4, np.float32)
    wrong = veiled.copy()
    wrong[:, SIDE // 2 - 9 : SIDE // 2 + 9] += 20 / 255
    sums = focus.by_distance(np.uint8(wrong * 255 + 0.5), veiled, scene.depth)
    veil, reach = focus.veil_of([sums])
    assert veil == pytest.approx(20, abs=0.5)
    assert reach in (9, 10)  # 5 x 5 means carry it two pixels on
    assert focus.veil_of([focus.by_distance(np.uint8(veiled * 255), veiled, scene.depth)])[1] == 0


def test_the_command_measures_a_folder_of_stacks(mef: Mef, tmp_path: Path) -> None:
    for seed in range(2):
        place = tmp_path / "stacks" / f"s{seed}"
        place.mkdir(parents=True)
        for name, frame in zip("ab", stack(seed).frames, strict=True):
            cv2.imwrite(str(place / f"{name}.png"), frame)
    done = mef("bench", "focus", "--pairs", tmp_path / "stacks", "--methods", "average,focus", "--json")
    assert done.code == 0, done.err
    average, ours = (json.loads(line) for line in done.out.splitlines())
    assert (average["method"], ours["method"]) == ("average", "focus")
    assert ours["q_abf"] > average["q_abf"]
    assert ours["psnr"] is None
    for words, said in ((("--methods", "focos"), "focus"), ((), "There is nothing to measure")):
        more = ("--pairs", tmp_path / "stacks") if words else ()
        refused = mef("bench", "focus", *more, *words)
        assert refused.code != 0
        assert said in refused.err
