"""What makers hide in their notes: whether a shot is part of a bracket, and ISO, lens or serial.

A maker note is a TIFF directory with a maker's own heading; some count offsets from the EXIF block, some from
the note itself. Tag numbers are facts about the cameras' files, as exiftool's tables document them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

from mefcli.formats.ifd import Buffer, Entry, Tags, TiffReader
from mefcli.values import Drive

MAKER_NOTE = 0x927C


@dataclass(frozen=True)
class MakerFacts:
    drive: Drive = field(default_factory=Drive)
    iso: float | None = None
    lens: str | None = None
    serial: str | None = None
    focus_m: float | None = None  # distance of the focus


class _From:
    """A buffer seen from an offset on, so that a note's own offsets hold."""

    def __init__(self, buffer: Buffer, start: int) -> None:
        self.buffer, self.start = buffer, start

    def __len__(self) -> int:
        return max(0, len(self.buffer) - self.start)

    def __getitem__(self, key: slice) -> bytes:
        start, stop = key.start or 0, key.stop if key.stop is not None else len(self)
        return self.buffer[self.start + start : self.start + stop]


class _NoteReader(TiffReader):
    """Reads directories in a note that has no TIFF header of its own."""

    def __init__(self, buffer: Buffer, order: str) -> None:
        self.buffer, self.order, self.big, self.first = buffer, order, False, 0


def maker_facts(block: Buffer, exif: Tags, make: str) -> MakerFacts:
    """The facts in the note of `exif`, read from the block or file it came from."""
    note = exif.get(MAKER_NOTE)
    if note is None or not isinstance(note.values, bytes) or len(note.values) < 16 or not note.offset:
        return MakerFacts()
    try:
        return _dispatch(block, note.values[:32], note.offset, make.lower())
    except (ValueError, struct.error, IndexError):
        return MakerFacts()


def _dispatch(block: Buffer, head: bytes, at: int, make: str) -> MakerFacts:
    order = TiffReader(block).order
    if head.startswith(b"Nikon\0\2"):
        reader = TiffReader(_From(block, at + 10))
        return _nikon(reader.read(reader.first)[0])
    if head.startswith(b"FUJIFILM"):
        note = _NoteReader(_From(block, at), "<")
        return _fujifilm(note.read(struct.unpack("<I", head[8:12])[0])[0])
    if head.startswith(b"Panasonic\0"):
        return _panasonic(_NoteReader(block, order).read(at + 12)[0])
    if head.startswith((b"OLYMPUS\0", b"OM SYSTEM\0")):
        start = 8 if head.startswith(b"OLYMPUS") else 12
        note = _NoteReader(_From(block, at), "<" if head[start : start + 2] == b"II" else ">")
        return _olympus(note, note.read(start + 4)[0])
    if head.startswith(b"OLYMP\0"):
        note = _NoteReader(block, order)
        return _olympus(note, note.read(at + 8)[0])
    if make.startswith("canon"):
        return canon_facts(_NoteReader(block, order).read(at)[0])
    if make.startswith("sony"):
        skip = 12 if head.startswith((b"SONY DSC ", b"SONY CAM ")) else 0
        return _sony(_NoteReader(block, order).read(at + skip)[0])
    return MakerFacts()


def _number(tags: Tags, tag: int, index: int = 0) -> int | None:
    entry = tags.get(tag)
    if entry is None or entry.count <= index:
        return None
    value = entry.values[index]
    return value if isinstance(value, int) else None


def _text(entry: Entry | None) -> str | None:
    return (entry.text or None) if entry is not None else None


def _place(number: int | None) -> int | None:
    """A 1-based place within a series, where the camera gives a believable one."""
    return number if number is not None and 1 <= number <= 99 else None


def canon_facts(tags: Tags) -> MakerFacts:
    """Canon's note, also as CR3 stores it: a directory of its own."""
    serial = tags.get(0x0C)
    number = serial.integer if serial is not None and not isinstance(serial.values, bytes) else None
    auto_bracket = _number(tags, 0x04, 16)  # ShotInfo: AutoExposureBracketing
    mode = _number(tags, 0x93, 3)  # FileInfo: BracketMode, 1 exposure, 3 ISO
    shot = _number(tags, 0x93, 5)
    bracketing: bool | None = None
    if mode in (1, 3) or auto_bracket in (-1, 0xFFFF, 1, 2, 3):
        bracketing = True
    elif mode is not None or auto_bracket == 0:
        bracketing = False
    place = (_place(shot) if mode in (1, 3) else None) or (
        auto_bracket if auto_bracket in (1, 2, 3) else None
    )
    return MakerFacts(
        Drive(bracketing, place if bracketing else None),
        iso=_canon_iso(tags),
        lens=_text(tags.get(0x95)),
        serial=str(number) if number else None,
        focus_m=_canon_focus_m(tags),
    )


def _canon_focus_m(tags: Tags) -> float | None:
    """ShotInfo has the focus as a range in centimetres, 65535 for infinity."""
    far, near = _number(tags, 0x04, 19), _number(tags, 0x04, 20)
    if not far or near is None or not 0 < far < 65535:
        return None
    return (far + near) / 200


def _canon_iso(tags: Tags) -> float | None:
    chosen = _number(tags, 0x01, 16)  # CameraSettings: CameraISO
    if chosen is not None and chosen & 0x4000 and chosen != 0x7FFF:
        return float(chosen & 0x3FFF)
    named = {16: 50.0, 17: 100.0, 18: 200.0, 19: 400.0, 20: 800.0}
    if chosen in named:
        return named[chosen]
    base, auto = _number(tags, 0x04, 2), _number(tags, 0x04, 1)
    if not base or auto is None or not 0 < base < 1000:
        return None
    auto = auto - 0x10000 if auto > 0x7FFF else auto
    return round(100 / 32 * 2 ** (base / 32) * 2 ** (auto / 32))


def _nikon(tags: Tags) -> MakerFacts:
    mode = _number(tags, 0x89)  # ShootingMode: bit 4 is exposure bracketing
    iso = _number(tags, 0x02, 1) or _number(tags, 0x02, 0)
    serial = (_text(tags.get(0x1D)) or _text(tags.get(0xA0)) or "").removeprefix("NO=").strip()
    return MakerFacts(
        Drive(bool(mode & 0x10) if mode is not None else None),
        iso=float(iso) if iso else None,
        serial=serial or None,
    )


def _sony(tags: Tags) -> MakerFacts:
    release, sequence = _number(tags, 0xB049), _number(tags, 0xB04A)
    bracketing = release == 5 if release is not None and release != 65535 else None
    return MakerFacts(Drive(bracketing, _place(sequence) if bracketing else None))


def _fujifilm(tags: Tags) -> MakerFacts:
    bracket, sequence = _number(tags, 0x1100), _number(tags, 0x1101)
    return MakerFacts(
        Drive(bracket == 1 if bracket is not None else None, _place(sequence) if bracket == 1 else None),
        serial=_text(tags.get(0x10)),
    )


def _panasonic(tags: Tags) -> MakerFacts:
    burst, sequence = _number(tags, 0x2A), _number(tags, 0x2B)
    lengths = {1: 3, 2: 3, 3: 5, 4: 5, 5: 7, 6: 7}  # BracketSettings
    length = lengths.get(_number(tags, 0x45) or 0)
    bracketing = burst == 2 if burst is not None else None
    drive = Drive(bracketing, _place(sequence), length) if bracketing else Drive(bracketing)
    return MakerFacts(drive, lens=_text(tags.get(0x51)), serial=_text(tags.get(0x25)))


def _olympus(reader: TiffReader, tags: Tags) -> MakerFacts:
    settings, equipment = _sub(reader, tags, 0x2020), _sub(reader, tags, 0x2010)
    mode, shot, bits = (_number(settings, 0x0600, index) for index in range(3))  # DriveMode
    facts = MakerFacts(lens=_text(equipment.get(0x0203)), serial=_text(equipment.get(0x0101)))
    if mode is None:
        return facts
    # Newer bodies write mode 5 and say which bracket in bits: 0 exposure, 4 ISO, 5 automatic exposure.
    bracketing = mode in (2, 4) or (mode == 5 and bool((bits or 0) & 0b110001))
    return replace(facts, drive=Drive(bracketing, _place(shot) if bracketing else None))


def _sub(reader: TiffReader, tags: Tags, tag: int) -> Tags:
    entry = tags.get(tag)
    if entry is None:
        return {}
    offset = entry.offset if isinstance(entry.values, bytes) else entry.integer
    return reader.read(offset)[0] if offset else {}
