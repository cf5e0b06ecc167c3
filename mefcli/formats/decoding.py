"""`decode` and `decode_reduced`: any file to an upright RGB picture in its own depth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mefcli.errors import MefError, UnreadableError
from mefcli.formats.colours import display_referred
from mefcli.formats.facts import Header
from mefcli.formats.header import parse_header
from mefcli.formats.icc import icc_profile
from mefcli.formats.kinds import kind_of
from mefcli.formats.shot import is_dcf_adobe_rgb, turned
from mefcli.formats.source import RESTORE, changed, opened
from mefcli.formats.values import MAX_PIXELS, Development, Picture
from mefcli.values import Pixels

SIZED = frozenset({"jpeg", "png", "tiff", "webp", "bmp", "pnm", "gif"})  # their headers tell the size
BY_PATH = frozenset({"tiff", "raw"})  # their libraries want the file itself


def decode(path: Path, development: Development | None = None, *, max_pixels: int | None = None) -> Picture:
    """The whole picture. A header that claims more than `max_pixels` (400 MP) is refused unread."""
    path = Path(path)
    header, data = _opened(path, MAX_PIXELS if max_pixels is None else max_pixels)
    return _decoded(
        path, header, data, development or Development(), MAX_PIXELS if max_pixels is None else max_pixels
    )


def decode_reduced(path: Path, max_side_px: int, development: Development | None = None) -> Picture:
    """A small picture, at most `max_side_px` on its longer side, as cheaply as the format allows."""
    path = Path(path)
    header, data = _opened(path, MAX_PIXELS)
    picture = None
    if header.kind == "jpeg":
        from mefcli.formats.jpeg import reduced_jpeg

        picture = reduced_jpeg(data, header, path, max_side_px)
    elif header.kind == "raw":
        from mefcli.formats.raw import decode_raw

        picture = decode_raw(path, header, development or Development(), MAX_PIXELS, half=True)
    if picture is None:
        picture = _decoded(path, header, data, development or Development(), MAX_PIXELS)
    else:
        picture = _tagged(picture, header, path)
    return replace(picture, pixels=shrunk(picture.pixels, max_side_px))


def shrunk(pixels: Pixels, max_side_px: int) -> Pixels:
    """Area-averaged down to `max_side_px` on the longer side; never enlarged."""
    height, width = pixels.shape[:2]
    scale = max_side_px / max(height, width)
    if scale >= 1:
        return pixels
    import cv2

    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return small


def _opened(path: Path, max_pixels: int) -> tuple[Header, bytes]:
    from mefcli.formats.tiff import too_large

    with opened(path) as data:
        header = parse_header(data, kind_of(data, path))
        if header.size_px is not None and header.size_px[0] * header.size_px[1] > max_pixels:
            raise too_large(path, header.size_px, max_pixels)
        if header.size_px is not None and 0 in header.size_px:
            raise UnreadableError(f"{path} holds a picture without pixels.", "Export it again.")
        if header.size_px is None and header.kind in SIZED:
            raise UnreadableError(f"{path} is cut off or damaged: it holds no picture.", RESTORE)
        if header.cut:
            raise UnreadableError(f"{path} is cut off: it ends before its data does.", RESTORE)
        whole = bytes(data[0 : len(data)]) if header.kind not in BY_PATH else b""
    return header, whole


def _decoded(path: Path, header: Header, data: bytes, development: Development, max_pixels: int) -> Picture:
    before = _state(path) if header.kind in BY_PATH else None
    try:
        picture = _by_kind(path, header, data, development, max_pixels)
        if before is not None and _state(path) != before:  # what was cut off is black by now
            raise changed(path)
    except MemoryError as reason:
        raise MefError(
            f"{path} does not fit into memory.", "Close other programs, or reduce the picture."
        ) from reason
    expected = turned(header.size_px, header.orientation)
    if header.kind in SIZED and picture.pixels.shape[1::-1] != expected:
        raise UnreadableError(f"{path} is damaged: its picture has another size than it says.", RESTORE)
    return _tagged(picture, header, path)


def _state(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _by_kind(path: Path, header: Header, data: bytes, development: Development, max_pixels: int) -> Picture:
    if header.kind == "jpeg":
        from mefcli.formats.jpeg import decode_jpeg

        return decode_jpeg(data, header, path)
    if header.kind == "png":
        from mefcli.formats.png import decode_png

        return decode_png(data, header, path)
    if header.kind == "tiff":
        from mefcli.formats.tiff import decode_tiff

        return decode_tiff(path, header, max_pixels)
    if header.kind == "heif":
        from mefcli.formats.heif import decode_heif

        return decode_heif(data, header, path)
    if header.kind == "raw":
        from mefcli.formats.raw import decode_raw

        return decode_raw(path, header, development, max_pixels)
    from mefcli.formats.plain import decode_plain

    return decode_plain(data, header, path)


def _tagged(picture: Picture, header: Header, path: Path) -> Picture:
    """With its colours as the file means them, and contiguous native pixels."""
    pixels, icc = picture.pixels, picture.icc
    notes: list[str] = []
    if header.kind != "raw":
        if icc is None and header.colours is None and is_dcf_adobe_rgb(header):
            icc = icc_profile("adobergb")  # which a camera only hinted at
        pixels, icc, notes = display_referred(pixels, icc, header.colours, path)
    contiguous: Pixels = np.ascontiguousarray(pixels)  # type: ignore[assignment]
    return Picture(contiguous, icc, (*picture.notes, *notes))
