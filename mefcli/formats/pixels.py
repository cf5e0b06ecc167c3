"""Turning what decoders give into `(H, W, 3)` RGB: orientation, depth, grey, CMYK and alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.formats.icc import colour_model, icc_profile
from mefcli.values import Pixels

Array = NDArray[Any]
ALPHA_NOTE = "transparency dropped"


def upright(pixels: Array, orientation: int) -> Array:
    """Applies EXIF orientation 1..8 (EXIF 2.32, tag 0x0112)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def widened(pixels: Array, bits: int) -> Array:
    """Integers of `bits` significant bits stretched to the full range of their type, rounded."""
    full = pixels.dtype.itemsize * 8
    if bits >= full:
        return pixels
    peak = (1 << bits) - 1
    scaled = pixels.astype(np.uint32) * ((1 << full) - 1) + peak // 2
    return (scaled // peak).astype(pixels.dtype)


def to_depth(pixels: Pixels, bits: int) -> Pixels:
    """Pixels as 8-bit, 16-bit or (32) floating point, correctly rounded; the same depth is untouched."""
    if pixels.dtype == np.float32:
        if bits == 32:
            return pixels
        top = 255 if bits == 8 else 65535
        scaled = np.empty(pixels.shape, np.uint8 if bits == 8 else np.uint16)
        for start in range(0, pixels.shape[0], 256):  # strips keep the float copies small
            strip = np.nan_to_num(pixels[start : start + 256], nan=0.0, posinf=1.0, neginf=0.0)
            scaled[start : start + 256] = (np.clip(strip, 0, 1) * np.float32(top) + np.float32(0.5)).astype(
                scaled.dtype
            )
        return scaled
    if bits == pixels.dtype.itemsize * 8:
        return pixels
    converted: Pixels
    if bits == 32:
        converted = pixels.astype(np.float32) / np.float32((1 << 8 * pixels.dtype.itemsize) - 1)
    elif bits == 16:
        converted = pixels.astype(np.uint16) * np.uint16(257)
    else:
        table = ((np.arange(65536, dtype=np.uint32) + 128) // 257).astype(np.uint8)
        converted = table[pixels]
    return converted


def rgb(
    pixels: Array, icc: bytes | None, *, inverted_ink: bool = False, ink: bool = False
) -> tuple[Array, bytes | None, list[str]]:
    """`(H, W)` or `(H, W, C)` as RGB, with a profile that fits RGB, and notes on what was done."""
    notes: list[str] = []
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    channels = pixels.shape[2]
    if ink:
        return _from_ink(pixels[..., :4], icc, inverted_ink)
    if channels in (2, 4) or channels > 4:
        pixels = pixels[..., : 1 if channels == 2 else 3]
        notes.append(ALPHA_NOTE)
    if pixels.shape[2] == 1:
        if colour_model(icc) == "GRAY" and icc is not None:
            converted = _through_profile(pixels[..., 0], icc, "gray")
            if converted is not None:
                return converted, icc_profile("srgb"), [*notes, "grey profile converted to sRGB"]
        return np.repeat(pixels, 3, axis=2), None if colour_model(icc) != "RGB" else icc, notes
    if icc and colour_model(icc) != "RGB":
        icc = None
        notes.append("a colour profile that does not fit the picture was ignored")
    return pixels, icc, notes


def _from_ink(ink: Array, icc: bytes | None, inverted: bool) -> tuple[Array, bytes | None, list[str]]:
    if inverted:
        ink = np.iinfo(ink.dtype).max - ink
    if icc is not None and colour_model(icc) == "CMYK":
        converted = _through_profile(ink, icc, "cmyk")
        if converted is not None:
            return converted, icc_profile("srgb"), ["CMYK converted to sRGB through its profile"]
    top = np.iinfo(ink.dtype).max
    light = (top - ink).astype(np.uint32)
    picture = ((light[..., :3] * light[..., 3:] + top // 2) // top).astype(ink.dtype)
    return picture, None, ["CMYK without a profile converted to RGB approximately"]


def _through_profile(pixels: Array, icc: bytes, model: str) -> Array | None:
    """The picture in sRGB by its own profile, or nothing where the profile is broken."""
    import imagecodecs

    try:
        converted: Array = imagecodecs.cms_transform(
            np.ascontiguousarray(pixels),
            icc,
            icc_profile("srgb"),
            colorspace=model,
            outcolorspace="rgb",
            outdtype=pixels.dtype,
        )
    except Exception:  # the library reports broken profiles by several exception types
        return None
    return converted if converted.ndim == 3 and converted.shape[2] == 3 else None


def to_profile(pixels: Pixels, icc: bytes, target: bytes) -> Pixels | None:
    """RGB pixels converted from one profile to another, or nothing where a profile is broken."""
    import imagecodecs

    try:
        converted: Pixels = imagecodecs.cms_transform(
            np.ascontiguousarray(pixels),
            icc,
            target,
            colorspace="rgb",
            outcolorspace="rgb",
            outdtype=pixels.dtype,
        )
    except Exception:  # as above
        return None
    return converted
