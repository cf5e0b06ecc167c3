"""HEIC (with the extra `heif`) and AVIF in. The container's own turns are applied, EXIF's ignored."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np

from mefcli.errors import UnreadableError
from mefcli.formats import boxes
from mefcli.formats.av1 import StreamFacts, stream_facts
from mefcli.formats.facts import Header
from mefcli.formats.kinds import need_heif
from mefcli.formats.pixels import Array, moves, rgb, straight, widened
from mefcli.formats.source import RESTORE
from mefcli.formats.values import Picture

LAYERS = (b"a1op", b"lsel")  # properties of a stream that holds a picture in several sizes


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

    facts = stream_facts(items.content(data, items.coded))
    if facts is None:
        raise _refusal(path)
    _check_size(facts, items, path)
    # Under this brand libavif takes the still picture. Asked for the first one of a sequence, imagecodecs
    # writes all of them into the memory of one.
    still = data[:8] + b"avif" + data[12:]
    try:
        pixels: Array = imagecodecs.avif_decode(still, index=0)
    except Exception as reason:  # libavif's complaints come as several exception types
        raise _refusal(path) from reason
    if pixels.dtype == np.uint16:
        pixels = widened(pixels, facts.bits)
    return np.ascontiguousarray(_turned(pixels, items, path))


def _turned(pixels: Array, items: boxes.HeifItems, path: Path) -> Array:
    """Cut, rotated and mirrored as the container says, in its order; libheif does this by itself."""
    for name, body in items.turns():
        if name == b"clap":
            box = boxes.aperture(body, pixels.shape[1], pixels.shape[0])
            if box is None:
                raise UnreadableError(f"{path} is damaged: its clean aperture holds no picture.", RESTORE)
            left, top, right, bottom = box
            pixels = pixels[top:bottom, left:right]
        elif name == b"irot" and body:
            pixels = np.rot90(pixels, body[0] & 3)  # quarter turns anticlockwise (ISO/IEC 23008-12, 6.5.10)
        elif name == b"imir" and body:
            pixels = pixels[:, ::-1] if body[0] & 1 else pixels[::-1]
    return pixels


def _check_size(facts: StreamFacts, items: boxes.HeifItems, path: Path) -> None:
    """libavif stretches a picture to the size that the container says."""
    said = [struct.unpack(">II", body[4:12]) for body in items.of(items.coded, b"ispe") if len(body) >= 12]
    layered = any(items.of(items.coded, name) for name in LAYERS)
    if said and not layered and said[0] != facts.size_px:
        raise UnreadableError(f"{path} is damaged: its picture has another size than it says.", RESTORE)


def _refusal(path: Path) -> UnreadableError:
    return UnreadableError(f"{path} is cut off or damaged: its picture data cannot be decoded.", RESTORE)
