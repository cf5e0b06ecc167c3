"""TIFF-structured blocks: read tags from any file or EXIF block, and write blocks of our own.

The same structure carries EXIF in JPEG, PNG, HEIF and AVIF, and is the file itself for TIFF, DNG and most
RAW. The reader trusts nothing: offsets, counts and loops are checked, and what cannot be read is left out.
Standard: TIFF 6.0 section 2, EXIF 2.32 section 4.6; BigTIFF as libtiff documents it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
SBYTE, SSHORT, SLONG, SRATIONAL, FLOAT, DOUBLE, IFD, LONG8, IFD8 = 6, 8, 9, 10, 11, 12, 13, 16, 18
SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
CODES = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
MAX_ENTRIES = 4096
MAX_VALUE_BYTES = 16 << 20  # the largest honest values are profiles and packets of a few MB

EXIF_POINTER, GPS_POINTER, INTEROP_POINTER, SUB_IFDS = 0x8769, 0x8825, 0xA005, 0x014A

Scalar = int | float | tuple[int, int]


class Buffer(Protocol):
    """bytes, or a file sliced like them; parts only, never every other byte."""

    def __len__(self) -> int: ...
    def __getitem__(self, key: slice, /) -> bytes: ...


@dataclass(frozen=True)
class Entry:
    """One tag's value with its TIFF type: text and opaque types as bytes, rationals as pairs."""

    type: int
    values: bytes | tuple[Scalar, ...]
    offset: int = field(default=0, compare=False)  # where the values stood, for maker notes

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def text(self) -> str:
        if not isinstance(self.values, bytes):
            return " ".join(str(value) for value in self.values)
        return self.values.split(b"\0", 1)[0].decode("utf-8", "replace").strip()

    @property
    def numbers(self) -> tuple[float, ...]:
        """The values as plain numbers; a rational without a denominator is left out."""
        found = []
        for value in self.values:
            if isinstance(value, tuple):
                if value[1]:
                    found.append(value[0] / value[1])
            else:
                found.append(float(value))
        return tuple(found)

    @property
    def integer(self) -> int | None:
        if len(self.values) and isinstance(self.values[0], int):
            return self.values[0]  # exact, also beyond what a float holds
        numbers = self.numbers
        return int(numbers[0]) if numbers and math.isfinite(numbers[0]) else None


Tags = dict[int, Entry]


def text_entry(value: str) -> Entry:
    return Entry(ASCII, value.encode("utf-8", "replace").replace(b"\0", b" ") + b"\0")


class TiffReader:
    """Walks the directories of one TIFF-structured buffer."""

    cut = False  # whether a directory read so far keeps values beyond the buffer's end

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        head = bytes(buffer[0:16])
        if head[:2] not in (b"II", b"MM") or len(head) < 8:
            raise ValueError("no TIFF header")
        self.order = "<" if head[:2] == b"II" else ">"
        magic = struct.unpack(self.order + "H", head[2:4])[0]
        self.big = magic == 43
        if self.big:
            if len(head) < 16:
                raise ValueError("no TIFF header")
            self.first = struct.unpack(self.order + "Q", head[8:16])[0]
        elif magic in (42, 0x55, 0x4F52, 0x5352, 0x524F, 0x5252):  # 42; Panasonic; Olympus RO, RS, OR
            self.first = struct.unpack(self.order + "I", head[4:8])[0]
        else:
            raise ValueError("no TIFF header")

    def read(self, offset: int) -> tuple[Tags, int]:
        """The tags of the directory at `offset`, and the offset of the next one (0: none)."""
        count_size, entry_size, pointer = (8, 20, "Q") if self.big else (2, 12, "I")
        end = len(self.buffer)
        if offset <= 0 or offset + count_size > end:
            return {}, 0
        count = struct.unpack(
            self.order + ("Q" if self.big else "H"), self.buffer[offset : offset + count_size]
        )[0]
        if count > MAX_ENTRIES:
            return {}, 0
        start = offset + count_size
        table = self.buffer[start : start + count * entry_size]
        self.cut |= len(table) < count * entry_size
        tags: Tags = {}
        for at in range(0, len(table) - entry_size + 1, entry_size):
            tag, kind = struct.unpack_from(self.order + "HH", table, at)
            entry = self._entry(kind, table[at + 4 : at + entry_size])
            if entry is not None and tag not in tags:
                tags[tag] = entry
        after = self.buffer[
            start + count * entry_size : start + count * entry_size + struct.calcsize(pointer)
        ]
        following = (
            struct.unpack(self.order + pointer, after)[0] if len(after) == struct.calcsize(pointer) else 0
        )
        return tags, following

    def _entry(self, kind: int, rest: bytes) -> Entry | None:
        size = SIZES.get(kind)
        if size is None:
            return None
        count_code, inline = ("Q", 8) if self.big else ("I", 4)
        count = struct.unpack_from(self.order + count_code, rest, 0)[0]
        length = count * size
        place = rest[struct.calcsize(count_code) :]
        if length > MAX_VALUE_BYTES:
            return None
        at = 0
        if length <= inline:
            data = place[:length]
        else:
            at = struct.unpack(self.order + count_code, place)[0]
            data = self.buffer[at : at + length]
            if len(data) < length:
                self.cut = True
                return None
        return self._parse(kind, count, bytes(data), at)

    def _parse(self, kind: int, count: int, data: bytes, at: int) -> Entry:
        if kind in (BYTE, ASCII, UNDEFINED):
            return Entry(kind, data, at)
        if kind in (RATIONAL, SRATIONAL):
            code = "I" if kind == RATIONAL else "i"
            flat = struct.unpack(f"{self.order}{2 * count}{code}", data)
            return Entry(kind, tuple(zip(flat[0::2], flat[1::2], strict=True)))
        return Entry(kind, struct.unpack(f"{self.order}{count}{CODES[kind]}", data))

    def chain(self, limit: int = 64) -> Iterator[Tags]:
        """The main directories and their sub-directories, first to last."""
        for _, tags in self.placed(limit):
            yield tags

    def placed(self, limit: int = 64) -> Iterator[tuple[int, Tags]]:
        """The same, each with its offset."""
        waiting, seen = [self.first], set[int]()
        while waiting and len(seen) < limit:
            offset = waiting.pop(0)
            if offset in seen or offset <= 0:
                continue
            seen.add(offset)
            tags, following = self.read(offset)
            if tags:
                yield offset, tags
            subs = tags.get(SUB_IFDS)
            if subs is not None and not isinstance(subs.values, bytes):
                waiting += [value for value in subs.values if isinstance(value, int)]
            waiting.append(following)

    def pointed(self, tags: Tags, pointer: int) -> Tags:
        """The directory that `pointer` (EXIF, GPS, Interoperability) leads to, or nothing."""
        entry = tags.get(pointer)
        offset = entry.integer if entry is not None and not isinstance(entry.values, bytes) else None
        return self.read(offset)[0] if offset else {}


def _packed(entry: Entry) -> bytes:
    if isinstance(entry.values, bytes):
        return entry.values
    if entry.type in (RATIONAL, SRATIONAL):
        flat = [part for value in entry.values if isinstance(value, tuple) for part in value]
        return struct.pack(f"<{len(flat)}{'I' if entry.type == RATIONAL else 'i'}", *flat)
    return struct.pack(f"<{len(entry.values)}{CODES[entry.type]}", *entry.values)


def serialise(tags: Mapping[int, Entry], offset: int, *, big: bool = False, following: int = 0) -> bytes:
    """A little-endian directory with its values, to stand at `offset` (even) of its file or block."""
    count_code, entry_code, pointer, inline = ("Q", "HHQ", "Q", 8) if big else ("H", "HHI", "I", 4)
    table = (
        struct.calcsize("<" + count_code) + len(tags) * (20 if big else 12) + struct.calcsize("<" + pointer)
    )
    head, tail = struct.pack("<" + count_code, len(tags)), b""
    for tag in sorted(tags):
        data = _packed(tags[tag])
        head += struct.pack("<" + entry_code, tag, tags[tag].type, len(data) // SIZES[tags[tag].type])
        if len(data) <= inline:
            head += data.ljust(inline, b"\0")
        else:
            head += struct.pack("<" + pointer, offset + table + len(tail))
            tail += data + b"\0" * (len(data) % 2)  # values start on even offsets
    return head + struct.pack("<" + pointer, following) + tail


def exif_block(main: Mapping[int, Entry], exif: Mapping[int, Entry], gps: Mapping[int, Entry]) -> bytes:
    """A whole EXIF block, `II*\\0...`, with its EXIF and GPS directories."""
    main = dict(main)
    pointers = [(EXIF_POINTER, exif), (GPS_POINTER, gps)]
    for tag, _ in pointers:
        main.pop(tag, None)
    for tag, sub in pointers:
        if sub:
            main[tag] = Entry(LONG, (0,))
    at = 8 + len(serialise(main, 8))
    body = b""
    for tag, sub in pointers:
        if sub:
            main[tag] = Entry(LONG, (at + len(body),))
            body += serialise(sub, at + len(body))
    return b"II*\0\x08\0\0\0" + serialise(main, 8) + body
