"""The frames of `mef fuse`: one bracket, put in order, or a refusal that shows the plan of `mef batch`.

Order comes from exposure values given by hand, else from EXIF, else from the measured brightness of small
versions of the pictures. The order of the files on the command line counts for nothing else. Whoever names
files says that they belong together; only what surely is of two brackets is refused.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations

from mefcli.brackets.brightness import measured_evs
from mefcli.brackets.frames import SAME_EV
from mefcli.brackets.group import group, surely_several
from mefcli.brackets.row import NAMED, RECORDED, UNRECORDED, listed, make_bracket, some, told_alike
from mefcli.brackets.sharpness import sharp_in_turn
from mefcli.brackets.thumbnails import Thumbnail, same_scene, thumbnail_of
from mefcli.errors import MismatchError, UsageError, named
from mefcli.formats.spaces import mixed, same_colours
from mefcli.values import Bracket, Shot

RESULT = "_fused"  # at the end of the names that results get
DRIFT_EV = 0.7  # that a focus stack's brightness may drift by
EV_LIMIT = 100.0  # stops; starlight to the sun are forty


def one_bracket(
    shots: Sequence[Shot], evs: Sequence[float] | None = None, reference: str | None = None
) -> Bracket:
    """All shots as one bracket, dark to bright. `evs`, in the order of `shots`, overrules the files.

    Earlier results of this program among the files are left out, as in a batch, unless `evs` counts them.
    """
    notes: list[str] = []
    if evs is None:
        shots, notes = without_results(shots)
    _check_count(shots, evs)
    _check_sizes(shots)
    _check_profiles(shots)
    if evs is not None:
        return make_bracket(shots, evs, reference, "exposure values given by hand")
    _check_cameras(shots)
    known = [shot.ev for shot in shots]
    stops = [ev for ev in known if ev is not None]
    if len(stops) == len(shots):
        _check_one_scene(shots, surely_several)
        notes += _alike(shots, stops, RECORDED)
        return make_bracket(shots, stops, reference, "sorted by EXIF exposure", notes)
    if not stops:
        _check_one_scene(shots, _surely_several_scenes)
    stops = measured_evs(shots)
    notes += _alike(shots, stops, UNRECORDED)
    without = sum(ev is None for ev in known)
    why = f"sorted by measured brightness, as {_count(without)} no exposure time"
    return replace(make_bracket(shots, stops, reference, why, notes), measured=True)


def without_results(shots: Sequence[Shot]) -> tuple[list[Shot], list[str]]:
    """Patterns such as *.jpg take in what an earlier run made of the same frames."""
    sources = [shot for shot in shots if not shot.fused]
    if len(sources) in (0, len(shots)):
        return list(shots), []
    results = [shot.path.name for shot in shots if shot.fused]
    what = "is an earlier result" if len(results) == 1 else "are earlier results"
    return sources, [f"{some(results)} {what} of mef's, and left out."]


def _alike(shots: Sequence[Shot], evs: Sequence[float], trouble: str) -> list[str]:
    """What to tell of frames that are exposed alike; if all are, they are no bracket."""
    order = sorted(range(len(shots)), key=lambda i: evs[i])
    if evs[order[-1]] - evs[order[0]] < SAME_EV:
        if is_stack(shots):
            names = listed([shots[i].path.name for i in order])
            raise MismatchError(
                f"{names} {trouble}. They look like a focus stack.",
                f"Fold it with {_command('focus', shots)}; with {named('ev')} they are fused as exposures.",
            )
        raise MismatchError(
            f"{listed([shots[i].path.name for i in order])} {trouble}.",
            f"A bracket needs two exposures: give others, or say what they are with {named('ev')} (in the "
            f"order of the files), such as {named('ev')} {_example(len(shots))}.",
        )
    notes = told_alike(shots, evs, trouble)
    if evs[order[-1]] - evs[order[0]] < DRIFT_EV and is_stack(shots, measure=trouble == UNRECORDED):
        notes.append("These frames look like a focus stack, which mef focus folds.")
    return notes


def is_stack(shots: Sequence[Shot], *, measure: bool = True) -> bool:
    """Whether equally bright frames are a focus stack, by the recorded focus or by where they are sharp.

    Pixels are looked at only where it may be measured.
    """
    distances = {shot.focus_m for shot in shots}
    if None not in distances and len(distances) == len(shots):
        return True
    return measure and sharp_in_turn(shots)


# ---- refusals ---------------------------------------------------------------------------------------------


def _check_count(shots: Sequence[Shot], evs: Sequence[float] | None) -> None:
    if not shots:
        raise MismatchError("There is nothing to fuse: no pictures given.", "Give two or more exposures.")
    if len(shots) == 1:
        raise MismatchError(
            f"{shots[0].path.name} is one frame; fusion needs at least two.",
            "Give the other exposures of the scene too.",
        )
    if evs is not None and len(evs) != len(shots):
        names = some([shot.path.name for shot in shots])
        raise UsageError(
            f"{named('ev')} gives {len(evs)} exposure values for {len(shots)} frames ({names}).",
            f"Give one for each, in order.{_results_among(shots)}",
        )
    odd = [ev for ev in evs or () if not abs(ev) <= EV_LIMIT]  # a NaN compares as odd too
    if odd:
        raise UsageError(f"{odd[0]} is no exposure value in stops.", f"For example {named('ev')} -2,0,2.")


def _check_sizes(shots: Sequence[Shot]) -> None:
    sizes = {shot.size_px for shot in shots if shot.size_px}
    if len(sizes) > 1:
        raise MismatchError(
            f"These frames have {len(sizes)} sizes: {_by(shots, _size)}.",
            f"Frames of one bracket have one size. {_commands(shots, lambda shot: shot.size_px)}",
        )


def _check_cameras(shots: Sequence[Shot]) -> None:
    cameras = {(shot.camera, shot.serial) for shot in shots if shot.camera}
    if len(cameras) > 1:
        raise MismatchError(
            f"These frames come from {len(cameras)} cameras: {_by(shots, _camera)}.",
            f"{_commands(shots, _camera)} With {named('ev')} they are fused as given.",
        )


def _check_profiles(shots: Sequence[Shot]) -> None:
    for shot in shots[1:]:
        if not same_colours(shots[0], shot):
            raise mixed(shots[0].path, shots[0].icc_name, shot.path, shot.icc_name)


def _check_one_scene(shots: Sequence[Shot], surely_several: Callable[[Sequence[Bracket]], bool]) -> None:
    """Two brackets under one pattern are told as the plan that a batch would follow."""
    found = group(shots)
    if len(found.brackets) < 2 or not surely_several(found.brackets):
        return
    plan = " | ".join(" ".join(sorted(path.name for path in one.paths)) for one in found.brackets)
    alone = [shot.path.name for shot, _ in found.leftovers]
    commands = "; ".join(_fuse_command(sorted(one.shots, key=lambda s: s.path)) for one in found.brackets)
    raise MismatchError(
        f"These {len(shots)} files look like {len(found.brackets)} brackets: {plan}"
        + (f" (and {some(alone)} belonging to none)." if alone else "."),
        f"Fuse each by itself ({commands}), or all with mef batch; with {named('ev')} they are fused as one.",
    )


def _surely_several_scenes(brackets: Sequence[Bracket]) -> bool:
    """Pictures that record nothing: two runs of names, as bright as each other, that show two scenes."""
    scenes = [[seen for shot in one.shots if (seen := thumbnail_of(shot))] for one in brackets]
    return any(
        one and two and _as_bright(one, two) and not any(same_scene(a, b) for a in one for b in two)
        for one, two in combinations(scenes, 2)
    )


def _as_bright(one: Sequence[Thumbnail], two: Sequence[Thumbnail]) -> bool:
    ranges = [[seen.brightness_ev for seen in scene] for scene in (one, two)]
    return max(map(min, ranges)) < min(map(max, ranges))


def _example(count: int) -> str:
    """Exposure values for so many frames, two stops apart; of many only the first."""
    values = [f"{2 * i - (count - 1):+d}" for i in range(count)]
    return ",".join(values if count <= 9 else [*values[:3], "..."])


def _size(shot: Shot) -> str | None:
    return f"{shot.size_px[0]}x{shot.size_px[1]}" if shot.size_px else None


def _camera(shot: Shot) -> str | None:
    return f"{shot.camera} ({shot.serial})" if shot.serial else shot.camera


def _by(shots: Sequence[Shot], fact: Callable[[Shot], str | None]) -> str:
    groups: dict[str, list[str]] = {}
    for shot in shots:
        groups.setdefault(fact(shot) or "unknown", []).append(shot.path.name)
    said = [f"{value}: {some(names)}" for value, names in groups.items()]
    return "; ".join(said[:NAMED]) + (f"; and {len(said) - NAMED} more" if len(said) > NAMED else "")


def _commands(shots: Sequence[Shot], fact: Callable[[Shot], object]) -> str:
    groups: dict[object, list[Shot]] = {}
    for shot in shots:
        groups.setdefault(fact(shot), []).append(shot)
    commands = [_fuse_command(part) for part in groups.values() if len(part) > 1]
    words = (
        f"Fuse what belongs together: {'; '.join(commands)}."
        if commands
        else "Give the frames of one bracket."
    )
    return words + _results_among(shots)


def _results_among(shots: Sequence[Shot]) -> str:
    """Which of them mef made, by what the file says, or by its name where a program took that away."""
    stems = {shot.path.stem for shot in shots}
    told = [shot.path.name for shot in shots if shot.fused]
    by_name = [
        shot.path.name
        for shot in shots
        if not shot.fused and shot.path.stem.endswith(RESULT) and shot.path.stem[: -len(RESULT)] in stems
    ]
    words = ""
    for names, how in ((told, ""), (by_name, ", by the name,")):
        if names:
            what = "is an earlier result" if len(names) == 1 else "are earlier results"
            words += f" {some(names)}{how} {what} of mef's."
    return words


def _fuse_command(shots: Sequence[Shot]) -> str:
    return _command("fuse", shots)


def _command(name: str, shots: Sequence[Shot]) -> str:
    names = (str(shot.path) for shot in shots)
    files = [shlex.quote(f"./{name}" if name.startswith("-") else name) for name in names]  # no option
    return f"mef {name} " + " ".join(files if len(files) <= 4 * NAMED else [*files[:NAMED], "..."])


def _count(without: int) -> str:
    return "one frame records" if without == 1 else f"{without} frames record"
