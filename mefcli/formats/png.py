"""PNG in: 8 and 16 bits, grey, palette, with or without transparency, through libpng."""

from __future__ import annotations

from pathlib import Path

from mefcli.errors import UnreadableError
from mefcli.formats.facts import Header
from mefcli.formats.pixels import Array, moves, rgb, upright
from mefcli.formats.source import RESTORE
from mefcli.formats.values import Picture


def decode_png(data: bytes, header: Header, path: Path) -> Picture:
    import imagecodecs

    if header.moving:
        raise moves(path)
    try:
        pixels: Array = imagecodecs.png_decode(data)
    except Exception as reason:  # libpng's complaints come as several exception types
        raise UnreadableError(
            f"{path} is cut off or damaged: its picture data cannot be decoded.", RESTORE
        ) from reason
    picture, icc, notes = rgb(pixels, header.icc, path)
    return Picture(upright(picture, header.orientation), icc, tuple(notes))
