"""The engine: any toy network, in tiles, guided, folded, in any order, at any depth."""

import numpy as np
import pytest
import torch
from torch import nn

from mefnets.engine import strategies
from mefnets.engine.budget import plan_memory
from mefnets.engine.fuser import Fuser
from mefnets.engine.memory import bytes_per_pixel
from mefnets.engine.tiles import make_grid, mirrored
from mefnets.layers.blocks import GlobalStatistic, InstanceNorm
from mefnets.spec import ModelSpec, Tiling
from mefnets.trouble import DeviceError, FramesError, MefError, ModelError, TooLargeError


class Local(nn.Module):
    """Two 3 x 3 convolutions over the mean and the difference of the frames: reach 2."""

    def __init__(self, channels, norm=False):
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = InstanceNorm(channels) if norm else nn.Identity()
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.runs = 0

    def forward(self, frames):  # (B, N, C, H, W)
        self.runs += 1
        mean = frames.mean(1)
        edge = self.norm(self.first(frames[:, -1] - frames[:, 0]))
        return mean + 0.05 * self.second(edge.tanh())


def spec(colour="luma", sees=2, max_frames=2, **sizes):
    return ModelSpec("toy", "Toy", "none", colour, Tiling(sees, **sizes), max_frames)


def toy(norm=False, **changes):
    made = spec(**{"sees": "means" if norm else 2, **changes})
    network = Local(1 if made.colour == "luma" else 3, norm).requires_grad_(False)
    return Fuser(made, network)


def bracket(count=2, height=120, width=150, dtype=np.uint8, noise=0.02):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width]
    scene = 0.3 + 0.2 * np.sin(x / 17.0) + 0.2 * (y / height)
    scene = scene[..., None] * [1.0, 0.9, 0.7] + rng.normal(0, noise, (height, width, 3))
    white = np.iinfo(dtype).max
    gains = np.geomspace(0.4, 2.0, count)
    return [np.clip(scene * gain * white, 0, white).astype(dtype) for gain in gains]


def worst(a, b):
    return np.abs(a.astype(np.float64) - b).max()


@pytest.mark.parametrize("colour", ["luma", "rgb"])
@pytest.mark.parametrize("changes", [{}, {"multiple": 8}, {"min_size": 40, "multiple": 4}])
def test_tiles_of_a_local_network_equal_the_whole(colour, changes):
    fuser = toy(colour=colour, **changes)
    frames = bracket(height=121, width=147)
    whole = fuser.fuse(frames, resolution="native", depth=32)
    tiled = fuser.fuse(frames, resolution="native", depth=32, tile_px=32)
    assert worst(whole, tiled) < 1e-5


def test_tiles_equal_the_whole_through_a_chain_of_frames():
    fuser = toy()
    frames = bracket(5)
    for strategy in ("sequential", "pairwise"):
        whole = fuser.fuse(frames, resolution="native", depth=32, strategy=strategy)
        tiled = fuser.fuse(frames, resolution="native", depth=32, strategy=strategy, tile_px=40)
        assert worst(whole, tiled) < 1e-5


def test_tiles_replay_the_whole_pictures_statistics():
    fuser = toy(norm=True)
    frames = bracket(3, 200, 260)
    whole = fuser.fuse(frames, resolution="native", depth=32)
    tiled = fuser.fuse(frames, resolution="native", depth=32, tile_px=96)
    assert worst(whole, tiled) < 1e-4
    assert all(not s.kept for s in fuser.network.modules() if isinstance(s, GlobalStatistic))


def test_large_pictures_take_their_statistics_from_a_reduced_one(monkeypatch):
    monkeypatch.setattr("mefnets.engine.fuser.STATISTICS_PX", 20_000)
    fuser = toy(norm=True)
    frames = bracket(2, 200, 260, noise=0.0)
    tiled = fuser.fuse(frames, resolution="native", depth=32, tile_px=96)
    assert "1/2 size" in " ".join(fuser.notes)
    assert worst(tiled, fuser.fuse(frames, resolution="native", depth=32)) < 3 / 255


def test_no_seam_shows_on_a_sky():
    fuser = toy(norm=True)
    sky = [np.linspace(low, low + 60, 256, dtype=np.uint8)[:, None, None] for low in (40, 150)]
    frames = [np.ascontiguousarray(np.broadcast_to(s, (256, 256, 3))) for s in sky]
    fused = fuser.fuse(frames, resolution="native", depth=32, tile_px=96)
    assert np.abs(np.diff(fused[8:-8, 8:-8], axis=1)).max() < 0.5 / 255


def test_memory_decides_the_tiles_and_nothing_else():
    fuser = toy()
    frames = bracket(2, 400, 500)
    roomy, tight = (
        fuser.fuse(frames, resolution="native", depth=32, max_memory_mb=limit) for limit in (8000, 350)
    )
    assert worst(roomy, tight) < 1e-5


def test_a_network_that_sees_the_whole_picture_is_never_cut_and_says_when_it_does_not_fit():
    fuser = toy(sees="whole")
    fuser.network.held_bytes = lambda frames, pixels: 1000 * frames * pixels
    frames = bracket(2, 400, 500)
    whole = fuser.fuse(frames, resolution="native", depth=32, max_memory_mb=8000)
    assert fuser.network.runs == 1
    with pytest.raises(TooLargeError, match=r"sees a picture as a whole.*Use resolution guided"):
        fuser.fuse(frames, resolution="native", max_memory_mb=500)
    tight = fuser.fuse(frames, depth=32, max_memory_mb=500)  # carried up instead, from as much as fits
    assert fuser.network.runs == 2
    assert "judged the frames" in fuser.notes[0]
    assert worst(whole, tight) < 0.1


def test_memory_plan_counts_frames_and_result():
    plan = plan_memory(100_000_000, 3, 1, 2, 2500, 320)
    assert plan.fits
    assert plan.frames_mb + plan.result_mb + plan.left_mb < 2500
    assert not plan_memory(100_000_000, 3, 1, 2, 1000, 320).fits


@pytest.mark.parametrize("colour", ["luma", "rgb"])
def test_guided_is_near_native(colour):
    fuser = toy(colour=colour)
    frames = bracket(3, 240, 300)
    native = fuser.fuse(frames, resolution="native", depth=32)
    carried = fuser.fuse(frames, resolution="guided", working_size_mp=0.018, depth=32)
    assert -10 * np.log10(np.mean((native - carried) ** 2)) > 38
    assert any("150 x 120" in note for note in fuser.notes)


def test_large_pictures_go_guided_and_small_ones_do_not(monkeypatch):
    monkeypatch.setattr("mefnets.engine.sizes.GUIDED_ABOVE_PX", 15_000)
    fuser = toy()
    fuser.fuse(bracket(2, 100, 140))
    assert not fuser.notes
    fuser.fuse(bracket(2, 400, 600), working_size_mp=0.06)
    assert "judged the frames" in fuser.notes[0]


@pytest.mark.parametrize("resolution", ["native", "guided"])
def test_argument_order_never_matters(resolution):
    fuser = toy()
    frames = bracket(4)
    evs = [-2.0, 0.0, 1.0, 3.0]
    shuffle = [2, 0, 3, 1]
    first = fuser.fuse(frames, evs, resolution=resolution, working_size_mp=0.005)
    for given in (evs, None):
        mixed = [given[i] for i in shuffle] if given else None
        again = fuser.fuse([frames[i] for i in shuffle], mixed, resolution=resolution, working_size_mp=0.005)
        assert np.array_equal(first, again)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_identical_frames_come_back_untouched(dtype):
    fuser = toy()
    frame = bracket(1, dtype=dtype)[0]
    depth = 8 if dtype == np.uint8 else 16
    assert np.array_equal(fuser.fuse([frame, frame.copy()], depth=depth), frame)
    assert fuser.network.runs == 0


def test_a_frame_given_twice_adds_nothing():
    fuser = toy()
    dark, bright = bracket(2)
    assert np.array_equal(fuser.fuse([dark, bright, dark.copy()]), fuser.fuse([dark, bright]))


def test_thirty_frames_fuse():
    for strategy in ("sequential", "pairwise"):
        for resolution in ("native", "guided"):
            fused = toy().fuse(
                bracket(30, 40, 50), strategy=strategy, resolution=resolution, working_size_mp=0.0005
            )
            assert fused.std() > 100


@pytest.mark.parametrize("resolution", ["native", "guided"])
def test_sixteen_bits_stay_sixteen_bits(resolution):
    ramp = np.linspace(2000, 60000, 96 * 96).astype(np.uint16).reshape(96, 96, 1).repeat(3, axis=2)
    fused = toy().fuse([ramp // 2, ramp], resolution=resolution, working_size_mp=0.0023)
    assert fused.dtype == np.uint16
    assert len(np.unique(fused)) > 2000


def test_one_frame_is_refused_with_a_hint():
    with pytest.raises(FramesError, match="two or more exposures"):
        toy().fuse(bracket(1))


@pytest.mark.parametrize(
    ("frames", "settings", "words"),
    [
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)], {}, "one size"),
        ([np.zeros((4, 4), np.uint8)] * 2, {}, "arrays of"),
        ([np.zeros((4, 4, 3), np.int64)] * 2, {}, "arrays of"),
        ([np.zeros((4, 4, 3), np.uint8)] * 2, {"depth": 12}, "8, 16 or 32"),
        ([np.zeros((4, 4, 3), np.uint8)] * 2, {"strategy": "magic"}, "sequential"),
    ],
)
def test_unfit_requests_say_what_would_fit(frames, settings, words):
    with pytest.raises(MefError, match=words):
        toy().fuse(frames, **settings)


def test_half_precision_only_where_it_is_safe():
    with pytest.raises(ModelError, match="full precision"):
        Fuser(spec(), Local(1), half=True)


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(DeviceError, match="no device called 'tpu'"):
        Fuser(spec(), Local(1), device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="Use device cpu"):
            Fuser(spec(), Local(1), device="cuda")


def test_a_full_gpu_falls_back_to_smaller_tiles():
    fuser = toy()
    frames = bracket(2, 300, 300)
    expected = fuser.fuse(frames, resolution="native", depth=32)
    forward = fuser.network.forward

    def forward_small(x):
        if x.shape[-1] > 200:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return forward(x)

    fuser.network.forward = forward_small
    assert worst(fuser.fuse(frames, resolution="native", depth=32, max_memory_mb=4000), expected) < 1e-5
    assert "smaller" in " ".join(fuser.notes) or "tiles of" in " ".join(fuser.notes)


@pytest.mark.parametrize("count", [2, 3, 7, 30])
def test_schedules_use_every_frame_once_and_keep_roles(count):
    for steps in (strategies.schedule(count, "sequential"), strategies.schedule(count, "pairwise")):
        used = sorted(index for pair in steps for index in pair)
        assert used == list(range(2 * count - 2))
        assert len(steps) == count - 1
    assert all(under < over for under, over in strategies.pairwise(count)[: count // 2])


def test_one_after_another_goes_from_dark_to_bright():
    """From both ends inwards a middle frame closes the shadows that the brightest one has opened."""
    assert strategies.schedule(4, "sequential") == [(0, 1), (4, 2), (5, 3)]


def test_padding_mirrors_as_often_as_needed():
    assert mirrored(0, 9, 3).tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0]
    assert mirrored(-2, 2, 1).tolist() == [0, 0, 0, 0]


def test_windows_start_on_the_multiples_a_network_asks_for():
    grid = make_grid(500, 700, tile=100, reach=13, multiple=24, min_size=3, fade=0)
    for rows in grid.bands():
        for tile in grid.across(rows):
            assert tile.window_rows[0] % 24 == 0
            assert tile.window_cols[0] % 24 == 0
            assert (tile.window_cols[1] - tile.window_cols[0]) % 24 == 0
            assert (tile.window_rows[1] - tile.window_rows[0]) % 24 == 0


def test_memory_of_a_network_counts_what_functions_hold():
    """Not only what passes through modules: here five planes are alive at a time beside the input's two."""

    class Functions(nn.Module):
        def forward(self, frames):
            planes = [frames[:, 0] * number for number in range(5)]
            return torch.stack(planes).mean(0)

    own = 4 * 4 * 3 * 2
    found = bytes_per_pixel(Functions(), spec(), 2, torch.device("cpu")) - own
    assert 4 * (2 + 5 + 5) <= found / 1.25 <= 4 * (2 + 5 + 5 + 2)
