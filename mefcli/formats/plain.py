"""WebP, BMP, PPM/PGM and GIF in, through imageio: one still picture, whole, without its transparency."""

from __future__ import annotations

import io
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np

from mefcli.errors import UnreadableError
from mefcli.formats.facts import Header
from mefcli.formats.pixels import Array, moves, rgb, upright
from mefcli.formats.plain_headers import Pnm, pnm_facts, webp_chunks
from mefcli.formats.source import RESTORE
from mefcli.formats.values import Picture

_OPENING = threading.Lock()


def decode_plain(data: bytes, header: Header, path: Path) -> Picture:
    if header.moving:
        raise moves(path)
    try:
        pixels = _samples(data, header)
    except MemoryError:
        raise
    except Exception as reason:  # the libraries behind imageio report damage by many exception types
        raise UnreadableError(
            f"{path} is cut off or damaged: its picture data cannot be decoded.", RESTORE
        ) from reason
    picture, icc, notes = rgb(pixels, header.icc, path)
    return Picture(upright(picture, header.orientation), icc, tuple(notes))


def _samples(data: bytes, header: Header) -> Array:
    facts = pnm_facts(data) if header.kind == "pnm" else None
    plain = None
    if facts is not None and facts.kind in (2, 3):
        wanted = facts.width * facts.height * facts.channels
        body = b"\n".join(line.partition(b"#")[0] for line in data[facts.at :].splitlines())
        plain = body.split()[:wanted]
        if len(plain) < wanted or not data[-1:].isspace():  # the last number may lack digits
            raise ValueError("too few numbers")
    if facts is not None and facts.deep:
        return _deep(data, facts, plain)
    return _shallow(without_metadata(data) if header.kind == "webp" else data)


def without_metadata(data: bytes) -> bytes:
    """A WebP without EXIF, XMP and profile: we have them; Pillow would warn on the screen of what is odd."""
    parts = []
    for name, start, end in webp_chunks(data):
        body = data[start:end]
        if name == b"VP8X":
            body = bytes((body[0] & ~0x2C,)) + body[1:]
        if name not in (b"EXIF", b"XMP ", b"ICCP"):
            parts.append(name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2))
    whole = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(whole)) + whole


def _shallow(data: bytes) -> Array:
    """Eight bits a sample, through Pillow."""
    import imageio.v3
    from PIL import Image

    with _OPENING:  # mef's own limit on pixels has been kept already, and may be set higher than Pillow's
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            file = imageio.v3.imopen(io.BytesIO(data), "r", plugin="pillow")
        finally:
            Image.MAX_IMAGE_PIXELS = usual
    with file:
        seen: Any = file.metadata(index=0, exclude_applied=False)
        mode = seen["mode"]
        clear = mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in seen
        wanted = "RGBA" if clear else "L" if mode in ("1", "L") else "RGB"
        pixels: Array = file.read(index=0, mode=wanted)
    return pixels


def _deep(data: bytes, facts: Pnm, plain: list[bytes] | None) -> Array:
    """Sixteen bits a sample: binary, or numbers in decimals."""
    count = facts.width * facts.height * facts.channels
    if plain is None:
        stored = np.frombuffer(data, ">u2", count, facts.at)
    else:
        stored = np.array([int(number) for number in plain])
        if stored.min() < 0:
            raise ValueError("a number below zero")
    scaled = np.minimum(stored, facts.most).astype(np.uint32) * 65535 + facts.most // 2
    samples: Array = (scaled // facts.most).astype(np.uint16)
    return samples.reshape(facts.height, facts.width, facts.channels)
