"""Days of photographers whose truth is known: what each kind of day costs, and why."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from pipeline.cards import Card
from pipeline.days import KINDS, SHUTTER_S, Day, Habit, Tally, random_day

from mefcli.brackets.group import group

SEEDS = range(5)
LEAST = {  # of the brackets, in per cent, where not all are found: nothing tells some from single shots
    "many habits": 99,
    "many untold": 96,
    "two cameras": 99,
    "everything": 96,
    "by hand varied": 75,
}
RISING_9 = tuple(float(stop) for stop in range(-4, 5))


def found(card: Card) -> set[frozenset[Path]]:
    return {frozenset(bracket.paths) for bracket in group(card.shots, thumbnail=None).brackets}


def day(**facts: object) -> Day:
    card = Card(random.Random(1), times_s=SHUTTER_S, **facts)  # type: ignore[arg-type]
    return Day(card, marks=False, compensation=0.0, tells_mode=False)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "no brackets"])
def test_brackets_of_a_day_are_found_exactly(kind: str) -> None:
    tally = Tally()
    for seed in SEEDS:
        shots, truth, aborted = random_day(kind, seed)
        tally.count({frozenset(one.paths) for one in group(shots, thumbnail=None).brackets}, truth, aborted)
    assert 100 * tally.right >= LEAST.get(kind, 100) * tally.brackets, tally
    assert tally.wrong <= 0.05 * tally.brackets, tally


def test_a_day_without_brackets_has_few() -> None:
    shots = wrong = 0
    for seed in SEEDS:
        taken, _, _ = random_day("no brackets", seed)
        shots += len(taken)
        wrong += len(group(taken, thumbnail=None).brackets)
    assert wrong < 0.05 * shots


@pytest.mark.parametrize("tells_bias", [True, False])
def test_long_brackets_are_not_cut_into_the_habit_of_the_others(tells_bias: bool) -> None:
    one = day(tells_bias=tells_bias)
    for number in range(20):
        stops = RISING_9 if number % 5 == 4 else (-1.0, 0.0, 1.0)
        one.scene(Habit(stops, (0.1, 0.4)), 1, (1, 2))
    assert found(one.card) == set(one.card.truth)


@pytest.mark.parametrize("stops", [(0.0, -1.0, 1.0), (2.0, 0.0, -2.0)])
def test_dark_frames_between_long_exposures_part_no_bracket(stops: tuple[float, ...]) -> None:
    one = day(tells_bias=False)
    for number in range(6):
        one.bracket(Habit(stops, (0.1, 0.3)), 2.0 ** (number / 3))
        one.card.pause(30, 60)
    assert found(one.card) == set(one.card.truth)


def test_what_comes_again_and_again_needs_no_other_evidence() -> None:
    """Two thirds of a stop, the release pressed for each: one such run is chance, five are a habit."""
    habit = Habit((-2 / 3, 0.0, 2 / 3), (2.0, 2.3))
    for times, brackets in ((1, 0), (5, 5)):
        one = day(tells_bias=False)
        for _ in range(times):
            one.scene(habit, 1, (1, 2))
        assert len(found(one.card) & set(one.card.truth)) == brackets


def test_brackets_back_to_back_in_changing_light_are_not_one_of_twice_the_length() -> None:
    one = day(tells_bias=False)
    falling = Habit(tuple(float(-stop) for stop in range(7)), (0.1, 0.4))
    for _ in range(4):
        for thirds in (0, 2, 1):
            one.bracket(falling, 2.0 ** (thirds / 3 - 3))
            one.card.pause(0.3, 0.8)
        one.card.pause(30, 60)
    assert found(one.card) == set(one.card.truth)


@pytest.mark.parametrize("manual", [True, False, None])
def test_uneven_steps_are_a_bracket_where_no_meter_chose_them(manual: bool | None) -> None:
    one = day()
    one.bracket(Habit((-3.0, 0.0, 4 / 3), (5, 9), by_hand=True), 1 / 30)
    one.card.shots = [replace(shot, manual=manual) for shot in one.card.shots]
    assert len(found(one.card)) == (manual is True)


def test_two_shots_a_stop_apart_are_no_bracket_where_the_meter_chose_them() -> None:
    for manual, brackets in ((False, 0), (None, 1)):
        one = day(manual=manual)
        one.card.shoot(1 / 60)
        one.card.pause(1, 1.5)
        one.card.shoot(1 / 30)
        assert len(found(one.card)) == brackets
