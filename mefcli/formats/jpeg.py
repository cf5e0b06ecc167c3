"""JPEG in: libjpeg-turbo through imagecodecs, Pillow where that fails. Cut-off files are refused.

Also those that a recovery program closed with an end marker: libjpeg fills up what they lack with grey, and
only warns, which neither library passes on.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from mefcli.errors import UnreadableError
from mefcli.formats import boxes
from mefcli.formats.facts import Header
from mefcli.formats.pixels import Array, rgb, upright, widened
from mefcli.formats.source import RESTORE
from mefcli.formats.values import Picture

START_OF_IMAGE = 0xD8
HUFFMAN_TABLES = 0xC4
PROGRESSIVE = (0xC2, 0xCA)
LOSSLESS = 0xC3
ARITHMETIC = range(0xC9, 0xD0)
MOST_DC, MOST_AC = 11, 10  # bits of a coefficient of 8-bit samples (T.81, tables F.1 and F.2)
MORE = bytes(range(1, 250, 3))  # compressed data that means anything but grey
# In compressed data, FF is followed by 00 (stuffing), a restart marker or another FF; else it is a marker.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]", re.DOTALL)
_RESTART, _SCAN = re.compile(rb"\xff[\xd0-\xd7\xda]", re.DOTALL), b"\xff\xda"


def decode_jpeg(data: bytes, header: Header, path: Path) -> Picture:
    check_complete(data, path)
    bits, process = precision(data)
    if how := contradiction(data, bits, process):
        raise _contradicts(path, how)
    pixels = _decoded(data, path)
    if bits == 12 and process != LOSSLESS and _spans_eight_bits(data, pixels):
        raise _contradicts(path, "it says 12 bits a channel, and holds 8")
    if (process in PROGRESSIVE or _ends_grey(pixels, bits)) and _takes_more(data, pixels, path):
        raise _cut_off(path)
    if pixels.dtype == np.uint16:
        pixels = widened(pixels, bits)
    notes = [] if process != LOSSLESS else ["lossless JPEG"]
    return finished(pixels, header, path, notes)


def finished(pixels: Array, header: Header, path: Path, notes: list[str] | None = None) -> Picture:
    """Decoded JPEG samples as an upright RGB picture."""
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4):
        raise UnreadableError(
            f"{path} has {pixels.shape[2]} colour channels, which mean no colours.", "Export it as sRGB."
        )
    ink = pixels.ndim == 3 and pixels.shape[2] == 4
    # Adobe's programs store CMYK inverted, and mark the file as theirs (Adobe technical note 5116).
    picture, icc, more = rgb(
        pixels, header.icc, path, ink=ink, inverted_ink=ink and header.adobe_transform is not None
    )
    return Picture(upright(picture, header.orientation), icc, (*(notes or ()), *more))


def reduced_jpeg(data: bytes, header: Header, path: Path, max_side_px: int) -> Picture | None:
    """The picture at 1/2, 1/4 or 1/8 size, straight from the DCT; nothing where that does not apply."""
    if header.size_px is None or header.channels not in (1, 3):
        return None
    longest = max(header.size_px)
    factor = next((f for f in (8, 4, 2) if longest // f >= max_side_px), 0)
    if not factor:
        return None
    check_complete(data, path)
    import cv2

    flags = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}[
        factor
    ]
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None or _ends_grey(bgr):  # the whole picture will tell
        return None
    return finished(bgr[..., ::-1], header, path)


def check_complete(data: bytes, path: Path) -> None:
    """Refuses a file whose compressed data stops before the end-of-image marker, or before its last scan."""
    end = _end_of_image(data)
    if end is None or _scans_are_missing(data):
        raise _cut_off(path)
    if not _restarts_in_order(data, end):
        raise _contradicts(path, "parts of its picture data are lost or out of order")


def contradiction(data: bytes, bits: int, process: int) -> str | None:
    """Decoders believe what the start of the frame says, and make noise of data that are another kind's.

    `data` holds the tables; how it contradicts itself, if it does.
    """
    huffman = _coefficient_bits(data)
    if process in ARITHMETIC and huffman:
        return "it says arithmetic coding, and brings tables for Huffman's"
    if process != LOSSLESS and bits == 8 and _beyond_eight(huffman):
        return "it says 8 bits a channel, and holds more"
    return None


def _contradicts(path: Path, how: str) -> UnreadableError:
    return UnreadableError(f"{path} is damaged: {how}.", RESTORE)


def _coefficient_bits(data: bytes) -> list[tuple[bool, int]]:
    """Of each Huffman table whether it is for AC, and the bits of the largest coefficient that it codes."""
    found = []
    for marker, at, end in boxes.jpeg_segments(data):
        while marker == HUFFMAN_TABLES and at + 17 <= end:
            kind, symbols = data[at], data[at + 17 : at + 17 + sum(data[at + 1 : at + 17])]
            found.append((kind >= 16, max((symbol & 15 for symbol in symbols), default=0)))
            at += 17 + len(symbols)
    return found


def _beyond_eight(tables: list[tuple[bool, int]]) -> bool:
    return any(bits > (MOST_AC if ac else MOST_DC) for ac, bits in tables)


def _spans_eight_bits(data: bytes, pixels: Array) -> bool:
    """Samples of 8 bits that are decoded as of 12 lie within a sixteenth of the range, around its middle."""
    low, high = int(pixels.min()), int(pixels.max())
    narrow = low > 2048 - 256 and high < 2048 + 256 and high - low >= 64
    return narrow and not _beyond_eight(_coefficient_bits(data))


def _cut_off(path: Path) -> UnreadableError:
    return UnreadableError(f"{path} is cut off: its picture data ends too early.", RESTORE)


def _end_of_image(data: bytes) -> int | None:
    """Where the end-of-image marker stands that follows the picture's data."""
    at = 0
    for marker, _, end in boxes.jpeg_segments(data):
        if marker == boxes.START_OF_SCAN:
            at = end
    if not at:
        return None
    while True:
        found = _MARKER.search(data, at)
        if found is None:
            return None
        marker = data[found.start() + 1]
        if marker == boxes.END_OF_IMAGE:
            return found.start()
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        at = found.end() + max(length, 2)  # tables and scan headers between the scans of a progressive file


def _scans_are_missing(data: bytes) -> bool:
    """Whether a progressive file ends before the scans with the last bits of what it began (T.81, G.1)."""
    kind, at = precision(data)[1], 0
    missing: dict[tuple[int, bool], int] = {}  # (component, DC or AC) -> bits not yet sent
    while kind in PROGRESSIVE and (found := _MARKER.search(data, at)) is not None:
        marker, at = data[found.start() + 1], found.end()
        if marker == boxes.END_OF_IMAGE:
            break
        if marker == START_OF_IMAGE:
            continue
        end = at + max(2, int.from_bytes(data[at : at + 2], "big"))
        if marker == boxes.START_OF_SCAN:
            first, _, bits = data[end - 3 : end]
            for component in data[at + 3 : end - 3 : 2]:
                missing[component, first > 0] = bits & 15
        at = end
    return any(missing.values())


def _restarts_in_order(data: bytes, end: int) -> bool:
    """Whether the restart markers count from 0 to 7 and again, anew in each scan (T.81, E.1.4), as they do
    unless data between them are lost: libjpeg then goes on with what it finds, and only warns."""
    at = next((stop for marker, _, stop in boxes.jpeg_segments(data) if marker == boxes.START_OF_SCAN), end)
    due = 0
    for found in _RESTART.finditer(data, at, end):
        if found[0] == _SCAN:
            due = 0
        elif found[0][1] != 0xD0 + due:
            return False
        else:
            due = (due + 1) % 8
    return True


def _ends_grey(pixels: Array, bits: int = 8) -> bool:
    """Whether the last pixel is middle grey, as libjpeg leaves blocks that it has no data for."""
    last = pixels[-1, -1].astype(np.int64)
    return bool((np.abs(last - (1 << (bits - 1))) <= 1).all())


def _takes_more(data: bytes, pixels: Array, path: Path) -> bool:
    """Whether more compressed data before the end changes the picture. One that is whole ignores it."""
    end = _end_of_image(data)
    return end is not None and not np.array_equal(_decoded(data[:end] + MORE + data[end:], path), pixels)


def precision(data: bytes) -> tuple[int, int]:
    """Bits a sample and the process, as the start of the frame says."""
    for marker, start, _ in boxes.jpeg_segments(data):
        if marker in boxes.START_OF_FRAME:
            return data[start], marker
    return 8, 0


def _decoded(data: bytes, path: Path) -> Array:
    import imagecodecs

    try:
        pixels: Array = imagecodecs.jpeg8_decode(data)
    except Exception as reason:  # several exception types, by kind of damage
        return _by_pillow(data, path, reason)
    return pixels


def _without_exif(data: bytes) -> bytes:
    """Pillow reads EXIF on opening, and warns on the screen of what it finds odd there."""
    bare, at = b"", 0
    for marker, start, end in boxes.jpeg_segments(data):
        if marker == 0xE1:
            bare, at = bare + data[at : start - 4], end
    return bare + data[at:]


def _by_pillow(data: bytes, path: Path, reason: Exception) -> Array:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(_without_exif(data))) as image:
            if image.mode not in ("L", "RGB", "CMYK"):
                image = image.convert("RGB")
            pixels: np.ndarray[Any, Any] = np.asarray(image)
    except Exception:  # Pillow reports damage by several exception types
        raise UnreadableError(f"{path} is damaged: its picture data cannot be decoded.", RESTORE) from reason
    # Pillow already turned Adobe's inverted ink around; the caller expects it as stored.
    return 255 - pixels if pixels.ndim == 3 and pixels.shape[2] == 4 else pixels
