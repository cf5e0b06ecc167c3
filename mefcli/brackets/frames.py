"""Shots as the grouping sees them: in the order they were taken, the pauses, and what surely parts them.

A card's shots fall into streams: one folder (a camera's numbered folders count as one), one camera, one
picture size. Within a
stream the times tell the order where they are consistent, else, where the clock was set back, the names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path

from mefcli.formats.spaces import same_colours
from mefcli.values import Shot

DCF_FOLDER = re.compile(r"\d{3}[A-Za-z0-9_]{5}")  # 100CANON; after file 9999 comes 101CANON (DCF 2.0)
EPOCH = datetime(1970, 1, 1)
SAME_EV = 0.1  # closer exposures count as one; cameras step by 0.3 or more
# Pauses, from the end of one exposure to the start of the next:
GAP_S = 4.0  # within a bracket
HAND_S = 30.0  # within a bracket whose exposures were plainly set by hand, or whose files somebody named
PANORAMA_S = 30.0  # between the brackets of one panorama
LONGEST = 25  # frames of a bracket
LAST = 9999  # file number of a camera (DCF 2.0); then it counts from 1 again
CONTINUOUS = 30  # numbers that may be missing (deleted shots) where the clock was set back
Name = tuple[tuple[str, ...], tuple[int, ...]]


def start_s(shot: Shot) -> float | None:
    """Seconds by the camera's own clock; any year will do, which a system's time stamps would not bear."""
    return (shot.taken_at.replace(tzinfo=None) - EPOCH).total_seconds() if shot.taken_at else None


def span_s(shots: Sequence[Shot]) -> tuple[float, float] | None:
    """From the start of the first exposure to the end of the last; None where a time is missing."""
    starts = [start for shot in shots if (start := start_s(shot)) is not None]
    if not shots or len(starts) < len(shots):
        return None
    return min(starts), max(s + (shot.exposure_s or 0.0) for s, shot in zip(starts, shots, strict=True))


@dataclass(frozen=True)
class Frame:
    shot: Shot
    ev: float | None  # recorded, or measured where the file does not tell

    @cached_property
    def start_s(self) -> float | None:
        return start_s(self.shot)

    @property
    def exposure_s(self) -> float:
        return self.shot.exposure_s or 0.0

    @cached_property
    def name(self) -> Name:
        """Words and numbers of the file name, apart."""
        parts = re.findall(r"\d+|\D+", self.shot.path.stem.lower())
        words = tuple(part for part in parts if not part.isdecimal())
        return words, tuple(int(part) for part in parts if part.isdecimal())


def streams(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames that could belong together at all, each stream in the order of shooting."""
    found: dict[tuple[object, ...], list[Frame]] = {}
    for frame in frames:
        shot = frame.shot
        key = (folder_key(shot.path), shot.camera, shot.serial, shot.kind, shot.size_px, frame.ev is None)
        found.setdefault(key, []).append(frame)
    return [in_order(stream) for stream in found.values()]


def folder_key(path: Path) -> Path:
    """One key for a card's numbered folders, since a bracket may run from one into the next."""
    folder = path.parent
    return folder.parent / folder.name[3:] if DCF_FOLDER.fullmatch(folder.name) else folder


def in_order(frames: Sequence[Frame]) -> list[Frame]:
    """By time; by name where times are missing, or where the clock was set back in between."""
    named = _counted(
        sorted(frames, key=lambda frame: (frame.shot.path.parent, natural(frame), str(frame.shot.path)))
    )
    if any(frame.start_s is None for frame in named):
        return named
    timed = sorted(named, key=lambda frame: frame.start_s or 0.0)  # stable: equal seconds stay in name order
    back = [(one, two) for one, two in pairwise(named) if _seconds(one, two) < 0]
    set_back = len(back) <= max(2, len(named) // 50) and all(
        0 < _number_step(one, two) <= CONTINUOUS for one, two in back
    )
    return named if set_back and not _consistent(named, timed) else timed


def _consistent(named: Sequence[Frame], timed: Sequence[Frame]) -> bool:
    """Whether names run against times within single brackets only: shots that swap places repeat no exposure.

    After a clock was set back, whole brackets swap places.
    """
    places = {id(frame): place for place, frame in enumerate(timed)}
    block: list[Frame] = []
    furthest = -1
    for place, frame in enumerate(named):
        block.append(frame)
        furthest = max(furthest, places[id(frame)])
        if furthest > place:
            continue
        evs = sorted(frame.ev or 0.0 for frame in block)
        if len(block) > LONGEST or any(b - a < SAME_EV for a, b in pairwise(evs)):
            return False
        block = []
    return True


def _counted(named: Sequence[Frame]) -> list[Frame]:
    """A camera's counter goes from 9999 to 1: the names after the widest gap come first."""
    order: list[Frame] = []
    for _, group in groupby(named, key=lambda frame: (frame.shot.path.parent, frame.name[0])):
        row = list(group)
        numbers = [frame.name[1][-1] if frame.name[1] else 0 for frame in row]
        gaps = [b - a for a, b in pairwise(numbers)]
        rolled = numbers[0] <= CONTINUOUS and LAST - CONTINUOUS < numbers[-1] <= LAST
        turn = gaps.index(max(gaps)) + 1 if rolled and max(gaps) > CONTINUOUS else 0
        order += row[turn:] + row[:turn]
    return order


def natural(frame: Frame) -> tuple[tuple[int, str], ...]:
    """IMG_9 before IMG_10."""
    parts = re.findall(r"\d+|\D+", frame.shot.path.stem.lower())
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def consecutive(one: Frame, two: Frame) -> bool:
    """Names whose words agree and whose numbers move on by at most one, or from 9999 to 1."""
    if one.name[0] != two.name[0] or len(one.name[1]) != len(two.name[1]):
        return False
    steps = [1 if (a, b) == (LAST, 1) else abs(b - a) for a, b in zip(one.name[1], two.name[1], strict=True)]
    return max(steps, default=0) == 1


def _number_step(one: Frame, two: Frame) -> int:
    if one.name[0] != two.name[0] or not one.name[1] or not two.name[1]:
        return 0
    return two.name[1][-1] - one.name[1][-1]


def _seconds(one: Frame, two: Frame) -> float:
    return (two.start_s or 0.0) - (one.start_s or 0.0)


def pause_s(one: Frame, two: Frame) -> float | None:
    """From the end of one exposure to the start of the next; None where a time is missing."""
    if one.start_s is None or two.start_s is None:
        return None
    return two.start_s - one.start_s - one.exposure_s


def parted(one: Frame, two: Frame) -> str | None:
    """Why two shots in a row cannot be of one bracket, or None."""
    a, b = one.shot, two.shot
    if a.kind != b.kind:
        return "the file format changes"
    if a.size_px and b.size_px and a.size_px != b.size_px:
        return "the picture size changes"
    if a.orientation != b.orientation:
        return "the camera was turned"
    if a.lens and b.lens and a.lens != b.lens:
        return "the lens was changed"
    if a.focal_mm and b.focal_mm and abs(a.focal_mm - b.focal_mm) > 0.02 * a.focal_mm:
        return "the lens was zoomed"
    if not same_colours(a, b):
        return "the colour profile changes"
    if one.start_s is not None and two.start_s is not None and two.start_s < one.start_s - 1.5:
        return "the clock was set back"
    if (a.drive.bracketing, b.drive.bracketing) in ((True, False), (False, True)):
        return "the camera switched bracketing"
    before, after = a.drive.sequence_number, b.drive.sequence_number
    if before is not None and after is not None and after < before:
        return "the camera began to count again"
    return None
