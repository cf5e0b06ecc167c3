"""Alignment: known motions are found whatever the exposure, and still frames stay exactly as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mefcli.bench.motion_cases import Case, expose, make_case
from mefcli.errors import AlignmentError
from mefcli.job import Job
from mefcli.motion import estimate
from mefcli.motion.fill import fill_missing
from mefcli.motion.geometry import common_box, distance, grid, rigid
from mefcli.motion.reduced import reduce, seen_by
from mefcli.motion.warp import warp
from mefcli.pipeline.align import align as align_stack
from mefcli.values import Alignment, Bracket, Shot, Stack

SIZE = (300, 200)


def scene(size_px: tuple[int, int], seed: int = 5) -> np.ndarray:
    """Radiance over six stops with structure at many scales, (H, W, 3)."""
    import cv2

    rng = np.random.default_rng(seed)
    width, height = size_px
    stops = np.zeros((height, width, 3), np.float32)
    for scale in (48, 20, 8, 4):
        noise = rng.standard_normal((height // scale + 3, width // scale + 3, 3)).astype(np.float32)
        stops += cv2.resize(noise, size_px, interpolation=cv2.INTER_CUBIC) * (0.35 + scale / 40)
    return np.exp2(np.clip(stops, -4, 4))


def stack_of(frames: list[np.ndarray], reference: int | None = None) -> Stack:
    shots = tuple(Shot(Path(f"IMG_{i}.tif"), "tiff") for i in range(len(frames)))
    middle = len(frames) // 2 if reference is None else reference
    evs = tuple(2.0 * (i - middle) for i in range(len(frames)))
    return Stack(Bracket(shots, evs, middle, "made for a test"), tuple(frames), None)


def align(stack: Stack, **options: Any) -> Stack:
    return align_stack(stack, Job(**{"crop": "common", **options}))


def found(stack: Stack) -> Alignment:
    assert stack.alignment is not None
    return stack.alignment


def case(seed: int = 3, **options: object) -> Case:
    return make_case("test", scene, SIZE, np.random.default_rng(seed), **options)  # type: ignore[arg-type]


def errors_px(stack: Stack, truth: Case) -> list[float]:
    pairs = zip((one.matrix for one in found(stack).placed), truth.matrices, strict=True)
    return [float(np.median(distance(a, b, grid(truth.size_px)))) for a, b in pairs]


@pytest.mark.parametrize("kind", ["shift", "rigid", "homography"])
def test_known_motion_across_three_stops_is_found_to_a_fifth_of_a_pixel(kind: str) -> None:
    known = case(kind=kind, step_ev=3.0)
    done = align(stack_of(list(known.frames)))
    assert max(errors_px(done, known)) < 0.2
    assert all(one.trusted for one in found(done).placed)


def test_auto_takes_the_simplest_model_that_explains_the_motion() -> None:
    for kind in ("shift", "rigid"):
        known = case(kind=kind, step_ev=2.0)
        models = [one.model for one in found(align(stack_of(list(known.frames)))).placed]
        assert models == [kind, "identity", kind]


def test_one_bright_window_in_a_dark_frame_does_not_bend_the_whole_frame() -> None:
    """Highlights bloom, so a window looks larger in the longer exposure; that is no motion of the picture."""
    import cv2

    rng = np.random.default_rng(1)
    radiance = scene(SIZE) * 0.2
    left, top, right, bottom = 40, 40, 110, 100
    grown = cv2.resize(radiance[top:bottom, left:right], None, fx=1.02, fy=1.02)[
        : bottom - top, : right - left
    ]
    dark = np.full_like(radiance, 1e-5)
    dark[top:bottom, left:right] = grown[: bottom - top, : right - left]
    done = align(stack_of([expose(dark, 1.0, rng), expose(radiance, 1.0, rng)], reference=1))
    assert found(done).placed[0].model != "homography"
    matrix = found(done).placed[0].matrix
    assert float(distance(matrix, np.eye(3), grid(SIZE)).max()) < 2.0


def test_detail_in_the_middle_only_still_tells_a_clear_perspective() -> None:
    import cv2

    size = (600, 400)
    rng = np.random.default_rng(2)
    radiance = scene(size) * 0.2
    truth = np.array([[1.004, 0.002, 3.0], [-0.003, 0.998, -2.0], [3e-5, -2e-5, 1.0]])
    moved = cv2.warpPerspective(
        radiance, truth, size, flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT
    )
    dark = np.full_like(moved, 1e-5)
    dark[110:290, 165:435] = moved[110:290, 165:435].clip(1e-5)
    done = align(stack_of([expose(dark, 0.5, rng), expose(radiance, 1.0, rng)], reference=1))
    matrix = found(done).placed[0].matrix
    assert float(np.median(distance(matrix, truth, grid(size)))) < 1.0


def test_a_tripod_bracket_comes_back_as_the_very_same_arrays() -> None:
    rng = np.random.default_rng(1)
    radiance = scene(SIZE) * 0.2
    frames = [expose(radiance, gain, rng) for gain in (0.25, 1.0, 4.0)]
    done = align(stack_of(frames))
    assert all(one is frame for one, frame in zip(done.frames, frames, strict=True))
    assert all(one.kept_identity for one in found(done).placed)


def test_frames_of_a_tripod_are_not_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def searched(*_: object, **__: object) -> None:
        raise AssertionError("a search for what has not moved")

    monkeypatch.setattr(estimate, "_searched", searched)
    rng = np.random.default_rng(1)
    radiance = scene((600, 400)) * 0.2
    done = align(stack_of([expose(radiance, gain, rng) for gain in (0.25, 1.0, 4.0)]))
    assert all(one.kept_identity and one.trusted for one in found(done).placed)


def test_a_fence_that_moved_by_its_own_period_is_not_taken_for_a_tripod_s() -> None:
    import cv2

    rng, period, (width, height) = np.random.default_rng(1), 32, (900, 600)
    fence = np.tile(np.sign(np.sin(2 * np.pi * np.arange(width + period) / period)), (height, 1)) * 0.3 + 0.5
    for _ in range(160):
        corner = (int(rng.integers(width + period)), int(rng.integers(height)))
        cv2.circle(fence, corner, int(rng.integers(5, 30)), float(rng.uniform(0.1, 0.9)), -1)
    light = np.repeat((cv2.GaussianBlur(fence, (0, 0), 1) ** 2.2)[..., None], 3, axis=2).astype(np.float32)
    frames = [expose(light[:, period:] * 0.5, 1.0, rng), expose(light[:, :width], 1.0, rng)]
    done = align(stack_of(frames, reference=1), align="shift")
    assert abs(found(done).placed[0].matrix[0, 2] + period) < 0.1


def shifted(frames: list[np.ndarray], places: list[float]) -> list[np.ndarray]:
    """Each frame of a scene that is wide enough, seen from another place along x."""
    import cv2

    moved = []
    for frame, place in zip(frames, places, strict=True):
        step = np.array([[1, 0, place], [0, 1, 0.0]])
        flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
        moved.append(cv2.warpAffine(frame, step, SIZE, flags=flags, borderMode=cv2.BORDER_REPLICATE))
    return moved


def test_frames_less_than_a_quarter_of_a_pixel_off_keep_their_pixels() -> None:
    rng = np.random.default_rng(1)
    light = [scene((SIZE[0] + 20, SIZE[1])) * 0.2] * 3
    pictures = [
        expose(seen, gain, rng)
        for seen, gain in zip(shifted(light, [10.2, 10.0, 9.6]), (0.25, 1.0, 4.0), strict=True)
    ]
    done = align(stack_of(pictures))
    assert done.frames[0] is not pictures[0]  # cut with the one that moved
    done = align(stack_of(pictures), crop="reference")
    assert done.frames[0] is pictures[0]
    assert found(done).placed[0].moved_px == pytest.approx(0.2, abs=0.04)
    assert not found(done).placed[2].kept_identity


def test_a_kept_frame_does_not_mislead_the_next() -> None:
    """Each 0.2 px from its neighbour: those farther than a quarter from the reference are moved wholly."""
    rng = np.random.default_rng(1)
    light = [scene((SIZE[0] + 20, SIZE[1])) * 0.2] * 4
    places = [10.0, 10.2, 10.4, 10.6]
    gains = (0.5, 1.0, 2.0, 4.0)
    pictures = [expose(one, gain, rng) for one, gain in zip(shifted(light, places), gains, strict=True)]
    placed = found(align(stack_of(pictures, reference=0))).placed
    assert [one.kept_identity for one in placed] == [True, True, False, False]
    assert placed[3].matrix[0, 2] == pytest.approx(-0.6, abs=0.05)


def test_one_shoot_has_one_size() -> None:
    for seed in (3, 4, 5):
        known = case(seed)
        done = align_stack(stack_of(list(known.frames)), Job())
        assert {frame.shape for frame in done.frames} == {known.frames[0].shape}


@pytest.mark.parametrize("seed", [51, 53])
def test_waves_do_not_bend_what_stands_still(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = scene(SIZE, seed), scene(SIZE, seed)
    after[: SIZE[1] * 6 // 10] = scene(SIZE, seed + 100)[: SIZE[1] * 6 // 10]
    frames = [expose(before, 0.12, rng), expose(after, 0.48, rng)]
    done = align(stack_of(frames))
    assert all(one.trusted for one in found(done).placed)
    assert all(one is other for one, other in zip(done.frames, frames, strict=True))


def test_off_leaves_everything_alone() -> None:
    stack = stack_of(list(case(kind="rigid").frames))
    assert align(stack, align="off") is stack


def test_a_frame_of_another_scene_keeps_still_and_is_named() -> None:
    frames = list(case(kind="shift", step_ev=2.0).frames)
    frames[2] = frames[2][::-1, ::-1].copy()
    done = align(stack_of(frames), crop="reference")
    assert done.frames[2] is frames[2]
    assert any("IMG_2.tif" in note for note in done.notes)
    assert not any("IMG_0.tif: not" in note for note in done.notes)


@pytest.mark.parametrize("seed", [0, 22])
def test_what_is_left_of_a_white_frame_agrees_with_nothing_by_chance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = (600, 400)
    other = scene(size, seed + 500)
    white = expose(other, 1 / float(np.percentile(other.max(axis=2), 1.0)), rng)
    done = align(stack_of([expose(scene(size, seed), 0.5, rng), white], reference=0))
    assert done.frames[1] is white
    assert any("IMG_1.tif" in note for note in done.notes)


def test_strict_refuses_a_frame_that_cannot_be_aligned() -> None:
    frames = list(case(kind="shift", step_ev=2.0).frames)
    frames[2] = frames[2][::-1, ::-1].copy()
    with pytest.raises(AlignmentError, match=r"IMG_2\.tif"):
        align(stack_of(frames), strict=True)


def test_sixteen_bits_stay_sixteen_bits() -> None:
    known = case(kind="rigid", step_ev=2.0, depth=16)
    done = align(stack_of(list(known.frames)))
    assert all(frame.dtype == np.uint16 for frame in done.frames)
    assert len(np.unique(done.frames[0])) > 2000


def test_the_common_crop_holds_only_what_every_frame_saw() -> None:
    known = case(kind="rigid", step_ev=2.0)
    done = align(stack_of(list(known.frames)))
    left, top, right, bottom = found(done).box
    assert done.frames[0].shape[:2] == (bottom - top, right - left)
    ys, xs = np.mgrid[top:bottom, left:right]
    points = np.stack([xs.ravel(), ys.ravel()], axis=1).astype(float)
    for one in found(done).placed:
        moved = points @ one.matrix[:, :2].T + one.matrix[:, 2]
        moved = moved[:, :2] / moved[:, 2:]
        assert (moved > -0.01).all()
        assert (moved < np.array(SIZE) - 0.99).all()


def test_the_common_crop_of_a_rotation_keeps_most_of_the_picture() -> None:
    left, top, right, bottom = common_box([rigid(10, -5, 2.0, (600, 400))], (600, 400))
    assert (right - left) * (bottom - top) > 0.85 * 600 * 400


def test_the_reference_crop_keeps_the_size_and_fills_edges_in_the_frame_s_own_brightness() -> None:
    known = case(kind="shift", step_ev=2.0)
    done = align(stack_of(list(known.frames)), crop="reference")
    for frame, original, known_matrix in zip(done.frames, known.frames, known.matrices, strict=True):
        assert frame.shape == original.shape
        truth = scene_as_seen_by(frame, known, done)
        unseen = ~covered(known_matrix)
        if unseen.any():
            assert abs(float(frame[unseen].mean()) - float(truth[unseen].mean())) < 12
            assert np.median(np.abs(frame[unseen].astype(float) - truth[unseen])) < 10
    assert done.frames[1] is known.frames[1]


def test_the_nearest_exposure_that_saw_a_place_fills_it() -> None:
    """Six stops above the reference, its noise would be the bright frame's edge."""
    rng = np.random.default_rng(1)
    radiance = scene((SIZE[0] + 20, SIZE[1])) * 0.2
    frames = [expose(radiance[:, 10:-10], gain, rng) for gain in (0.03, 0.5)]
    frames.append(expose(radiance[:, :-20], 2.0, rng))
    truth = expose(radiance[:, 10:-10], 2.0, rng)
    done = align(stack_of(frames, reference=0), crop="reference")
    assert not found(done).placed[2].kept_identity
    off = np.abs(done.frames[2].astype(float) - truth)[:, -10:]
    assert float(off.mean()) < 3


def test_white_beyond_a_frame_s_edge_is_what_it_is_beside_it() -> None:
    """A wall is white in the longer exposure, and so is the sun, of which there is more."""
    rng = np.random.default_rng(1)
    radiance = scene((SIZE[0] + 20, SIZE[1])) * 0.1
    radiance[:, :70] = 1.5
    radiance[:, 150:] = 12.0
    dark, truth = (expose(radiance[:, cut], 0.2, rng) for cut in (slice(20, None), slice(10, -10)))
    done = align(stack_of([dark, expose(radiance[:, 10:-10], 1.0, rng)], reference=1), crop="reference")
    assert found(done).placed[0].matrix[0, 2] == pytest.approx(-10, abs=0.3)
    off = np.abs(done.frames[0].astype(float) - truth)[:, :8]
    assert float(off.mean()) < 12


def test_a_white_sky_beyond_a_frame_s_edge_has_the_colour_it_has_beside_it() -> None:
    """What is almost white in red is brighter than the sky in the dark frame: red has no leap."""
    rng = np.random.default_rng(1)
    radiance = scene((SIZE[0] + 20, SIZE[1])) * 0.1
    radiance[:, 40:170] = np.linspace(0.9, 1.0, SIZE[1])[:, None, None] * np.float32([1, 0.5, 0.5])
    radiance[:, 170:] = (1.1, 2.5, 4.0)
    lit = radiance.copy()
    lit[:, 40:170, 0] *= 2
    dark, truth = (expose(lit[:, cut], 0.2, rng) for cut in (slice(None, -20), slice(10, -10)))
    done = align(stack_of([dark, expose(radiance[:, 10:-10], 1.0, rng)], reference=1), crop="reference")
    assert found(done).placed[0].matrix[0, 2] == pytest.approx(10, abs=0.3)
    off = (done.frames[0].astype(float) - truth)[:, -8:].mean(axis=(0, 1))
    assert float(np.abs(off).max()) < 8


def test_black_fills_no_edge_with_its_speckle() -> None:
    """Of a dim wall the short exposure holds the first eight levels; the long one's own edge tells more."""
    rng = np.random.default_rng(1)
    radiance = scene((SIZE[0] + 20, SIZE[1]))
    shade = np.geomspace(0.03, 1, SIZE[1])[:, None, None]
    radiance[:, 150:] = np.float32((0.02, 0.014, 0.01)) * shade
    still, right = slice(10, -10), slice(None, -20)
    short, middle, long = (
        expose(radiance[:, cut], gain, rng) for cut, gain in ((still, 0.02), (right, 0.6), (right, 25.0))
    )
    assert short[:, 150:].max() < 8
    matrix, box = rigid(10, 0, 0.0, SIZE), (0, 0, *SIZE)
    frames = [short, warp(middle, matrix, box), warp(long, matrix, box)]
    seen = seen_by(matrix, box, SIZE)
    assert fill_missing(frames, [np.eye(3), matrix, matrix], box, SIZE, reduce(frames, [None, seen, seen]))
    off = np.abs(frames[2].astype(float) - expose(radiance[:, still], 25.0, rng))[:, -8:]
    assert float(off.mean()) < 12  # by the curve alone 32


def covered(matrix: np.ndarray) -> np.ndarray:
    ys, xs = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    points = np.stack([xs.ravel(), ys.ravel()], axis=1) @ matrix[:2, :2].T + matrix[:2, 2]
    inside = ((points >= 0) & (points <= np.array(SIZE) - 1)).all(axis=1)
    return np.asarray(inside.reshape(xs.shape))


def scene_as_seen_by(frame: np.ndarray, known: Case, done: Stack) -> np.ndarray:
    """The reference re-exposed as this frame, from the renderer's own curve."""
    index = next(i for i, one in enumerate(done.frames) if one is frame)
    coded = known.frames[known.reference].astype(np.float64) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear * 2.0 ** known.evs[index], 0, 1)
    return 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_the_uncropped_canvas_holds_every_frame() -> None:
    known = case(kind="shift", step_ev=2.0)
    done = align(stack_of(list(known.frames)), crop="none")
    left, top, right, bottom = found(done).box
    assert left < 0 or top < 0
    assert right - left > SIZE[0]
    assert bottom - top > SIZE[1]
    assert len({frame.shape for frame in done.frames}) == 1


def test_what_one_frame_alone_saw_fills_the_canvas_to_that_frame_s_last_pixel() -> None:
    wide = expose(scene((SIZE[0] + 40, SIZE[1])) * 0.1, 1.0, np.random.default_rng(5), 16)
    right, left = wide[:, 40:], wide[:, :-40]
    done = align(stack_of([right, left], reference=1), align="shift", crop="none")
    x, y, _, _ = found(done).box
    assert (x, y) == (0, pytest.approx(0, abs=1))
    for frame in done.frames:
        whole = frame[-y:][: SIZE[1], : SIZE[0] + 40].astype(float)
        # Both sides, where only one frame has anything, and next to that frame's own edge.
        for columns in (slice(0, 40), slice(1, 4), slice(-40, None), slice(-4, -1)):
            assert np.median(np.abs(whole[:, columns] - wide[:, columns])) < 0.02 * 65535


def test_a_nearly_black_frame_leans_on_its_neighbour() -> None:
    known = case(kind="shift", step_ev=3.0, frames=5)
    done = align(stack_of(list(known.frames)))
    placed = found(done).placed
    assert placed[0].via == 1
    assert max(errors_px(done, known)[1:4]) < 0.2
    for error, one in zip(errors_px(done, known), placed, strict=True):
        assert error < 0.5 or not one.trusted
