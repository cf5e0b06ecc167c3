"""What a file says about itself, as a value, and how the tags of an EXIF block come into it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

from mefcli.formats.colours import Colours
from mefcli.formats.ifd import EXIF_POINTER, GPS_POINTER, INTEROP_POINTER, Entry, Tags, TiffReader
from mefcli.values import Kind

EXIF_HEAD = b"Exif\0\0"


@dataclass(frozen=True)
class Header:
    """One file's facts. `size_px` is width and height as stored, before orientation."""

    kind: Kind
    size_px: tuple[int, int] | None = None
    channels: int | None = None
    depth: int | None = None  # bits a channel that it decodes to: 8, 16 or 32 (floating point)
    main: Tags = field(default_factory=dict)
    exif: Tags = field(default_factory=dict)
    gps: Tags = field(default_factory=dict)
    interop: Tags = field(default_factory=dict)
    exif_block: bytes | None = None  # where EXIF is a block inside another container
    xmp: bytes | None = None
    iptc: bytes | None = None  # IIM records
    icc: bytes | None = None
    colours: Colours | None = None  # the same in other words; counts where there is no profile
    adobe_transform: int | None = None  # JPEG: the Adobe marker's colour transform, None without a marker
    cut: bool = False  # values of a TIFF's first directory, or a coded picture in HEIF, lie beyond the end
    moving: bool = False  # an animation, or a sequence
    directory: int = 0  # TIFF: where the picture's directory stands, which need not be the first
    turned: bool = False  # HEIF: the container itself turns the picture; EXIF's orientation is not for us

    @property
    def orientation(self) -> int:
        entry = self.main.get(0x0112)
        value = entry.integer if entry is not None and not self.turned else None
        return value if value is not None and 1 <= value <= 8 else 1


def with_exif(header: Header, block: bytes | None) -> Header:
    """The header with the tags of an EXIF block; a broken block is left out."""
    if not block or not is_exif(block):
        return header
    return replace(with_directories(header, TiffReader(block)), exif_block=block)


def is_exif(block: bytes) -> bool:
    """Whether a block can be read at all; of several in a file the first such one counts."""
    try:
        TiffReader(block)
    except ValueError:
        return False
    return True


def with_directories(header: Header, reader: TiffReader, main: Tags | None = None) -> Header:
    main = reader.read(reader.first)[0] if main is None else main
    exif = reader.pointed(main, EXIF_POINTER)
    return replace(
        header,
        main=main,
        exif=exif,
        gps=reader.pointed(main, GPS_POINTER),
        interop=reader.pointed(exif, INTEROP_POINTER),
        xmp=header.xmp or bytes_of(main.get(0x02BC)),
        iptc=header.iptc or _iptc_of(main),
    )


def bytes_of(entry: Entry | None) -> bytes | None:
    return entry.values if entry is not None and isinstance(entry.values, bytes) else None


def _iptc_of(main: Tags) -> bytes | None:
    entry = main.get(0x83BB)
    if entry is not None:
        if isinstance(entry.values, bytes):
            return entry.values
        # Photoshop stores IIM bytes in LONGs; their order follows the file's, which IIM's first byte reveals.
        values = [value for value in entry.values if isinstance(value, int)]
        for order in "<>":
            packed = struct.pack(f"{order}{len(values)}I", *(value & 0xFFFFFFFF for value in values))
            if packed[:1] == b"\x1c":
                return packed
    resources = bytes_of(main.get(0x8649))
    return photoshop_iptc(resources) if resources else None


def photoshop_iptc(resources: bytes) -> bytes | None:
    """The IIM records among Photoshop's image resources."""
    at = 0
    while at + 12 <= len(resources) and resources[at : at + 4] in (
        b"8BIM",
        b"MeSa",
        b"PHUT",
        b"AgHg",
        b"DCSR",
    ):
        number = int.from_bytes(resources[at + 4 : at + 6], "big")
        name = 1 + resources[at + 6]
        at += 6 + name + name % 2
        size = int.from_bytes(resources[at : at + 4], "big")
        at += 4
        if number == 0x0404:
            return resources[at : at + size]
        at += size + size % 2
    return None
