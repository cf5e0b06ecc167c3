"""TIFFs that programs structure in their own ways: read as everywhere else, or refused; never scrambled."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mefcli.errors import UnreadableError
from mefcli.formats import decode, read_shot
from tests.formats.conftest import photo

Tags = dict[int, tuple[str, Sequence[int]]]
TYPES = {"H": 3, "I": 4}
LINEAR = [round(level * 65535 / 255) for level in range(256)]


def tags(pixels: np.ndarray[Any, Any], more: Tags | None = None) -> Tags:
    """Of one strip of RGB or grey."""
    height, width, samples = (*pixels.shape, 1)[:3]
    return {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [8 * pixels.dtype.itemsize] * samples),
        259: ("H", [1]),
        262: ("H", [2 if samples >= 3 else 1]),
        277: ("H", [samples]),
        278: ("I", [height]),
        284: ("H", [1]),
    } | (more or {})


def written(path: Path, *pages: tuple[Sequence[bytes], Tags], below: bool = False) -> Path:
    """A file of pages, each of strips and tags; the last one `below` the first: in its SubIFDs."""
    data = bytearray(b"II*\0" + bytes(4))
    waiting = [4]  # where the next directory's place is to be written
    for number, (strips, given) in enumerate(pages):
        found = dict(given)
        found[273], found[279] = ("I", [0] * len(strips)), ("I", [len(strip) for strip in strips])
        if below and number == 0:
            found[330] = ("I", [0])
        places = []
        for strip in strips:
            places.append(len(data))
            data += strip + bytes(len(strip) % 2)
        found[273] = ("I", places)
        struct.pack_into("<I", data, waiting.pop(), len(data))
        at, extra = len(data), b""
        data += struct.pack("<H", len(found))
        for tag in sorted(found):
            code, values = found[tag]
            body = struct.pack(f"<{len(values)}{code}", *values)
            data += struct.pack("<HHI", tag, TYPES[code], len(values))
            if tag == 330:
                waiting.append(len(data))
            if len(body) > 4:
                data += struct.pack("<I", at + 6 + 12 * len(found) + len(extra))
                extra += body
            else:
                data += body.ljust(4, b"\0")
        if not waiting:
            waiting.append(len(data))
        data += bytes(4) + extra
    path.write_bytes(data)
    return path


def refused(path: Path, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        decode(path)


@pytest.mark.parametrize("predictor", [2, 3])
def test_plain_samples_are_no_differences_whatever_a_tag_says(tmp_path: Path, predictor: int) -> None:
    """libtiff, and so every viewer, knows differences below compressions alone; tifffile sums here too."""
    more: Tags = {317: ("H", [predictor])}
    path = written(tmp_path / "a.tif", ([photo().tobytes()], tags(photo(), more)))
    assert (decode(path).pixels == photo()).all()


@pytest.mark.parametrize(("compression", "predictor"), [(32773, 2), (8, 3)])
def test_differences_that_programs_disagree_on_are_refused(
    tmp_path: Path, compression: int, predictor: int
) -> None:
    deep = photo().astype(np.uint16) * 257
    coded = zlib.compress(deep.tobytes()) if compression == 8 else b"\x7f" + deep.tobytes()
    more: Tags = {259: ("H", [compression]), 317: ("H", [predictor])}
    refused(written(tmp_path / "a.tif", ([coded], tags(deep, more))), "programs disagree")


def test_strips_with_fewer_samples_than_their_rows_are_refused(tmp_path: Path) -> None:
    strips = [photo()[top : top + 10].tobytes() for top in range(0, 40, 10)]
    more: Tags = {278: ("I", [10])}
    assert (decode(written(tmp_path / "a.tif", (strips, tags(photo(), more)))).pixels == photo()).all()
    strips[1] = strips[1][:-180]
    refused(written(tmp_path / "b.tif", (strips, tags(photo(), more))), "ends too early")
    for odd in ({278: ("I", [0])}, {322: ("I", [0]), 323: ("I", [16])}, {258: ("H", [5, 6, 5])}):
        refused(written(tmp_path / "c.tif", (strips, tags(photo(), odd))), "no photograph mef can read")  # type: ignore[arg-type]


def test_grey_with_further_samples_is_grey(tmp_path: Path) -> None:
    pixels = photo()
    more: Tags = {262: ("H", [1]), 338: ("H", [0, 0])}
    found = decode(written(tmp_path / "a.tif", ([pixels.tobytes()], tags(pixels, more))))
    assert (found.pixels == pixels[..., :1]).all()
    assert "transparency dropped" in found.notes
    both = np.dstack([pixels[..., 0], np.full_like(pixels[..., 0], 255)])
    more = {262: ("H", [0]), 338: ("H", [1])}
    found = decode(written(tmp_path / "b.tif", ([both.tobytes()], tags(both, more))))
    assert (found.pixels == 255 - pixels[..., :1]).all()


def test_a_palette_of_eight_bit_numbers_is_not_black(tmp_path: Path) -> None:
    grey = photo()[..., 0]
    more: Tags = {262: ("H", [3]), 320: ("H", [*range(256)] * 3)}
    found = decode(written(tmp_path / "a.tif", ([grey.tobytes()], tags(grey, more))))
    assert found.pixels.dtype == np.uint8
    assert (found.pixels == grey[..., None]).all()


@pytest.mark.parametrize("reduced", [{254: ("I", [1])}, {255: ("H", [2])}], ids=["new", "old"])
@pytest.mark.parametrize("below", [False, True], ids=["next page", "below"])
def test_behind_a_thumbnail_the_picture_is_read(tmp_path: Path, reduced: Tags, below: bool) -> None:
    """With the words that stand beside the thumbnail alone, such as which side is up."""
    small, picture = photo()[::4, ::4], photo()
    pages = (
        ([small.tobytes()], tags(small, {**reduced, 274: ("H", [6])})),
        ([picture.tobytes()], tags(picture)),
    )
    path = written(tmp_path / "a.tif", *pages, below=below)
    assert (decode(path).pixels == np.rot90(picture, -1)).all()
    assert read_shot(path).size_px == (40, 60)


def test_a_curve_is_honoured_without_primaries(tmp_path: Path) -> None:
    more: Tags = {301: ("H", LINEAR)}
    found = decode(written(tmp_path / "a.tif", ([photo().tobytes()], tags(photo(), more))))
    assert found.notes == ("linear light given sRGB's curve",)
    assert found.pixels.mean() > 257 * (photo().mean() + 20)
