"""AVIF and JPEG XL files from a coded picture and metadata (ISO/IEC 14496-12, 23008-12, 18181-2)."""

from __future__ import annotations

import struct

from mefcli.formats.boxes import heif_items, iso_boxes

PICTURE, EXIF, XMP = 1, 2, 3  # our item numbers


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def full_box(name: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(name, struct.pack(">I", version << 24 | flags), *parts)


def jpeg_xl(coded: bytes, exif: bytes, xmp: bytes) -> bytes:
    """`coded` (a JPEG XL container of one picture) with metadata, which stands first."""
    signature = b"\0\0\0\x0cJXL \r\n\x87\n"
    file_type = box(b"ftyp", b"jxl ", struct.pack(">I", 0), b"jxl ")
    parts = [(name, coded[start:end]) for name, start, end in iso_boxes(coded, 0, len(coded))]
    # Lossless 16-bit pictures need the box that states a higher level, before all others.
    level = b"".join(box(name, body) for name, body in parts if name == b"jxll")
    picture = b"".join(box(name, body) for name, body in parts if name in (b"jxlc", b"jxlp"))
    metadata = box(b"Exif", struct.pack(">I", 0), exif) + box(b"xml ", xmp)
    return signature + file_type + level + metadata + picture


def avif(coded: bytes, icc: bytes | None, exif: bytes, xmp: bytes, light_level: bytes | None = None) -> bytes:
    """`coded` (a plain AVIF file of one picture) with profile, metadata and the light's level."""
    items = heif_items(coded)
    picture = items.content(coded, items.primary or PICTURE)
    properties = [
        box(name, body) for name, body in items.properties if name in (b"ispe", b"pixi", b"av1C", b"colr")
    ]
    names = [name for name, _ in items.properties if name in (b"ispe", b"pixi", b"av1C", b"colr")]
    if icc is not None:
        properties.append(box(b"colr", b"prof", icc))
        names.append(b"colr")
    if light_level is not None:
        properties.append(box(b"clli", light_level))
        names.append(b"clli")
    essential = [index | (0x80 if name == b"av1C" else 0) for index, name in enumerate(names, start=1)]
    associations = full_box(b"ipma", 0, 0, struct.pack(">IHB", 1, PICTURE, len(essential)), bytes(essential))
    contents = [(PICTURE, picture), (EXIF, struct.pack(">I", 0) + exif), (XMP, xmp)]
    information = full_box(
        b"iinf",
        0,
        0,
        struct.pack(">H", 3),
        full_box(b"infe", 2, 0, struct.pack(">HH4s", PICTURE, 0, b"av01"), b"Color\0"),
        full_box(b"infe", 2, 1, struct.pack(">HH4s", EXIF, 0, b"Exif"), b"Exif\0"),
        full_box(b"infe", 2, 1, struct.pack(">HH4s", XMP, 0, b"mime"), b"XMP\0application/rdf+xml\0\0"),
    )
    references = full_box(
        b"iref",
        0,
        0,
        box(b"cdsc", struct.pack(">HHH", EXIF, 1, PICTURE)),
        box(b"cdsc", struct.pack(">HHH", XMP, 1, PICTURE)),
    )
    head = box(b"ftyp", b"avif", struct.pack(">I", 0), b"avif", b"mif1", b"miaf")

    def meta(start: int) -> bytes:
        at, places = start, b""
        for number, content in contents:
            places += struct.pack(">HHHII", number, 0, 1, at, len(content))
            at += len(content)
        return full_box(
            b"meta",
            0,
            0,
            full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"pict"), b"\0"),
            full_box(b"pitm", 0, 0, struct.pack(">H", PICTURE)),
            full_box(b"iloc", 0, 0, b"\x44\x00", struct.pack(">H", len(contents)), places),
            information,
            references,
            box(b"iprp", box(b"ipco", *properties), associations),
        )

    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", *(content for _, content in contents))
