"""The classic for visible and infrared: strips, warmth, borders."""

from __future__ import annotations

import numpy as np
import pytest
from pairs import THING, thermal, visible

from mefnets.infrared import layered
from mefnets.infrared.compose import beside
from mefnets.infrared.layered import Layered, warmth


def fused(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    out = np.empty_like(one)
    Layered().stream([one, np.repeat(two[..., None], 3, axis=2)], out)
    return out


@pytest.mark.parametrize("held_px", [640, 60])
def test_strips_equal_the_whole(monkeypatch: pytest.MonkeyPatch, held_px: int) -> None:
    """Also where fine scales are streamed."""
    monkeypatch.setattr(layered, "HELD_PX", held_px)
    one, two = visible(301, 223), thermal(301, 223)
    whole = fused(one, two)
    monkeypatch.setattr(layered, "STRIP_PX", 223 * 24)
    assert (fused(one, two) == whole).all()


def test_warm_is_what_stands_out_and_not_a_black_border_s_neighbour() -> None:
    frame = thermal() / np.float32(255)
    share = warmth(frame)
    assert share[THING].mean() > 0.8
    share[THING] = 0
    assert share[:, :90].max() < 0.05
    bordered = frame.copy()
    bordered[:, :12] = 0  # as laying frames over each other leaves them
    assert warmth(bordered)[:, 12:90].max() < 0.05


def test_beside_a_thing_is_its_surroundings_also_within_large_ones() -> None:
    frame = np.full((100, 100), 0.3, np.float32)
    warm = np.zeros_like(frame)
    warm[20:80, 20:80] = 1
    frame[warm > 0] = 0.9
    assert beside(frame, warm)[50, 50] == pytest.approx(0.3, abs=0.03)


def test_a_warm_thing_throws_no_broad_shadow() -> None:
    """Three pixels beside it the wall is what it was."""
    one = np.full((120, 180, 3), 120, np.uint8)
    away = np.ones((120, 180), bool)
    away[THING[0].start - 4 : THING[0].stop + 4, THING[1].start - 4 : THING[1].stop + 4] = False
    found = fused(one, thermal()).astype(int)
    assert found[THING].mean() > 160
    assert np.abs(found - 120)[away].max() <= 10


@pytest.mark.parametrize("level", [20, 120])
def test_a_warm_thing_stands_out_as_in_the_thermal_frame_and_a_warm_street_does_not(level: int) -> None:
    """Whatever the light behind it; a street a little warmer than the rest stays as dark as it was."""
    one = np.full((120, 180, 3), level, np.uint8)
    two = thermal(heat=150)
    two[100:106] += 12
    found = fused(one, two).astype(int)
    assert found[THING].mean() - level == pytest.approx(0.9 * 70, abs=12)
    assert np.abs(found[101:105] - level).max() <= 16


def test_frames_alike_give_themselves_back() -> None:
    grey = np.repeat(thermal()[..., None], 3, axis=2)
    assert np.abs(fused(grey, thermal()).astype(int) - grey).max() <= 1


def test_what_both_frames_show_is_not_black() -> None:
    rng = np.random.default_rng(5)
    texture = np.kron(rng.integers(30, 255, (15, 23)), np.ones((8, 8)))[:, :180].astype(np.uint8)
    one = np.repeat(thermal(background=40)[..., None], 3, axis=2)
    found = fused(one, texture)[..., 0]
    assert (found >= 0.3 * np.minimum(one[..., 0], texture) - 1).all()
