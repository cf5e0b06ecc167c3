"""The classics: Mertens as OpenCV computes it, streamed in strips, and the plain average."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from mefnets import MODELS
from mefnets.classic import mertens
from mefnets.engine.frames import as_floats
from mefnets.engine.fuser import Fuser, build_network
from mefnets.engine.pixels import load_planes


def bracket(height, width, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    scene = cv2.resize(rng.random((9, 11, 3)).astype(np.float32), (width, height))
    scene = scene + rng.normal(0, 0.01, scene.shape)
    white = np.iinfo(dtype).max
    return [np.clip(scene * gain * white, 0, white).astype(dtype) for gain in (0.3, 1.0, 2.5)]


def fuser(name):
    return Fuser(MODELS[name], build_network(MODELS[name]))


def in_double(frames, least):
    """The same fusion, written with OpenCV's pyramids in double precision."""
    frames = [f.astype(np.float64) / np.iinfo(f.dtype).max for f in frames]
    weights = []
    for f in frames:
        grey = f @ np.array([0.299, 0.587, 0.114])
        size = np.abs(cv2.Laplacian(grey, cv2.CV_64F, ksize=1, borderType=cv2.BORDER_REFLECT_101))
        size[size < 1e-14] = 0  # what double precision leaves of a flat
        spread = f.std(-1) * 3**0.5
        spread[spread < 1e-14] = 0
        weights.append(size * spread * np.exp(-((f - 0.5) ** 2).sum(-1) / 0.08) + least)
    total = np.sum(weights, 0)
    fused = None
    depth = min(total.shape).bit_length() - 1
    for f, w in zip(frames, weights, strict=True):
        levels, shares = [f], [w / total]
        for _ in range(depth):
            levels.append(cv2.pyrDown(levels[-1]))
            shares.append(cv2.pyrDown(shares[-1]))
        bands = [a - cv2.pyrUp(b, dstsize=a.shape[1::-1]) for a, b in pairwise(levels)]
        mine = [b * s[..., None] for b, s in zip([*bands, levels[-1]], shares, strict=True)]
        fused = mine if fused is None else [a + b for a, b in zip(fused, mine, strict=True)]
    out = fused[-1]
    for band in fused[-2::-1]:
        out = cv2.pyrUp(out, dstsize=band.shape[1::-1]) + band
    return out.clip(0, 1)


def photographs(dtype=np.uint8, height=240, width=330):
    """A clipped sky over a grey wall, a smooth slope, detail, and the black corners of a lens."""
    rng = np.random.default_rng(4)
    scene = cv2.resize(rng.random((20, 28, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    scene = 0.3 * scene + rng.normal(0, 0.01, scene.shape)
    scene[: height // 3] = (3.0, 3.2, 3.6)
    scene[height // 3 : height // 2, : width // 2] = 0.2
    scene[-height // 4 :] = np.linspace(0.02, 0.5, width)[None, :, None] * np.array([1.0, 0.9, 0.8])
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    scene[np.hypot(down, across) > 1.2] = 0
    white = np.iinfo(dtype).max
    return [(np.clip(scene * gain, 0, 1) * white + 0.5).astype(dtype) for gain in (0.25, 1.0, 4.0)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rounding_does_not_decide_in_clipped_skies_and_black_corners(dtype, threads):
    frames = photographs(dtype)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        fused = fuser("mertens").fuse(frames, depth=32)
    finally:
        torch.set_num_threads(before)
    difference = np.abs(fused - in_double(frames, mertens.LEAST)) * 255
    assert difference.mean() < 0.02
    assert difference.max() < 1


def test_flat_and_grey_weigh_exactly_the_least(monkeypatch):
    monkeypatch.setattr(mertens, "LEAST", 0.0)
    rng = np.random.default_rng(2)
    flat = np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (7, 131, 3))
    assert not mertens.quality(as_floats(flat)).any()
    grey = np.repeat(rng.integers(0, 256, (60, 131, 1), dtype=np.uint8), 3, 2)
    assert not mertens.quality(as_floats(grey)).any()


@pytest.mark.parametrize("size", [(37, 50), (64, 64), (151, 203), (200, 96)])
def test_mertens_equals_opencv_but_for_the_least_weight(size, monkeypatch):
    monkeypatch.setattr(mertens, "LEAST", 1e-12)  # OpenCV's
    frames = bracket(*size)
    expected = cv2.createMergeMertens(1, 1, 1).process([f.astype(np.float32) for f in frames]).clip(0, 1)
    fused = fuser("mertens").fuse(frames, depth=32)
    assert np.abs(fused - expected).max() < 1 / 2550


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_mertens_sees_the_same_scene_in_either_depth(dtype):
    eight = bracket(60, 80)
    frames = eight if dtype == np.uint8 else [f.astype(np.uint16) * 257 for f in eight]
    reference = fuser("mertens").fuse(eight, depth=32)
    # Contrast is near zero in places, so the last bit of a sample moves the weights a little.
    assert np.abs(fuser("mertens").fuse(frames, depth=32) - reference).max() < 1 / 2550


@pytest.mark.parametrize("budget", [None, 100_000, 1])
def test_strips_change_nothing(monkeypatch, budget):
    frames = bracket(203, 97)
    planes = torch.stack([load_planes(f) for f in frames])
    whole = mertens.build()(planes[None])[0].permute(1, 2, 0).numpy()
    monkeypatch.setattr(mertens, "STRIP_PX", 97 * 16)
    out = np.empty_like(whole)
    mertens.build().stream(frames, out, budget)
    assert np.abs(out - whole).max() < 1e-6


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (5, 1)])
@pytest.mark.parametrize("name", ["mertens", "average"])
def test_the_smallest_pictures_fuse(name, size):
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(2)]
    assert fuser(name).fuse(frames).shape == (*size, 3)


def test_average_is_the_mean_to_the_last_level():
    frames = bracket(50, 40, np.uint16)
    expected = np.round(np.mean([f.astype(np.float64) for f in frames], axis=0))
    assert np.abs(fuser("average").fuse(frames).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", ["mertens", "average"])
def test_one_and_two_threads_agree_and_runs_repeat(name):
    frames = bracket(300, 900)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            results.append(fuser(name).fuse(frames))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(results[1], results[2])
    assert np.abs(results[0].astype(int) - results[1]).max() <= 1
