"""A JPEG of a coded picture and what is said of it, in segments (T.81, B.1)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

APP1, APP2, APP13 = 0xE1, 0xE2, 0xED
PART = 65533  # a segment's longest payload


def assembled(coded: bytes, parts: Sequence[tuple[int, bytes]]) -> bytes:
    """`coded` with these (marker, payload) before all else; its JFIF header, which says less, is gone."""
    if coded[2:4] == b"\xff\xe0":  # EXIF wants to come first
        coded = coded[:2] + coded[4 + int.from_bytes(coded[4:6], "big") :]
    head = b"".join(
        b"\xff" + bytes((marker,)) + struct.pack(">H", 2 + len(body)) + body for marker, body in parts
    )
    return coded[:2] + head + coded[2:]
