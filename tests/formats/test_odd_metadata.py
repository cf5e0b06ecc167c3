"""Metadata that no camera should write is left out or put right; it never stops a picture."""

from __future__ import annotations

import math
import struct
import zlib
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mefcli.formats import Encoding, encode, read_metadata, read_shot
from mefcli.formats.header import read_header
from mefcli.formats.ifd import Entry, Tags, exif_block
from mefcli.formats.metadata import _ratio
from tests.formats.conftest import exif_bytes, photo

NAN, INFINITE = float("nan"), float("inf")


def jpeg_with(path: Path, main: Tags, exif: Tags, gps: Tags) -> Path:
    Image.fromarray(photo()).save(path, exif=b"Exif\0\0" + exif_block(main, exif, gps))
    return path


ODD: dict[str, tuple[Tags, Tags, Tags]] = {
    "signed 64-bit integers": ({}, {0x829A: Entry(17, (2**40,)), 0x829D: Entry(17, (-5,))}, {}),
    "64-bit offsets": ({}, {0x829A: Entry(18, (2**63,)), 0x9204: Entry(17, (-(2**40),))}, {}),
    "floats that are none": (
        {0x0112: Entry(12, (NAN,)), 0x4746: Entry(12, (INFINITE,))},
        {0x8827: Entry(12, (NAN,)), 0x829A: Entry(11, (INFINITE,)), 0xA402: Entry(12, (NAN,))},
        {0x06: Entry(12, (NAN,)), 0x05: Entry(1, b"\0")},
    ),
    "integers beyond 32 bits": (
        {0x4746: Entry(16, (2**60,)), 0x0112: Entry(16, (2**63,))},
        {0x8827: Entry(16, (2**63,)), 0x8832: Entry(16, (2**40,)), 0xA001: Entry(16, (2**63,))},
        {0x06: Entry(9, (-(2**31),)), 0x05: Entry(1, b"\0")},
    ),
    "absurd exposures": (
        {},
        {
            0x829A: Entry(5, ((1, 2**32 - 1),)),
            0x829D: Entry(5, ((2**32 - 1, 1),)),
            0x8827: Entry(4, (2**32 - 1,)),
        },
        {},
    ),
    "absurd powers": ({}, {0x9201: Entry(10, ((2**31 - 1, 1),)), 0x9202: Entry(5, ((2**32 - 1, 1),))}, {}),
    "a night of a day": ({}, {0x829A: Entry(12, (99999.123,))}, {}),
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_of_several_exif_blocks_the_first_that_can_be_read_counts(tmp_path: Path, suffix: str) -> None:
    def put(data: bytes, block: bytes) -> bytes:
        """In front of the block that is there."""
        if suffix == ".jpg":
            return data[:2] + b"\xff\xe1" + struct.pack(">H", 8 + len(block)) + b"Exif\0\0" + block + data[2:]
        if suffix == ".png":
            check = struct.pack(">I", zlib.crc32(b"eXIf" + block))
            return data[:33] + struct.pack(">I", len(block)) + b"eXIf" + block + check + data[33:]
        body = b"EXIF" + struct.pack("<I", len(block)) + block + bytes(len(block) % 2)
        return data[:4] + struct.pack("<I", len(data) - 8 + len(body)) + data[8:30] + body + data[30:]

    path = tmp_path / f"a{suffix}"
    Image.fromarray(photo()).save(path, exif=exif_bytes(6))
    turned = path.read_bytes()
    assert read_shot(path).orientation == 6
    path.write_bytes(put(turned, exif_bytes(3).removeprefix(b"Exif\0\0")))
    assert read_shot(path).orientation == 3
    for unreadable in (b"", b"no directory"):
        path.write_bytes(put(turned, unreadable))
        assert read_shot(path).orientation == 6


@pytest.mark.parametrize("name", ODD)
def test_odd_values_never_stop_a_picture(tmp_path: Path, name: str) -> None:
    path = jpeg_with(tmp_path / "a.jpg", *ODD[name])
    shot, metadata = read_shot(path), read_metadata(path)
    assert shot.exposure_s is None or 0 < shot.exposure_s < 1e6
    assert shot.iso is None or shot.iso < 1e9
    assert shot.orientation == 1
    assert metadata.rating is None
    for suffix in ("tif", "jpg", "png", "avif", "jxl"):
        written = tmp_path / f"x.{suffix}"
        encode(written, photo(), icc=None, metadata=metadata, options=Encoding())
        if suffix != "jxl":
            assert read_header(written).exif


@pytest.mark.parametrize(
    "value", [Entry(10, ((-17, 2),)), Entry(12, (-8.5,)), Entry(9, (-8,)), Entry(17, (-8,))], ids=str
)
def test_an_altitude_below_the_sea_is_a_depth(tmp_path: Path, value: Entry) -> None:
    gps = {0x05: Entry(1, b"\0"), 0x06: value}
    found = read_metadata(jpeg_with(tmp_path / "a.jpg", {}, {}, gps)).gps
    assert found[0x05] == Entry(1, b"\1")
    assert found[0x06].numbers[0] == abs(value.numbers[0])


@pytest.mark.parametrize("text", ["0001:01:01 00:00:00", "9999:12:31 23:59:59", "1825:12:31 00:00:00"])
def test_a_clock_that_was_never_set_tells_no_time(tmp_path: Path, text: str) -> None:
    """Times of such years cannot be added to or taken from without leaving the calendar."""
    exif = {0x9003: Entry(2, text.encode() + b"\0"), 0x9291: Entry(2, b"99\0")}
    path = jpeg_with(tmp_path / "a.jpg", {}, exif, {})
    assert read_shot(path).taken_at is None
    main = {0x0132: Entry(2, b"2020:02:03 04:05:06\0")}
    path = jpeg_with(tmp_path / "a.jpg", main, exif, {})
    assert read_shot(path).taken_at == datetime(2020, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("value", [1e-6, 1 / 8000, 1 / 3, 1.0, 30.0, 8.5, 4096.25, 99999.123])
def test_any_exposure_fits_two_numbers_of_32_bits(value: float) -> None:
    top, bottom = _ratio(value)
    assert 0 < top < 2**32
    assert 0 < bottom < 2**32
    assert math.isclose(top / bottom, value, rel_tol=1e-4)


def test_integers_are_exact_and_none_where_there_is_none() -> None:
    assert Entry(16, (2**60 + 1,)).integer == 2**60 + 1
    assert Entry(12, (NAN,)).integer is None
    assert Entry(5, ((7, 2),)).integer == 3
    assert Entry(5, ((7, 0),)).integer is None
    assert np.isnan(Entry(12, (NAN,)).numbers[0])
