"""Linear light into files: OpenEXR, Radiance, floating-point TIFF. Rows are made as they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mefcli.errors import UsageError
from mefcli.formats.metadata import Metadata
from mefcli.formats.primaries import Primaries
from mefcli.formats.table import LIGHT
from mefcli.formats.values import Encoding, Rows
from mefcli.values import Record
from mefcli.version import version

WORDS = {
    "cameraMake": 0x010F,
    "cameraModel": 0x0110,
    "cameraSerialNumber": 0xA431,
    "lensModel": 0xA434,
    "owner": 0x8298,
}


@dataclass(frozen=True)
class Light:
    """What linear numbers mean, and what is said beside them."""

    primaries: Primaries
    numbers: Mapping[str, float] = field(default_factory=dict)  # under OpenEXR's names
    words: Mapping[str, str] = field(default_factory=dict)


def light_of(primaries: Primaries, metadata: Metadata, white_nits: float | None, scale: str) -> Light:
    """`white_nits`: the luminance of 1; `scale`: what 1 is, in words."""
    numbers: dict[str, float] = {}
    if white_nits is not None:
        numbers["whiteLuminance"] = white_nits
    for name, tag in (("expTime", 0x829A), ("aperture", 0x829D), ("isoSpeed", 0x8827)):
        entry = metadata.exif.get(tag)
        if entry is not None and entry.numbers:
            numbers[name] = entry.numbers[0]
    for name, reference, tag in (("latitude", 0x01, 0x02), ("longitude", 0x03, 0x04)):
        where = metadata.gps.get(tag)
        side = metadata.gps.get(reference)
        if where is not None and side is not None and len(where.numbers) == 3:
            degrees, minutes, seconds = where.numbers
            sign = -1 if side.text[:1] in ("S", "W") else 1
            numbers[name] = sign * (degrees + minutes / 60 + seconds / 3600)
    altitude = metadata.gps.get(0x06)
    if altitude is not None and altitude.numbers:
        below = metadata.gps.get(0x05)
        numbers["altitude"] = altitude.numbers[0] * (-1 if below is not None and below.integer == 1 else 1)
    words = {"comments": f"Scene radiance by mef {version()}. {scale}"}
    for name, tag in WORDS.items():
        if metadata.text(tag):
            words[name] = metadata.text(tag)
    taken = metadata.text(0x9003) or metadata.text(0x0132)
    if taken:
        words["capDate"] = taken
    words["software"] = f"mef {version()}"
    return Light(primaries, numbers, words)


def check_light(path: Path) -> None:
    if path.suffix.lower() not in LIGHT:
        raise UsageError(
            f"{path} has a suffix that is no format for radiance here.", f"Use one of: {', '.join(LIGHT)}."
        )


def encode_light(
    path: Path,
    rows: Rows,
    light: Light,
    metadata: Metadata,
    options: Encoding,
    record: Record,
    brightest: float,
) -> tuple[str, ...]:
    """Write the file at `path`; returns notes on what it could not hold. No number is above `brightest`."""
    name = LIGHT[path.suffix.lower()].name
    notes: tuple[str, ...] = ()
    if name == "exr":
        from mefcli.formats.exr import HALF_MOST, write_exr

        bits = 32 if options.bit_depth == 32 else 16
        if bits == 16 and brightest > HALF_MOST:
            notes = (f"light above {HALF_MOST:.0f} is cut off: 32 bits hold more",)
        write_exr(path, rows, light, bits)
    elif name == "hdr":
        from mefcli.formats.rgbe import write_rgbe

        write_rgbe(path, rows, light)
    else:
        from mefcli.formats.encoding import companions
        from mefcli.formats.tiffwriter import write_tiff

        beside = companions("tiff", rows.shape, light.primaries.linear, metadata, record)
        write_tiff(path, rows, options.compression, beside.main, beside.exif, beside.gps)
    return notes
