"""Small pictures for the page of a batch, made where the large ones are at hand: JPEG files in sRGB."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.report.images import Bytes, fitted

Thumbs = tuple[bytes, ...]
"""JPEG files: one a frame, dark to bright, and the result's. An empty one where there is no picture."""

RESULT_PX, FRAME_PX = 480, 160  # the longer side
QUALITY = 78


def thumbs_of(frames: Sequence[NDArray[Any]], icc: bytes | None) -> Thumbs:
    return tuple(thumb(frame, icc, FRAME_PX) for frame in frames)


def thumb(pixels: NDArray[Any], icc: bytes | None, side_px: int) -> bytes:
    return coded(_in_srgb(fitted(_thinned(pixels, side_px), side_px), icc))


def coded(pixels: Bytes) -> bytes:
    from PIL import Image

    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def smaller(thumb: bytes, side_px: int) -> bytes:
    """A thumbnail brought down to this side; nothing where it is no picture after all."""
    from PIL import Image

    if not thumb or not side_px:
        return b""
    try:
        with Image.open(BytesIO(thumb), formats=("JPEG",)) as picture:
            if max(picture.size) > 4 * RESULT_PX:
                return b""
            return coded(fitted(np.asarray(picture.convert("RGB")), side_px))
    except Exception:  # bytes that nobody here made
        return b""


def _thinned(pixels: NDArray[Any], side_px: int) -> NDArray[Any]:
    """Every few pixels of a large picture: enough for what is shown at a hundredth of its size."""
    step = max(1, max(pixels.shape[:2]) // (8 * side_px))
    return pixels[::step, ::step]


def _in_srgb(pixels: Bytes, icc: bytes | None) -> Bytes:
    from mefcli.formats.icc import icc_profile
    from mefcli.formats.pixels import to_profile
    from mefcli.formats.spaces import is_srgb

    if icc is None or is_srgb(icc):
        return np.ascontiguousarray(pixels)
    converted = to_profile(pixels, icc, icc_profile("srgb"))
    return np.ascontiguousarray(pixels if converted is None else converted).astype(np.uint8)
