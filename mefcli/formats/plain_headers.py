"""Headers of WebP, BMP, PPM/PGM and GIF: size, profile, EXIF, XMP, and whether the file is whole and still.

WebP's RIFF container as its makers describe it; GIF89a; netpbm's manual pages; Windows' BITMAPV5HEADER.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mefcli.formats.colours import SRGB, Colours, calibrated
from mefcli.formats.facts import EXIF_HEAD, Header, is_exif, with_exif
from mefcli.formats.ifd import Buffer
from mefcli.values import Kind

HEAD_BYTES = 1 << 16  # a PPM's comments may be long, but not endless
ANIMATED = 0x02  # in WebP's VP8X


def parse_plain(data: Buffer, kind: Kind) -> Header:
    parsers = {"webp": _webp, "bmp": _bmp, "pnm": _pnm, "gif": _gif}
    return parsers[kind](data)


def webp_chunks(data: Buffer) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end as stated) of each chunk's payload; `end` may lie beyond the file."""
    at, end = 12, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while at + 8 <= end:
        name, size = bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8], "little")
        yield name, at + 8, at + 8 + size
        at += 8 + size + size % 2


def _webp(data: Buffer) -> Header:
    header = Header("webp", cut=8 + int.from_bytes(data[4:8], "little") > len(data))
    exif = None
    for name, start, end in webp_chunks(data):
        header = replace(header, cut=header.cut or end > len(data))
        body = bytes(data[start : min(start + 10, end)])
        if name == b"VP8X" and len(body) == 10:
            width, height = (1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
            header = replace(header, size_px=(width, height), moving=bool(body[0] & ANIMATED))
        elif name == b"VP8 " and header.size_px is None and body[3:6] == b"\x9d\x01\x2a":
            width, height = struct.unpack("<HH", body[6:10])
            header = replace(header, size_px=(width & 0x3FFF, height & 0x3FFF))
        elif name == b"VP8L" and header.size_px is None and len(body) >= 5:
            bits = int.from_bytes(body[1:5], "little")
            header = replace(header, size_px=(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)))
        elif name in (b"ANIM", b"ANMF"):
            header = replace(header, moving=True)
        elif name == b"ICCP":
            header = replace(header, icc=bytes(data[start:end]) or None)
        elif name == b"XMP ":
            header = replace(header, xmp=bytes(data[start:end]) or None)
        elif name == b"EXIF" and exif is None:
            block = bytes(data[start:end]).removeprefix(EXIF_HEAD)
            exif = block if is_exif(block) else None
    return with_exif(header, exif)


def _bmp(data: Buffer) -> Header:
    head = bytes(data[0:138]).ljust(138, b"\0")
    pixels_at, size = struct.unpack("<II", head[10:18])
    if size == 12:  # OS/2
        width, height, _, bits = struct.unpack("<HHHH", head[18:26])
        packing = 0
    else:
        width, height, _, bits, packing = struct.unpack("<iiHHI", head[18:34])
    if width <= 0 or height == 0:
        return Header("bmp")
    height = abs(height)  # negative: from the top down
    header = Header("bmp", size_px=(width, height))
    if packing in (0, 3, 6):  # not compressed, rows padded to four bytes
        stride = (width * bits + 31) // 32 * 4
        header = replace(header, cut=pixels_at + stride * height > len(data))
    if size < 108:
        return header
    if head[70:74] == b"DEBM" and size >= 124:  # a profile of its own, offset from the header's start
        at, length = struct.unpack("<II", head[126:134])
        return replace(header, icc=bytes(data[14 + at : 14 + at + length]) or None)
    return replace(header, colours=_bmp_colours(head))


def _bmp_colours(head: bytes) -> Colours | None:
    kind = head[70:74]
    if kind == b"BGRs":
        return SRGB
    if kind == b"KNIL":
        return Colours("a profile in another file", SRGB.primaries, SRGB.white, ())
    if any(kind):  # the system's default, which is sRGB
        return None
    xyz = [value / (1 << 30) for value in struct.unpack("<9i", head[74:110])]
    red, green, blue = xyz[0:3], xyz[3:6], xyz[6:9]
    white = [sum(parts) for parts in zip(red, green, blue, strict=True)]
    sums = [sum(colour) for colour in (red, green, blue, white)]
    gammas = [value / 65536 for value in struct.unpack("<3I", head[110:122])]
    if not all(total > 0 for total in sums):  # most programs leave it empty and mean sRGB
        return None
    points = [
        (colour[0] / total, colour[1] / total)
        for colour, total in zip((red, green, blue, white), sums, strict=True)
    ]
    return calibrated(tuple(points[:3]), points[3], gammas[1] or None)


@dataclass(frozen=True)
class Pnm:
    """A netpbm header: `kind` is the digit after P."""

    kind: int
    width: int
    height: int
    most: int  # the value of white
    at: int  # where the samples start

    @property
    def channels(self) -> int:
        return 3 if self.kind in (3, 6) else 1

    @property
    def deep(self) -> bool:
        return self.most > 255


def pnm_facts(data: Buffer) -> Pnm | None:
    head = bytes(data[0:HEAD_BYTES])
    kind = head[1] - 0x30 if len(head) > 2 else 0
    numbers, at = list[int](), 2
    while 1 <= kind <= 6 and len(numbers) < (2 if kind in (1, 4) else 3):
        found = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])*(\d{1,9})(?=[\s#])").match(head, at)
        if found is None:
            return None
        numbers.append(int(found[1]))
        at = found.end()
    if not numbers or 0 in numbers or (len(numbers) == 3 and numbers[2] > 65535):
        return None
    return Pnm(kind, numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else 1, at + 1)


def _pnm(data: Buffer) -> Header:
    facts = pnm_facts(data)
    if facts is None:
        return Header("pnm")
    bits = 1 if facts.kind == 4 else 8 * facts.channels * (2 if facts.deep else 1)
    needed = (facts.width * bits + 7) // 8 * facts.height
    if facts.kind < 4:  # plain numbers: a digit and a space for each but the last; bits need no space
        needed = facts.width * facts.height * facts.channels * (1 if facts.kind == 1 else 2) - 1
    return Header(
        "pnm",
        size_px=(facts.width, facts.height),
        channels=facts.channels,
        depth=16 if facts.deep else 8,
        cut=facts.at + needed > len(data),
    )


def _gif(data: Buffer) -> Header:
    width, height, flags = struct.unpack("<HHB", bytes(data[6:11]).ljust(5, b"\0"))
    header = Header("gif", size_px=(width, height) if width and height else None)
    at, images, profile = 13 + _palette_bytes(flags), 0, b""
    while at < len(data):
        kind = bytes(data[at : at + 2])
        if kind[:1] == b"\x3b":
            return replace(header, moving=images > 1, icc=profile or None, cut=images == 0)
        if kind[:1] == b"\x2c":
            images += 1
            at += 11 + _palette_bytes(int.from_bytes(data[at + 9 : at + 10], "little"))
        elif kind[:1] == b"\x21":
            at += 2
        else:
            break
        at, body = _sub_blocks(data, at, keep=kind == b"\x21\xff" and not profile)
        if body.startswith(b"ICCRGBG1012"):
            profile = body[11:]
    return replace(header, moving=images > 1, cut=True)  # it ends before it says so


def _palette_bytes(flags: int) -> int:
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0


def _sub_blocks(data: Buffer, at: int, *, keep: bool) -> tuple[int, bytes]:
    """Where a chain of sub-blocks ends, and (to `keep`) what they hold."""
    parts = []
    while at < len(data):
        size = int.from_bytes(data[at : at + 1], "little")
        if keep:
            parts.append(bytes(data[at + 1 : at + 1 + size]))
        at += 1 + size
        if not size:
            break
    return at, b"".join(parts)
