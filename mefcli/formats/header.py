"""Everything a file says about itself, without decoding a pixel: size, EXIF, XMP, IPTC and colour profile."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

from mefcli.formats import boxes
from mefcli.formats.colours import BT709, SRGB, Colours, calibrated, coded, tiff_colours
from mefcli.formats.facts import (
    EXIF_HEAD,
    Header,
    bytes_of,
    is_exif,
    photoshop_iptc,
    with_directories,
    with_exif,
)
from mefcli.formats.ifd import Buffer, Tags, TiffReader
from mefcli.formats.kinds import is_sensor_data, kind_of
from mefcli.formats.plain_headers import parse_plain
from mefcli.formats.source import opened
from mefcli.values import Kind

UNSPECIFIED = 2  # code point
REDUCED, MASK = 1, 4  # bits of a TIFF's NewSubfileType
OLD_REDUCED = 2  # SubfileType
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
ON_COLOUR = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")  # chunks of a PNG
ICC_HEAD, PHOTOSHOP_HEAD = b"ICC_PROFILE\0", b"Photoshop 3.0\0"


def read_header(path: Path) -> Header:
    with opened(path) as data:
        return parse_header(data, kind_of(data, Path(path)))


def parse_header(data: Buffer, kind: Kind) -> Header:
    parsers = {"jpeg": _jpeg, "png": _png, "tiff": _tiff, "heif": _heif, "raw": _raw}
    return parsers[kind](data) if kind in parsers else parse_plain(data, kind)


def _jpeg(data: Buffer) -> Header:
    header = Header("jpeg")
    exif = xmp = None
    profile: dict[int, bytes] = {}
    resources = b""
    for marker, start, end in boxes.jpeg_segments(data):
        if marker in boxes.START_OF_FRAME and header.size_px is None and end - start >= 6:
            bits, height, width, channels = struct.unpack(">BHHB", data[start : start + 6])
            depth = 8 if bits <= 8 else 16
            header = replace(header, size_px=(width, height), channels=channels, depth=depth)
        elif marker == 0xE1:
            body = data[start:end]
            if body.startswith(EXIF_HEAD[:5]) and exif is None and is_exif(body[6:]):
                exif = bytes(body[6:])
            elif body.startswith(XMP_HEAD) and xmp is None:
                xmp = bytes(body[len(XMP_HEAD) :])
        elif marker == 0xE2:
            body = data[start:end]
            if body.startswith(ICC_HEAD) and len(body) > 14:
                profile[body[12]] = bytes(body[14:])
        elif marker == 0xED:
            body = data[start:end]
            if body.startswith(PHOTOSHOP_HEAD):
                resources += bytes(body[14:])
        elif marker == 0xEE:
            body = data[start:end]
            if body.startswith(b"Adobe") and len(body) >= 12:
                header = replace(header, adobe_transform=body[11])
    icc = b"".join(profile[n] for n in sorted(profile)) or None
    header = replace(header, xmp=xmp, icc=icc, iptc=photoshop_iptc(resources) if resources else None)
    return with_exif(header, exif)


def _png(data: Buffer) -> Header:
    """As libpng: the first counts of a chunk that may stand once, and words on colour before the picture."""
    header = Header("png")
    exif = None
    said: dict[bytes, bytes] = {}
    for name, start, end in boxes.png_chunks(data):
        if name in ON_COLOUR and name not in said and b"IDAT" not in said:
            said[name] = bytes(data[start : end if name == b"iCCP" else min(end, start + 32)])
        elif name == b"IDAT":
            said[name] = b""
        if name == b"IHDR" and end - start >= 13:
            width, height, bits = struct.unpack(">IIB", data[start : start + 9])
            header = replace(header, size_px=(width, height), depth=16 if bits == 16 else 8)
        elif name == b"eXIf" and exif is None:
            block = bytes(data[start:end]).removeprefix(EXIF_HEAD)
            exif = block if is_exif(block) else None
        elif name == b"acTL":
            header = replace(header, moving=int.from_bytes(data[start : start + 4], "big") > 1)
        elif name == b"iTXt" and data[start : start + 17] == b"XML:com.adobe.xmp":
            header = replace(header, xmp=_png_xmp(bytes(data[start + 18 : end])))
        elif name in (b"zTXt", b"tEXt") and data[start : start + 17] == b"Raw profile type ":
            keyword, block = _raw_profile(bytes(data[start:end]), packed=name == b"zTXt")
            if keyword in (b"exif", b"APP1") and exif is None and block.startswith(EXIF_HEAD):
                exif = block[6:]
            elif keyword == b"iptc" and block:
                header = replace(header, iptc=photoshop_iptc(block) or block)
            elif keyword == b"xmp" and block and header.xmp is None:
                header = replace(header, xmp=block)
    return with_exif(_png_colours(header, said), exif)


def _png_colours(header: Header, said: dict[bytes, bytes]) -> Header:
    """What counts of a PNG's words on colour, strongest first: cICP, iCCP, sRGB, gAMA with cHRM."""
    points = said.get(b"cICP", b"")
    if len(points) == 4:
        colours = coded(points[0], points[1])
        if points[2] != 0 or points[3] != 1:
            colours = replace(colours, name="YCbCr or narrow range", curve=())
        return replace(header, colours=colours)
    if b"iCCP" in said:
        packed = said[b"iCCP"].partition(b"\0")[2][1:]
        profile = boxes.inflate(packed)  # what cannot be unpacked stays, to be told of
        header = replace(header, icc=(packed if profile is None else profile) or None)
    if header.icc is not None:
        return header
    if b"sRGB" in said:
        return replace(header, colours=SRGB)
    power = primaries = white = None
    if len(said.get(b"gAMA", b"")) == 4 and any(said[b"gAMA"]):
        power = 100_000 / int.from_bytes(said[b"gAMA"], "big")
    if len(said.get(b"cHRM", b"")) == 32:
        values = [value / 100_000 for value in struct.unpack(">8I", said[b"cHRM"])]
        white, *primaries = zip(values[0::2], values[1::2], strict=True)
    return replace(header, colours=calibrated(tuple(primaries) if primaries else None, white, power))


def _png_xmp(body: bytes) -> bytes | None:
    packed, body = body[:1] == b"\1", body[2:]
    text = body.split(b"\0", 2)[-1]
    return boxes.inflate(text) if packed else text


def _raw_profile(body: bytes, packed: bool) -> tuple[bytes, bytes]:
    """ImageMagick's habit: metadata as hexadecimal text."""
    keyword, _, rest = body.partition(b"\0")
    text = (boxes.inflate(rest[1:]) or b"") if packed else rest
    parts = text.split(None, 2)
    try:
        return keyword[17:], bytes.fromhex(parts[2].decode("ascii")) if len(parts) == 3 else b""
    except (ValueError, UnicodeDecodeError):
        return keyword[17:], b""


def _tiff(data: Buffer) -> Header:
    try:
        reader = TiffReader(data)
    except ValueError:
        return Header("tiff")
    main = reader.read(reader.first)[0]
    cut = reader.cut
    # What a thumbnail that stands first says beside its own structure is said of the file.
    at, found = next((one for one in reader.placed() if not _is_reduced(one[1])), (reader.first, main))
    main = {**main, **found}
    header = Header("tiff", icc=bytes_of(main.get(0x8773)) or None, cut=cut, directory=at)
    if header.icc is None:
        header = replace(header, colours=_tiff_colours(main))
    header = with_directories(header, reader, main)
    return replace(header, size_px=_size_of(found), depth=_depth_of(found))


def _is_reduced(tags: Tags) -> bool:
    """Whether a directory is of a smaller copy, or of a mask, of another's picture (TIFF 6.0, section 8)."""
    new, old = (tags[tag].integer if tag in tags else None for tag in (0x00FE, 0x00FF))
    return bool((new or 0) & (REDUCED | MASK)) or (not new and old == OLD_REDUCED)


def _depth_of(tags: Tags) -> int | None:
    bits, formats = (tags[tag].numbers if tag in tags else () for tag in (0x0102, 0x0153))
    if 3 in formats:
        return 32
    return None if not bits else 8 if max(bits) <= 8 else 16


def _tiff_colours(main: Tags) -> Colours | None:
    """White point, primaries and curve of a TIFF without a profile (TIFF 6.0, section 20)."""
    white, primaries, curve = (main[tag].numbers if tag in main else () for tag in (0x013E, 0x013F, 0x012D))
    if len(primaries) != 6:
        if not curve:
            return None
        primaries, white = tuple(number for point in BT709 for number in point), ()
    return tiff_colours(primaries, white if len(white) == 2 else None, curve)


def _size_of(tags: Tags) -> tuple[int, int] | None:
    width, height = tags.get(0x0100), tags.get(0x0101)
    if width is None or height is None or not width.integer or not height.integer:
        return None
    return width.integer, height.integer


def _heif(data: Buffer) -> Header:
    items = boxes.heif_items(data)
    header = Header("heif", cut=items.pictures_end > len(data))
    for body in items.of_primary(b"ispe")[:1]:
        if len(body) >= 12:
            header = replace(header, size_px=_shown_px(items, *struct.unpack(">II", body[4:12])))
    for body in items.of_primary(b"colr"):
        if body[:4] in (b"prof", b"rICC"):
            header = replace(header, icc=body[4:] or None)
        elif body[:4] == b"nclx" and len(body) >= 10:
            primaries, transfer = struct.unpack(">HH", body[4:8])
            unsaid = primaries == transfer == UNSPECIFIED
            header = replace(header, colours=None if unsaid else coded(primaries, transfer))
    exif = None
    for number, kind in items.kinds.items():
        if kind == b"Exif" and exif is None:
            content = items.content(data, number)
            skip = 4 + int.from_bytes(content[:4], "big")
            exif = content[skip:] if is_exif(content[skip:]) else None
        elif kind == b"mime" and items.mimes.get(number) == b"application/rdf+xml":
            header = replace(header, xmp=items.content(data, number))
    return replace(with_exif(header, exif), turned=True)


def _shown_px(items: boxes.HeifItems, width: int, height: int) -> tuple[int, int]:
    """The size of a picture that is cut and turned as its container says."""
    for name, body in items.turns():
        if name == b"clap" and (box := boxes.aperture(body, width, height)):
            width, height = box[2] - box[0], box[3] - box[1]
        elif name == b"irot" and body and body[0] & 1:
            width, height = height, width
    return width, height


def _raw(data: Buffer) -> Header:
    head = bytes(data[0:16])
    if head.startswith(b"FUJIFILMCCD-RAW"):
        at, size = struct.unpack(">II", bytes(data[84:92])) if len(data) >= 92 else (0, 0)
        return replace(_jpeg(bytes(data[at : at + size])), kind="raw", size_px=None, icc=None)
    if head[4:8] == b"ftyp":
        return _cr3(data)
    if head.startswith(b"\0MRM"):
        return _mrw(data)
    try:
        reader = TiffReader(data)
    except ValueError:
        return Header("raw")
    chain = list(reader.chain())
    main = chain[0] if chain else {}
    header = with_directories(Header("raw"), reader, main)
    sensor = [size for tags in chain if is_sensor_data(tags) and (size := _size_of(tags))]
    return replace(header, size_px=max(sensor, key=lambda size: size[0] * size[1], default=None))


def _cr3(data: Buffer) -> Header:
    """Canon's CR3: four TIFF blocks (camera, EXIF, maker notes, GPS) in a box of the movie header."""
    blocks: dict[bytes, Tags] = {}
    for name, start, end in boxes.iso_boxes(data, 0, len(data)):
        if name != b"moov":
            continue
        for inner, s, e in boxes.iso_boxes(data, start, end):
            if inner != b"uuid":
                continue
            for part, a, b in boxes.iso_boxes(data, s + 16, e):
                if part in (b"CMT1", b"CMT2", b"CMT4"):
                    try:
                        reader = TiffReader(bytes(data[a:b]))
                    except ValueError:
                        continue
                    blocks[part] = reader.read(reader.first)[0]
    empty: Tags = {}
    return Header(
        "raw",
        main=blocks.get(b"CMT1", empty),
        exif=blocks.get(b"CMT2", empty),
        gps=blocks.get(b"CMT4", empty),
    )


def _mrw(data: Buffer) -> Header:
    at, end = 8, min(len(data), 8 + int.from_bytes(data[4:8], "big"))
    while at + 8 <= end:
        name, size = bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8], "big")
        if name == b"\0TTW":
            return replace(with_exif(Header("raw"), bytes(data[at + 8 : at + 8 + size])), size_px=None)
        at += 8 + size
    return Header("raw")
