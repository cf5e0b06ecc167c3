"""`encode`: finished pixels into one file, with profile, EXIF, IPTC and XMP; three channels, never an alpha.

Writes exactly the file it is given: names, safety and syncing are the write stage's.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mefcli.errors import MissingExtraError, OutputError, UsageError, named
from mefcli.formats import isobox
from mefcli.formats.facts import EXIF_HEAD
from mefcli.formats.gainmap import map_jpeg, with_map
from mefcli.formats.header import ICC_HEAD, PHOTOSHOP_HEAD, XMP_HEAD
from mefcli.formats.icc import icc_profile
from mefcli.formats.ifd import LONG, RATIONAL, SHORT, UNDEFINED, Entry, Tags, exif_block, text_entry
from mefcli.formats.iptc import carried_block
from mefcli.formats.metadata import Metadata
from mefcli.formats.pixels import to_depth, to_profile
from mefcli.formats.segments import APP1, APP2, APP13, PART, assembled
from mefcli.formats.spaces import is_srgb, same_space, space_name
from mefcli.formats.table import BY_NAME, WRITTEN, Format
from mefcli.formats.tiffwriter import write_tiff
from mefcli.formats.values import Encoding, Rows
from mefcli.formats.xmp import packet
from mefcli.values import ALIGNED, GainMap, Pixels, Record
from mefcli.version import version

CODECS = {"jpeg": "JPEG8", "png": "PNG", "jxl": "JPEGXL", "avif": "AVIF", "tiff": "DEFLATE"}
COMPRESSIONS = ("none", "deflate", "zstd", "lzw")
# Level 1 with one filter: 0.9 CPU-s where level 3 with all takes 2.0, for 3 % more bytes (8 MP, 16 bits).
PNG_LEVEL = 1
KNOWN_BRIGHT = ("srgb", "p3")  # to every reader of gain maps
RATINGS = (0x4746, 0x4749)  # of no standard; the rating goes into XMP
GPS_RECEIVER = frozenset({0x07, 0x08, 0x09, 0x0A, 0x0B})  # time, satellites, status, mode, precision


@dataclass(frozen=True)
class Companions:
    """What is written beside the pixels."""

    main: Tags
    exif: Tags
    gps: Tags
    xmp: bytes
    iptc: bytes
    icc: bytes | None

    @property
    def block(self) -> bytes:
        return exif_block(self.main, self.exif, self.gps)


def encode(
    path: Path,
    pixels: Pixels,
    *,
    icc: bytes | None,
    metadata: Metadata | None,
    options: Encoding,
    record: Record | None = None,
    gains: GainMap | None = None,
    light: Rows | None = None,
) -> tuple[str, ...]:
    """Write the file at `path`; returns notes on what had to be changed on the way.

    `gains` and `light` (linear, 1 at the picture's white) are what is beyond white, for the formats that keep
    it in the one way or the other.
    """
    path = Path(path)
    kind = format_of(path, options)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise OutputError(f"{path} needs three colour channels, not the shape {pixels.shape}.")
    notes: tuple[str, ...] = ()
    depth = depth_of(kind, options, pixels)
    if options.bit_depth is not None and depth < options.bit_depth:
        notes = (f"{depth} bits a channel: {BY_NAME[kind].title} holds no {options.bit_depth}",)
    pixels = to_depth(pixels, depth if depth in (8, 32) else 16)
    if kind == "jxl" and icc is not None and not is_srgb(icc):
        converted = to_profile(pixels, icc, icc_profile("srgb"))
        if converted is None:
            raise OutputError(
                f"{path} cannot be written: JPEG XL wants sRGB, and the profile of these pixels is damaged.",
                "Give the output another suffix.",
            )
        pixels, icc, notes = converted, None, (*notes, "converted to sRGB for JPEG XL")
    if light is not None and kind == "avif":
        path.write_bytes(_avif_pq(light, max(10, depth), options.quality, icc, metadata, record))
        return notes
    second = map_jpeg(gains) if gains is not None and kind == "jpeg" else None
    if second is not None and not any(same_space(icc, icc_profile(space)) for space in KNOWN_BRIGHT):
        name = space_name(icc)
        notes = (*notes, f"a gain map on {name}, which some readers of gain maps take for sRGB")
    if gains is not None and not BY_NAME[kind].hdr:
        notes = (*notes, f"the picture alone: mef writes no light beyond white into {BY_NAME[kind].title}")
    beside = companions(kind, pixels.shape, icc, metadata or Metadata(), record, second)
    if kind == "tiff":
        write_tiff(path, pixels, options.compression, beside.main, beside.exif, beside.gps)
    elif kind == "png":
        path.write_bytes(_png(pixels, beside))
    elif kind == "jpeg":
        path.write_bytes(_jpeg(pixels, options.quality, beside, second))
    elif kind == "jxl":
        path.write_bytes(_jpeg_xl(pixels, options.quality, beside))
    else:
        path.write_bytes(_avif(pixels, depth, options.quality, beside))
    return notes


def format_of(path: Path, options: Encoding) -> str:
    found = WRITTEN.get(path.suffix.lower())
    kind = options.format or (found.name if found is not None else None)
    if kind not in BY_NAME:
        raise UsageError(f"{path} has a suffix mef cannot write.", f"Use one of: {', '.join(WRITTEN)}.")
    if options.compression not in COMPRESSIONS:
        raise UsageError(
            f"{options.compression} is no compression mef knows.", f"Use one of: {', '.join(COMPRESSIONS)}."
        )
    if not 1 <= options.quality <= 100:
        raise UsageError(f"Quality {options.quality} is out of range.", "Give a number from 1 to 100.")
    return kind


def check_encoder(format: Format, compression: str) -> None:
    """Whether imagecodecs was built with what writing this format takes."""
    import imagecodecs

    wanted = CODECS[format.name or ""]
    if format.name == "tiff":
        wanted = {"lzw": "LZW", "zstd": "ZSTD"}.get(compression, wanted)
    if not getattr(getattr(imagecodecs, wanted, None), "available", False):
        what = (
            f"{format.title} with {named('compression')} {compression}"
            if format.name == "tiff"
            else format.title
        )
        raise MissingExtraError(
            f"{what} cannot be written: imagecodecs is here without {wanted}.",
            "Install imagecodecs again, or write another format.",
        )


def depth_of(kind: str, options: Encoding, pixels: Pixels) -> int:
    """The depth that is written: the one asked for as far as the format goes, else the pixels' own."""
    deep = 8 if pixels.dtype == np.uint8 else 16 if pixels.dtype == np.uint16 or kind != "tiff" else 32
    depths = BY_NAME[kind].depths
    wanted = options.bit_depth or (10 if kind == "avif" and deep > 8 else deep)
    return max((depth for depth in depths if depth <= wanted), default=depths[0])


def companions(
    kind: str,
    shape: tuple[int, ...],
    icc: bytes | None,
    metadata: Metadata,
    record: Record | None,
    second: bytes | None = None,
) -> Companions:
    """`second` is the JPEG of a gain map that the packet is to tell of."""
    release = version()
    height, width = shape[:2]
    main: Tags = {tag: entry for tag, entry in metadata.main.items() if tag not in RATINGS}
    main[0x0112] = Entry(SHORT, (1,))  # upright already
    main[0x011A] = main[0x011B] = Entry(RATIONAL, ((300, 1),))
    main[0x0128] = Entry(SHORT, (2,))  # per inch
    aligned = record is not None and record.model == ALIGNED  # a frame still, to be grouped and fused
    main[0x0131] = text_entry(f"mef align {release}" if aligned else f"mef {release}")
    exif: Tags = dict(metadata.exif)
    exif[0x9000] = Entry(UNDEFINED, b"0232")
    exif[0xA001] = Entry(SHORT, (1 if icc is None or is_srgb(icc) else 0xFFFF,))
    exif[0xA000] = Entry(UNDEFINED, b"0100")  # FlashpixVersion
    gps: Tags = dict(metadata.gps)
    if kind != "tiff":  # where the main directory has the size
        exif[0xA002], exif[0xA003] = Entry(LONG, (width,)), Entry(LONG, (height,))
    elif gps.keys() & GPS_RECEIVER:
        # TIFF wants to know where the position came from; only a receiver writes these.
        gps.setdefault(0x001B, Entry(UNDEFINED, b"ASCII\0\0\0GPS"))
    if record is not None and len(record.sources) > 1:
        exif[0xA460] = Entry(SHORT, (2,))  # CompositeImage: made of several shots
    if kind == "jpeg":
        main[0x0213] = Entry(SHORT, (1,))  # YCbCrPositioning: centred; 4:4:4 has no other
        exif[0x9101] = Entry(UNDEFINED, b"\1\2\3\0")  # ComponentsConfiguration: Y, Cb, Cr
    block = carried_block(metadata.iptc)
    xmp = packet(metadata.xmp, metadata.iptc, metadata.rating, record, release, second)
    if kind == "tiff":
        main[0x02BC] = Entry(1, xmp)
        if icc is not None:
            main[0x8773] = Entry(UNDEFINED, icc)
        if block:
            main[0x83BB] = Entry(LONG, _as_longs(block))
    return Companions(main, exif, gps, xmp, block, icc)


def _as_longs(block: bytes) -> tuple[int, ...]:
    """IIM bytes as TIFF expects them: in LONGs of the file's byte order, zero-padded."""
    padded = block + b"\0" * (-len(block) % 4)
    return struct.unpack(f"<{len(padded) // 4}I", padded)


def _jpeg(pixels: Pixels, quality: int, beside: Companions, second: bytes | None) -> bytes:
    import imagecodecs

    coded = bytes(imagecodecs.jpeg8_encode(pixels, level=quality, subsampling="444", optimize=True))
    parts = [(APP1, EXIF_HEAD + beside.block)]
    xmp = beside.xmp if len(XMP_HEAD) + len(beside.xmp) <= PART else b""
    if xmp:
        parts.append((APP1, XMP_HEAD + xmp))
    if beside.iptc and len(beside.iptc) < PART - 64:
        padded = beside.iptc + b"\0" * (len(beside.iptc) % 2)
        resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(beside.iptc)) + padded
        parts.append((APP13, PHOTOSHOP_HEAD + resource))
    if beside.icc:
        size = PART - len(ICC_HEAD) - 2
        pieces = [beside.icc[at : at + size] for at in range(0, len(beside.icc), size)]
        for number, piece in enumerate(pieces, start=1):
            parts.append((APP2, ICC_HEAD + bytes((number, len(pieces))) + piece))
    return assembled(coded, parts) if second is None else with_map(parts, coded, second)


def _png(pixels: Pixels, beside: Companions) -> bytes:
    import imagecodecs

    coded = bytes(
        imagecodecs.png_encode(
            np.ascontiguousarray(pixels), level=PNG_LEVEL, filter=imagecodecs.PNG.FILTER.SUB
        )
    )
    chunks = []
    if beside.icc:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(beside.icc, 9)))
    chunks.append((b"eXIf", beside.block))
    chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + beside.xmp))
    after_header = 8 + 25
    extra = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return coded[:after_header] + extra + coded[after_header:]


def _jpeg_xl(pixels: Pixels, quality: int, beside: Companions) -> bytes:
    import imagecodecs

    data = np.ascontiguousarray(pixels)
    if quality >= 100:
        coded = imagecodecs.jpegxl_encode(data, lossless=True, usecontainer=True)
    else:
        # libjxl's own mapping from JPEG's quality to visual distance
        distance = 0.1 + (100 - quality) * 0.09 if quality >= 30 else 6.4 + (30 - quality) * 0.3
        coded = imagecodecs.jpegxl_encode(data, distance=distance, usecontainer=True)
    return isobox.jpeg_xl(bytes(coded), beside.block, beside.xmp)


def _avif(pixels: Pixels, depth: int, quality: int, beside: Companions) -> bytes:
    import imagecodecs

    data = np.ascontiguousarray(pixels)
    if data.dtype == np.uint16:
        data = ((data.astype(np.uint32) * ((1 << depth) - 1) + 32767) // 65535).astype(np.uint16)
    srgb = beside.icc is None or is_srgb(beside.icc)
    coded = imagecodecs.avif_encode(
        data,
        level=quality,
        speed=8,  # a third of the default's time for a few per cent more bytes
        bitspersample=depth,
        pixelformat="444",
        primaries=1 if srgb else 2,  # BT.709, or: see the profile
        transfer=13 if srgb else 2,
        matrix=6,
    )
    return isobox.avif(bytes(coded), beside.icc, beside.block, beside.xmp)


def _avif_pq(
    light: Rows,
    depth: int,
    quality: int,
    icc: bytes | None,
    metadata: Metadata | None,
    record: Record | None,
) -> bytes:
    """Light beyond white as PQ on BT.2020: code points instead of a profile, and the light's level."""
    import imagecodecs

    from mefcli.formats import pq

    signal = pq.pq_signal(light, icc, depth)
    coded = imagecodecs.avif_encode(
        signal.levels,
        level=quality,
        speed=8,
        bitspersample=depth,
        pixelformat="444",
        primaries=pq.BT2020,
        transfer=pq.PQ_TRANSFER,
        matrix=pq.BT2020,
    )
    beside = companions("avif", light.shape, None, metadata or Metadata(), record)
    exif = {**beside.exif, 0xA001: Entry(SHORT, (0xFFFF,))}  # neither sRGB nor Adobe RGB
    block = exif_block(beside.main, exif, beside.gps)
    return isobox.avif(bytes(coded), None, block, beside.xmp, signal.light_level)
