"""Turning what decoders give into `(H, W, 3)` RGB: orientation, depth, grey, CMYK and alpha."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import UnreadableError
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


def moves(path: Path) -> UnreadableError:
    return UnreadableError(f"{path} is an animation.", "Export the frame you want as a picture of its own.")


def straight(pixels: Array, alpha: int) -> Array:
    """Colours that were multiplied by channel `alpha`, divided by it; black where nothing is left of them."""
    out = np.empty_like(pixels)
    for top in range(0, pixels.shape[0], 256):  # strips keep the wide copies small
        strip = pixels[top : top + 256]
        cover = strip[..., alpha : alpha + 1]
        if pixels.dtype.kind == "f":
            colours = np.divide(strip, cover, out=np.zeros_like(strip), where=cover > 0)
            out[top : top + 256] = np.clip(colours, 0, 1)
            continue
        full = np.iinfo(pixels.dtype).max
        wide, over = strip.astype(np.uint32), np.maximum(cover, 1).astype(np.uint32)
        out[top : top + 256] = np.where(cover > 0, np.minimum((wide * full + over // 2) // over, full), 0)
    out[..., alpha] = pixels[..., alpha]
    return out


def rgb(
    pixels: Array, icc: bytes | None, path: Path, *, inverted_ink: bool = False, ink: bool = False
) -> tuple[Array, bytes | None, list[str]]:
    """`(H, W)` or `(H, W, C)` as RGB, with a profile that fits RGB, and notes on what was done."""
    notes: list[str] = []
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    channels = pixels.shape[2]
    if ink:
        return _from_ink(pixels[..., :4], icc, inverted_ink, path)
    if channels in (2, 4) or channels > 4:
        pixels = pixels[..., : 1 if channels == 2 else 3]
        notes.append(ALPHA_NOTE)
    grey = pixels.shape[2] == 1
    if icc is not None and grey and colour_model(icc) == "GRAY":
        converted = _through_profile(pixels[..., 0], icc, "gray")
        if converted is not None:
            return converted, icc_profile("srgb"), [*notes, "grey profile converted to sRGB"]
    if grey:
        pixels = np.repeat(pixels, 3, axis=2)
    if colour_model(icc) == "CMYK":
        raise UnreadableError(
            f"{path} holds a profile for inks, but says that it holds none.", "Export it as sRGB."
        )
    if icc is not None and colour_model(icc) != "RGB":
        icc = None
        notes.append("a colour profile that does not fit the picture was ignored: taken as sRGB")
    return pixels, icc, notes


def _from_ink(
    ink: Array, icc: bytes | None, inverted: bool, path: Path
) -> tuple[Array, bytes | None, list[str]]:
    """Inks mean colours only through the profile of a press and a paper."""
    if icc is None or colour_model(icc) != "CMYK":
        raise UnreadableError(
            f"{path} is CMYK without a profile that says which colours its inks make.", "Export it as sRGB."
        )
    converted = _through_profile(np.iinfo(ink.dtype).max - ink if inverted else ink, icc, "cmyk")
    if converted is None:
        raise UnreadableError(f"{path} is CMYK with a damaged profile.", "Export it as sRGB.")
    return converted, icc_profile("srgb"), ["CMYK converted to sRGB through its profile"]


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
