"""Memory cards nobody shot: shots with the facts cameras write, and the truth about their brackets.

`write_files` puts a card on the disk: JPEGs of a few pixels with the EXIF and the maker note a camera writes.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from mefcli.formats import ifd
from mefcli.values import Drive, Shot

ORDERS = {
    "zero first": lambda n: [0, *range(-(n // 2), 0), *range(1, n // 2 + 1)],
    "rising": lambda n: list(range(-(n // 2), n // 2 + 1)),
    "falling": lambda n: list(range(n // 2, -(n // 2) - 1, -1)),
    "to and fro": lambda n: [0, *(sign * k for k in range(1, n // 2 + 1) for sign in (-1, 1))],
}
THIRDS_S = [2.0 ** (third / 3) for third in range(-39, 16)]  # 1/8000 s to 30 s
CAMERA = {"camera": "Canon EOS R6", "serial": "1", "lens": "24-70", "focal_mm": 24.0}
COUNTING_CAMERA = {**CAMERA, "camera": "FUJIFILM X-T4"}  # its notes tell the place within a bracket


@dataclass
class Card:
    """A camera, its clock and its file counter; `truth` fills while shooting."""

    random: random.Random
    folder: Path = Path("DCIM/100CANON")
    shots: list[Shot] = field(default_factory=list)
    truth: list[frozenset[Path]] = field(default_factory=list)
    number: int = 1
    now: datetime = datetime(2024, 5, 1, 9)
    subseconds: bool = True
    tells_bias: bool = True
    tells_drive: bool = False
    manual: bool | None = None  # the exposure is set by hand, and the camera tells
    facts: dict[str, Any] = field(default_factory=lambda: dict(CAMERA))
    times_s: list[float] = field(default_factory=lambda: THIRDS_S)
    word: str = "IMG"

    def shoot(self, exposure_s: float, bias: float = 0.0, drive: Drive | None = None) -> Path:
        exposure_s = min(self.times_s, key=lambda time: abs(time / exposure_s - 1))
        path = self.folder / f"{self.word}_{self.number:04d}.JPG"
        taken = self.now if self.subseconds else self.now.replace(microsecond=0)
        shot = Shot(
            path,
            "jpeg",
            (6000, 4000),
            round(exposure_s, 6),
            8.0,
            100.0,
            bias * self.tells_bias,
            taken,
        )
        drive = drive or Drive(False if self.tells_drive else None)
        self.shots.append(replace(shot, drive=drive, manual=self.manual, **self.facts))
        self.number += 1
        if self.number > 9999:
            self.number = 1
            if self.folder.name[:3].isdecimal():
                self.folder = self.folder.parent / f"{int(self.folder.name[:3]) + 1}CANON"
        self.now += timedelta(seconds=exposure_s)
        return path

    def pause(self, least: float, most: float) -> None:
        self.now += timedelta(seconds=self.random.uniform(least, most))

    def bracket(
        self, count: int, step: float, order: str, middle_s: float, between: tuple[float, float] = (0.1, 0.5)
    ) -> None:
        paths = []
        for place, steps in enumerate(ORDERS[order](count)):
            drive = Drive(True, place + 1, None) if self.tells_drive else None
            paths.append(self.shoot(middle_s * 2.0 ** (steps * step), round(steps * step, 2), drive))
            self.pause(*between)
        self.truth.append(frozenset(paths))


def random_card(seed: int) -> Card:
    """A day out: brackets of one habit, panoramas, snapshots, bursts, a tripod at night, mishaps."""
    rng = random.Random(seed)
    card = Card(rng, subseconds=rng.random() < 0.8, tells_bias=rng.random() < 0.75)
    card.tells_drive = rng.random() < 0.3
    card.facts = dict(COUNTING_CAMERA if card.tells_drive else CAMERA)
    card.number = rng.choice([1, rng.randint(1, 9000), 9990])
    count, step = rng.choice([(3, 1.0), (3, 2.0), (3, 4 / 3), (5, 1.0), (5, 2.0), (7, 1.0), (9, 1.0)])
    order = rng.choice(list(ORDERS))
    for _ in range(rng.randint(3, 9)):
        middle = 2.0 ** rng.uniform(-9, -5)
        kind = rng.choice(
            ["bracket", "bracket", "panorama", "snapshots", "burst", "night", "by hand", "mishap"]
        )
        if kind == "bracket":
            card.bracket(count, step, order, middle)
        elif kind == "panorama":
            for _ in range(rng.randint(2, 6)):
                card.bracket(count, step, order, middle * 2 ** (rng.randint(-1, 1) / 3))
                card.pause(0.8, 5)
        elif kind == "snapshots":
            for _ in range(rng.randint(1, 8)):
                card.shoot(middle * 2 ** (rng.randint(-6, 6) / 3))
                card.pause(2.5, 60)
        elif kind == "burst":
            for _ in range(rng.randint(4, 15)):
                card.shoot(middle)
                card.pause(0.05, 0.15)
        elif kind == "night":
            card.bracket(3, 2.0, order, 7.5, (0.2, 1.0))  # up to 30 s
        elif kind == "by hand":
            bias, drive = card.tells_bias, card.tells_drive
            card.tells_bias = card.tells_drive = False
            card.bracket(5, 2.0, rng.choice(["rising", "falling"]), 1 / 30, (6, 14))
            card.tells_bias, card.tells_drive = bias, drive
        elif rng.random() < 0.5:
            card.now -= timedelta(hours=1)  # winter time
        else:
            card.facts = {**card.facts, "focal_mm": rng.choice([24.0, 35.0, 50.0, 70.0])}
        card.pause(12, 300)
    return card


def write_files(shots: Sequence[Shot], root: Path) -> list[Path]:
    """The shots as files below `root`, in their order."""
    pixels = np.full((4, 6, 3), 128, np.uint8)
    picture = bytes(imagecodecs.jpeg8_encode(pixels))
    written = []
    for shot in shots:
        path = root / shot.path
        path.parent.mkdir(parents=True, exist_ok=True)
        body = b"Exif\0\0" + _exif(shot)
        segment = b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body
        path.write_bytes(picture[:2] + segment + picture[2:])
        written.append(path)
    return written


def _exif(shot: Shot) -> bytes:
    make, _, model = (shot.camera or "").partition(" ")
    stamp = f"{shot.taken_at:%Y:%m:%d %H:%M:%S}"
    exif = {
        0x829A: _ratio(shot.exposure_s),
        0x829D: _ratio(shot.aperture),
        0x8822: ifd.Entry(ifd.SHORT, ({True: 1, False: 3, None: 0}[shot.manual],)),
        0x8827: ifd.Entry(ifd.SHORT, (int(shot.iso or 100),)),
        0x9003: ifd.text_entry(stamp),
        0x9204: _ratio(shot.bias_ev, signed=True),
        0x920A: _ratio(shot.focal_mm),
        0xA431: ifd.text_entry(shot.serial or ""),
        0xA434: ifd.text_entry(shot.lens or ""),
    }
    if shot.taken_at and shot.taken_at.microsecond:
        exif[0x9291] = ifd.text_entry(f"{shot.taken_at.microsecond // 10_000:02d}")
    if shot.drive.bracketing is not None:
        exif[0x927C] = ifd.Entry(ifd.UNDEFINED, _maker_note(shot.drive))
    main = {0x010F: ifd.text_entry(make), 0x0110: ifd.text_entry(model)}
    return ifd.exif_block(main, exif, {})


def _ratio(value: float | None, *, signed: bool = False) -> ifd.Entry:
    part = Fraction(value or 0.0).limit_denominator(10_000)
    kind = ifd.SRATIONAL if signed else ifd.RATIONAL
    return ifd.Entry(kind, ((part.numerator, part.denominator),))


def _maker_note(drive: Drive) -> bytes:
    """Fujifilm's, because its offsets count from itself: AutoBracketing and SequenceNumber."""
    tags = {0x1100: (int(bool(drive.bracketing)),), 0x1101: (drive.sequence_number or 0,)}
    head = b"FUJIFILM" + struct.pack("<I", 12)
    return head + ifd.serialise({tag: ifd.Entry(ifd.SHORT, value) for tag, value in tags.items()}, len(head))
