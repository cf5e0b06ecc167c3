"""Looks and sliders: 0 changes no bit, more is never less, and nothing leaves what the frames show."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from toolkit import Mef

import mefcli
from mefcli import api, formats
from mefcli.job import Job
from mefcli.looks import LOOKS, taste_of
from mefcli.values import Stack
from mefnets.taste import NATURAL, Taste

Picture = NDArray[np.float32]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@pytest.fixture
def stack(tiffs: list[Path]) -> Stack:
    return api.prepare(api.plan(tiffs), job=Job(align="off"))


@pytest.fixture(scope="module")
def fuser():  # type: ignore[no-untyped-def]
    return mefcli.load_fuser("house")


def luma(picture: Picture) -> Picture:
    import cv2

    return np.asarray(cv2.blur(np.asarray(picture @ LUMA), (7, 7)))


def fused(stack: Stack, fuser, **options) -> Picture:  # type: ignore[no-untyped-def]
    return api.fuse_stack(stack, fuser=fuser, job=replace(Job(align="off"), **options), depth=32).pixels


def test_natural_and_zero_change_no_bit(stack: Stack, fuser) -> None:  # type: ignore[no-untyped-def]
    plain = fuser.fuse(stack.frames, stack.bracket.evs, depth=32)
    np.testing.assert_array_equal(plain, fused(stack, fuser, look="natural", shadows=0, colour=0))


@pytest.mark.parametrize(("slider", "sign"), [("shadows", 1), ("highlights", 1)])
def test_more_light_is_never_darker(stack: Stack, fuser, slider: str, sign: int) -> None:  # type: ignore[no-untyped-def]
    lights = [luma(fused(stack, fuser, **{slider: sign * step})) for step in (-100, -40, 0, 40, 100)]
    for less, more in pairwise(lights):
        assert more.mean() > less.mean()
        assert (more - less).min() > -0.02  # five levels, as means of 7 x 7


def test_shadows_open_what_is_dark_and_highlights_hold_what_is_light(stack: Stack, fuser) -> None:  # type: ignore[no-untyped-def]
    plain = luma(fused(stack, fuser))
    dark, light = plain < np.quantile(plain, 0.2), plain > np.quantile(plain, 0.9)
    opened = luma(fused(stack, fuser, shadows=100)) - plain
    held = luma(fused(stack, fuser, highlights=-100)) - plain
    assert opened[dark].mean() > 0.02
    assert opened[dark].mean() > 3 * abs(opened[light].mean())
    assert held[light].mean() < -0.02
    assert abs(held[dark].mean()) < 0.3 * abs(held[light].mean())


def test_colour_and_contrast_grow_and_shrink(stack: Stack, fuser) -> None:  # type: ignore[no-untyped-def]
    def chroma(picture: Picture) -> float:
        return float(np.abs(picture - (picture @ LUMA)[..., None]).mean())

    colours = [chroma(fused(stack, fuser, colour=step)) for step in (-100, 0, 100)]
    assert colours[0] < 0.8 * colours[1]
    assert colours[2] > 1.15 * colours[1]
    spreads = [luma(fused(stack, fuser, contrast=step)).std() for step in (-100, 0, 100)]
    assert spreads[0] < spreads[1] < spreads[2]


def test_grey_stays_grey(fuser) -> None:  # type: ignore[no-untyped-def]
    ramp = torch.linspace(0.02, 0.98, 64).expand(48, 64)
    frames = [np.repeat((ramp * k).clamp(0, 1).numpy()[..., None], 3, 2) for k in (0.4, 1.6)]
    frames = [(frame * 255).astype(np.uint8) for frame in frames]
    result = fuser.fuse(frames, [-1, 1], depth=32, taste=Taste(1, -1, 1, 1))
    assert np.ptp(result, axis=2).max() < 1e-5


@pytest.mark.parametrize("look", LOOKS)
def test_no_look_leaves_what_frames_show(stack: Stack, fuser, look: str) -> None:  # type: ignore[no-untyped-def]
    import cv2

    result = fused(stack, fuser, look=look)
    assert 0 <= result.min() <= result.max() <= 1
    frames = [frame.astype(np.float32) / np.iinfo(frame.dtype).max @ LUMA for frame in stack.frames]
    window = np.ones((7, 7), np.uint8)
    least = cv2.erode(np.min(frames, axis=0), window)
    greatest = cv2.dilate(np.max(frames, axis=0), window)
    y = result @ LUMA
    assert ((y < least - 0.02) | (y > greatest + 0.02)).mean() < 0.005


def test_sliders_add_to_a_look_within_their_range() -> None:
    assert taste_of(Job()) == NATURAL
    assert taste_of(Job(look="bright", shadows=100)).shadows == 1.0
    assert taste_of(Job(look="deep", shadows=10)).shadows == pytest.approx(LOOKS["deep"].shadows + 0.1)


def test_looks_are_told_in_json_and_kept_in_the_file(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    done = mef("fuse", *jpegs, "--look", "bright", "--shadows", "-20", "-o", tmp_path / "x.tif", "--json")
    assert json.loads(done.out)["settings"] == {"look": "bright", "shadows": -20.0}
    assert b"bright" in (formats.read_metadata(tmp_path / "x.tif").xmp or b"")


def test_a_model_that_decides_by_itself_says_so(mef: Mef, jpegs: list[Path]) -> None:
    done = mef("fuse", *jpegs, "--model", "mertens", "--shadows", "20")
    assert done.code == 1
    assert "--shadows" in done.err
    assert "--model house" in done.err


def test_compare_shows_the_looks(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    done = mef("compare", *jpegs, "--looks", "-o", tmp_path / "looks.jpg", "--json")
    assert [one["name"] for one in json.loads(done.out)["models"]] == list(LOOKS)
    assert (tmp_path / "looks.jpg").is_file()


def test_bright_opens_shadows_without_their_noise(fuser) -> None:  # type: ignore[no-untyped-def]
    import cv2

    rng = np.random.default_rng(3)
    steps = np.repeat(np.repeat(rng.uniform(0.002, 0.03, (6, 8)), 20, axis=0), 20, axis=1)
    light = np.repeat(steps[..., None], 3, axis=2)

    def bracket(noisy: bool) -> list[np.ndarray]:
        frames = []
        for gain in (1.0, 4.0, 16.0):
            electrons = 4000 * np.clip(light * gain, 0, 1)
            if noisy:
                electrons = electrons + rng.standard_normal(light.shape) * np.sqrt(electrons + 16)
            frames.append(np.rint(255 * np.clip(electrons / 4000, 0, 1) ** (1 / 2.2)).astype(np.uint8))
        return frames

    noisy, clean = bracket(True), bracket(False)

    def noise_of(look: str) -> tuple[float, float]:
        rough, smooth = (
            fuser.fuse(frames, depth=16, taste=LOOKS[look]).mean(2) / 257 for frames in (noisy, clean)
        )
        ripples = (rough - smooth) - cv2.blur(rough - smooth, (9, 9))
        return float(ripples.std()), float(smooth.mean())

    (natural, dark), (bright, opened) = noise_of("natural"), noise_of("bright")
    assert opened > dark
    assert bright < 0.96 * natural
