"""TIFF in, through tifffile: any depth and layout that means a picture. Depth is kept."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from mefcli.errors import UnreadableError
from mefcli.formats.header import Header
from mefcli.formats.pixels import Array, rgb, upright, widened
from mefcli.formats.source import RESTORE
from mefcli.formats.values import Picture

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8
PLAIN = 1  # not compressed
REDUCED, MASK = 1, 4  # bits of NewSubfileType


def decode_tiff(path: Path, header: Header, max_pixels: int) -> Picture:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as file:
            pages = list(file.pages)
            full = [page for page in pages if not int(getattr(page, "subfiletype", 0)) & (REDUCED | MASK)]
            page = (full or pages)[0].aspage()
            notes = [f"first of {len(full)} pages used"] if len(full) > 1 else []
            check_page(page, path, file.filehandle.size, max_pixels)
            pixels = page.asarray()
            return _finished(pixels, page, header, path, notes)
    except UnreadableError:
        raise
    except MemoryError:
        raise
    except Exception as reason:  # tifffile and its codecs report damage by many exception types
        raise UnreadableError(f"{path} cannot be decoded: {_brief(reason)}.", RESTORE) from reason


def check_page(page: Any, path: Path, file_bytes: int, max_pixels: int) -> None:
    height, width = page.imagelength, page.imagewidth
    if width * height > max_pixels:
        raise too_large(path, (width, height), max_pixels)
    if page.imagedepth > 1 or page.photometric not in (
        WHITE_IS_ZERO,
        BLACK_IS_ZERO,
        RGB,
        PALETTE,
        SEPARATED,
        YCBCR,
        CIELAB,
    ):
        raise UnreadableError(f"{path} is no photograph mef can read.", "Save it as an RGB TIFF.")
    sizes = page.databytecounts
    ends = [at + size for at, size in zip(page.dataoffsets, sizes, strict=False)]
    # tifffile leaves black what is said to have no bytes, and tiles whose plain samples do not suffice.
    least = page.tilewidth * page.tilelength * _pixel_bits(page) // 8 if page.is_tiled else 1
    if not ends or max(ends) > file_bytes or min(sizes) < (least if page.compression == PLAIN else 1):
        raise UnreadableError(f"{path} is cut off: its picture data ends too early.", RESTORE)


def _pixel_bits(page: Any) -> int:
    """Stored together: all samples of a pixel, or those of one plane."""
    return int(page.bitspersample) * (page.samplesperpixel if int(page.planarconfig) == 1 else 1)


def too_large(path: Path, size_px: tuple[int, int], max_pixels: int) -> UnreadableError:
    megapixels = size_px[0] * size_px[1] / 1e6
    return UnreadableError(
        f"{path} claims {size_px[0]} x {size_px[1]} pixels ({megapixels:,.0f} MP), more than the limit of "
        f"{max_pixels / 1e6:,.0f} MP.",
        "If the file is honest, raise the limit with --max-pixels.",
    )


def _brief(reason: Exception) -> str:
    text = " ".join(str(reason).split()) or type(reason).__name__
    return text[:120].rstrip(".")


def _finished(pixels: Array, page: Any, header: Header, path: Path, notes: list[str]) -> Picture:
    photometric = int(page.photometric)
    if pixels.ndim == 3 and int(page.planarconfig) == 2 and page.samplesperpixel > 1:
        pixels = np.moveaxis(pixels, 0, 2)  # stored plane by plane
    pixels = _depth(pixels, int(page.bitspersample), path, notes)
    if photometric == WHITE_IS_ZERO:
        pixels = (1.0 - pixels).astype(np.float32) if pixels.dtype == np.float32 else ~pixels
    if photometric == PALETTE:
        pixels = _painted(pixels, page.colormap, int(page.bitspersample))
    if photometric == CIELAB:
        raise UnreadableError(f"{path} is a Lab TIFF.", "Save it as RGB.")
    ink = photometric == SEPARATED
    if ink and (pixels.ndim != 3 or pixels.shape[2] < 4 or pixels.dtype == np.float32):
        raise UnreadableError(f"{path} holds inks mef cannot read.", "Save it as RGB.")
    picture, icc, more = rgb(pixels, header.icc, ink=ink)
    return Picture(upright(picture, header.orientation), icc, (*notes, *more))


def _depth(pixels: Array, bits: int, path: Path, notes: list[str]) -> Array:
    kind = pixels.dtype.kind
    if kind == "b":
        black_or_white: Array = np.where(pixels, np.uint8(255), np.uint8(0))
        return black_or_white
    if kind == "f":
        floats = pixels.astype(np.float32)
        low, high = float(np.nanmin(floats)), float(np.nanmax(floats))
        if not np.isfinite([low, high]).all() or np.isnan(floats).any() or low < 0 or high > 1:
            notes.append(f"values outside 0..1 ({low:.3g} to {high:.3g}) clipped")
            floats = np.clip(np.nan_to_num(floats, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
        return floats
    if kind == "u":
        if pixels.dtype.itemsize == 4:
            notes.append("32-bit integers reduced to 16 bits")
            return (pixels >> (bits - 16) if bits >= 16 else pixels).astype(np.uint16)
        return widened(pixels.astype(pixels.dtype.newbyteorder("=")), bits)
    raise UnreadableError(
        f"{path} holds signed or complex numbers, not a photograph.", "Save it as an 8- or 16-bit TIFF."
    )


def _painted(indices: Array, palette: Any, bits: int) -> Array:
    # `_depth` stretched the indices to eight bits; the palette is asked for the index as stored.
    stored = indices if bits >= 8 else (indices.astype(np.uint32) * ((1 << bits) - 1) + 127) // 255
    colours = np.asarray(palette).T.astype(np.uint16)  # (entries, 3)
    painted: Array = colours[np.minimum(stored, len(colours) - 1)]
    if (colours % 257 == 0).all() or (colours & 255 == 0).all():  # eight-bit colours in sixteen-bit entries
        painted = (painted >> 8).astype(np.uint8)
    return painted
