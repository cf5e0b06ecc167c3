"""The two frames of `mef infrared`, by position: the visible one, then the thermal one."""

from __future__ import annotations

from collections.abc import Sequence

from mefcli.errors import MismatchError
from mefcli.values import Bracket, Shot

SAME_SHAPE = 0.02  # relative difference of the ratios of sides


def visible_and_thermal(shots: Sequence[Shot]) -> Bracket:
    """The pair; nothing is sorted, and exposures count for nothing."""
    if len(shots) != 2:
        given = "one picture" if len(shots) == 1 else f"{len(shots)} pictures"
        raise MismatchError(
            f"Visible and infrared are two pictures, and {given} came.",
            "Give the visible one first, then the infrared one.",
        )
    visible, thermal = shots
    if visible.size_px and thermal.size_px:
        check_shapes(visible, visible.size_px, thermal, thermal.size_px)
    return Bracket((visible, thermal), (0.0, 0.0), 0, "visible first, then infrared, as given")


def check_shapes(visible: Shot, one: tuple[int, int], thermal: Shot, two: tuple[int, int]) -> None:
    """One may be larger, but not of another shape: it would not lie over the other."""
    if abs(one[0] * two[1] / (one[1] * two[0]) - 1) > SAME_SHAPE:
        raise MismatchError(
            f"{visible.path.name} has {one[0]}x{one[1]} pixels, {thermal.path.name} {two[0]}x{two[1]}: "
            "they do not lie over each other.",
            "Crop one to what the other shows.",
        )
