"""Which EXIF tags travel from the reference frame into the result, and in what type they must be written.

A list of what may pass, not of what may not: structure, thumbnails, maker notes, and RAW or DNG tags describe
the source's bytes and would be lies, or worse, in another file. Types and counts: EXIF 2.32 tables 4 to 15.
"""

from __future__ import annotations

from collections.abc import Mapping

from mefcli.formats.ifd import ASCII, BYTE, LONG, RATIONAL, SHORT, SRATIONAL, UNDEFINED, Entry, Tags

Rule = tuple[int, int | None]  # type, and count (None: any)

MAIN_RULES: dict[int, Rule] = {
    0x010E: (ASCII, None),  # ImageDescription
    0x010F: (ASCII, None),  # Make
    0x0110: (ASCII, None),  # Model
    0x0132: (ASCII, 20),  # DateTime
    0x013B: (ASCII, None),  # Artist
    0x4746: (SHORT, 1),  # Rating
    0x4749: (SHORT, 1),  # RatingPercent
    0x8298: (ASCII, None),  # Copyright
    0x9C9B: (BYTE, None),  # XPTitle
    0x9C9C: (BYTE, None),  # XPComment
    0x9C9D: (BYTE, None),  # XPAuthor
    0x9C9E: (BYTE, None),  # XPKeywords
    0x9C9F: (BYTE, None),  # XPSubject
}

EXIF_RULES: dict[int, Rule] = {
    0x829A: (RATIONAL, 1),  # ExposureTime
    0x829D: (RATIONAL, 1),  # FNumber
    0x8822: (SHORT, 1),  # ExposureProgram
    0x8827: (SHORT, 1),  # PhotographicSensitivity
    0x8830: (SHORT, 1),  # SensitivityType
    0x8831: (LONG, 1),  # StandardOutputSensitivity
    0x8832: (LONG, 1),  # RecommendedExposureIndex
    0x8833: (LONG, 1),  # ISOSpeed
    0x8834: (LONG, 1),  # ISOSpeedLatitudeyyy
    0x8835: (LONG, 1),  # ISOSpeedLatitudezzz
    0x9003: (ASCII, 20),  # DateTimeOriginal
    0x9004: (ASCII, 20),  # DateTimeDigitized
    0x9010: (ASCII, 7),  # OffsetTime
    0x9011: (ASCII, 7),  # OffsetTimeOriginal
    0x9012: (ASCII, 7),  # OffsetTimeDigitized
    0x9201: (SRATIONAL, 1),  # ShutterSpeedValue
    0x9202: (RATIONAL, 1),  # ApertureValue
    0x9203: (SRATIONAL, 1),  # BrightnessValue
    0x9204: (SRATIONAL, 1),  # ExposureBiasValue
    0x9205: (RATIONAL, 1),  # MaxApertureValue
    0x9206: (RATIONAL, 1),  # SubjectDistance
    0x9207: (SHORT, 1),  # MeteringMode
    0x9208: (SHORT, 1),  # LightSource
    0x9209: (SHORT, 1),  # Flash
    0x920A: (RATIONAL, 1),  # FocalLength
    0x9286: (UNDEFINED, None),  # UserComment
    0x9290: (ASCII, None),  # SubsecTime
    0x9291: (ASCII, None),  # SubsecTimeOriginal
    0x9292: (ASCII, None),  # SubsecTimeDigitized
    0x9400: (SRATIONAL, 1),  # Temperature
    0x9401: (RATIONAL, 1),  # Humidity
    0x9402: (RATIONAL, 1),  # Pressure
    0x9403: (SRATIONAL, 1),  # WaterDepth
    0x9404: (RATIONAL, 1),  # Acceleration
    0x9405: (SRATIONAL, 1),  # CameraElevationAngle
    0xA20B: (RATIONAL, 1),  # FlashEnergy
    0xA215: (RATIONAL, 1),  # ExposureIndex
    0xA217: (SHORT, 1),  # SensingMethod
    0xA300: (UNDEFINED, 1),  # FileSource
    0xA301: (UNDEFINED, 1),  # SceneType
    0xA401: (SHORT, 1),  # CustomRendered
    0xA402: (SHORT, 1),  # ExposureMode
    0xA403: (SHORT, 1),  # WhiteBalance
    0xA404: (RATIONAL, 1),  # DigitalZoomRatio
    0xA405: (SHORT, 1),  # FocalLengthIn35mmFilm
    0xA406: (SHORT, 1),  # SceneCaptureType
    0xA407: (SHORT, 1),  # GainControl
    0xA408: (SHORT, 1),  # Contrast
    0xA409: (SHORT, 1),  # Saturation
    0xA40A: (SHORT, 1),  # Sharpness
    0xA40C: (SHORT, 1),  # SubjectDistanceRange
    0xA430: (ASCII, None),  # CameraOwnerName
    0xA431: (ASCII, None),  # BodySerialNumber
    0xA432: (RATIONAL, 4),  # LensSpecification
    0xA433: (ASCII, None),  # LensMake
    0xA434: (ASCII, None),  # LensModel
    0xA435: (ASCII, None),  # LensSerialNumber
}

GPS_RULES: dict[int, Rule] = {
    0x00: (BYTE, 4),  # GPSVersionID
    0x01: (ASCII, 2),  # LatitudeRef
    0x02: (RATIONAL, 3),
    0x03: (ASCII, 2),  # LongitudeRef
    0x04: (RATIONAL, 3),
    0x05: (BYTE, 1),  # AltitudeRef
    0x06: (RATIONAL, 1),
    0x07: (RATIONAL, 3),  # TimeStamp
    0x08: (ASCII, None),  # Satellites
    0x09: (ASCII, 2),  # Status
    0x0A: (ASCII, 2),  # MeasureMode
    0x0B: (RATIONAL, 1),  # DOP
    0x0C: (ASCII, 2),  # SpeedRef
    0x0D: (RATIONAL, 1),
    0x0E: (ASCII, 2),  # TrackRef
    0x0F: (RATIONAL, 1),
    0x10: (ASCII, 2),  # ImgDirectionRef
    0x11: (RATIONAL, 1),
    0x12: (ASCII, None),  # MapDatum
    0x13: (ASCII, 2),  # DestLatitudeRef
    0x14: (RATIONAL, 3),
    0x15: (ASCII, 2),  # DestLongitudeRef
    0x16: (RATIONAL, 3),
    0x17: (ASCII, 2),  # DestBearingRef
    0x18: (RATIONAL, 1),
    0x19: (ASCII, 2),  # DestDistanceRef
    0x1A: (RATIONAL, 1),
    0x1B: (UNDEFINED, None),  # ProcessingMethod
    0x1C: (UNDEFINED, None),  # AreaInformation
    0x1D: (ASCII, 11),  # DateStamp
    0x1E: (SHORT, 1),  # Differential
    0x1F: (RATIONAL, 1),  # HPositioningError
}
MAX_TEXT_BYTES = 4096
# The values that EXIF defines; cameras write others too, which would only mislead.
DEFINED: dict[int, frozenset[int]] = {
    0x9209: frozenset({0x00, 0x01, 0x05, 0x07, 0x08, 0x09, 0x0D, 0x0F, 0x10, 0x14, 0x18, 0x19, 0x1D, 0x1F})
    | {0x20, 0x30, 0x41, 0x45, 0x47, 0x49, 0x4D, 0x4F, 0x50, 0x58, 0x59, 0x5D, 0x5F},
    0xA217: frozenset({1, 2, 3, 4, 5, 7, 8}),
    0xA300: frozenset({1, 2, 3}),
    0xA301: frozenset({1}),
}


def carried(tags: Mapping[int, Entry], rules: Mapping[int, Rule]) -> Tags:
    """The tags that may pass, each in its standard type; one that does not fit its rule stays behind."""
    found: Tags = {}
    for tag, (kind, count) in rules.items():
        entry = tags.get(tag)
        fitted = fit(entry, kind, count) if entry is not None else None
        if fitted is not None and (
            rules is not EXIF_RULES or fitted.values[0] in DEFINED.get(tag, fitted.values)
        ):
            found[tag] = fitted
    return found


def fit(entry: Entry, kind: int, count: int | None) -> Entry | None:
    """The value in the standard's type and count, or nothing where that would be a guess."""
    if kind == ASCII:
        return _fit_text(entry, count)
    if kind in (BYTE, UNDEFINED):
        values = entry.values
        if not isinstance(values, bytes):
            flat = [value for value in values if isinstance(value, int) and 0 <= value < 256]
            values = bytes(flat) if len(flat) == entry.count else b""
        if not values or len(values) > MAX_TEXT_BYTES or (count is not None and len(values) != count):
            return None
        return Entry(kind, values)
    if isinstance(entry.values, bytes) or not entry.values:
        return None
    if kind in (RATIONAL, SRATIONAL):
        return _fit_rational(entry, kind, count)
    top = 0xFFFF if kind == SHORT else 0xFFFFFFFF
    whole = [value for value in entry.values[: count or None] if isinstance(value, int) and 0 <= value <= top]
    return Entry(kind, tuple(whole)) if len(whole) == (count or entry.count) else None


def _fit_text(entry: Entry, count: int | None) -> Entry | None:
    if not isinstance(entry.values, bytes):
        return None
    text = entry.text[:MAX_TEXT_BYTES]
    text = "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")
    data = text.encode("utf-8") + b"\0"
    if len(data) < 2 or (count is not None and len(data) != count):
        return None
    if count == 20 and not _is_moment(text):
        return None
    if count == 11 and not _is_moment(text + " 00:00:00"):
        return None
    return Entry(ASCII, data)


def _is_moment(text: str) -> bool:
    date, _, clock = text.partition(" ")
    parts = [*date.split(":"), *clock.split(":")]
    return len(parts) == 6 and all(part.isdecimal() for part in parts) and int(parts[0]) > 0


def _fit_rational(entry: Entry, kind: int, count: int | None) -> Entry | None:
    if count is not None and entry.count != count:
        return None
    pairs = []
    for value in entry.values:
        if isinstance(value, int):
            value = (value, 1)
        if not isinstance(value, tuple):
            return None
        top, bottom = value
        if kind == RATIONAL and not (0 <= top < 2**32 and 0 <= bottom < 2**32):
            return None
        if kind == SRATIONAL and not (-(2**31) <= top < 2**31 and 0 < bottom < 2**31):
            return None
        if bottom == 0 and not (count == 4 and top == 0):  # an unknown lens speed is written 0/0
            return None
        pairs.append((top, bottom))
    return Entry(kind, tuple(pairs))
