"""PNG in: 8 and 16 bits, grey, palette, with or without transparency, through libpng."""

from __future__ import annotations

from pathlib import Path

from mefcli.errors import UnreadableError
from mefcli.formats.boxes import png_chunks
from mefcli.formats.facts import Header
from mefcli.formats.pixels import Array, moves, rgb, upright
from mefcli.formats.source import RESTORE
from mefcli.formats.values import Picture

INDEXED = 3  # IHDR's colour type


def decode_png(data: bytes, header: Header, path: Path) -> Picture:
    import imagecodecs

    if header.moving:
        raise moves(path)
    try:
        pixels: Array = imagecodecs.png_decode(only_pixels(data))
    except Exception as reason:  # libpng's complaints come as several exception types
        raise UnreadableError(
            f"{path} is cut off or damaged: its picture data cannot be decoded.", RESTORE
        ) from reason
    picture, icc, notes = rgb(pixels, header.icc, path)
    return Picture(upright(picture, header.orientation), icc, tuple(notes))


def only_pixels(data: bytes) -> bytes:
    """The PNG without what is beside the pixels: libpng would warn on the screen of what is odd there."""
    kept = [data[:8]]
    for name, start, end in png_chunks(data):
        suggested = name == b"PLTE" and data[25] != INDEXED  # a palette for screens of few colours
        if (name[:1].isupper() and not suggested) or name == b"tRNS":  # a capital letter: needed to decode
            kept.append(data[start - 8 : end + 4])
    return b"".join(kept)
