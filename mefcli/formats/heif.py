"""HEIC (with the extra `heif`) and AVIF in. The container's own turns are applied, EXIF's ignored."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from mefcli.errors import UnreadableError
from mefcli.formats import boxes
from mefcli.formats.av1 import stream_bits
from mefcli.formats.facts import Header
from mefcli.formats.kinds import need_heif
from mefcli.formats.pixels import Array, moves, rgb, straight, widened
from mefcli.formats.source import RESTORE
from mefcli.formats.values import Picture


def decode_heif(data: bytes, header: Header, path: Path) -> Picture:
    items = boxes.heif_items(data)
    av1 = items.kinds.get(items.coded) == b"av01" or data[8:12] in (b"avif", b"avis")
    if av1 and items.primary is None:
        raise moves(path)
    pixels = _avif(data, items, path) if av1 else _heic(data, path)
    picture, icc, notes = rgb(pixels, header.icc, path)
    if data[8:12] == b"avis":
        notes.append("the first picture of a sequence used")
    return Picture(np.ascontiguousarray(picture), icc, tuple(notes))


def _heic(data: bytes, path: Path) -> Array:
    try:
        import pillow_heif
    except ImportError:
        raise need_heif(path) from None
    try:
        image = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        pixels = np.asarray(image)
        deep = image.mode.endswith(";16")
        bits = int(image.info.get("bit_depth", 16)) if deep else 8
        premultiplied = image.premultiplied_alpha
    except Exception as reason:  # libheif's complaints come as several exception types
        raise _refusal(path) from reason
    if premultiplied and pixels.shape[2:] in ((2,), (4,)):
        pixels = straight(pixels, pixels.shape[2] - 1)
    # The bits stand at the top of sixteen, the lowest ones empty: white would be 65472, not 65535.
    return widened(pixels.astype(np.uint16) >> (16 - bits), bits) if deep else pixels


def _avif(data: bytes, items: boxes.HeifItems, path: Path) -> Array:
    import imagecodecs

    # Under this brand libavif takes the still picture; of a sequence imagecodecs, asked for its first picture,
    # writes them all into the memory of one.
    still = data[:8] + b"avif" + data[12:]
    try:
        pixels: Array = imagecodecs.avif_decode(still, index=0)
    except Exception as reason:  # libavif's complaints come as several exception types
        raise _refusal(path) from reason
    if pixels.dtype == np.uint16:
        bits = _av1_bits(data, items)
        if not bits or int(pixels.max()) >> bits:
            raise _refusal(path)
        pixels = widened(pixels, bits)
    for body in items.of_primary(b"irot")[:1]:
        pixels = np.rot90(pixels, body[0] & 3)  # quarter turns anticlockwise (ISO/IEC 23008-12, 6.5.10)
    for body in items.of_primary(b"imir")[:1]:
        pixels = pixels[:, ::-1] if body[0] & 1 else pixels[::-1]
    return np.ascontiguousarray(pixels)


def _av1_bits(data: bytes, items: boxes.HeifItems) -> int:
    """Bits of a sample, by the stream itself; 0 where it does not say. The container may contradict it."""
    return stream_bits(items.content(data, items.coded)) or 0


def _refusal(path: Path) -> UnreadableError:
    return UnreadableError(f"{path} is cut off or damaged: its picture data cannot be decoded.", RESTORE)
