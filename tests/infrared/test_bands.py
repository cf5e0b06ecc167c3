"""How a thermal picture lies over a visible one, told by edges and not by brightness."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import Mef

from mefcli import api, formats
from mefcli.motion.bands import matched
from mefcli.pipeline.infrared import laid_over
from tests.formats.conftest import samples

__all__ = ["samples"]  # a fixture, borrowed

Plane = NDArray[np.float32]
REGISTERED = ("kettle", "manWalking", "running", "walkingnight")


def things(seed: int, height: int = 260, width: int = 360) -> tuple[Plane, Plane]:
    """One scene in two bands: the same outlines, brightness that has nothing to do with each other."""
    rng = np.random.default_rng(seed)
    light, warmth = (np.full((height, width), 0.5, np.float32) for _ in range(2))
    for _ in range(40):
        middle = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(8, 40)), int(rng.integers(8, 40)))
        turned = float(rng.integers(180))
        for plane in (light, warmth):
            cv2.ellipse(plane, middle, axes, turned, 0, 360, float(rng.uniform(0.1, 0.9)), -1)
    noise = rng.normal(0, 0.01, (2, height, width)).astype(np.float32)
    return light + noise[0], cv2.GaussianBlur(warmth, (0, 0), 1.0) + noise[1]


def moved(plane: NDArray[np.generic], scale: float, right: float, down: float) -> NDArray[np.generic]:
    height, width = plane.shape[:2]
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[scale, 0, (1 - scale) * x + right], [0, scale, (1 - scale) * y + down]])
    return cv2.warpAffine(plane, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def off_px(
    found: NDArray[np.float64], scale: float, right: float, down: float, size: tuple[int, int]
) -> float:
    """How far from its place the motion leaves any corner."""
    height, width = size
    x, y = (width - 1) / 2, (height - 1) / 2
    true = np.array([[scale, 0, (1 - scale) * x + right], [0, scale, (1 - scale) * y + down], [0, 0, 1]])
    both = np.vstack((found, (0, 0, 1))) @ true
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]).T
    return float(np.abs((both @ corners - corners)[:2]).max())


@pytest.mark.parametrize(("scale", "right", "down"), [(1.0, 12, -7), (1.06, -9, 5), (0.94, 3, 14)])
def test_shift_and_scale_are_found_between_bands(scale: float, right: float, down: float) -> None:
    one, two = things(1)
    match = matched(one, np.asarray(moved(two, scale, right, down), np.float32))
    assert match.moves
    assert off_px(match.matrix(360, 260), scale, right, down, (260, 360)) < 2.5


def test_frames_that_fit_do_not_move_and_of_other_scenes_nothing_is_believed() -> None:
    one, two = things(1)
    fits = matched(one, two)
    assert fits.sure
    assert not fits.moves
    for seed in range(2, 6):
        assert not matched(one, things(seed)[1]).moves
    flat = np.full_like(one, 0.5)
    assert not matched(one, flat).sure
    assert not matched(flat, flat).sure


@pytest.mark.parametrize("name", REGISTERED)
def test_real_pairs_fit_and_come_back_when_moved(samples: Path, name: str) -> None:
    folder = samples / "visible_infrared_pairs" / name
    light = formats.decode(folder / "VI.jpg").pixels
    warmth = formats.decode(folder / "IR.jpg").pixels[..., 0]
    same, words = laid_over(light, warmth)
    assert same is warmth
    assert not words
    size = warmth.shape
    grey = light.astype(np.float32).mean(axis=2) / 255
    match = matched(grey, np.asarray(moved(warmth, 1.05, 0.04 * size[0], -0.05 * size[0]), np.float32) / 255)
    assert match.moves
    wrong = off_px(match.matrix(size[1], size[0]), 1.05, 0.04 * size[0], -0.05 * size[0], size)
    assert wrong < 0.012 * size[0]


def test_the_command_moves_and_tells_or_leaves_it(mef: Mef, tmp_path: Path) -> None:
    one, two = things(1)
    day, fits, warm = (tmp_path / name for name in ("day.png", "fits.png", "warm.png"))
    eight = np.clip(two * 255, 0, 255).astype(np.uint8)
    Image.fromarray(np.repeat(np.clip(one * 255, 0, 255).astype(np.uint8)[..., None], 3, axis=2)).save(day)
    Image.fromarray(eight).save(fits)
    Image.fromarray(np.asarray(moved(eight, 1.04, 10, -6))).save(warm)
    pictures = {}
    for name, thermal, words in (("a", fits, ()), ("b", warm, ()), ("c", warm, ("--align", "off"))):
        done = mef("infrared", day, thermal, "-o", tmp_path / f"{name}.png", *words)
        assert done.code == 0, done.err
        assert ("as its edges tell" in " ".join(done.err.split())) == (name == "b")
        pictures[name] = formats.decode(tmp_path / f"{name}.png").pixels[20:-20, 20:-20] / np.float32(65535)
    away = {name: float(np.abs(pictures[name] - pictures["a"]).mean()) for name in "bc"}
    assert away["b"] < 0.5 * away["c"]
    refused = mef("infrared", day, warm, "--align", "flow", "-o", tmp_path / "d.png")
    assert refused.code == 2
    assert "choose auto or off" in refused.err
    api.infrared_pair(
        api.plan_infrared(day, fits),
        [tmp_path / "e.png"],
        job=api.job_of(None, {"model": "infrared", "align": "off"}),
    )
    assert (tmp_path / "e.png").is_file()
    whole = formats.decode(tmp_path / "e.png").pixels
    assert (whole == formats.decode(tmp_path / "a.png").pixels).all(), "what fits is left alone to the bit"
