"""A sensor's mosaic as an uncompressed DNG 1.4, which every RAW developer reads."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli import storage
from mefcli.errors import OutputError
from mefcli.formats.ifd import (
    ASCII,
    BYTE,
    EXIF_POINTER,
    LONG,
    RATIONAL,
    SHORT,
    SRATIONAL,
    UNDEFINED,
    Entry,
    Tags,
    serialise,
    text_entry,
)
from mefcli.version import version

# XYZ (D65) to a camera whose primaries are sRGB's: the inverse of the sRGB matrix of IEC 61966-2-1.
SRGB_CAMERA = (3.2404542, -1.5371385, -0.4985314, -0.9692660, 1.8760108, 0.0415560) + (
    0.0556434,
    -0.2040259,
    1.0572252,
)
PATTERNS = {"RGGB": (0, 1, 1, 2), "BGGR": (2, 1, 1, 0), "GRBG": (1, 0, 2, 1), "GBRG": (1, 2, 0, 1)}
CFA, D65 = 32803, 21


def write_dng(
    path: Path,
    mosaic: NDArray[np.uint16],
    *,
    exposure_s: float | None = None,
    aperture: float | None = None,
    iso: float | None = None,
    bias_ev: float | None = None,
    focal_mm: float | None = None,
    taken_at: datetime | None = None,
    make: str = "mef",
    model: str = "Simulated camera",
    pattern: str = "RGGB",
    black_level: int = 0,
    white_level: int = 65535,
    colour_matrix: Sequence[float] = SRGB_CAMERA,
    as_shot_neutral: Sequence[float] = (1.0, 1.0, 1.0),
    orientation: int = 1,
) -> None:
    """Write `mosaic`, uint16 `(H, W)` with even sides.

    `colour_matrix` is row by row from XYZ under D65 to the camera's colours; `as_shot_neutral` is what the
    camera records of a neutral surface, so its reciprocals are the white balance.
    """
    if mosaic.ndim != 2 or mosaic.dtype != np.uint16 or mosaic.shape[0] % 2 or mosaic.shape[1] % 2:
        raise OutputError(f"{path} needs a mosaic of 16-bit numbers with even sides, not {mosaic.shape}.")
    height, width = mosaic.shape
    data = np.ascontiguousarray(mosaic, dtype="<u2").tobytes()
    exif = _exif(exposure_s, aperture, iso, bias_ev, focal_mm, taken_at)
    main: Tags = {
        0x00FE: Entry(LONG, (0,)),
        0x0100: Entry(LONG, (width,)),
        0x0101: Entry(LONG, (height,)),
        0x0102: Entry(SHORT, (16,)),
        0x0103: Entry(SHORT, (1,)),
        0x0106: Entry(SHORT, (CFA,)),
        0x010F: text_entry(make),
        0x0110: text_entry(model),
        0x0111: Entry(LONG, (8,)),
        0x0112: Entry(SHORT, (orientation,)),
        0x0115: Entry(SHORT, (1,)),
        0x0116: Entry(LONG, (height,)),
        0x0117: Entry(LONG, (len(data),)),
        0x011A: Entry(RATIONAL, ((300, 1),)),
        0x011B: Entry(RATIONAL, ((300, 1),)),
        0x011C: Entry(SHORT, (1,)),
        0x0128: Entry(SHORT, (2,)),
        0x0131: text_entry(f"mef demo {version()}"),
        0x828D: Entry(SHORT, (2, 2)),  # CFARepeatPatternDim
        0x828E: Entry(BYTE, bytes(PATTERNS[pattern])),  # CFAPattern
        0xC612: Entry(BYTE, b"\1\4\0\0"),  # DNGVersion
        0xC613: Entry(BYTE, b"\1\1\0\0"),  # DNGBackwardVersion
        0xC614: text_entry(f"{make} {model}"),  # UniqueCameraModel
        0xC616: Entry(BYTE, b"\0\1\2"),  # CFAPlaneColor
        0xC617: Entry(SHORT, (1,)),  # CFALayout: rectangular
        0xC61A: Entry(LONG, (black_level,)),
        0xC61D: Entry(LONG, (white_level,)),
        0xC621: Entry(SRATIONAL, tuple(_ratio(value, 10_000) for value in colour_matrix)),  # ColorMatrix1
        0xC628: Entry(RATIONAL, tuple(_ratio(value, 1_000_000) for value in as_shot_neutral)),
        0xC65A: Entry(SHORT, (D65,)),  # CalibrationIlluminant1
    }
    if taken_at is not None:
        main[0x0132] = _moment(taken_at)
    exif_at = 8 + len(data)
    block = serialise(exif, exif_at)
    main[EXIF_POINTER] = Entry(LONG, (exif_at,))
    main_at = exif_at + len(block)
    with storage.written(Path(path)) as temporary, temporary.open("wb") as file:
        file.write(b"II*\0" + struct.pack("<I", main_at))
        file.write(data)
        file.write(block)
        file.write(serialise(main, main_at))


def _exif(
    exposure_s: float | None,
    aperture: float | None,
    iso: float | None,
    bias_ev: float | None,
    focal_mm: float | None,
    taken_at: datetime | None,
) -> Tags:
    exif: Tags = {0x9000: Entry(UNDEFINED, b"0232")}
    for tag, value, kind in (
        (0x829A, exposure_s, RATIONAL),
        (0x829D, aperture, RATIONAL),
        (0x9204, bias_ev, SRATIONAL),
        (0x920A, focal_mm, RATIONAL),
    ):
        if value is not None:
            exif[tag] = Entry(kind, (_ratio(value, 100_000),))
    if iso is not None:
        exif[0x8827] = Entry(SHORT, (min(65535, round(iso)),))
    if taken_at is not None:
        exif[0x9003] = exif[0x9004] = _moment(taken_at)
        exif[0x9291] = Entry(ASCII, f"{taken_at.microsecond // 1000:03d}\0".encode())
    return exif


def _moment(moment: datetime) -> Entry:
    return text_entry(moment.strftime("%Y:%m:%d %H:%M:%S"))


def _ratio(value: float, largest: int) -> tuple[int, int]:
    fraction = Fraction(value).limit_denominator(largest)
    return fraction.numerator, fraction.denominator
