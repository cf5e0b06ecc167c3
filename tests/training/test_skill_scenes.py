"""The pictures on which `mef reproduce` sees what networks are said to do."""

from __future__ import annotations

import pytest

from mefcli.reproduction import skills
from mefcli.training.store import Store


@pytest.mark.parametrize("kind", ["two-under", "two-over"])
def test_lopsided_pairs_are_both_too_dark_or_too_bright_and_know_the_middle(store: Store, kind: str) -> None:
    pairs = skills.exposed(store, kind, 48)  # type: ignore[arg-type]
    assert pairs
    for pair in pairs:
        low, high = (frame.mean() for frame in pair.frames)
        assert low < high
        assert high < 75 if kind == "two-under" else low > 150
        assert pair.reference is not None
        assert 85 < pair.reference.mean() < 150


def test_pairs_that_moved_have_a_reference_and_come_from_validation_scenes(store: Store) -> None:
    (pair,) = skills.moved(store, 1)
    assert pair.reference is not None
    assert pair.reference.shape == pair.frames[0].shape == (skills.MOVED_PX, skills.MOVED_PX, 3)


def test_other_pictures_are_of_any_two_exposures_or_three_in_order(store: Store) -> None:
    pairs, threes = skills.exposed(store, "ratios", 48), skills.exposed(store, "sequence", 48)
    assert len(pairs) == skills.RATIOS * len(threes)
    assert len({tuple(frame.mean() for frame in pair.frames) for pair in pairs}) == len(pairs)
    assert all(len(pair.frames) == 2 for pair in pairs)
    for three in threes:
        means = [frame.mean() for frame in three.frames]
        assert len(means) == 3
        assert means == sorted(means)
