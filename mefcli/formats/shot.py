"""`read_shot`: the facts of one source file, from EXIF and header, without a pixel.

EXIF goes through our own directory reader, which also reaches CR3 and maker notes; what it does not find,
exifread is asked for, which takes longer than all the rest. Where a camera left out the exposure time,
f-number or ISO, its APEX or maker values stand in.
"""

from __future__ import annotations

import io
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from mefcli.errors import UnreadableError
from mefcli.formats.facts import Header
from mefcli.formats.header import parse_header
from mefcli.formats.icc import icc_profile
from mefcli.formats.ifd import Buffer, Entry, Tags
from mefcli.formats.kinds import kind_of
from mefcli.formats.makernotes import MakerFacts, maker_facts
from mefcli.formats.source import RESTORE, opened
from mefcli.formats.spaces import space_name
from mefcli.values import Drive, Shot

SHORTEST_S, LONGEST_S = 1e-7, 1e5  # of an exposure that any camera makes
MOST_ISO = 1e8
MOST_M = 1e5  # beyond it a distance is infinity, or none
YEARS = (
    1826,
    9998,
)  # the oldest photograph; other years are clocks never set, and times cannot be added to them
FUSED = re.compile(r"mef \d")  # the Software tag of our own results


def read_shot(path: Path) -> Shot:
    path = Path(path)
    with opened(path) as data:
        header = parse_header(data, kind_of(data, path))
        maker = maker_facts(header.exif_block or data, header.exif, _text(header.main, 0x010F))
        named = Named(data, header)
        size, orientation = turned(header.size_px, header.orientation), header.orientation
        if header.kind == "raw":
            from mefcli.formats.raw import upright_size

            size = upright_size(path) or size
        if size is None and header.kind in ("jpeg", "png", "tiff"):
            raise UnreadableError(f"{path} is cut off or damaged: it holds no picture.", RESTORE)
        return Shot(
            path=path,
            kind=header.kind,
            size_px=size,
            exposure_s=_exposure_s(header, named),
            aperture=_aperture(header, named),
            iso=_iso(header, named, maker),
            bias_ev=_number(header, named, "EXIF ExposureBiasValue", 0x9204, signed=True),
            taken_at=_taken_at(header, named),
            camera=_camera(header, named),
            serial=_text(header.exif, 0xA431) or _text(header.main, 0xC62F) or maker.serial,
            lens=_text(header.exif, 0xA434) or maker.lens,
            focal_mm=_number(header, named, "EXIF FocalLength", 0x920A),
            focus_m=_focus_m(header, named, maker),
            orientation=orientation,
            depth=header.depth,
            drive=_drive(header, maker),
            manual=_manual(header),
            icc=_shared(header.icc) if header.icc and header.kind != "raw" else None,
            icc_name=_icc_name(header),
            fused=FUSED.match(_text(header.main, 0x0131)) is not None,
        )


def turned(size: tuple[int, int] | None, orientation: int) -> tuple[int, int] | None:
    return (size[1], size[0]) if size and orientation >= 5 else size


class Named:
    """exifread's tags by their names, read when the first is asked for."""

    def __init__(self, data: Buffer, header: Header) -> None:
        self.data, self.header = data, header
        self.tags: Mapping[str, Any] | None = None

    def get(self, name: str) -> Any:
        if self.tags is None:
            self.tags = _exifread(self.data, self.header)
        return self.tags.get(name)


def _exifread(data: Buffer, header: Header) -> Mapping[str, Any]:
    if header.exif_block is not None:
        source = header.exif_block
    elif header.main and bytes(data[0:4]) in (b"II*\0", b"MM\0*"):
        source = (
            bytes(data[0 : len(data)]) if len(data) < 1 << 20 else b""
        )  # a large TIFF: our reader suffices
    else:
        return {}
    if not source:
        return {}
    import exifread

    logging.getLogger("exifread").setLevel(logging.CRITICAL)
    try:
        tags = exifread.process_file(io.BytesIO(source), details=False, builtin_types=True)
    except Exception:  # exifread meets odd EXIF with any exception; our own reader then stands alone
        return {}
    return dict(tags)


def _entry(header: Header, tag: int) -> Entry | None:
    return header.exif.get(tag) or header.main.get(tag)  # TIFF/EP keeps exposure tags in the main directory


def _number(header: Header, named: Named, name: str, tag: int, *, signed: bool = False) -> float | None:
    """A finite number (positive unless `signed`), from our reader or from exifread."""
    entry = _entry(header, tag)
    ours: Any = entry.numbers[0] if entry is not None and entry.numbers else None
    if _is_fit(ours, signed=signed):
        return float(ours)
    value = named.get(name) if name else None
    first: Any = value[0] if isinstance(value, (list, tuple)) and value else value
    return float(first) if _is_fit(first, signed=signed) else None


def _is_fit(value: Any, *, signed: bool) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and (signed or value > 0)


def _exposure_s(header: Header, named: Named) -> float | None:
    seconds = _number(header, named, "EXIF ExposureTime", 0x829A)
    if seconds is not None and SHORTEST_S < seconds < LONGEST_S:
        return seconds
    apex = _number(header, named, "EXIF ShutterSpeedValue", 0x9201, signed=True)
    return _apex_seconds(apex) if apex is not None and -17 < apex < 20 else None


def _apex_seconds(value: float) -> float:
    """Seconds of an APEX time value; one within 1/50 stop of a third-stop means that speed."""
    seconds: float = 2.0**-value
    marked = [2.0 ** (-third / 3) for third in range(-30, 45)]
    nearest = min(marked, key=lambda speed: abs(math.log2(speed / seconds)))
    return nearest if abs(math.log2(nearest / seconds)) < 0.02 else seconds


def _aperture(header: Header, named: Named) -> float | None:
    number = _number(header, named, "EXIF FNumber", 0x829D)
    if number is not None and number < 1000:
        return number
    apex = _number(header, named, "EXIF ApertureValue", 0x9202)
    return round(2 ** (apex / 2), 1) if apex is not None and apex < 20 else None


def _focus_m(header: Header, named: Named, maker: MakerFacts) -> float | None:
    distance = _number(header, named, "EXIF SubjectDistance", 0x9206)
    # All ones above or nothing below stand for infinity and for unknown (EXIF 2.3, section 4.6.5).
    return distance if distance is not None and distance < MOST_M else maker.focus_m


def _iso(header: Header, named: Named, maker: MakerFacts) -> float | None:
    # 65535 in the old tag means: more than it can hold, see the newer ones (EXIF 2.3, section 4.6.5).
    names = [("EXIF ISOSpeedRatings", 0x8827), ("", 0x8832), ("", 0x8831), ("", 0x8833)]
    for name, tag in names:
        value = _number(header, named, name, tag)
        if value is not None and value != 65535 and value < MOST_ISO:
            return value
    if maker.iso:
        return maker.iso
    panasonic = header.main.get(0x17) if header.kind == "raw" else None
    if panasonic is not None and panasonic.integer:
        return float(panasonic.integer)
    index = _number(header, named, "EXIF ExposureIndex", 0xA215)
    return index if index is not None and index >= 1 else None


def _taken_at(header: Header, named: Named) -> datetime | None:
    places = [(0x9003, "EXIF DateTimeOriginal", 0x9291), (0x9004, "EXIF DateTimeDigitized", 0x9292)]
    for tag, name, sub in [*places, (0x0132, "Image DateTime", 0x9290)]:
        entry = _entry(header, tag)
        text = entry.text if entry is not None else str(named.get(name) or "")
        try:
            moment = datetime.strptime(text[:19].replace("-", ":"), "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
        if not YEARS[0] <= moment.year <= YEARS[1]:
            continue
        digits = _text(header.exif, sub)
        if digits.isdecimal():
            moment += timedelta(seconds=int(digits[:6]) / 10 ** len(digits[:6]))
        return moment
    return None


def _camera(header: Header, named: Named) -> str | None:
    make = _text(header.main, 0x010F) or str(named.get("Image Make") or "").strip()
    model = (
        _text(header.main, 0x0110)
        or _text(header.main, 0xC614)
        or str(named.get("Image Model") or "").strip()
    )
    if make and model.lower().startswith(make.split()[0].lower()):
        return model
    return f"{make} {model}".strip() or None


def _drive(header: Header, maker: MakerFacts) -> Drive:
    """The maker's word; without it ExposureMode, which many cameras set to 2 for each frame of a bracket."""
    if maker.drive.bracketing is None and _integer(header.exif, 0xA402) == 2:
        return replace(maker.drive, bracketing=True)
    return maker.drive


def _manual(header: Header) -> bool | None:
    """By ExposureProgram and ExposureMode, unless they contradict each other, as with some cameras."""
    program, mode = (_integer(header.exif, tag) for tag in (0x8822, 0xA402))
    told = {program == 1} if program in range(1, 9) else set()
    told |= {mode == 1} if mode in (0, 1) else set()
    return told.pop() if len(told) == 1 else None


def _integer(tags: Tags, tag: int) -> int | None:
    entry = tags.get(tag)
    return entry.integer if entry is not None else None


def _text(tags: Tags, tag: int) -> str:
    entry = tags.get(tag)
    return entry.text if entry is not None else ""


def is_dcf_adobe_rgb(header: Header) -> bool:
    """Whether a camera marked Adobe RGB without a profile, by interoperability index R03 (DCF 2.0)."""
    space = header.exif.get(0xA001)
    return (
        header.icc is None
        and header.channels != 4
        and (
            (_text(header.interop, 1) == "R03" and (space is None or space.integer in (2, 65535)))
            or (space is not None and space.integer == 2)
        )
    )


@lru_cache(maxsize=64)
def _shared(icc: bytes) -> bytes:
    """One copy of a profile for all the shots of a card."""
    return icc


def _icc_name(header: Header) -> str | None:
    """The space the file says its colours are in; None where it does not say."""
    if header.icc:
        return space_name(header.icc)
    if header.kind == "raw":
        return None
    if header.colours is not None:
        return "sRGB" if header.colours.is_srgb else header.colours.name
    return space_name(icc_profile("adobergb")) if is_dcf_adobe_rgb(header) else None
