"""JPEG in: libjpeg-turbo through imagecodecs, Pillow where that fails. Cut-off files are refused."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from mefcli.errors import UnreadableError
from mefcli.formats import boxes
from mefcli.formats.header import Header
from mefcli.formats.kinds import RESTORE
from mefcli.formats.pixels import Array, rgb, upright, widened
from mefcli.formats.values import Picture

# In compressed data, FF is followed by 00 (stuffing), a restart marker or another FF; else it is a marker.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]", re.DOTALL)


def decode_jpeg(data: bytes, header: Header, path: Path) -> Picture:
    check_complete(data, path)
    bits, process = _precision(data)
    pixels = _decoded(data, path)
    if pixels.dtype == np.uint16:
        pixels = widened(pixels, bits)
    notes = [] if process != 0xC3 else ["lossless JPEG"]
    return finished(pixels, header, notes)


def finished(pixels: Array, header: Header, notes: list[str] | None = None) -> Picture:
    """Decoded JPEG samples as an upright RGB picture."""
    ink = pixels.ndim == 3 and pixels.shape[2] == 4
    # Adobe's programs store CMYK inverted, and mark the file as theirs (Adobe technical note 5116).
    picture, icc, more = rgb(
        pixels, header.icc, ink=ink, inverted_ink=ink and header.adobe_transform is not None
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
    return finished(bgr[..., ::-1], header) if bgr is not None else None


def check_complete(data: bytes, path: Path) -> None:
    """Refuses a file whose compressed data stops before the end-of-image marker."""
    if not is_complete(data):
        raise UnreadableError(f"{path} is cut off: its picture data ends too early.", RESTORE)


def is_complete(data: bytes) -> bool:
    at = 0
    for marker, _, end in boxes.jpeg_segments(data):
        if marker == boxes.START_OF_SCAN:
            at = end
    if not at:
        return False
    while True:
        found = _MARKER.search(data, at)
        if found is None:
            return False
        marker = data[found.start() + 1]
        if marker == boxes.END_OF_IMAGE:
            return True
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        at = found.end() + max(length, 2)  # tables and scan headers between the scans of a progressive file


def _precision(data: bytes) -> tuple[int, int]:
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


def _by_pillow(data: bytes, path: Path, reason: Exception) -> Array:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode not in ("L", "RGB", "CMYK"):
                image = image.convert("RGB")
            pixels: np.ndarray[Any, Any] = np.asarray(image)
    except Exception:  # Pillow reports damage by several exception types
        raise UnreadableError(f"{path} is damaged: its picture data cannot be decoded.", RESTORE) from reason
    # Pillow already turned Adobe's inverted ink around; the caller expects it as stored.
    return 255 - pixels if pixels.ndim == 3 and pixels.shape[2] == 4 else pixels
