"""Deghosting: what moved is shown once, and what stood still keeps every bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from walker import GAINS, Person, scene

from mefcli.bench.motion_cases import expose
from mefcli.job import Job
from mefcli.motion.ghosts import Movement, find_movement, replace_moved
from mefcli.motion.mapping import estimate_curve, floats, mapped, stand_in
from mefcli.motion.reduced import reduce
from mefcli.pipeline.deghost import best_exposed, deghost
from mefcli.values import Bracket, Curve, Shot, Stack

SIZE = (320, 220)
SCALES = (50, 20, 8)
PERSON = Person(middle=120, half=(14, 34), head=76, radius=11)


def bracket(places: tuple[int | None, int | None, int | None], depth: int = 8) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(9)
    radiance = scene(SIZE, SCALES)
    shown = [radiance if x is None else PERSON.stands(radiance, x) for x in places]
    pairs = zip(shown, GAINS, strict=True)
    return tuple(expose(one, gain, rng, depth) for one, gain in pairs)  # type: ignore[arg-type]


def stack_of(frames: tuple[np.ndarray, ...]) -> Stack:
    shots = tuple(Shot(Path(f"IMG_{i}.tif"), "tiff") for i in range(len(frames)))
    return Stack(Bracket(shots, (-2.0, 0.0, 2.0), 1, "made for a test"), frames, None)


AUTO = Job(deghost="auto", reference="2")


def movement(reference: np.ndarray, frame: np.ndarray, strength: int = 5) -> Movement:
    return find_movement(reduce((reference, frame)), 0, 1, strength)


def test_a_walking_person_is_shown_where_the_reference_saw_them_and_nowhere_else() -> None:
    frames = bracket((70, 160, 250))
    truth = bracket((160, 160, 160))
    done = deghost(stack_of(frames), AUTO)
    background = scene(SIZE, SCALES)
    for index in (0, 2):
        moved = (
            np.abs(PERSON.stands(background, 70) - background).max(axis=2)
            + np.abs(PERSON.stands(background, 160) - background).max(axis=2)
            + np.abs(PERSON.stands(background, 250) - background).max(axis=2)
        ) > 0.01
        before = np.abs(frames[index].astype(float) - truth[index])[moved].mean()
        after = np.abs(done.frames[index].astype(float) - truth[index])[moved].mean()
        assert after < 0.25 * before
        assert after < 6


def test_everything_that_stood_still_keeps_its_bits() -> None:
    frames = bracket((70, 160, 250))
    done = deghost(stack_of(frames), AUTO)
    for index in (0, 2):
        changed = (done.frames[index] != frames[index]).any(axis=2)
        assert changed.any()
        assert not changed[:, :20].any()
        assert not changed[:, 300:].any()
        assert not changed[190:].any()
    assert done.frames[1] is frames[1]


def test_a_still_scene_comes_back_as_the_very_same_arrays() -> None:
    frames = bracket((160, 160, 160))
    done = deghost(stack_of(frames), AUTO)
    assert all(one is frame for one, frame in zip(done.frames, frames, strict=True))


def test_half_a_pixel_of_misalignment_is_no_ghost() -> None:
    import cv2

    frames = bracket((160, 160, 160))
    nudge = np.float32([[1, 0, 0.5], [0, 1, 0.5]])
    nudged = cv2.warpAffine(frames[2], nudge, SIZE, borderMode=cv2.BORDER_REPLICATE)
    assert movement(frames[1], nudged).ghost.share < 0.002


def test_sixteen_bit_frames_stay_sixteen_bit() -> None:
    frames = bracket((70, 160, 250), depth=16)
    done = deghost(stack_of(frames), AUTO)
    assert all(frame.dtype == np.uint16 for frame in done.frames)
    assert any(one is not frame for one, frame in zip(done.frames, frames, strict=True))


def test_off_leaves_everything_alone() -> None:
    stack = stack_of(bracket((70, 160, 250)))
    assert deghost(stack, Job(deghost="off")) is stack


def test_more_strength_finds_no_less() -> None:
    frames = bracket((70, 160, 250))
    shares = [movement(frames[1], frames[0], strength).ghost.share for strength in (1, 5, 9)]
    assert shares == sorted(shares)


def test_the_mapping_between_exposures_is_monotone_and_close_to_the_true_curve() -> None:
    frames = [frame.astype(np.float32) / 255 for frame in bracket((160, 160, 160))]
    curve = estimate_curve(frames[1], frames[2])
    assert (np.diff(curve.value, axis=1) >= 0).all()
    assert np.median(np.abs(mapped(curve, frames[1]) - frames[2])) < 0.02


@pytest.mark.parametrize("masked", [False, True])
def test_counting_eight_bit_levels_finds_the_very_curve_of_floats(masked: bool) -> None:
    _, source, target = bracket((160, 160, 160))
    use = np.random.default_rng(3).random(source.shape[:2]) < 0.8 if masked else None
    levels, floating = (
        estimate_curve(one, other, use) for one, other in ((source, target), (floats(source), floats(target)))
    )
    assert np.array_equal(levels.value, floating.value)
    assert np.array_equal(levels.spread, floating.spread)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_frame_is_looked_up_in_its_own_depth_as_in_floats(depth: int) -> None:
    frames = bracket((160, 160, 160), depth=depth)
    curve = estimate_curve(frames[1], frames[2])
    whole = mapped(curve, floats(frames[1]))
    assert np.abs(mapped(curve, frames[1]) - whole).max() < 1e-5
    assert np.array_equal(mapped(curve, frames[1][10:50, 20:90]), mapped(curve, frames[1])[10:50, 20:90])


def test_where_the_reference_is_white_the_surroundings_tell_what_it_was() -> None:
    radiance = scene(SIZE, SCALES)
    radiance[:60] = 60.0  # the sun; most of what is white in the reference
    radiance[60:] *= 0.4
    radiance[85:150, 35:115] = 1.5  # a wall, as white there
    with_mover = radiance.copy()
    with_mover[95:140, 60:90] = 0.02
    rng = np.random.default_rng(6)
    dark, reference, truth = (
        expose(one, gain, rng) for one, gain in ((with_mover, 0.2), (radiance, 1.0), (radiance, 0.2))
    )
    found = movement(reference, dark)
    done = replace_moved(reference, dark, found)
    inside = (slice(97, 138), slice(62, 88))
    assert found.mask[inside].all()
    assert np.abs(done[inside].astype(float) - truth[inside]).mean() < 12
    assert np.abs(mapped(found.curve, reference)[inside] * 255 - truth[inside]).mean() > 60


def test_noise_about_white_does_not_become_speckle_in_a_darker_exposure() -> None:
    rng = np.random.default_rng(2)
    source = np.full((80, 200, 3), 255, np.uint8)
    source[:, :100] = 253 + rng.integers(0, 3, (80, 100, 3))
    places = (np.arange(256) + 0.5) / 256
    curve = np.where(np.arange(256) < 255, places * 0.5, 0.9)  # the last bin holds the sun
    curves = Curve(np.stack([curve] * 3), np.full((3, 256), 0.01))
    whole = (slice(0, 80), slice(0, 200))
    smooth = stand_in(curves, source, *whole)
    assert mapped(curves, source)[:, 10:80].std() > 0.15
    assert smooth[:, 10:80].std() < 0.03
    assert smooth[:, 150:] == pytest.approx(0.9, abs=0.01)
    strips = [stand_in(curves, source, slice(top, top + 40), whole[1]) for top in (0, 40)]
    assert np.concatenate(strips)[:30] == pytest.approx(smooth[:30])


def test_the_reference_is_the_frame_that_shows_most() -> None:
    assert best_exposed(bracket((160, 160, 160))) == 1


def test_debug_pictures_show_mask_and_confidence(tmp_path: Path) -> None:
    deghost(stack_of(bracket((70, 160, 250))), replace(AUTO, debug_dir=str(tmp_path / "debug")))
    names = sorted(path.name for path in (tmp_path / "debug").iterdir())
    assert names == ["IMG_0.confidence.png", "IMG_0.ghosts.png", "IMG_2.confidence.png", "IMG_2.ghosts.png"]


def test_the_outlines_enclose_what_the_mask_covers() -> None:
    import cv2

    frames = bracket((70, 160, 250))
    found = movement(frames[1], frames[0])
    drawn = np.zeros(found.mask.shape, np.uint8)
    cv2.fillPoly(drawn, [np.array(edge, np.int32) for edge in found.ghost.outlines], 1)
    # The scene is smaller than the working size: outlines count in the mask's own pixels, but for rounding.
    assert (drawn.astype(bool) != found.mask).mean() < 0.02
    ghosts = deghost(stack_of(frames), AUTO).ghosts
    assert ghosts is not None
    assert ghosts.frames[0] == found.ghost


def test_fusing_shows_no_double_image() -> None:
    """In the moving region the error is at most 1.2 times that of the reference exposure alone."""
    import cv2

    def fuse(frames: tuple[np.ndarray, ...]) -> np.ndarray:
        return np.asarray(cv2.createMergeMertens().process([np.ascontiguousarray(one) for one in frames]))

    frames = bracket((70, 160, 250))
    truth = fuse(bracket((160, 160, 160)))
    done = deghost(stack_of(frames), AUTO)
    background = scene(SIZE, SCALES)
    moved = np.zeros(SIZE[::-1], bool)
    for x in (70, 160, 250):
        moved |= np.abs(PERSON.stands(background, x) - background).max(axis=2) > 0.01
    reference = frames[1].astype(np.float32) / 255
    alone = tuple(
        frames[1]
        if i == 1
        else (mapped(estimate_curve(reference, _unit(frames[i])), frames[1]) * 255).astype(np.uint8)
        for i in range(3)
    )
    error = np.abs(fuse(done.frames) - truth)[moved].mean()
    assert error <= 1.2 * np.abs(fuse(alone) - truth)[moved].mean()
    assert error < 0.35 * np.abs(fuse(frames) - truth)[moved].mean()


def _unit(frame: np.ndarray) -> np.ndarray:
    return np.asarray(frame.astype(np.float32) / 255)


def test_what_is_found_out_about_a_bracket_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One reduction of the frames as read and one of the moved ones; one curve for each pair that moved."""
    from mefcli.motion import reduced
    from mefcli.pipeline.align import align

    counts = {"reduced": 0, "curves": 0}
    averaged, estimate = reduced.averaged, reduced.estimate_curve

    def count_reduced(frame: np.ndarray, factor: int) -> np.ndarray:
        counts["reduced"] += 1
        return averaged(frame, factor)

    def count_curves(*given: Any) -> Curve:
        counts["curves"] += 1
        return estimate(*given)

    monkeypatch.setattr(reduced, "averaged", count_reduced)
    monkeypatch.setattr(reduced, "estimate_curve", count_curves)
    frames = bracket((160, 160, 160))
    job = Job(align="flow", crop="reference", deghost="auto", reference="2")
    still = deghost(align(stack_of(frames), job), job)
    assert counts == {"reduced": 3, "curves": 2}
    assert still.frames[1] is frames[1]
