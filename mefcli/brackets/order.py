"""The frames of `mef fuse`: one bracket, put in order, or a refusal that shows what the files look like.

Order comes from exposure values given by hand, else from EXIF, else from the measured brightness of small
versions of the pictures. The order of the files on the command line counts for nothing else.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import MismatchError, UsageError
from mefcli.values import Bracket, Pixels, Shot

SAME_EV = 0.1  # closer exposures count as one; cameras step by 0.3 or more
EV_LIMIT = 100.0  # stops; starlight to the sun are forty
PAUSE_S = 30.0  # a longer pause than this, from a full set to the next, means two brackets
MEASURED_SIDE_PX = 256
NAMED = 5  # files, or groups of them, that an error spells out
Grey = NDArray[np.float32]  # (h, w), linear light


def one_bracket(
    shots: Sequence[Shot], evs: Sequence[float] | None = None, reference: str | None = None
) -> Bracket:
    """All shots as one bracket, dark to bright. `evs`, in the order of `shots`, overrules the files."""
    _check_count(shots, evs)
    _check_sizes(shots)
    _check_profiles(shots)
    if evs is not None:
        return make_bracket(shots, evs, reference, "exposure values given by hand")
    _check_cameras(shots)
    known = [shot.ev for shot in shots]
    stops = [ev for ev in known if ev is not None]
    if len(stops) == len(shots):
        _check_one_scene(shots)
        _check_distinct(shots, stops, "have the same exposure")
        return make_bracket(shots, stops, reference, "sorted by EXIF exposure")
    stops = measured_evs(shots)
    _check_distinct(shots, stops, "are equally bright, and their exposure is not recorded")
    without = sum(ev is None for ev in known)
    return make_bracket(
        shots, stops, reference, f"sorted by measured brightness, as {_count(without)} no exposure time"
    )


def make_bracket(shots: Sequence[Shot], evs: Sequence[float], reference: str | None, why: str) -> Bracket:
    order = sorted(range(len(shots)), key=lambda i: (evs[i], shots[i].path.name, str(shots[i].path)))
    ordered = tuple(shots[i] for i in order)
    values = [evs[i] for i in order]
    index = _reference(ordered, values, reference)
    return Bracket(ordered, tuple(round(ev - values[index], 3) for ev in values), index, why)


def _reference(shots: Sequence[Shot], evs: Sequence[float], wanted: str | None) -> int:
    """The frame asked for, else the one without exposure compensation, else the middle one."""
    if wanted is not None:
        names = [shot.path.name for shot in shots]
        if wanted.isdigit() and 1 <= int(wanted) <= len(shots):
            return int(wanted) - 1
        if Path(wanted).name in names:
            return names.index(Path(wanted).name)
        raise UsageError(
            f"There is no frame {wanted!r} to refer to.",
            f"Give a number from 1 (darkest) to {len(shots)}, or one of: {', '.join(names)}.",
        )
    plain = [i for i, shot in enumerate(shots) if shot.bias_ev == 0]
    if len(plain) == 1:
        return plain[0]
    return int(np.argmin([abs(ev - float(np.median(evs))) for ev in evs]))


def measured_evs(shots: Sequence[Shot]) -> list[float]:
    """Exposure in stops as far as the pixels tell, by the median ratio of linear light between neighbours."""
    from mefcli import formats

    lights = [_linear_grey(formats.decode_reduced(shot.path, MEASURED_SIDE_PX).pixels) for shot in shots]
    order = sorted(range(len(lights)), key=lambda i: float(lights[i].mean()))
    evs = [0.0] * len(lights)
    for darker, brighter in pairwise(order):
        evs[brighter] = evs[darker] + _stops_between(lights[darker], lights[brighter])
    return evs


def _linear_grey(pixels: Pixels) -> Grey:
    grey = pixels.astype(np.float32).mean(axis=2)
    grey /= full_scale(pixels)
    linear: Grey = np.clip(grey, 0.0, 1.0) ** np.float32(2.2)
    return linear


def full_scale(pixels: Pixels) -> float:
    return {"uint8": 255.0, "uint16": 65535.0}.get(pixels.dtype.name, 1.0)


def _stops_between(darker: Grey, brighter: Grey) -> float:
    if darker.shape == brighter.shape:
        usable = (darker > 0.003) & (brighter > 0.003) & (darker < 0.85) & (brighter < 0.85)
        if usable.mean() > 0.01:
            return max(0.0, float(np.median(np.log2(brighter[usable] / darker[usable]))))
    return max(0.0, float(np.log2((brighter.mean() + 1e-4) / (darker.mean() + 1e-4))))


def clipped_shares(shot: Shot) -> tuple[float, float]:
    """Percent of the pixels that are black in every channel, and that are white in some channel."""
    from mefcli import formats

    pixels = formats.decode_reduced(shot.path, 2 * MEASURED_SIDE_PX).pixels
    full = full_scale(pixels)
    black = (pixels.max(axis=2) <= 0.008 * full).mean()
    white = (pixels.max(axis=2) >= 0.992 * full).mean()
    return 100.0 * float(black), 100.0 * float(white)


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
        names = ", ".join(shot.path.name for shot in shots)
        raise UsageError(
            f"--ev gives {len(evs)} exposure values for {len(shots)} frames ({names}).",
            "Give one for each, in order.",
        )
    odd = [ev for ev in evs or () if not abs(ev) <= EV_LIMIT]  # a NaN compares as odd too
    if odd:
        raise UsageError(f"{odd[0]} is no exposure value in stops.", "For example --ev -2,0,2.")


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
            f"{_commands(shots, _camera)} With --ev they are fused as given.",
        )


def _check_profiles(shots: Sequence[Shot]) -> None:
    profiles = {shot.icc_name for shot in shots if shot.icc_name and shot.kind != "raw"}
    if len(profiles) > 1:
        raise MismatchError(
            f"These frames have {len(profiles)} colour profiles: {_by(shots, lambda shot: shot.icc_name)}.",
            "Export all frames of the bracket with one profile.",
        )


def _check_one_scene(shots: Sequence[Shot]) -> None:
    """Two brackets under one pattern: a set that ends, a pause or a repeat of its exposures, another set."""
    parts = _split(shots)
    if len(parts) < 2:
        return
    plan = " | ".join(" ".join(shot.path.name for shot in part) for part in parts)
    commands = "; ".join(_fuse_command(part) for part in parts)
    raise MismatchError(
        f"These {len(shots)} files look like {len(parts)} brackets: {plan}.",
        f"Fuse each by itself ({commands}), or all with mef batch; with --ev they are fused as one.",
    )


def _split(shots: Sequence[Shot]) -> list[list[Shot]]:
    """Runs of distinct exposures, in the order they were taken; fewer than two sets of two count as one."""
    if all(shot.taken_at for shot in shots):
        row = sorted(shots, key=lambda shot: (str(shot.path.parent), shot.taken_at, shot.path.name))
    else:
        row = sorted(shots, key=lambda shot: str(shot.path))
    parts: list[list[Shot]] = [[row[0]]]
    for before, shot in pairwise(row):
        repeats = any(abs((shot.ev or 0.0) - (other.ev or 0.0)) < SAME_EV for other in parts[-1])
        if repeats or pause_s(before, shot) > PAUSE_S:
            parts.append([])
        parts[-1].append(shot)
    if any(len(part) < 2 for part in parts):
        return [list(row)]
    return parts


def pause_s(before: Shot, after: Shot) -> float:
    """Seconds from the end of one exposure to the start of the next; 0 where a time is missing."""
    if before.taken_at is None or after.taken_at is None:
        return 0.0
    return (after.taken_at - before.taken_at).total_seconds() - (before.exposure_s or 0.0)


def _check_distinct(shots: Sequence[Shot], evs: Sequence[float], trouble: str) -> None:
    order = sorted(range(len(shots)), key=lambda i: evs[i])
    for one, other in pairwise(order):
        if evs[other] - evs[one] < SAME_EV:
            names = sorted((shots[one].path.name, shots[other].path.name))
            raise MismatchError(
                f"{names[0]} and {names[1]} {trouble}.",
                "Leave one out, or say what they are with --ev (in the order of the files), such as "
                f"--ev {_example(len(shots))}.",
            )


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
    said = [f"{value}: {_some(names)}" for value, names in groups.items()]
    return "; ".join(said[:NAMED]) + (f"; and {len(said) - NAMED} more" if len(said) > NAMED else "")


def _some(names: Sequence[str]) -> str:
    return " ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _commands(shots: Sequence[Shot], fact: Callable[[Shot], object]) -> str:
    groups: dict[object, list[Shot]] = {}
    for shot in shots:
        groups.setdefault(fact(shot), []).append(shot)
    commands = [_fuse_command(part) for part in groups.values() if len(part) > 1]
    return (
        f"Fuse what belongs together: {'; '.join(commands)}."
        if commands
        else "Give the frames of one bracket."
    )


def _fuse_command(shots: Sequence[Shot]) -> str:
    return "mef fuse " + " ".join(shlex.quote(str(shot.path)) for shot in shots)


def _count(without: int) -> str:
    return "one frame records" if without == 1 else f"{without} frames record"
