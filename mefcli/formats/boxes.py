"""Containers around a picture: JPEG segments, PNG chunks and ISO boxes (HEIF, AVIF, CR3)."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from mefcli.formats.ifd import Buffer

MAX_PART_BYTES = 64 << 20
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9


def jpeg_segments(data: Buffer) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment's payload up to and with the first start of scan."""
    at, end = 2, len(data)
    while at + 4 <= end:
        head = data[at : at + 4]
        if head[0] != 0xFF:
            return
        marker = head[1]
        if marker == 0xFF:  # fill bytes are allowed before a marker
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        if marker == END_OF_IMAGE:
            return
        length = int.from_bytes(head[2:4], "big")
        if length < 2:
            return
        yield marker, at + 4, min(at + 2 + length, end)
        if marker == START_OF_SCAN:
            return
        at += 2 + length


def png_chunks(data: Buffer) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of each chunk's payload."""
    at, end = 8, len(data)
    while at + 8 <= end:
        length, name = struct.unpack(">I4s", data[at : at + 8])
        yield name, at + 8, min(at + 8 + length, end)
        if name == b"IEND":
            return
        at += 12 + length


def inflate(data: bytes, limit: int = MAX_PART_BYTES) -> bytes | None:
    """Decompressed data, or nothing where it is broken or larger than `limit`."""
    try:
        worker = zlib.decompressobj()
        out = worker.decompress(data, limit)
    except zlib.error:
        return None
    return None if worker.unconsumed_tail else out


def iso_boxes(data: Buffer, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of the payloads of the boxes between two offsets."""
    while start + 8 <= end:
        size, name = struct.unpack(">I4s", data[start : start + 8])
        head = 8
        if size == 1:
            if start + 16 > end:
                return
            size, head = struct.unpack(">Q", data[start + 8 : start + 16])[0], 16
        elif size == 0:
            size = end - start
        if size < head:
            return
        yield name, start + head, min(start + size, end)
        start += size


@dataclass
class HeifItems:
    """The items and properties of a HEIF or AVIF file's meta box."""

    primary: int | None = None
    kinds: dict[int, bytes] = field(default_factory=dict)
    mimes: dict[int, bytes] = field(default_factory=dict)
    places: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    owned: dict[int, list[int]] = field(default_factory=dict)  # item -> 1-based property numbers
    tiles: dict[int, list[int]] = field(default_factory=dict)  # of a picture put together: the items it is of

    def of_primary(self, name: bytes) -> list[bytes]:
        return self.of(self.primary or 0, name)

    def of(self, item: int, name: bytes) -> list[bytes]:
        numbers = self.owned.get(item, [])
        return [
            self.properties[n - 1][1]
            for n in numbers
            if 0 < n <= len(self.properties) and self.properties[n - 1][0] == name
        ]

    def turns(self) -> list[tuple[bytes, bytes]]:
        """What is done to the primary picture when it is shown, in this order (ISO/IEC 23008-12, 6.5)."""
        numbers = self.owned.get(self.primary or 0, [])
        found = [self.properties[n - 1] for n in numbers if 0 < n <= len(self.properties)]
        return [(name, body) for name, body in found if name in (b"clap", b"irot", b"imir")]

    @property
    def coded(self) -> int:
        """The item whose stream is the picture, or its first tile."""
        primary = self.primary or 0
        return next(iter(self.tiles.get(primary, ())), primary)

    @property
    def pictures_end(self) -> int:
        """Where in the file the last coded picture ends. Decoders fill tiles of a grid that are missing."""
        kinds = {number for number, kind in self.kinds.items() if kind not in (b"Exif", b"mime", b"uri ")}
        return max((at + size for item in kinds for at, size in self.places.get(item, [])), default=0)

    def content(self, data: Buffer, item: int) -> bytes:
        parts = [data[at : at + size] for at, size in self.places.get(item, []) if size <= MAX_PART_BYTES]
        return b"".join(bytes(part) for part in parts)


def heif_items(data: Buffer) -> HeifItems:
    """Parses the meta box. What is malformed is left out."""
    items = HeifItems()
    for name, start, end in iso_boxes(data, 0, len(data)):
        if name == b"meta":
            try:
                _meta(items, bytes(data[start + 4 : min(end, start + MAX_PART_BYTES)]), start + 4)
            except (struct.error, IndexError):
                return items
            return items
    return items


def _meta(items: HeifItems, meta: bytes, base: int) -> None:
    for name, start, end in iso_boxes(meta, 0, len(meta)):
        body = meta[start:end]
        if name == b"pitm":
            items.primary = int.from_bytes(body[4:6] if body[0] == 0 else body[4:8], "big")
        elif name == b"iinf":
            at = 6 if body[0] == 0 else 8
            for inner, s, e in iso_boxes(body, at, len(body)):
                if inner == b"infe":
                    _item_info(items, body[s:e])
        elif name == b"iloc":
            _locations(items, body, meta, base)
        elif name == b"iref":
            _references(items, body)
        elif name == b"iprp":
            for inner, s, e in iso_boxes(body, 0, len(body)):
                if inner == b"ipco":
                    items.properties = [(kind, body[a:b]) for kind, a, b in iso_boxes(body, s, e)]
                elif inner == b"ipma":
                    _associations(items, body[s:e])


def _item_info(items: HeifItems, body: bytes) -> None:
    if body[0] < 2:
        return
    wide = body[0] >= 3
    number = int.from_bytes(body[4:8] if wide else body[4:6], "big")
    at = (8 if wide else 6) + 2
    items.kinds[number] = body[at : at + 4]
    if items.kinds[number] == b"mime":
        texts = body[at + 4 :].split(b"\0")
        items.mimes[number] = texts[1] if len(texts) > 1 else b""


def _locations(items: HeifItems, body: bytes, meta: bytes, base: int) -> None:
    version = body[0]
    offset_size, length_size = body[4] >> 4, body[4] & 15
    base_size, index_size = body[5] >> 4, body[5] & 15 if version else 0
    idat = next((base + s for n, s, _ in iso_boxes(meta, 0, len(meta)) if n == b"idat"), 0)
    at = 6

    def take(size: int) -> int:
        nonlocal at
        if at + size > len(body):
            raise IndexError
        at += size
        return int.from_bytes(body[at - size : at], "big")

    for _ in range(take(2 if version < 2 else 4)):
        number = take(2 if version < 2 else 4)
        method = take(2) & 15 if version else 0
        take(2)
        origin = take(base_size) + (idat if method == 1 else 0)
        extents = []
        for _ in range(take(2)):
            take(index_size)
            offset, length = take(offset_size), take(length_size)
            extents.append((origin + offset, length))
        items.places[number] = extents


def _references(items: HeifItems, body: bytes) -> None:
    size = 4 if body[0] else 2
    for name, start, end in iso_boxes(body, 4, len(body)):
        numbers = [int.from_bytes(body[at : at + size], "big") for at in range(start + size + 2, end, size)]
        if name == b"dimg":
            items.tiles[int.from_bytes(body[start : start + size], "big")] = numbers


def _associations(items: HeifItems, body: bytes) -> None:
    wide_item, wide_index = body[0] >= 1, body[3] & 1
    at = 8
    for _ in range(struct.unpack(">I", body[4:8])[0]):
        size = 4 if wide_item else 2
        number, count = int.from_bytes(body[at : at + size], "big"), body[at + size]
        at += size + 1
        numbers = []
        for _ in range(count):
            if wide_index:
                numbers.append(int.from_bytes(body[at : at + 2], "big") & 0x7FFF)
                at += 2
            else:
                numbers.append(body[at] & 0x7F)
                at += 1
        items.owned[number] = numbers


def aperture(body: bytes, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of a clean aperture (ISO/IEC 14496-12, 12.1.4).

    Where it cuts through pixels it is rounded as libheif does it, to the left and to the nearer row.

    None where nothing is left.
    """
    if len(body) < 32:
        return None
    numbers = struct.unpack(">8i", body[:32])
    if min(numbers[1::2]) <= 0:
        return None
    wide, high, right, down = (Fraction(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True))
    spans = []
    for size, clean, off, more in ((width, wide, right, 0), (height, high, down, Fraction(1, 2))):
        first = math.floor(off + Fraction(size - 1, 2) - (clean - 1) / 2 + more)
        last = math.floor(clean - 1 + first + Fraction(1, 2))
        spans.append((max(first, 0), min(last, size - 1) + 1))
    (left, end), (top, bottom) = spans
    return (left, top, end, bottom) if left < end and top < bottom else None
