"""HEIC (with the extra `heif`) and AVIF in. The container's own turns are applied, EXIF's ignored."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mefcli.errors import UnreadableError
from mefcli.formats import boxes
from mefcli.formats.header import Header
from mefcli.formats.icc import icc_profile
from mefcli.formats.kinds import need_heif
from mefcli.formats.pixels import ALPHA_NOTE, Array, rgb, widened
from mefcli.formats.source import RESTORE
from mefcli.formats.values import Picture

P3_PRIMARIES = 12  # SMPTE EG 432-1, in ISO/IEC 23091-2
PQ, HLG = 16, 18


def decode_heif(data: bytes, header: Header, path: Path) -> Picture:
    items = boxes.heif_items(data)
    av1 = items.kinds.get(items.primary or 0) == b"av01" or data[8:12] in (b"avif", b"avis")
    pixels, notes = (_avif(data, items, path), list[str]()) if av1 else _heic(path)
    picture, icc, more = rgb(pixels, header.icc)
    return Picture(np.ascontiguousarray(picture), icc or _coded_profile(items), (*notes, *more))


def _heic(path: Path) -> tuple[Array, list[str]]:
    try:
        import pillow_heif
    except ImportError:
        raise need_heif(path) from None
    try:
        image = pillow_heif.open_heif(str(path), convert_hdr_to_8bit=False)
        pixels = np.asarray(image)
        deep = image.mode.endswith(";16")
    except Exception as reason:  # libheif's complaints come as several exception types
        raise _refusal(path) from reason
    notes = []
    if pixels.shape[2:] == (4,):
        pixels, notes = pixels[..., :3], [ALPHA_NOTE]
    return (pixels.astype(np.uint16) if deep else pixels), notes


def _avif(data: bytes, items: boxes.HeifItems, path: Path) -> Array:
    import imagecodecs

    try:
        pixels: Array = imagecodecs.avif_decode(data, index=0)
    except Exception as reason:  # libavif's complaints come as several exception types
        raise _refusal(path) from reason
    if pixels.ndim == 4:
        pixels = pixels[0]
    if pixels.dtype == np.uint16:
        depths = items.of_primary(b"pixi")
        pixels = widened(pixels, depths[0][5] if depths and len(depths[0]) > 5 else 10)
    for body in items.of_primary(b"irot")[:1]:
        pixels = np.rot90(pixels, body[0] & 3)  # quarter turns anticlockwise (ISO/IEC 23008-12, 6.5.10)
    for body in items.of_primary(b"imir")[:1]:
        pixels = pixels[:, ::-1] if body[0] & 1 else pixels[::-1]
    return np.ascontiguousarray(pixels)


def _coded_profile(items: boxes.HeifItems) -> bytes | None:
    """The profile that code points in the file stand for, where it carries no ICC profile."""
    for body in items.of_primary(b"colr"):
        if body[:4] == b"nclx" and int.from_bytes(body[4:6], "big") == P3_PRIMARIES:
            return icc_profile("p3")
    return None


def _refusal(path: Path) -> UnreadableError:
    return UnreadableError(f"{path} is cut off or damaged: its picture data cannot be decoded.", RESTORE)
