"""HEIC and AVIF cut, rotated and mirrored by their containers, in the order that stands there."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mefcli import formats
from mefcli.errors import UnreadableError
from mefcli.formats import boxes
from mefcli.formats.heif import _turned
from mefcli.formats.isobox import PICTURE, box, full_box

WIDE, HIGH = 96, 64


def clap(
    wide: tuple[int, int], high: tuple[int, int], right: tuple[int, int], down: tuple[int, int]
) -> bytes:
    return box(b"clap", struct.pack(">8i", *wide, *high, *right, *down))


def irot(quarters: int) -> bytes:
    return box(b"irot", bytes([quarters]))


def imir(axis: int) -> bytes:
    return box(b"imir", bytes([axis]))


def turned_file(coded: bytes, brand: bytes, kind: bytes, turns: list[bytes]) -> bytes:
    """A file of one picture, its stream and properties taken from `coded`, and what turns it beside them."""
    items = boxes.heif_items(coded)
    stream = items.content(coded, items.primary or PICTURE)
    kept = [(name, body) for name, body in items.properties if name in (b"ispe", b"av1C", b"hvcC")]
    properties = [*(box(name, body) for name, body in kept), *turns]
    essential = [number | (0x80 if number > len(kept) else 0) for number in range(1, len(properties) + 1)]
    owned = struct.pack(">IHB", 1, 1, len(essential)) + bytes(essential)
    head = box(b"ftyp", brand, bytes(4), brand, b"mif1")

    def meta(at: int) -> bytes:
        return full_box(
            b"meta",
            0,
            0,
            full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"pict"), b"\0"),
            full_box(b"pitm", 0, 0, struct.pack(">H", 1)),
            full_box(b"iloc", 0, 0, b"\x44\x00", struct.pack(">HHHHII", 1, 1, 0, 1, at, len(stream))),
            full_box(
                b"iinf",
                0,
                0,
                struct.pack(">H", 1),
                full_box(b"infe", 2, 0, struct.pack(">HH4s", 1, 0, kind), b"\0"),
            ),
            box(b"iprp", box(b"ipco", *properties), full_box(b"ipma", 0, 0, owned)),
        )

    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", stream)


def scene() -> NDArray[np.uint8]:
    """Every place tells where it is."""
    y, x = np.mgrid[:HIGH, :WIDE]
    return np.stack([2 * x + 20, 3 * y + 20, 0 * x + 128], axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def avif(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("avif") / "x.avif"
    options = formats.Encoding(quality=100)
    formats.encode(path, scene(), icc=None, metadata=formats.Metadata(), options=options)
    return path.read_bytes()


def decoded(path: Path, data: bytes) -> NDArray[np.int64]:
    path.write_bytes(data)
    pixels = formats.decode(path).pixels
    size_px = formats.read_shot(path).size_px
    assert size_px == pixels.shape[1::-1], "the header says another size than what is shown"
    return np.asarray(pixels.astype(np.int64) // (257 if pixels.dtype == np.uint16 else 1))


ORDERS = {
    "aperture": ([clap((40, 1), (30, 1), (0, 1), (0, 1))], lambda a: a[17:47, 28:68]),
    "off the middle": ([clap((40, 1), (30, 1), (-28, 1), (17, 1))], lambda a: a[34:64, 0:40]),
    "beyond the edge": ([clap((40, 1), (30, 1), (40, 1), (0, 1))], lambda a: a[17:47, 68:96]),
    "cut, then turned": (
        [clap((40, 1), (30, 1), (-28, 1), (17, 1)), irot(1)],
        lambda a: np.rot90(a[34:64, 0:40]),
    ),
    "cut, turned, mirrored": (
        [clap((40, 1), (30, 1), (-28, 1), (17, 1)), irot(1), imir(1)],
        lambda a: np.rot90(a[34:64, 0:40])[:, ::-1],
    ),
    "turned, then cut": (
        [irot(1), clap((30, 1), (40, 1), (17, 1), (-28, 1))],
        lambda a: np.rot90(a)[0:40, 34:64],
    ),
    "mirrored, then cut": (
        [imir(0), clap((40, 1), (30, 1), (-28, 1), (-17, 1))],
        lambda a: a[::-1][0:30, 0:40],
    ),
    "turned twice": ([irot(1), irot(2)], lambda a: np.rot90(a, 3)),
}


@pytest.mark.parametrize("order", ORDERS)
def test_an_avif_is_shown_as_its_container_says(avif: bytes, tmp_path: Path, order: str) -> None:
    turns, expected = ORDERS[order]
    found = decoded(tmp_path / "x.avif", turned_file(avif, b"avif", b"av01", turns))
    wanted = expected(scene()).astype(np.int64)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 6


def test_an_aperture_without_a_picture_is_refused(avif: bytes, tmp_path: Path) -> None:
    for numbers in (
        ((40, 1), (30, 1), (400, 1), (0, 1)),
        ((0, 1), (30, 1), (0, 1), (0, 1)),
        ((40, 0), (30, 1), (0, 1), (0, 1)),
    ):
        path = tmp_path / "x.avif"
        path.write_bytes(turned_file(avif, b"avif", b"av01", [clap(*numbers)]))
        with pytest.raises(UnreadableError, match="clean aperture"):
            formats.decode(path)


def test_an_avif_is_turned_as_libheif_turns_a_heic(tmp_path: Path) -> None:
    """Any list of turns gives the same place of the same picture."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed")
    file = io.BytesIO()
    pillow_heif.from_bytes("RGB", (WIDE, HIGH), scene().tobytes()).save(file, quality=100, chroma=444)
    heic, chance = file.getvalue(), random.Random(4)

    def random_turn() -> bytes:
        """Apertures begin within the picture; how libheif rounds others depends on how they are written."""
        kind = chance.choice(("clap", "irot", "imir"))
        if kind == "irot":
            return irot(chance.randrange(4))
        if kind == "imir":
            return imir(chance.randrange(2))
        sizes = [(chance.randint(10, 40), chance.choice((1, 1, 2))) for _ in range(2)]
        offs = [(chance.randint(0, 40), chance.choice((1, 2, 3))) for _ in range(2)]
        return clap(*sizes, *offs)  # type: ignore[arg-type]

    path, met = tmp_path / "x.heic", set()
    whole = decoded(path, turned_file(heic, b"heic", b"hvc1", []))
    for _ in range(120):
        turns = [random_turn() for _ in range(chance.randint(1, 4))]
        data = turned_file(heic, b"heic", b"hvc1", turns)
        try:
            ours = _turned(whole, boxes.heif_items(data), path)
        except UnreadableError:
            with pytest.raises(UnreadableError):
                decoded(path, data)
            continue
        theirs = decoded(path, data)
        assert theirs.shape == ours.shape, turns
        apart = (theirs - ours).mean(axis=(0, 1))  # a pixel further is 2 or 3
        assert np.abs(apart).max() < 1, turns
        met.add(ours.shape)
    assert len(met) > 20
