"""A gain map beside a JPEG's picture, in both forms that programs know.

ISO 21496-1: the map is a second JPEG after the first, found by the multi-picture index (CIPA DC-007); its
binary metadata stands in an APP2 segment of both. The older form, by Adobe and Android (Ultra HDR 1.0), says
the same in XMP. A reader that knows neither sees the picture alone, for it ends at its end marker.
"""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np

from mefcli.formats.header import XMP_HEAD
from mefcli.formats.segments import APP1, APP2, assembled
from mefcli.formats.xmp import gain_packet, packet
from mefcli.values import GainMap, GainMapFacts
from mefcli.version import version

ISO_HEAD = b"urn:iso:std:iso:ts:21496:-1\0"
ISO_VERSION = struct.pack(">HH", 0, 0)  # least that a reader must know, and the writer's
BASE_COLOURS = 0x40  # flag: the map acts on the picture's own primaries, and on all colours alike
MPF_HEAD = b"MPF\0"
MPF_BYTES = 86  # of the index's payload
PRIMARY = 0x030000  # a baseline picture that the others belong to
QUALITY = 95
ISO, XMP = "ISO 21496-1", "XMP"  # the two forms, for people
FINEST = 1 << 20  # denominator of numbers that are no fractions


def facts_of(gains: GainMap) -> GainMapFacts:
    """What the file will say of it."""
    height, width, channels = gains.levels.shape
    return GainMapFacts(gains.most, gains.most, (width, height), channels, (ISO, XMP))


def map_jpeg(gains: GainMap) -> bytes:
    """The map as a JPEG of its own, with what its numbers mean."""
    import imagecodecs

    coded = bytes(
        imagecodecs.jpeg8_encode(
            np.ascontiguousarray(gains.levels), level=QUALITY, subsampling="444", optimize=True
        )
    )
    return assembled(
        coded,
        [(APP1, XMP_HEAD + gain_packet(gains)), (APP2, ISO_HEAD + ISO_VERSION + iso_metadata(gains))],
    )


def iso_metadata(gains: GainMap) -> bytes:
    """What ISO 21496-1 says after the versions: one set of numbers for all colours."""
    unsigned = [Fraction(0), _fraction(gains.most)]  # headroom of the picture, and of its brightest rendering
    headrooms = b"".join(struct.pack(">II", one.numerator, one.denominator) for one in unsigned)
    least, most, gamma = Fraction(0), _fraction(gains.most), Fraction(1)
    offset = _fraction(gains.offset)
    numbers = b"".join(
        struct.pack(">iI", one.numerator, one.denominator) for one in (least, most, gamma, offset, offset)
    )
    return bytes((BASE_COLOURS,)) + headrooms + numbers


def _fraction(number: float) -> Fraction:
    return Fraction(round(number * FINEST), FINEST)


def with_map(parts: list[tuple[int, bytes]], coded: bytes, second: bytes) -> bytes:
    """One file of a coded picture with these segments, the two that tell of a map, and the map."""
    parts = [*parts, (APP2, ISO_HEAD + ISO_VERSION), (APP2, MPF_HEAD + bytes(MPF_BYTES - len(MPF_HEAD)))]
    blank = assembled(coded, parts)
    origin = blank.index(MPF_HEAD + bytes(8)) + len(MPF_HEAD)  # places are counted from the index's own start
    parts[-1] = (APP2, MPF_HEAD + _index(len(blank), len(second), len(blank) - origin))
    return assembled(coded, parts) + second


def beside(coded: bytes, second: bytes) -> bytes:
    """A JPEG's picture with a map, and with no more words than that takes."""
    return with_map([(APP1, XMP_HEAD + packet(None, None, None, None, version(), second))], coded, second)


def _index(first: int, second: int, at: int) -> bytes:
    """A TIFF directory of two pictures: sizes in bytes, and where the second begins."""
    entries = struct.pack(">IIIHH", PRIMARY, first, 0, 0, 0) + struct.pack(">IIIHH", 0, second, at, 0, 0)
    places = 8 + 2 + 3 * 12 + 4
    directory = struct.pack(">H", 3)
    directory += struct.pack(">HHI4s", 0xB000, 7, 4, b"0100")
    directory += struct.pack(">HHII", 0xB001, 4, 1, 2)
    directory += struct.pack(">HHII", 0xB002, 7, len(entries), places)
    return b"MM\0*" + struct.pack(">I", 8) + directory + bytes(4) + entries
