"""What a photographer's file says beside its pixels: read from any format, ready for another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mefcli.formats import tags as rules
from mefcli.formats.facts import Header
from mefcli.formats.header import parse_header
from mefcli.formats.ifd import BYTE, LONG, RATIONAL, SHORT, Entry, Tags, text_entry
from mefcli.formats.kinds import kind_of
from mefcli.formats.makernotes import maker_facts
from mefcli.formats.shot import read_shot
from mefcli.formats.source import opened

MAX_SIDECAR_BYTES = 4 << 20
GPS_METHODS = (b"GPS", b"CELLID", b"WLAN", b"MANUAL")  # EXIF 2.32, tag 27


@dataclass(frozen=True)
class Metadata:
    """Only what may be carried: no structure, no thumbnail, no maker note, no orientation."""

    main: Mapping[int, Entry] = field(default_factory=dict)  # image directory: camera, author, rating
    exif: Mapping[int, Entry] = field(default_factory=dict)
    gps: Mapping[int, Entry] = field(default_factory=dict)
    xmp: bytes | None = None  # the source's packet; `xmp.py` takes from it what may pass
    iptc: bytes | None = None  # IIM records

    def text(self, tag: int) -> str:
        entry = self.main.get(tag) or self.exif.get(tag)
        return entry.text if entry is not None else ""

    @property
    def rating(self) -> int | None:
        from mefcli.formats.xmp import carried_rating

        entry = self.main.get(0x4746)
        from_xmp = carried_rating(self.xmp)
        stored = entry.integer if entry is not None else None
        found = from_xmp if from_xmp is not None else stored
        return found if found is not None and -1 <= found <= 5 else None  # XMP, part 2, section 8.4

    @property
    def keywords(self) -> tuple[str, ...]:
        from mefcli.formats.xmp import carried_keywords

        return carried_keywords(self.xmp, self.iptc)


def read_metadata(path: Path) -> Metadata:
    """The metadata of one file. A RAW file's `.xmp` sidecar speaks for its rating and keywords."""
    path = Path(path)
    with opened(path) as data:
        header = parse_header(data, kind_of(data, path))
        make = header.main.get(0x010F)
        maker = maker_facts(header.exif_block or data, header.exif, make.text if make else "")
    exif = {**_stray_exposure(header), **header.exif}
    found = Metadata(
        main=rules.carried(header.main, rules.MAIN_RULES),
        exif=rules.carried(exif, rules.EXIF_RULES),
        gps=_gps(header.gps),
        xmp=(_sidecar(path) if header.kind == "raw" else None) or header.xmp,
        iptc=header.iptc,
    )
    extra: Tags = {}
    if maker.lens and 0xA434 not in found.exif:
        extra[0xA434] = text_entry(maker.lens)
    if maker.serial and 0xA431 not in found.exif:
        extra[0xA431] = text_entry(maker.serial)
    extra.update(_exposure(path, found.exif))
    return Metadata(found.main, {**found.exif, **extra}, found.gps, found.xmp, found.iptc)


def _exposure(path: Path, exif: Mapping[int, Entry]) -> Tags:
    """Exposure that the camera hid in APEX or maker values, as the tags that programs read."""
    shot = read_shot(path)
    extra: Tags = {}
    if shot.exposure_s and 0x829A not in exif:
        extra[0x829A] = Entry(RATIONAL, (_ratio(shot.exposure_s),))
    if shot.aperture and 0x829D not in exif:
        extra[0x829D] = Entry(RATIONAL, (_ratio(shot.aperture),))
    if shot.iso and 0x8827 not in exif:
        extra[0x8827] = Entry(SHORT, (min(65535, round(shot.iso)),))
        if shot.iso > 65535:
            extra[0x8832] = Entry(LONG, (round(shot.iso),))
    return extra


def _ratio(value: float) -> tuple[int, int]:
    from fractions import Fraction

    finest = 100_000 if value >= 0.001 else 2**31  # fits 32 bits above and below the line
    exact = Fraction(value).limit_denominator(min(finest, int((2**32 - 1) / max(value, 1))))
    return exact.numerator, exact.denominator


def _stray_exposure(header: Header) -> Tags:
    """TIFF/EP and old RAW keep exposure tags in the main directory."""
    return {tag: header.main[tag] for tag in rules.EXIF_RULES if tag in header.main}


def _gps(gps: Tags) -> Tags:
    found = rules.carried(_below_sea_level(gps), rules.GPS_RULES)
    for reference, value in ((0x01, 0x02), (0x03, 0x04), (0x05, 0x06)):
        if (reference in found) != (value in found):  # half a coordinate points to a wrong place
            found.pop(reference, None)
            found.pop(value, None)
    method = found.get(0x1B)
    if method is not None and bytes(method.values[8:]).rstrip(b"\0 ") not in GPS_METHODS:  # type: ignore[arg-type]
        del found[0x1B]
    if set(found) <= {0x00}:
        return {}
    found[0x00] = Entry(1, b"\2\3\0\0")  # the version that has all of these tags
    return found


def _below_sea_level(gps: Tags) -> Tags:
    """A negative altitude, which some programs write, as EXIF wants it: a depth, and 1 in AltitudeRef."""
    altitude = gps.get(0x06)
    if altitude is None or not altitude.numbers or not altitude.numbers[0] < 0:
        return gps
    metres = -altitude.numbers[0]
    if not metres < 100_000:
        return {tag: entry for tag, entry in gps.items() if tag not in (0x05, 0x06)}
    return {**gps, 0x05: Entry(BYTE, b"\1"), 0x06: Entry(RATIONAL, (_ratio(metres),))}


def _sidecar(path: Path) -> bytes | None:
    for candidate in (path.with_suffix(".xmp"), path.with_suffix(".XMP"), path.with_name(path.name + ".xmp")):
        try:
            if candidate.is_file() and candidate.stat().st_size <= MAX_SIDECAR_BYTES:  # no pipe
                return candidate.read_bytes()
        except OSError:
            continue
    return None
