"""Shots as the grouping sees them: in the order they were taken, the pauses, and what surely parts them.

A card's shots fall into streams: one folder (a camera's numbered folders count as one), one camera, one
picture size. Within a
stream the file names tell the order where the clock agrees with them or was plainly set back, else the clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from mefcli.values import Shot

DCF_FOLDER = re.compile(r"\d{3}[A-Za-z0-9_]{5}")  # 100CANON; after file 9999 comes 101CANON (DCF 2.0)
EPOCH = datetime(1970, 1, 1)
CONTINUOUS = 30  # numbers that may be missing (deleted shots) where the clock was set back
Name = tuple[tuple[str, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Frame:
    shot: Shot
    ev: float | None  # recorded, or measured where the file does not tell

    @cached_property
    def start_s(self) -> float | None:
        taken = self.shot.taken_at
        return (taken.replace(tzinfo=None) - EPOCH).total_seconds() if taken else None

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
    named = sorted(frames, key=lambda frame: (frame.shot.path.parent, natural(frame), str(frame.shot.path)))
    if any(frame.start_s is None for frame in named):
        return named
    back = [(one, two) for one, two in pairwise(named) if _seconds(one, two) < 0]
    set_back = len(back) <= max(2, len(named) // 50) and all(
        0 < _number_step(one, two) <= CONTINUOUS for one, two in back
    )
    if set_back:
        return named
    return sorted(named, key=lambda frame: frame.start_s or 0.0)  # stable: equal seconds stay in name order


def natural(frame: Frame) -> tuple[tuple[int, str], ...]:
    """IMG_9 before IMG_10."""
    parts = re.findall(r"\d+|\D+", frame.shot.path.stem.lower())
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def consecutive(one: Frame, two: Frame) -> bool:
    """Names whose words agree and whose numbers move on by at most one."""
    if one.name[0] != two.name[0] or len(one.name[1]) != len(two.name[1]):
        return False
    steps = [abs(b - a) for a, b in zip(one.name[1], two.name[1], strict=True)]
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
    if a.kind != "raw" and a.icc_name != b.icc_name:
        return "the colour profile changes"
    if one.start_s is not None and two.start_s is not None and two.start_s < one.start_s - 1.5:
        return "the clock was set back"
    if (a.drive.bracketing, b.drive.bracketing) in ((True, False), (False, True)):
        return "the camera switched bracketing"
    before, after = a.drive.sequence_number, b.drive.sequence_number
    if before is not None and after is not None and after < before:
        return "the camera began to count again"
    return None
