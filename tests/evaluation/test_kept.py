"""What is kept of what the frames show: on pictures made by hand, where the answer is counted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mefcli.evaluation.metrics import KEPT_NAMES, MEFB_NAMES, METRICS, Picture, score
from mefcli.evaluation.ranking import Row, mean_ranks, means, to_object
from mefcli.report.lost import BLOWN, CRUSHED, lost_map, lost_section
from tests.evaluation.vector import make_vector


def flat(value: int, size: tuple[int, int] = (80, 100)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def halves(left: np.ndarray | int, right: np.ndarray | int) -> np.ndarray:
    """Left and right half of 80 x 100 pixels."""
    picture = flat(0)
    picture[:, :50], picture[:, 50:] = left, right
    return picture


def kept(fused: np.ndarray, frames: list[np.ndarray]) -> dict[str, float]:
    return score(fused, frames, names=KEPT_NAMES)


def test_a_shadow_that_a_frame_shows_and_the_result_draws_black_is_crushed() -> None:
    dark, bright = halves(2, 60), halves(60, 200)
    black_left = kept(halves(4, 100), [dark, bright])
    # 7 x 7 means mix both halves over three columns on either side; the lost ones are at most three fewer.
    assert black_left["crushed"] == pytest.approx(0.5, abs=0.035)
    assert black_left["blown"] == 0
    assert kept(halves(40, 100), [dark, bright])["crushed"] == 0


def test_what_no_frame_shows_is_not_lost() -> None:
    dark, bright = halves(2, 60), halves(20, 120)  # 20 of 255 is no middle tone
    assert kept(halves(4, 100), [dark, bright])["crushed"] == 0


def test_a_sky_that_a_frame_shows_and_the_result_draws_white_is_blown() -> None:
    scores = kept(halves(100, 254), [halves(20, 180), halves(120, 255)])
    assert scores["blown"] == pytest.approx(0.5, abs=0.035)
    assert scores["crushed"] == 0


def test_colour_is_chroma_over_that_of_the_frames() -> None:
    red = np.array([170, 110, 110], np.uint8)
    frames = [flat(0) + red, flat(0) + red]
    assert kept(flat(0) + red, frames)["colour"] == pytest.approx(1, abs=1e-3)
    assert kept(flat(128), frames)["colour"] == pytest.approx(0, abs=1e-3)
    assert kept(flat(0) + np.array([200, 95, 95], np.uint8), frames)["colour"] > 1.5
    assert kept(flat(128), [flat(100), flat(150)])["colour"] == 1  # nothing in colour


def test_a_ring_that_no_frame_has_is_outside() -> None:
    frames = [flat(100), flat(140)]
    ring = flat(120)
    ring[40, 20:60] = 80  # 40 of 8000 pixels
    assert kept(ring, frames)["outside"] == pytest.approx(40 / 8000)
    near = flat(120)
    near[40, 20:60] = 96  # less than 0.02 below the darkest frame
    assert kept(near, frames)["outside"] == 0
    edge = [halves(20, 200), halves(40, 250)]
    over = halves(30, 225)
    over[:, 48:50] = 225  # within three pixels of an edge all that either side shows is allowed
    assert kept(over, edge)["outside"] == 0


def test_large_pictures_are_looked_at_reduced() -> None:
    frames = [flat(100, (900, 1000)), flat(140, (900, 1000))]
    speckled = flat(120, (900, 1000))
    speckled[::7, ::7] = 60  # single pixels that area averages level out
    assert kept(speckled, frames)["outside"] < 0.2
    shape = lost_map(frames, speckled).shape
    assert shape[0] * shape[1] <= 0.41e6


def test_they_come_with_the_benchmarks_twenty_and_do_not_count_in_its_ranks() -> None:
    dark, bright, fused = (picture[:48, :64] for picture in make_vector())
    scores = score(fused, [dark, bright])
    assert tuple(scores) == (*MEFB_NAMES, *KEPT_NAMES)
    assert set(KEPT_NAMES) <= set(score(fused, [dark, bright, fused]))
    rows = [Row("a", "one", scores), Row("a", "two", score(dark, [dark, bright]))]
    alone = [Row(r.scene, r.method, {n: r.scores[n] for n in MEFB_NAMES}) for r in rows]
    assert mean_ranks(means(rows)) == mean_ranks(means(alone))
    assert to_object(rows)["published_places"] == to_object(alone)["published_places"]
    only_kept = [Row(r.scene, r.method, {n: r.scores[n] for n in KEPT_NAMES}) for r in rows]
    assert not any(math.isnan(rank) for rank in mean_ranks(means(only_kept)).values())


def test_colour_is_better_the_nearer_it_is_to_what_people_like() -> None:
    colour = METRICS["colour"]
    assert colour.key(1.1) < colour.key(1.3)
    assert colour.key(1.1) < colour.key(0.9)
    assert colour.arrow == "→ 1.1"


def test_the_map_paints_what_was_lost_and_nothing_else() -> None:
    frames = [halves(2, 60), halves(60, 200)]
    drawn = lost_map(frames, halves(4, 100))
    blue = (drawn == CRUSHED).all(-1)
    assert blue[:, :46].all()
    assert not blue[:, 54:].any()
    assert (drawn[:, 60] == 100).all()
    orange = (lost_map([halves(20, 180), halves(120, 255)], halves(100, 254)) == BLOWN).all(-1)
    assert orange[:, 54:].all()
    assert not (lost_map(frames, halves(40, 100)) == CRUSHED).all(-1).any()


def test_the_page_tells_and_shows_what_was_lost() -> None:
    frames = [halves(2, 60), halves(60, 200)]
    section = lost_section(frames, [("<one>", halves(4, 100)), ("two", halves(40, 100))])
    assert section.title == "What was lost"
    assert section.body.count('src="data:image/jpeg') == 2
    assert "&lt;one&gt;: crushed 4" in section.body or "&lt;one&gt;: crushed 5" in section.body
    assert "two: crushed 0.00%" in section.body
    assert "<one>" not in section.body


def test_a_picture_is_looked_at_once() -> None:
    picture = Picture(flat(100))
    score(flat(90), [picture, flat(140)], names=["crushed"])
    kept_first = picture.kept["glance"]
    score(flat(91), [picture, flat(140)], names=["outside"])
    assert picture.kept["glance"] is kept_first
