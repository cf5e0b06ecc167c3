"""What a card holds for each task: brackets of exposures, focus stacks among the shots that are none, pairs.

Exposures come first, since a pattern of exposures is no accident. What is left and was taken at one exposure
without long pauses is a burst; where the camera records the focus and it goes one way, it is a stack, and
where it stays, it is none. Where nothing is recorded only whoever took it knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mefcli.brackets.discover import one_of_each_pair
from mefcli.brackets.frames import (
    GAP_S,
    HAND_S,
    SAME_EV,
    Frame,
    consecutive,
    in_order,
    parted,
    pause_s,
    streams,
)
from mefcli.brackets.group import Grouping, Leftover, Mode, Thumbnailer, group
from mefcli.brackets.pairs import pairs_of
from mefcli.brackets.stack import one_stack
from mefcli.brackets.thumbnails import Thumbnail, same_scene, thumbnail_of
from mefcli.errors import MefError, UsageError, named
from mefcli.job import RawOrJpeg
from mefcli.values import Bracket, Shot
from mefnets.spec import Task

DRIFT_EV = 0.35  # between neighbours whose recorded focus says that they belong together
SAME_LIGHT_EV = 0.35  # of pictures that record no exposure
COMMAND = f"mef batch {named('task')} focus"


def sorted_for(
    task: Task,
    shots: Sequence[Shot],
    *,
    mode: Mode = "auto",
    gap_s: float | None = None,
    raw_or_jpeg: RawOrJpeg = "raw",
    thumbnail: Thumbnailer | None = thumbnail_of,
) -> Grouping:
    """The card's brackets or its focus stacks; what the other task takes is left over, and says so.

    Visible and infrared pairs are told by their names alone.
    """
    if task == "infrared":
        if mode != "auto" or gap_s is not None:
            raise UsageError(
                "Visible and infrared pictures find each other by their names, not by number or time.",
                "Leave out what is said of groups and gaps.",
            )
        return pairs_of(shots, raw_or_jpeg)
    thumbnail = _once(thumbnail)
    own = mode if task == "exposure" else "auto"
    found = group(shots, mode=own, gap_s=gap_s, raw_or_jpeg=raw_or_jpeg, thumbnail=thumbnail)
    if task == "focus" and mode == "folder":
        found = replace(found, brackets=())
    taken = {id(shot) for bracket in found.brackets for shot in bracket.shots}
    free = one_of_each_pair([shot for shot in shots if not shot.fused], raw_or_jpeg)
    rest = [shot for shot in free if id(shot) not in taken]
    stacks, alone = _stacks(rest, mode if task == "focus" else "auto", gap_s, thumbnail)
    if task == "focus":
        sorted_here = {id(shot) for shot in rest}
        others = [(shot, why) for shot, why in found.leftovers if id(shot) not in sorted_here]
        others += [
            (shot, f"it is one of {len(bracket.shots)} exposures of a bracket, which mef batch takes")
            for bracket in found.brackets
            for shot in bracket.shots
        ]
        return Grouping(tuple(sorted(stacks, key=_when)), (*others, *alone), "focus")
    hints = {id(shot): _hint(stack) for stack in stacks for shot in stack.shots}
    left = [
        (shot, f"{why}; {hints[id(shot)]}" if id(shot) in hints else why) for shot, why in found.leftovers
    ]
    return replace(found, leftovers=tuple(left))


def _once(thumbnail: Thumbnailer | None) -> Thumbnailer | None:
    """Both tasks look at the same pictures."""
    if thumbnail is None:
        return None
    look, seen = thumbnail, dict[int, Thumbnail | None]()

    def remembered(shot: Shot) -> Thumbnail | None:
        if id(shot) not in seen:
            seen[id(shot)] = look(shot)
        return seen[id(shot)]

    return remembered


def focus_recorded(shots: Sequence[Shot]) -> bool:
    """Whether the camera says that it focused at several distances."""
    distances = [shot.focus_m for shot in shots]
    return None not in distances and len(set(distances)) > 1


def _hint(stack: Bracket) -> str:
    count = len(stack.shots)
    if focus_recorded(stack.shots):
        return f"it looks like one of {count} frames of a focus stack, which {COMMAND} takes"
    return f"if it is one of {count} frames of a focus stack, {COMMAND} takes it"


def _when(stack: Bracket) -> tuple[str, str]:
    first = min(stack.shots, key=lambda shot: (str(shot.taken_at or ""), str(shot.path)))
    return str(first.taken_at or ""), str(first.path)


def _stacks(
    shots: Sequence[Shot], mode: Mode, gap_s: float | None, thumbnail: Thumbnailer | None
) -> tuple[list[Bracket], list[Leftover]]:
    frames = [Frame(shot, shot.ev) for shot in shots]
    stacks: list[Bracket] = []
    alone: list[Leftover] = []
    for run in _folders(frames) if mode == "folder" else _runs(frames, gap_s, thumbnail):
        why = _why_none(run, mode)
        if why is None:
            try:
                stack = one_stack([frame.shot for frame in run], measure=mode == "folder")
            except MefError as error:
                why = error.message.rstrip(".")
            else:
                stacks.append(replace(stack, why=f"{_words(run, mode)}; {stack.why}"))
                continue
        alone += [(frame.shot, why) for frame in run]
    return stacks, alone


def _words(run: Sequence[Frame], mode: Mode) -> str:
    if mode == "folder":
        return "the pictures of one folder"
    if run[0].ev is None:
        return "one scene, equally bright, under consecutive names"
    return "taken in a row at one exposure"


def _why_none(run: Sequence[Frame], mode: Mode) -> str | None:
    if len(run) < 2:
        if mode == "folder":
            return "it is alone in its folder"
        if run[0].ev is None:
            return "no exposure is recorded, and neither its name nor its looks join it with others"
        return "a single shot of its exposure"
    if isinstance(mode, int) and len(run) != mode:
        return f"it is one of {len(run)} shots in a row, not of {mode}"
    if len({frame.shot.focus_m for frame in run}) == 1 and run[0].shot.focus_m is not None:
        return f"it is one of {len(run)} shots with one focus distance"
    return None


def _folders(frames: Sequence[Frame]) -> list[list[Frame]]:
    found: dict[object, list[Frame]] = {}
    for frame in frames:
        found.setdefault(frame.shot.path.parent, []).append(frame)
    return [in_order(folder) for folder in found.values()]


def _runs(frames: Sequence[Frame], gap_s: float | None, thumbnail: Thumbnailer | None) -> list[list[Frame]]:
    """Frames in a row that could be one stack, for every stream of the card."""
    runs: list[list[Frame]] = []
    for stream in streams(frames):
        place = len(runs)
        for frame in stream:
            if len(runs) > place and _goes_on(runs[-1], frame, gap_s, thumbnail):
                runs[-1].append(frame)
            else:
                runs.append([frame])
    return runs


def _goes_on(run: Sequence[Frame], frame: Frame, gap_s: float | None, thumbnail: Thumbnailer | None) -> bool:
    last = run[-1]
    if parted(last, frame):
        return False
    way = _way(run, frame)
    if way == "back":
        return False
    pause = pause_s(last, frame)
    if pause is None:
        if not consecutive(last, frame):
            return False
    elif pause > _allowed_s(last, gap_s, on=way == "on"):
        return False
    if last.ev is None or frame.ev is None:
        return _as_bright(last.shot, frame.shot, thumbnail)
    return abs(frame.ev - last.ev) < (DRIFT_EV if way == "on" else SAME_EV)


def _allowed_s(frame: Frame, gap_s: float | None, *, on: bool) -> float:
    """A focus turned by hand takes its time. Clocks that show whole seconds may be wrong by one."""
    longest = gap_s if gap_s is not None else HAND_S if on else GAP_S
    taken = frame.shot.taken_at
    slack = 0.0 if taken is not None and taken.microsecond else 1.0
    return longest + slack + (1.1 * frame.exposure_s if frame.exposure_s >= 1 else 0.0)


def _way(run: Sequence[Frame], frame: Frame) -> str:
    """Whether the recorded focus goes on as before, turns back, or tells nothing."""
    distances = [one.shot.focus_m for one in (*run, frame)]
    known = [distance for distance in distances if distance is not None]
    if len(known) < len(distances):
        return "" if not known else "back"
    step, whole = known[-1] - known[-2], known[-2] - known[0]
    if step * whole < 0:
        return "back"
    return "on" if step or whole else ""


def _as_bright(one: Shot, two: Shot, thumbnail: Thumbnailer | None) -> bool:
    if thumbnail is None:
        return True
    a, b = thumbnail(one), thumbnail(two)
    if a is None or b is None:
        return False
    return abs(a.brightness_ev - b.brightness_ev) < SAME_LIGHT_EV and same_scene(a, b)
