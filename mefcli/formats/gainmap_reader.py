"""What a JPEG says of a gain map in it, ours or anybody's: by ISO 21496-1, by Ultra HDR's XMP, or both."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

from mefcli.formats.boxes import START_OF_FRAME, jpeg_segments
from mefcli.formats.gainmap import ISO, ISO_HEAD, MPF_HEAD, XMP
from mefcli.formats.header import XMP_HEAD
from mefcli.formats.ifd import Buffer
from mefcli.formats.kinds import kind_of
from mefcli.formats.source import opened
from mefcli.formats.xmp import gain_numbers, item_lengths
from mefcli.values import GainMapFacts

MANY_COLOURS, COMMON_DENOMINATOR = 0x80, 0x08  # flags
MOST_PICTURES = 16
MOST_STOPS = 32.0  # no scene and no screen has more; a map that only darkens adds none
HEAD_BYTES = 1 << 18  # other pictures there are previews of some megabytes
START = b"\xff\xd8\xff"


def read_gain_map(path: Path) -> GainMapFacts | None:
    """None for a file without one, or whose words on it make no sense."""
    with opened(path) as data:
        found = find_gain_map(data) if kind_of(data, Path(path)) == "jpeg" else None
    return None if found is None else found[0]


def read_map_jpeg(path: Path) -> bytes | None:
    """The map itself, as the JPEG that it is in the file."""
    with opened(path) as data:
        found = find_gain_map(data) if kind_of(data, Path(path)) == "jpeg" else None
        return None if found is None else bytes(data[found[1]])


def find_gain_map(data: Buffer) -> tuple[GainMapFacts, slice] | None:
    """What is said of it, and where in a JPEG file it lies."""
    try:
        for at, size in _others(data):
            facts = _facts(bytes(data[at : at + min(size, HEAD_BYTES)]))
            if facts is not None:
                return facts, slice(at, at + size)
    except (struct.error, ZeroDivisionError, IndexError):
        pass
    return None


def _others(data: Buffer) -> Iterator[tuple[int, int]]:
    """(place, bytes) of the pictures behind the first: by the multi-picture index, or by XMP's directory."""
    end = len(data)
    for _, start, stop in jpeg_segments(data):
        body = data[start:stop]
        if body.startswith(MPF_HEAD):
            yield from _indexed(body[len(MPF_HEAD) :], start + len(MPF_HEAD), end)
        elif body.startswith(XMP_HEAD):
            for length in item_lengths(bytes(body[len(XMP_HEAD) :])):  # the last one ends the file
                if 0 < length < end and data[end - length : end - length + 3] == START:
                    yield end - length, length


def _indexed(index: bytes, origin: int, end: int) -> Iterator[tuple[int, int]]:
    order = {b"MM": ">", b"II": "<"}.get(bytes(index[:2]))
    if order is None:
        return
    (first,) = struct.unpack(f"{order}I", index[4:8])
    (count,) = struct.unpack(f"{order}H", index[first : first + 2])
    for at in range(first + 2, first + 2 + 12 * count, 12):
        tag, _, size, place = struct.unpack(f"{order}HHII", index[at : at + 12])
        if tag != 0xB002:
            continue
        for entry in range(place, place + min(size, 16 * MOST_PICTURES), 16):
            _, length, offset = struct.unpack(f"{order}III", index[entry : entry + 12])
            if offset and origin + offset + length <= end:
                yield origin + offset, length


def _facts(second: bytes) -> GainMapFacts | None:
    """Of a picture that is a gain map. Where both forms speak, the standard's numbers count."""
    size_px, channels = None, 0
    stops = headroom = math.nan
    told: list[str] = []
    for marker, start, end in jpeg_segments(second):
        body = second[start:end]
        if marker in START_OF_FRAME and size_px is None:
            height, width, channels = struct.unpack(">HHB", body[1:6])
            size_px = (width, height)
        elif body.startswith(ISO_HEAD) and len(body) > len(ISO_HEAD) + 4:
            stops, headroom = _iso_numbers(body[len(ISO_HEAD) + 4 :])
            told.insert(0, ISO)
        elif body.startswith(XMP_HEAD):
            numbers = gain_numbers(body[len(XMP_HEAD) :])
            if numbers and ISO not in told:
                stops, headroom = numbers
            if numbers:
                told.append(XMP)
    if not told or size_px is None or not (0 < stops <= MOST_STOPS and 0 <= headroom <= MOST_STOPS):
        return None  # also where they are no numbers
    return GainMapFacts(stops, headroom, size_px, channels, tuple(dict.fromkeys(told)))


def _iso_numbers(body: bytes) -> tuple[float, float]:
    """The most that the map adds, and the room above white at which it adds all, in stops."""
    flags, count = body[0], 3 if body[0] & MANY_COLOURS else 1
    if flags & COMMON_DENOMINATOR:
        below, _, above = struct.unpack(">3I", body[1:13])
        colours = [struct.unpack(">iiIii", body[at : at + 20]) for at in range(13, 13 + 20 * count, 20)]
        return max(most for _, most, *_ in colours) / below, above / below
    numerator, denominator = struct.unpack(">II", body[9:17])
    found = [struct.unpack(">iI", body[at + 8 : at + 16]) for at in range(17, 17 + 40 * count, 40)]
    return max(most / below for most, below in found), numerator / denominator
