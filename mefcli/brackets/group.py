"""Which shots belong together, from names and headers only.

`group` cuts each stream of shots (see frames) into the brackets that are worth most together (see
score), first from general rules, then again with the patterns this card has shown. Pixels are looked
at only for pictures that record no exposure time, and only in small (see thumbnails).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations, pairwise
from typing import Literal

from mefcli.brackets.discover import one_of_each_pair
from mefcli.brackets.frames import (
    GAP_S,
    HAND_S,
    LONGEST,
    PANORAMA_S,
    SAME_EV,
    Frame,
    consecutive,
    folder_key,
    in_order,
    parted,
    pause_s,
    span_s,
    streams,
)
from mefcli.brackets.habits import Habits, Pattern, pattern
from mefcli.brackets.row import RECORDED, UNRECORDED, make_bracket, told_alike
from mefcli.brackets.run import CLEAR_EV
from mefcli.brackets.score import Terms, apart, divide
from mefcli.brackets.thumbnails import Thumbnail, same_scene, thumbnail_of
from mefcli.errors import UsageError, named
from mefcli.job import RawOrJpeg
from mefcli.values import Bracket, Shot
from mefnets.spec import Task

Mode = Literal["auto", "folder"] | int
Thumbnailer = Callable[[Shot], Thumbnail | None]
Leftover = tuple[Shot, str]


@dataclass(frozen=True)
class Grouping:
    brackets: tuple[Bracket, ...]
    leftovers: tuple[Leftover, ...]  # shots without a bracket, and why; parameters are `named`
    task: Task = "exposure"  # what the brackets are for; of focus they are stacks


def group(
    shots: Sequence[Shot],
    *,
    mode: Mode = "auto",
    gap_s: float | None = None,
    raw_or_jpeg: RawOrJpeg = "raw",
    thumbnail: Thumbnailer | None = thumbnail_of,
) -> Grouping:
    """Brackets in the order they were taken.

    `mode`: "auto", "folder" (each folder is one bracket), or the number of frames of each bracket. `gap_s`
    is the longest pause within a bracket; without it 4 s, and 30 s where exposures were plainly set by hand.
    `thumbnail` shows pictures that record no exposure; with None their names alone decide.
    """
    if isinstance(mode, int) and not 2 <= mode <= LONGEST:
        raise UsageError(f"Brackets of {mode} frames are not possible.", f"Choose 2 to {LONGEST}.")
    leftovers: list[Leftover] = [(shot, "it is a fused picture itself") for shot in shots if shot.fused]
    taken = [shot for shot in shots if not shot.fused]
    kept = one_of_each_pair(taken, raw_or_jpeg)
    chosen = {id(shot) for shot in kept}
    leftovers += [
        (shot, f"its {'RAW' if raw_or_jpeg == 'raw' else 'JPEG'} of the same name is used")
        for shot in taken
        if id(shot) not in chosen
    ]
    brackets: list[Bracket] = []
    frames = [Frame(shot, shot.ev) for shot in kept]
    if mode == "folder":
        _by_folder(frames, thumbnail, brackets, leftovers)
    else:
        found = streams(frames)
        count = mode if isinstance(mode, int) else None
        terms = _terms(gap_s, count)
        told = [stream for stream in found if stream[0].ev is not None]
        terms = replace(terms, habits=_habits(told, terms))
        for stream in told:
            _sort_out(stream, divide(stream, _for_clock(stream, terms)), "", brackets, leftovers)
        for stream in found:
            if stream[0].ev is None:
                _by_scene(stream, terms, thumbnail, brackets, leftovers)
    return Grouping(tuple(sorted(brackets, key=_when)), tuple(leftovers))


def series(brackets: Sequence[Bracket]) -> list[list[Bracket]]:
    """Brackets of one panorama or one standpoint: one pattern, one camera, one after the other."""
    runs: list[list[Bracket]] = []
    for bracket in brackets:
        if runs and _goes_on(runs[-1][-1], bracket):
            runs[-1].append(bracket)
        else:
            runs.append([bracket])
    return runs


def _goes_on(one: Bracket, two: Bracket) -> bool:
    a, b = one.shots[0], two.shots[0]
    if (a.camera, a.serial, a.size_px, a.focal_mm) != (b.camera, b.serial, b.size_px, b.focal_mm):
        return False
    if len(one.evs) != len(two.evs) or folder_key(a.path) != folder_key(b.path):
        return False
    if any(abs((x - one.evs[0]) - (y - two.evs[0])) > 0.34 for x, y in zip(one.evs, two.evs, strict=True)):
        return False
    before, after = span_s(one.shots), span_s(two.shots)
    return before is not None and after is not None and -1 <= after[0] - before[1] <= PANORAMA_S


def surely_several(brackets: Sequence[Bracket]) -> bool:
    """A set of exposures that comes again, or a pause that no bracket has.

    One exposure in common is no such set: it may have been taken twice, or two sets of a camera's may have
    been joined to one long bracket.
    """
    for one, two in combinations(brackets, 2):
        common = sum(any(abs((a.ev or 0.0) - (b.ev or 0.0)) < SAME_EV for b in two.shots) for a in one.shots)
        if common >= 2 or _pause_s(one, two) > HAND_S:
            return True
    return False


def _pause_s(one: Bracket, two: Bracket) -> float:
    """Seconds between two brackets; 0 where they overlap or a time is missing."""
    spans = [span_s(bracket.shots) for bracket in (one, two)]
    if None in spans:
        return 0.0
    (_, end), (start, _) = sorted(span for span in spans if span is not None)
    return max(0.0, start - end)


def _terms(gap_s: float | None, count: int | None) -> Terms:
    if gap_s is not None:
        return Terms(gap_s, gap_s, count)
    return Terms(GAP_S, HAND_S if count is None else float("inf"), count)


def _for_clock(stream: Sequence[Frame], terms: Terms) -> Terms:
    """A clock that shows whole seconds may be wrong by almost one at either end of a pause."""
    if any(frame.shot.taken_at and frame.shot.taken_at.microsecond for frame in stream):
        return terms
    return replace(terms, gap_s=terms.gap_s + 1.0, longest_s=terms.longest_s + 1.0)


def _habits(found: Sequence[Sequence[Frame]], terms: Terms) -> Habits:
    """Patterns of the brackets found where nothing is known yet, and of what stands apart between pauses."""
    patterns: list[Pattern] = []
    for stream in found:
        own = _for_clock(stream, terms)
        parts = [part for part in divide(stream, own) if len(part) > 1]
        taken = {id(frame) for part in parts for frame in part}
        alone = [run for run in apart(stream, own) if not any(id(frame) in taken for frame in run)]
        patterns += [pattern(part) for part in (*parts, *alone)]
    return Habits(patterns)


def _sort_out(
    stream: Sequence[Frame],
    parts: Sequence[Sequence[Frame]],
    how: str,
    brackets: list[Bracket],
    leftovers: list[Leftover],
) -> None:
    place = 0
    for part in parts:
        if len(part) > 1:
            brackets.append(_bracket(part, how))
        else:
            leftovers.append((part[0].shot, _why_alone(stream, place)))
        place += len(part)


def _bracket(part: Sequence[Frame], how: str = "") -> Bracket:
    evs = [frame.ev or 0.0 for frame in part]
    shots = [frame.shot for frame in part]
    trouble = RECORDED if all(shot.ev is not None for shot in shots) else UNRECORDED
    notes = told_alike(shots, evs, trouble) if len(set(evs)) > 1 else []
    made = make_bracket(shots, evs, None, how or _words(part), notes)
    return replace(made, measured=trouble == UNRECORDED)


def _words(part: Sequence[Frame]) -> str:
    if all(frame.shot.drive.bracketing for frame in part):
        return "taken in a row, marked as a bracket by the camera"
    pauses = [pause_s(one, two) for one, two in pairwise(part)]
    known = [max(0.0, pause) for pause in pauses if pause is not None]
    if len(known) < len(pauses):
        return "distinct exposures under consecutive names"
    return f"distinct exposures with at most {max(known):.1f} s between them"


def _why_alone(stream: Sequence[Frame], place: int) -> str:
    frame = stream[place]
    reasons, hint = [], ""
    for other, one, two in (
        (place - 1, place - 1, place),
        (place + 1, place, place + 1),
    ):
        if not 0 <= other < len(stream):
            continue
        neighbour = stream[other]
        side = "before" if other < place else "after"
        pause = pause_s(stream[one], stream[two])
        why = parted(stream[one], stream[two])
        if why is None and pause is not None and pause > GAP_S:
            why = f"a pause of {pause:.0f} s"
        apart_ev = abs((frame.ev or 0.0) - (neighbour.ev or 0.0))
        if why is None and apart_ev < SAME_EV:
            why = "a shot of the same exposure"
        if why is None and apart_ev > CLEAR_EV and False in (frame.shot.manual, neighbour.shot.manual):
            # A meter changes its mind as the camera turns; two shots alone do not tell that from a bracket.
            why = f"a shot {apart_ev:.1f} stops apart, as a meter may have it,"
            hint = f"; if they are a bracket of two, take them with {named('group')} 2"
        reasons.append(f"{why or 'a shot that does not form a bracket with it'} {side}")
    return f"a single shot: {', '.join(reasons)}{hint}" if reasons else "the only shot of its kind here"


def _by_folder(
    frames: Sequence[Frame], thumbnail: Thumbnailer | None, brackets: list[Bracket], leftovers: list[Leftover]
) -> None:
    folders: dict[object, list[Frame]] = {}
    for frame in frames:
        folders.setdefault(frame.shot.path.parent, []).append(frame)
    for folder in folders.values():
        members = in_order(folder)
        if any(frame.ev is None for frame in members) and thumbnail is not None:
            thumbnails = [thumbnail(frame.shot) for frame in members]
            members = [
                replace(frame, ev=seen.brightness_ev if seen else None)
                for frame, seen in zip(members, thumbnails, strict=True)
            ]
        why = _why_no_bracket(members)
        if why:
            leftovers += [(frame.shot, why) for frame in members]
        else:
            brackets.append(_bracket(members, "the pictures of one folder"))


def _why_no_bracket(members: Sequence[Frame]) -> str | None:
    if len(members) < 2:
        return "it is alone in its folder"
    if len({frame.shot.size_px for frame in members}) > 1:
        return "its folder holds pictures of several sizes"
    evs = [frame.ev for frame in members if frame.ev is not None]
    if evs and max(evs) - min(evs) < SAME_EV:
        return "its folder holds pictures of one exposure only"
    if all(frame.shot.ev is not None for frame in members):
        parts = [part for part in divide(members, _for_clock(members, _terms(None, None))) if len(part) > 1]
        if surely_several([_bracket(part) for part in parts]):
            return "its folder holds several brackets"
    return None


def _by_scene(
    stream: Sequence[Frame],
    terms: Terms,
    thumbnail: Thumbnailer | None,
    brackets: list[Bracket],
    leftovers: list[Leftover],
) -> None:
    """Pictures without exposures: runs of names, divided where the scene changes or brightness repeats."""
    thumbnails = [thumbnail(frame.shot) if thumbnail else None for frame in stream]
    runs: list[list[Frame]] = []
    for place, frame in enumerate(stream):
        seen = thumbnails[place]
        seen_frame = replace(frame, ev=seen.brightness_ev if seen else None)
        if runs and _same_run(stream[place - 1], frame, thumbnails[place - 1], seen, terms):
            runs[-1].append(seen_frame)
        else:
            runs.append([seen_frame])
    for run in runs:
        if all(frame.ev is not None for frame in run):
            parts = divide(run, replace(terms, measured=True, habits=Habits()))
            _sort_out(run, parts, "no exposure is recorded; one scene by its looks", brackets, leftovers)
        elif len(run) > 1 and len(run) <= LONGEST and terms.count in (None, len(run)):
            brackets.append(
                _bracket([replace(f, ev=0.0) for f in run], "consecutive names; no exposure is recorded")
            )
        else:
            leftovers += [
                (frame.shot, "no exposure time is recorded, and its name tells nothing") for frame in run
            ]


def _same_run(one: Frame, two: Frame, a: Thumbnail | None, b: Thumbnail | None, terms: Terms) -> bool:
    if parted(one, two):
        return False
    pause = pause_s(one, two)
    if pause is not None and pause > terms.longest_s:
        return False
    if a is None or b is None:
        return a is b and consecutive(one, two)
    return same_scene(a, b)


def _when(bracket: Bracket) -> tuple[str, datetime, str]:
    first = min(bracket.shots, key=lambda shot: (shot.taken_at or datetime.min, shot.path.name))
    return str(folder_key(first.path)), first.taken_at or datetime.min, first.path.name


def parse_mode(text: str) -> Mode:
    """`auto`, `folder` or a number, as typed."""
    if text in ("auto", "folder"):
        return "auto" if text == "auto" else "folder"
    if text.isdecimal() and 2 <= int(text) <= LONGEST:
        return int(text)
    choices = f"Choose auto, folder, or a number from 2 to {LONGEST}."
    raise UsageError(f"{named('group')} cannot be {text!r}.", choices)


__all__ = ["GAP_S", "Grouping", "Mode", "group", "parse_mode", "series"]
