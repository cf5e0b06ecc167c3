"""The classics: Mertens as OpenCV computes it, streamed in strips, and the plain average."""

import cv2
import numpy as np
import pytest
import torch

from mefnets import MODELS
from mefnets.classic import mertens
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


@pytest.mark.parametrize("size", [(37, 50), (64, 64), (151, 203), (200, 96)])
def test_mertens_equals_opencv(size):
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
