"""Simulated brackets: deterministic, exposed as photographers do, with the truth about motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mefcli.training.camera import SRGB, Camera, random_camera, response_curve
from mefcli.training.exposure import place
from mefcli.training.features import untrained_features
from mefcli.training.lens import Circle
from mefcli.training.loader import batches, to_batch
from mefcli.training.preview import sheet
from mefcli.training.simulator import CIRCLE_EV, Simulator
from mefcli.training.store import Store
from mefcli.training.targets import CANDIDATES, TargetBook
from mefnets.recipe import Data

DATA = Data(crop_px=48, batch=3)


def test_every_response_is_monotone_and_spans_black_to_white() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        curve = random_camera(rng, reduced=True).curve
        assert np.all(np.diff(curve) >= 0)
        assert curve[0] == pytest.approx(0, abs=1e-3)
        assert curve[-1] == pytest.approx(1, abs=1e-3)


def test_a_noise_free_camera_with_srgb_stores_middle_grey_at_118() -> None:
    grey = np.full((4, 4, 3), 0.18, np.float32)
    frame = Camera(SRGB).shoot(grey, 0.0, np.random.default_rng(0))
    assert abs(int(frame[0, 0, 0]) - 118) <= 1


def test_fewer_photons_make_more_noise() -> None:
    grey, rng = np.full((64, 64, 3), 0.05, np.float32), np.random.default_rng(0)
    clean = Camera(SRGB, full_well=1e6).shoot(grey, 0.0, rng).std()
    noisy = Camera(SRGB, full_well=3e3).shoot(grey, 0.0, rng).std()
    assert noisy > 4 * clean


def test_the_same_seed_gives_the_same_batch_and_another_seed_another(store: Store) -> None:
    first, again = Simulator(store, DATA, seed=1).batch(7), Simulator(store, DATA, seed=1).batch(7)
    other = Simulator(store, DATA, seed=2).batch(7)
    assert np.array_equal(first["frames"], again["frames"])
    assert not np.array_equal(first["frames"], other["frames"])


def test_worker_threads_deliver_the_same_batches_in_order(store: Store) -> None:
    simulator = Simulator(store, DATA)
    threaded = batches(simulator, 4, workers=2)
    plain = batches(simulator, 4, workers=0)
    for _ in range(4):
        (step, one), (same, two) = next(threaded), next(plain)
        assert step == same
        assert np.array_equal(one["frames"], two["frames"])


def test_frames_run_from_dark_to_bright_within_the_spread(store: Store) -> None:
    simulator = Simulator(store, Data(crop_px=48, frames=(2, 9), spread_ev=(2.0, 5.0)))
    for index in range(40):
        sample = simulator.sample(index)
        means = sample.frames.mean((1, 2, 3))
        assert np.all(np.diff(means) > -1.0), (index, means)
        assert 1.9 < sample.evs[-1] - sample.evs[0] < 5.1


def test_brackets_are_placed_as_in_real_ones(store: Store) -> None:
    """Without a limit on the spread, the mean of the whole view keeps to the ranges of real brackets."""
    rng = np.random.default_rng(3)
    camera = Camera(SRGB)
    view = store.indices("train", "panorama")[0]
    white = store.thumbs[view]
    for _ in range(50):
        evs = place(camera, white, 2, (0.1, 20.0), 0.0, rng).evs
        dark, bright = (camera.develop(white * np.float32(2.0**ev)).mean() * 255 for ev in evs)
        assert 8 < dark < 110
        assert 110 < bright < 250


def test_short_brackets_can_be_made_more_frequent(store: Store) -> None:
    plain = Simulator(store, Data(frames=(2, 9), crop_px=32))
    fewer = Simulator(store, Data(frames=(2, 9), fewer=3.0, crop_px=32))
    rng = np.random.default_rng(0)
    counts = np.array([fewer._count(rng) for _ in range(2000)])
    assert {2, 9} <= set(counts.tolist()) <= set(range(2, 10))
    assert (counts == 2).mean() == pytest.approx(0.5, abs=0.05)
    assert np.mean([plain._count(rng) for _ in range(2000)]) == pytest.approx(5.5, abs=0.2)


def test_long_brackets_reach_further_where_a_recipe_asks_for_it(store: Store) -> None:
    camera, thumb = Camera(SRGB), store.thumbs[0]

    def spread(frames: int, most_ev: float) -> float:
        found = [
            place(camera, thumb, frames, (1.5, most_ev), 0.0, np.random.default_rng(seed)).evs
            for seed in range(40)
        ]
        return float(np.mean([evs[-1] - evs[0] for evs in found]))

    assert spread(7, 14.0) > spread(7, 10.0) + 0.5
    assert spread(3, 14.0) == pytest.approx(spread(3, 10.0), abs=0.3)


def test_lopsided_pairs_are_all_under_or_all_over(store: Store) -> None:
    simulator = Simulator(store, Data(crop_px=48, lopsided=1.0))
    for index in range(30):
        sample = simulator.sample(index)
        means = sample.frames.mean((1, 2, 3))
        assert means.max() < 140 if sample.kind == "two-under" else means.min() > 110, (index, means)


def test_motion_moves_every_frame_but_the_last_and_marks_the_mover(store: Store) -> None:
    simulator = Simulator(store, Data(crop_px=64, misaligned=1.0, spread_ev=(2.0, 2.0)))
    marked = 0
    for index in range(12):
        moved = simulator.sample(index).moved
        assert moved is not None
        assert not moved[-1].any()
        marked += bool(moved[0].any())
    assert 1 <= marked <= 11


def test_a_batch_becomes_planes_between_0_and_1_with_all_its_parts(store: Store) -> None:
    data = Data(crop_px=48, batch=2, target=True, normals=3, extremes=5)
    simulator = Simulator(store, data, targets=TargetBook(store))
    batch = to_batch(simulator.batch(0), torch.device("cpu"))
    assert batch.frames.shape == (2, 2, 3, 48, 48)
    assert batch.evs.shape == (2, 2)
    assert batch.target is not None
    assert batch.target.shape == (2, 3, 48, 48)
    assert batch.normal is not None
    assert batch.normal.shape == (3, 3, 48, 48)
    assert batch.extreme is not None
    assert batch.extreme.shape == (5, 3, 48, 48)
    for tensor in (batch.frames, batch.target, batch.normal, batch.extreme):
        assert float(tensor.min()) >= 0
        assert float(tensor.max()) <= 1


def test_extremes_are_badly_exposed_and_normals_are_not(store: Store) -> None:
    simulator = Simulator(store, Data(crop_px=48, extremes=8))
    means = simulator.extremes()[:60].mean((1, 2, 3))
    assert np.mean((means < 90) | (means > 165)) > 0.9
    rng = np.random.default_rng(0)
    normal = np.array([simulator.normal(rng).mean() for _ in range(30)])
    assert np.mean((normal > 60) & (normal < 195)) > 0.9


def test_a_target_is_chosen_once_and_shows_the_sampled_scene(store: Store) -> None:
    book = TargetBook(store)
    simulator = Simulator(store, Data(crop_px=64, target=True, spread_ev=(2.0, 3.0)), targets=book)
    sample = simulator.sample(3)
    view = next(i for i, e in enumerate(store.entries) if e.name == sample.scene)
    assert book.method(view) in CANDIDATES
    assert np.array_equal(book.picture(view), TargetBook(store).picture(view))
    assert sample.target is not None
    # The scene's structure: targets and frames of one crop go together, those of another do not.
    frame = sample.frames.mean(0).mean(-1)
    assert np.corrcoef(frame.ravel(), sample.target.mean(-1).ravel())[0, 1] > 0.7


def test_a_response_curve_with_more_contrast_is_darker_below_and_brighter_above_the_middle() -> None:
    flat, steep = (response_curve(0.0, 2.2, 1.0, contrast) for contrast in (0.0, 0.4))
    low, high = np.searchsorted(flat, 0.25), np.searchsorted(flat, 0.75)
    assert steep[low] < flat[low]
    assert steep[high] > flat[high]


def test_a_toe_draws_shadows_to_black_and_leaves_white() -> None:
    plain, drawn = (response_curve(0.0, 2.2, 1.0, 0.0, toe) for toe in (0.0, 0.1))
    at = np.searchsorted(plain, [0.05, 0.1, 0.5])
    assert drawn[at[0]] == pytest.approx(0.05 * 0.2, rel=0.05)
    assert drawn[at[1]] == pytest.approx(0.1 * 0.5, rel=0.05)
    assert drawn[at[2]] == pytest.approx(0.5, abs=0.02)
    assert drawn[-1] == pytest.approx(1.0)


def test_a_fisheye_shows_the_scene_in_a_circle_and_darkness_around() -> None:
    scene = np.ones((90, 120, 3), np.float32)
    circle = Circle(x=0.5, y=0.5, radius=0.3, glow=-3.0, fall=8.0, tint=(1.0, 1.0, 1.0))
    seen = circle.through(scene)
    assert np.all(seen[40:50, 50:70] == 1.0)
    assert seen[45, -1, 0] < seen[45, -12, 0] < 2.0**-3  # beyond the rim the glow falls
    wide = Circle(x=0.5, y=0.5, radius=0.9, glow=-3.0, fall=8.0, tint=(1.0, 1.0, 1.0))
    np.testing.assert_array_equal(wide.through(scene), scene)


def test_fisheye_brackets_are_long_and_have_a_black_surround_in_the_dark_frame(store: Store) -> None:
    simulator = Simulator(store, Data(crop_px=48, spread_ev=(2.0, 4.0), fisheye=1.0))
    dark, spreads = [], []
    for index in range(12):
        sample = simulator.sample(index)
        dark.append(sample.frames[0][:3, :3].mean())
        spreads.append(sample.evs[-1] - sample.evs[0])
    assert np.median(dark) < 10
    assert min(spreads) >= CIRCLE_EV[0] - 1e-6


def test_the_preview_is_one_sheet_of_all_brackets(store: Store) -> None:
    picture = sheet(Simulator(store, DATA), 4, 3, columns=2, height_px=60)
    assert picture.shape == (2 * 76, 2 * (180 + 6), 3)
    assert picture.std() > 20


def test_untrained_features_have_two_taps() -> None:
    shallow, deep = untrained_features().taps(torch.rand(1, 3, 32, 32))
    assert shallow.shape[-1] == 16
    assert deep.shape[-1] == 4


def test_clean_frames_show_what_was_stored_without_its_noise(store: Store) -> None:
    data = replace(DATA, clean=True)
    sample, same = Simulator(store, data).sample(5), Simulator(store, DATA).sample(5)
    assert sample.clean is not None
    assert np.array_equal(sample.frames, same.frames), "asking for more changes nothing else"
    assert sample.clean.shape == sample.frames.shape
    error = np.abs(sample.clean * 255 - sample.frames).mean()
    assert 0 < error < 12


def test_a_lopsided_pair_comes_with_the_bracket_that_should_have_been_taken(store: Store) -> None:
    simulator = Simulator(store, Data(crop_px=48, lopsided=1.0, clean=True))
    wider = 0
    for index in range(20):
        sample = simulator.sample(index)
        assert sample.clean is not None
        stored, clean = sample.frames / 255.0, sample.clean
        wider += bool(np.ptp(clean.mean((1, 2, 3))) > np.ptp(stored.mean((1, 2, 3))))
    assert wider >= 18


def test_clean_frames_of_a_moving_bracket_all_show_the_reference_frame(store: Store) -> None:
    simulator = Simulator(store, Data(crop_px=64, misaligned=1.0, spread_ev=(2.0, 2.0), clean=True))
    closer = 0
    for index in range(8):
        sample = simulator.sample(index)
        assert sample.clean is not None
        dark, bright = sample.clean.mean(-1)
        stored = sample.frames[0].mean(-1)

        def agreement(one: np.ndarray, two: np.ndarray) -> float:
            return float(
                np.corrcoef(np.argsort(np.argsort(one.ravel())), np.argsort(np.argsort(two.ravel())))[0, 1]
            )

        closer += agreement(dark, bright) > agreement(stored, bright)
    assert closer >= 7


def test_windows_lie_inside_their_pictures_and_depend_on_the_step_alone(store: Store) -> None:
    data = Data(crop_px=48, batch=3, windows=4, window_px=20)
    simulator = Simulator(store, data)
    windows = simulator.batch(2)["windows"]
    assert windows.shape == (12, 4)
    assert sorted(set(windows[:, 0])) == [0, 1, 2]
    assert np.all(windows[:, 1:3] >= 0)
    assert np.all(windows[:, 1:3] + windows[:, 3:] <= 48)
    assert np.array_equal(windows, Simulator(store, data).batch(2)["windows"])
    assert not np.array_equal(windows, simulator.batch(3)["windows"])
