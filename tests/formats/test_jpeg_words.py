"""JPEGs whose start of frame says another kind of data than follows: refused, not decoded to wrong tones."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from mefcli import demo, formats
from mefcli.errors import UnreadableError
from mefcli.formats import boxes

PRECISION = 0  # its place within the start of frame


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    light = np.clip(demo.scene(96), 0, 1) ** (1 / 2.2)
    return np.asarray(np.rint(255 * light), np.uint8)


def coded(pixels: NDArray[np.uint8], mode: str = "RGB", *, progressive: bool = False) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", quality=92, progressive=progressive)
    return file.getvalue()


def of_12_bits(pixels: NDArray[np.uint8], level: int = 95) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(pixels.astype(np.uint16) * 16, level=level, bitspersample=12))


def saying(data: bytes, *, bits: int | None = None, process: int | None = None) -> bytes:
    changed = bytearray(data)
    for marker, start, _ in boxes.jpeg_segments(data):
        if marker in boxes.START_OF_FRAME:
            if bits is not None:
                changed[start + PRECISION] = bits
            if process is not None:
                changed[start - 3] = process
    return bytes(changed)


LIES: dict[str, tuple[Callable[[NDArray[np.uint8]], bytes], str]] = {
    "12 over 8": (lambda a: saying(coded(a), bits=12), "says 12 bits a channel, and holds 8"),
    "12 over 8, grey": (lambda a: saying(coded(a, "L"), bits=12), "says 12 bits a channel, and holds 8"),
    "12 over 8, progressive": (
        lambda a: saying(coded(a, progressive=True), bits=12),
        "says 12 bits a channel, and holds 8",
    ),
    "8 over 12": (lambda a: saying(of_12_bits(a), bits=8), "says 8 bits a channel, and holds more"),
    "8 over coarse 12": (
        lambda a: saying(of_12_bits(a, 70), bits=8),
        "says 8 bits a channel, and holds more",
    ),
    "arithmetic": (lambda a: saying(coded(a), process=0xC9), "arithmetic"),
    "arithmetic, progressive": (lambda a: saying(coded(a, progressive=True), process=0xCA), "arithmetic"),
    "arithmetic of 12": (lambda a: saying(of_12_bits(a), process=0xC9), "arithmetic"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_start_of_frame_that_contradicts_the_data_is_told(
    tmp_path: Path, pixels: NDArray[np.uint8], lie: str
) -> None:
    make, word = LIES[lie]
    path = tmp_path / "x.jpg"
    path.write_bytes(make(pixels))
    with pytest.raises(UnreadableError, match=word):
        formats.decode(path)


@pytest.mark.parametrize("level", [30, 70, 95, 100])
def test_what_is_true_is_read(tmp_path: Path, pixels: NDArray[np.uint8], level: int) -> None:
    """Also 12 bits of a flat grey, of a dim and of a pale picture."""
    path = tmp_path / "x.jpg"
    for scale, base in ((16, 0), (2, 0), (2, 3300), (0, 2048)):
        deep = pixels.astype(np.uint16) * scale + base
        path.write_bytes(bytes(imagecodecs.jpeg8_encode(deep, level=level, bitspersample=12)))
        found = formats.decode(path).pixels
        assert abs(float(found.mean()) / 65535 - float(deep.mean()) / 4095) < 0.01
    path.write_bytes(coded(pixels))
    assert abs(float(formats.decode(path).pixels.mean()) - float(pixels.mean())) < 1


def with_restarts(pixels: NDArray[np.uint8], *, progressive: bool) -> bytes:
    words = [cv2.IMWRITE_JPEG_RST_INTERVAL, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    return bytes(cv2.imencode(".jpg", pixels, words)[1].tobytes())


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_lost_and_exchanged_parts_of_a_jpeg_with_restart_markers_are_told(
    tmp_path: Path, pixels: NDArray[np.uint8], progressive: bool
) -> None:
    whole, path = with_restarts(pixels, progressive=progressive), tmp_path / "x.jpg"
    path.write_bytes(whole)
    assert formats.decode(path).pixels.shape == pixels.shape
    places = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", whole)]
    first, second, third = places[1:4]
    lost = whole[:first] + whole[second:]
    exchanged = whole[:first] + whole[second:third] + whole[first:second] + whole[third:]
    for data in (lost, exchanged):
        path.write_bytes(data)
        with pytest.raises(UnreadableError, match="lost or out of order"):
            formats.decode(path)


@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
@pytest.mark.parametrize(
    ("place", "value", "word"),
    [(4, 12, "holds JPEGs of 12"), (1, 0xC9, "arithmetic"), (4, 8, None)],
    ids=["depth", "coding", "true"],
)
def test_a_tiff_of_jpegs_that_contradict_it_is_told(
    tmp_path: Path, pixels: NDArray[np.uint8], photometric: str, place: int, value: int, word: str | None
) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric=photometric, compression="jpeg", rowsperstrip=16)
    data = bytearray(file.getvalue())
    frames = [found.start() for found in re.finditer(rb"\xff\xc0\0\x11\x08", data)]
    assert len(frames) == 4
    data[frames[-1] + place] = value
    path = tmp_path / "x.tif"
    path.write_bytes(data)
    if word is None:
        assert abs(float(formats.decode(path).pixels.mean()) - float(pixels.mean())) < 4
        return
    with pytest.raises(UnreadableError, match=word):
        formats.decode(path)
