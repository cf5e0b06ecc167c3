"""The frames of `mef focus`: one focus stack, near focus first, or a refusal.

Order comes from the focus distances that the camera recorded, else from the time of the exposures, else from
names: cameras that step the focus by themselves go from near to far.
"""

from __future__ import annotations

from collections.abc import Sequence

from mefcli.brackets.brightness import measured_evs
from mefcli.brackets.frames import Frame, natural
from mefcli.brackets.order import without_results
from mefcli.brackets.row import reference_named
from mefcli.errors import MismatchError, UsageError
from mefcli.formats.spaces import mixed, same_colours
from mefcli.values import Bracket, Shot

MOST = 250  # frames; a place's frame is kept in one byte
MEASURED_EV = 1.5  # likewise where brightness alone tells, which haze and lamps out of focus change
SAME_EV = 0.7  # frames of one exposure differ by less; brightness is evened within


def one_stack(shots: Sequence[Shot], reference: str | None = None, *, measure: bool = True) -> Bracket:
    """All shots as one focus stack; its exposures are told relative to the reference.

    Where none are recorded brightness is measured, unless somebody has done so.
    """
    shots, notes = without_results(shots)
    if not 2 <= len(shots) <= MOST:
        what = "one frame" if len(shots) == 1 else f"{len(shots)} frames"
        raise UsageError(f"A focus stack of {what} cannot be folded.", f"Give 2 to {MOST}.")
    _check_alike(shots)
    evs = [shot.ev for shot in shots]
    known = [ev for ev in evs if ev is not None]
    if len(known) == len(shots) and max(known) - min(known) > SAME_EV:
        raise MismatchError(
            f"These frames differ by {max(known) - min(known):.1f} stops: they are a bracket of exposures.",
            "Use mef fuse.",
        )
    if not known and measure:
        _check_as_bright(shots)
    ordered, why = _near_first(shots)
    index = len(ordered) // 2 if reference is None else reference_named(ordered, reference, "nearest")
    own = ordered[index].ev
    relative = tuple(
        round(shot.ev - own, 3) if shot.ev is not None and own is not None else 0.0 for shot in ordered
    )
    return Bracket(tuple(ordered), relative, index, why, tuple(notes))


def _check_alike(shots: Sequence[Shot]) -> None:
    """One size, one colour space, one camera."""
    first = shots[0]
    for shot in shots[1:]:
        if shot.size_px and first.size_px and shot.size_px != first.size_px:
            sizes = ["{}x{}".format(*one.size_px) for one in (shot, first) if one.size_px]
            raise MismatchError(
                f"{shot.path.name} has {sizes[0]} pixels, {first.path.name} {sizes[1]}.",
                "Frames of one stack have one size.",
            )
        if not same_colours(first, shot):
            raise mixed(first.path, first.icc_name, shot.path, shot.icc_name)
        if shot.camera and first.camera and (shot.camera, shot.serial) != (first.camera, first.serial):
            raise MismatchError(
                f"{shot.path.name} comes from {shot.camera}, {first.path.name} from {first.camera}.",
                "Give the frames of one camera.",
            )


def _check_as_bright(shots: Sequence[Shot]) -> None:
    """A few frames of pictures that record no exposure, by their brightness."""
    few = [shots[index] for index in sorted({0, len(shots) // 2, len(shots) - 1})]
    measured = measured_evs(few)
    spread = max(measured) - min(measured)
    if spread > MEASURED_EV:
        raise MismatchError(
            f"These frames differ by about {spread:.1f} stops: they look like a bracket of exposures.",
            "Use mef fuse.",
        )


def _near_first(shots: Sequence[Shot]) -> tuple[list[Shot], str]:
    named = sorted(shots, key=lambda shot: (natural(Frame(shot, None)), str(shot.path)))
    distances = [shot.focus_m for shot in shots if shot.focus_m is not None]
    if len(distances) == len(shots) and len(set(distances)) > 1:
        return sorted(named, key=lambda shot: shot.focus_m or 0.0), "sorted by recorded focus distance"
    if all(shot.taken_at is not None for shot in shots) and len({shot.taken_at for shot in shots}) > 1:
        timed = sorted(named, key=lambda shot: shot.taken_at.replace(tzinfo=None))  # type: ignore[union-attr]
        return timed, "sorted by time, taken to be near focus first"
    return named, "sorted by name, taken to be near focus first"
