"""Folding focus: what is sharp is taken, and nothing that no frame holds."""

from __future__ import annotations

import numpy as np
import pytest
from stacks import psnr, stack, wall

from mefnets.focus.border import drawn
from mefnets.focus.fold import folded
from mefnets.focus.opinion import WIDE_WEIGHT, leaning_of
from mefnets.focus.sharpness import WIDE_PX, Sharpness


@pytest.mark.parametrize("frames", [2, 5])
def test_each_place_comes_from_the_frame_that_is_sharp_there(frames: int) -> None:
    truth = wall()
    shots = stack(truth, frames)
    fold = folded(shots, Sharpness())
    assert psnr(fold.picture / np.float32(65535), truth) > 33
    assert max(psnr(shot / np.float32(255), truth) for shot in shots) < 26
    middles = [(2 * k + 1) * truth.shape[1] // (2 * frames) for k in range(frames)]
    assert [int(np.median(fold.sharpest[:, x])) for x in middles] == list(range(frames))


def test_sharp_places_keep_the_bits_of_their_frame() -> None:
    truth = wall()
    fold = folded(stack(truth), Sharpness())
    deep = truth.astype(np.uint16) * 257
    half = truth.shape[1] // 2
    assert (fold.picture[:, : half - 30] == deep[:, : half - 30]).all()
    assert (fold.picture[:, half + 30 :] == deep[:, half + 30 :]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_identical_frames_give_themselves_back(dtype: type) -> None:
    frame = wall().astype(dtype) if dtype != np.float32 else wall().astype(np.float32) / 255
    fold = folded([frame] * 4, Sharpness())
    expected = frame.astype(np.uint16) * 257 if dtype == np.uint8 else frame
    assert (fold.picture == expected).all()
    assert (fold.sharpest == 0).all()


def test_no_value_lies_outside_the_frames() -> None:
    shots = [shot.astype(np.uint16) * 257 for shot in stack(wall(), 3)]
    picture = folded(shots, Sharpness()).picture
    assert (picture >= np.min(shots, 0)).all()
    assert (picture <= np.max(shots, 0)).all()


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    shots = stack(wall(), 3)
    whole = folded(shots, Sharpness()).picture
    monkeypatch.setattr("mefnets.focus.fold.STRIP_PX", 180 * 17)
    assert (folded(shots, Sharpness()).picture == whole).all()


def test_where_a_frame_has_no_pixels_of_its_own_it_is_not_taken() -> None:
    from mefnets.focus.fold import Fold, deep

    one, other = stack(wall())
    fold = Fold(Sharpness(), one)

    def left_half(top: int, bottom: int) -> np.ndarray:  # type: ignore[type-arg]
        return np.repeat((np.arange(180) < 90).astype(np.float32)[None], bottom - top, 0)

    fold.add(deep(other), 1, left_half)
    assert (fold.picture[:, 90:] == deep(one)[:, 90:]).all()


def test_a_networks_wish_is_read_as_a_share_of_the_frames() -> None:
    one, other = (shot.astype(np.float32) / 255 for shot in stack(wall()))
    for share in (0.0, 0.3, 1.0):
        told = leaning_of(one, other, one + share * (other - one), WIDE_PX)
        assert np.median(told) == pytest.approx((1 + WIDE_WEIGHT) * (share - 0.5), abs=0.05)
    assert not leaning_of(one, one, other, WIDE_PX).any()


def test_where_a_network_is_torn_its_wider_surroundings_decide() -> None:
    """In a flat place the wish is noise; around it the network follows the second frame."""
    rng = np.random.default_rng(8)
    one, other = (rng.random((60, 60, 3), np.float32) for _ in range(2))
    wish = other.copy()
    other[25:36, 25:36] = one[25:36, 25:36] + 1e-4  # no difference to speak of
    wish[25:36, 25:36] = one[25:36, 25:36]
    assert (leaning_of(one, other, wish, WIDE_PX)[28:33, 28:33] > 0).all()


def leaning_with(islands: dict[tuple[int, int], float], side: int = 18) -> np.ndarray:  # type: ignore[type-arg]
    """Towards the second frame at right, the first at left; squares at these places lean otherwise."""
    leaning = np.where(np.arange(320) < 160, -0.5, 0.5)[None].repeat(200, 0).astype(np.float16)
    for (top, left), value in islands.items():
        leaning[top : top + side, left : left + side] = value
    return leaning


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_what_chance_chose_joins_its_surroundings_and_a_gap_with_something_in_it_stays(kind: str) -> None:
    one, other = (np.full((200, 320, 3), level, kind) for level in (40, 90))
    specks, gaps = [(60, 60), (60, 240)], [(120, 60), (120, 240)]
    unsure = {specks[0]: 0.1, specks[1]: -0.1, gaps[0]: 0.5, gaps[1]: -0.5}
    weight = drawn(one, other, leaning_with(unsure), lambda top, bottom: None, WIDE_PX)
    middles = [float(weight[top + 9, left + 9]) for top, left in specks + gaps]
    assert middles == [0.0, 1.0, 1.0, 0.0]


def test_a_large_place_needs_not_be_sure() -> None:
    one, other = (np.full((200, 320, 3), level, np.uint8) for level in (40, 90))
    weight = drawn(one, other, leaning_with({(60, 60): 0.1}, side=40), lambda top, bottom: None, WIDE_PX)
    assert weight[80, 80] == 1
