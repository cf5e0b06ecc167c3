"""Pictures that are not all there, in the ways that decoders pass over in silence."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from mefcli import formats
from mefcli.errors import UnreadableError
from mefcli.formats.boxes import heif_items
from mefcli.formats.isobox import box, full_box
from mefcli.formats.raw import claimed_bytes

END = b"\xff\xd9"


def noise(height: int = 61, width: int = 83) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8)


def jpeg(pixels: np.ndarray[Any, Any] | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise() if pixels is None else pixels).save(file, "jpeg", **options)
    return file.getvalue()


def refused(path: Path, data: bytes, *, reduced: bool = True) -> None:
    path.write_bytes(data)
    for read in (formats.decode, lambda path: formats.decode_reduced(path, 8))[: 1 + reduced]:
        with pytest.raises(UnreadableError, match=r"cut off|damaged|cannot be decoded"):
            read(path)


@pytest.mark.parametrize(
    "options",
    [{}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"progressive": True}, {"quality": 20}],
    ids=["plain", "444", "restarts", "progressive", "low"],
)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_jpeg_cut_off_and_closed_again_is_refused(
    tmp_path: Path, options: dict[str, Any], kept: float
) -> None:
    """Recovery programs do so; libjpeg fills the rest with grey."""
    whole = jpeg(**options)
    start = whole.index(b"\xff\xda")
    last_bits = "progressive" in options and kept > 0.9  # all that is missing; a small picture needs none
    refused(
        tmp_path / "x.jpg", whole[: start + int(kept * (len(whole) - start))] + END, reduced=not last_bits
    )


def test_a_grey_or_black_and_white_jpeg_cut_off_and_closed_is_refused(tmp_path: Path) -> None:
    whole = jpeg(noise()[..., 0])
    refused(tmp_path / "x.jpg", whole[: len(whole) // 2] + END)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_a_whole_jpeg_that_ends_in_middle_grey_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    pixels = noise(64, 96)
    pixels[32:] = 128
    (tmp_path / "x.jpg").write_bytes(jpeg(pixels, **options))
    assert (formats.decode(tmp_path / "x.jpg").pixels[-1, -1] == 128).all()
    assert formats.decode_reduced(tmp_path / "x.jpg", 8).pixels.shape[1] == 8


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_a_png_with_a_wrong_checksum_or_too_few_rows_is_refused(tmp_path: Path) -> None:
    whole = imagecodecs.png_encode(noise().astype(np.uint16) * 257)
    at = whole.index(b"IDAT")
    size = int.from_bytes(whole[at - 4 : at], "big")
    damaged = bytearray(whole)
    damaged[at + 4 + size // 2] ^= 1
    refused(tmp_path / "x.png", bytes(damaged))
    few = zlib.compress(bytes((1 + 83 * 6) * 30))
    refused(tmp_path / "x.png", whole[: at - 4] + png_chunk(b"IDAT", few) + png_chunk(b"IEND", b""))


# A strip's JPEG with half of its length is left out: the TIFF names no other length to hold it against.
@pytest.mark.parametrize(
    ("compression", "claim"),
    [
        *itertools.product([None, "zlib", "lzw"], ["nothing", "half", "everything"]),
        *itertools.product(["jpeg"], ["nothing", "everything"]),
    ],
)
@pytest.mark.parametrize("layout", [{"rowsperstrip": 16}, {"tile": (32, 32)}], ids=["strips", "tiles"])
def test_a_tiff_that_lacks_data_for_a_strip_or_tile_is_refused(
    tmp_path: Path, compression: str | None, layout: dict[str, Any], claim: str
) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, noise(), photometric="rgb", compression=compression, **layout)
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags["StripByteCounts" if "rowsperstrip" in layout else "TileByteCounts"]
    code = {3: "H", 4: "I", 16: "Q"}[tag.dtype]
    size = struct.calcsize(code)
    data = bytearray(path.read_bytes())
    value = {"nothing": 0, "half": tag.value[-1] // 2, "everything": 256**size - 1}[claim]
    at = tag.valueoffset + size * (len(tag.value) - 1)
    data[at : at + size] = struct.pack(f"<{code}", value)
    refused(path, bytes(data))


def test_a_strip_that_swells_takes_no_memory(tmp_path: Path) -> None:
    """A gigabyte of zeros in place of a strip's few hundred bytes."""
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, noise(8, 8), photometric="rgb", compression="zlib")
    worker = zlib.compressobj(9)
    bomb = b"".join(worker.compress(bytes(1 << 20)) for _ in range(1 << 10)) + worker.flush()
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        places = {tags[name].valueoffset: tags[name].dtype for name in ("StripOffsets", "StripByteCounts")}
    for (at, kind), value in zip(places.items(), (len(data), len(bomb)), strict=True):
        struct.pack_into({3: "<H", 4: "<I"}[kind], data, at, value & (0xFFFF if kind == 3 else -1 % 2**32))
    refused(path, bytes(data) + bomb)


def heic_of_two_tiles(aperture: bytes | None = None) -> bytes:
    """A 128x64 picture from two tiles (ISO/IEC 23008-12, 6.6.2.3), as phones store theirs."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed")
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(noise(64, 64))).save(file, quality=90)
    one = heif_items(file.getvalue())
    tile = one.content(file.getvalue(), one.primary or 0)
    coding = next(body for name, body in one.properties if name == b"hvcC")
    grid = struct.pack(">4BHH", 0, 0, 0, 1, 128, 64)
    kinds = ((1, b"hvc1"), (2, b"hvc1"), (3, b"grid"))
    entries = [
        full_box(b"infe", 2, 0, struct.pack(">HH4s", number, 0, kind), b"\0") for number, kind in kinds
    ]
    properties = [
        box(b"hvcC", coding),
        *(full_box(b"ispe", 0, 0, struct.pack(">II", w, 64)) for w in (64, 128)),
    ]
    owned = struct.pack(">I", 3) + b"\0\1\2\x81\2" + b"\0\2\2\x81\2"
    owned += b"\0\3\1\3" if aperture is None else b"\0\3\2\3\x84"
    properties += [] if aperture is None else [box(b"clap", aperture)]
    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")

    def meta(at: int) -> bytes:
        places = [
            (3, at, len(grid)),
            (1, at + len(grid), len(tile)),
            (2, at + len(grid) + len(tile), len(tile)),
        ]
        located = b"".join(struct.pack(">HHHII", number, 0, 1, start, size) for number, start, size in places)
        return full_box(
            b"meta",
            0,
            0,
            full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, 0, b"\0\3"),
            full_box(b"iloc", 0, 0, b"\x44\0", struct.pack(">H", 3), located),
            full_box(b"iinf", 0, 0, struct.pack(">H", 3), *entries),
            full_box(b"iref", 0, 0, box(b"dimg", struct.pack(">HHHH", 3, 2, 1, 2))),
            box(b"iprp", box(b"ipco", *properties), full_box(b"ipma", 0, 0, owned)),
        )

    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", grid, tile, tile)


@pytest.mark.parametrize(
    ("aperture", "size_px"),
    [((48, 1, 32, 1), (48, 32)), ((97, 2, 65, 2), (49, 33)), ((200, 1, 90, 1), (128, 64))],
)
def test_the_size_of_a_heic_is_that_of_its_clean_aperture(
    tmp_path: Path, aperture: tuple[int, ...], size_px: tuple[int, int]
) -> None:
    path = tmp_path / "x.heic"
    path.write_bytes(heic_of_two_tiles(struct.pack(">8i", *aperture, 0, 1, 0, 1)))
    assert formats.read_shot(path).size_px == size_px
    assert formats.decode(path).pixels.shape[1::-1] == size_px


def test_a_heic_that_lacks_tiles_is_refused(tmp_path: Path) -> None:
    whole = heic_of_two_tiles()
    path = tmp_path / "x.heic"
    path.write_bytes(whole)
    pixels = formats.decode(path).pixels
    np.testing.assert_array_equal(pixels[:, :64], pixels[:, 64:])
    for kept in (len(whole) - 1, len(whole) - 3000):
        refused(path, whole[:kept])


def test_the_first_of_several_pages_is_used_and_said(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    with tifffile.TiffWriter(path) as file:
        for page in (noise(), noise() // 2):
            file.write(page, photometric="rgb")
    picture = formats.decode(path)
    np.testing.assert_array_equal(picture.pixels, noise())
    assert picture.notes == ("first of 2 pages used",)


def test_directories_in_a_circle_end(tmp_path: Path) -> None:
    """The next directory, the EXIF directory and a sub-directory are all the first one."""
    entries = [
        (0x0100, 4, 1, 8), (0x0101, 4, 1, 8), (0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0x014A, 4, 1, 8),
    ]  # fmt: skip
    block = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
    block += b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries)) + struct.pack("<I", 8)
    path = tmp_path / "x.tif"
    path.write_bytes(block)
    with pytest.raises(UnreadableError):
        formats.decode(path)
    body = b"Exif\0\0" + block
    whole = jpeg()
    path = tmp_path / "x.jpg"
    path.write_bytes(whole[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + whole[2:])
    assert formats.read_shot(path).exposure_s is None
    np.testing.assert_array_equal(formats.decode(path).pixels, np.asarray(Image.open(io.BytesIO(whole))))


def fuji() -> bytes:
    head = b"FUJIFILMCCD-RAW 0201".ljust(0x64, b"\0") + struct.pack(">II", 0x200, 0x1000)
    return head.ljust(0x1200, b"\x55")


def canon() -> bytes:
    head = struct.pack(">I4s4s4s", 24, b"ftyp", b"crx ", b"\0\0\0\1").ljust(24, b"\0")
    return head + struct.pack(">I4sQ", 1, b"mdat", 0x1000) + bytes(0x1000 - 16)


def minolta() -> bytes:
    facts = b"27200001" + struct.pack(">HHHHBBB", 40, 60, 40, 60, 12, 12, 0x59) + bytes(5)
    blocks = b"\0PAD" + struct.pack(">I", 4) + bytes(4) + b"\0PRD" + struct.pack(">I", len(facts)) + facts
    return b"\0MRM" + struct.pack(">I", len(blocks)) + blocks + bytes(40 * 60 * 12 // 8)


@pytest.mark.parametrize("make", [fuji, canon, minolta])
def test_raw_files_without_tiff_structure_say_how_long_they_are(tmp_path: Path, make: Any) -> None:
    whole = make()
    assert claimed_bytes(whole) == len(whole)
    path = tmp_path / "x.raw"
    path.write_bytes(whole[:-1])
    with pytest.raises(UnreadableError, match="cut off: part of its sensor data is missing"):
        formats.decode(path)
