"""TIFF in, through tifffile: any depth and layout that means a picture. Depth is kept."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mefcli.errors import UnreadableError, named
from mefcli.formats.facts import Header
from mefcli.formats.header import MASK, REDUCED
from mefcli.formats.ifd import SHORT
from mefcli.formats.pixels import Array, rgb, straight, upright, widened
from mefcli.formats.source import RESTORE
from mefcli.formats.values import Picture

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8
PLAIN = 1  # not compressed
PICTURED = (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR)
CHUNKS, PLANES = 1, 2  # PlanarConfiguration
ASSOCIATED = 1  # of ExtraSamples: the colours are multiplied by this one
# Compressions that leave samples as they are, and those whose decoder turns YCbCr into RGB itself.
AS_STORED = frozenset({1, 5, 8, 32773, 32946, 34925, 50000})  # none, LZW, deflate, PackBits, LZMA, zstd
DECODED_TO_RGB = frozenset({6, 7, 33007})  # JPEG, old and new
JPEG, JPEG_HEAD_BYTES = 7, 4096
PREDICTED = frozenset({5, 8, 32946, 34925, 50000})  # compressions before which samples may become differences
FLOATING = 3  # Predictor


def decode_tiff(path: Path, header: Header, max_pixels: int) -> Picture:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as file:
            pages = list(file.pages)
            full = [page for page in pages if not int(getattr(page, "subfiletype", 0)) & (REDUCED | MASK)]
            page = _page_at(header.directory, pages).aspage()
            notes = [f"first of {len(full)} pages used"] if len(full) > 1 else []
            check_page(page, path, file.filehandle.size, max_pixels)
            _check_jpegs(page, path, file.filehandle)
            pixels = page.asarray()
            return _finished(pixels, page, header, path, notes)
    except UnreadableError:
        raise
    except MemoryError:
        raise
    except Exception as reason:  # tifffile and its codecs report damage by many exception types
        raise UnreadableError(f"{path} cannot be decoded: {_brief(reason)}.", RESTORE) from reason


def _page_at(offset: int, pages: list[Any]) -> Any:
    """The page whose directory the header is of, among the pages and those below them."""
    for page in pages:
        if page.offset == offset:
            return page
        for below in page.aspage().pages or ():
            if below.offset == offset:
                return below
    return pages[0]


def check_page(page: Any, path: Path, file_bytes: int, max_pixels: int) -> None:
    height, width = page.imagelength, page.imagewidth
    if width * height > max_pixels:
        raise too_large(path, (width, height), max_pixels)
    needed = {0x0103, 0x0106} | ({0x0102} if page.photometric in (RGB, YCBCR, SEPARATED) else set())
    if not needed <= set(page.tags.keys()):  # tifffile would guess
        raise _strange(path, "it does not say how its colours are stored")
    if page.photometric == CIELAB:
        raise UnreadableError(f"{path} is a Lab TIFF.", "Save it as RGB.")
    if page.imagedepth > 1 or page.photometric not in PICTURED:
        raise _strange(path, "it holds another kind of picture")
    if int(page.planarconfig) not in (CHUNKS, PLANES):
        raise _strange(path, "it does not say how its samples are laid out")
    if page.compression in DECODED_TO_RGB and page.bitspersample not in (8, 12):
        raise _strange(path, f"no JPEG has {page.bitspersample} bits a sample")
    if not all(isinstance(value, int) for value in (page.bitspersample, page.sampleformat)):
        raise _strange(path, "its colours are stored in different depths")
    if 0 in ((page.tilewidth, page.tilelength) if page.is_tiled else (page.rowsperstrip,)):
        raise _strange(path, "its strips or tiles hold nothing")
    _check_predictor(page, path)
    if page.photometric == PALETTE and _palette_entries(page) != 1 << int(page.bitspersample):
        raise _strange(path, "its palette does not fit its pixels")
    if page.photometric == SEPARATED and int(page.tags.valueof(0x014C, 1)) != 1:
        raise _strange(path, "its inks are others than CMYK")
    if page.photometric == YCBCR and page.compression not in DECODED_TO_RGB:
        # Colours at reduced size stand in blocks of several pixels, which tifffile takes for whole pixels.
        whole = tuple(page.tags.valueof(0x0212, (2, 2))) == (1, 1)
        if page.compression not in AS_STORED or not whole:
            raise _strange(path, "its YCbCr colours are stored at reduced size or specially coded")
    sizes = page.databytecounts
    ends = [at + size for at, size in zip(page.dataoffsets, sizes, strict=False)]
    chunks = math.prod(page.chunked)  # tifffile leaves black what no strip or tile is given for
    if not ends or len(ends) < chunks or max(ends) > file_bytes or _lacks_samples(page, sizes):
        raise UnreadableError(f"{path} is cut off: its picture data ends too early.", RESTORE)


def _lacks_samples(page: Any, sizes: Sequence[int]) -> bool:
    """tifffile leaves black what is said to have no bytes, and moves up what plain samples do not fill."""
    if page.compression != PLAIN or len(sizes) == 1:  # programs count the bytes of one strip themselves
        return min(sizes) < 1
    if page.is_tiled:
        return bool(min(sizes) < page.tilewidth * page.tilelength * _pixel_bits(page) // 8)
    row, rows = (page.imagewidth * _pixel_bits(page) + 7) // 8, page.rowsperstrip
    of_plane = -(-page.imagelength // rows)
    needed = (row * min(rows, page.imagelength - rows * (strip % of_plane)) for strip in range(len(sizes)))
    return any(size < least for size, least in zip(sizes[: math.prod(page.chunked)], needed, strict=False))


def _check_predictor(page: Any, path: Path) -> None:
    """Samples stored as differences: only where programs agree on it."""
    if page.compression == PLAIN:
        page.predictor = 1  # as everywhere but in tifffile
    elif page.predictor == 1 or page.compression in DECODED_TO_RGB:
        return
    elif page.compression not in PREDICTED or (page.predictor == FLOATING) != (page.dtype.kind == "f"):
        raise _strange(path, "its samples are stored as differences in a way that programs disagree on")


def _check_jpegs(page: Any, path: Path, file: Any) -> None:
    """Strips and tiles that are JPEGs of another depth or coding than is said come out in wrong tones."""
    if page.compression != JPEG:
        return
    from mefcli.formats.jpeg import contradiction, precision

    tables = bytes(page.jpegtables or b"")[:-2]  # without the marker of its end
    for at, size in zip(page.dataoffsets, page.databytecounts, strict=False):
        file.seek(at)
        head = file.read(min(size, JPEG_HEAD_BYTES))
        bits, process = precision(head)
        how = contradiction(tables + head[2:] if tables else head, bits, process)
        if bits != page.bitspersample:
            how = f"it says {page.bitspersample} bits a channel, and holds JPEGs of {bits}"
        if how:
            raise UnreadableError(f"{path} is damaged: {how}.", RESTORE)


def _palette_entries(page: Any) -> int:
    """Colours of a palette of 16-bit numbers; 0 where it is none."""
    palette = page.tags.get(0x0140)
    return palette.count // 3 if palette is not None and palette.dtype == SHORT else 0


def _pixel_bits(page: Any) -> int:
    """Stored together: all samples of a pixel, or those of one plane."""
    return int(page.bitspersample) * (page.samplesperpixel if int(page.planarconfig) == 1 else 1)


def too_large(path: Path, size_px: tuple[int, int], max_pixels: int) -> UnreadableError:
    width, height = size_px
    return UnreadableError(
        f"{path} claims {width} x {height} pixels ({_megapixels(width * height)}), more than the limit of "
        f"{_megapixels(max_pixels)}.",
        f"If the file is honest, raise the limit with {named('max_pixels')}.",
    )


def _megapixels(pixels: int) -> str:
    """With digits that tell a picture from a limit that it just exceeds."""
    return f"{pixels / 1e6:,.0f} MP" if pixels >= 1e10 else f"{pixels / 1e6:.4g} MP"


def _brief(reason: Exception) -> str:
    text = " ".join(str(reason).split()) or type(reason).__name__
    return text[:120].rstrip(".")


def _finished(pixels: Array, page: Any, header: Header, path: Path, notes: list[str]) -> Picture:
    photometric = int(page.photometric)
    if pixels.ndim == 3 and int(page.planarconfig) == PLANES and page.samplesperpixel > 1:
        pixels = np.moveaxis(pixels, 0, 2)  # stored plane by plane
    if pixels.ndim not in (2, 3):
        raise _strange(path, "its samples make no picture")
    pixels = _depth(pixels, int(page.bitspersample), path, notes)
    extras = tuple(int(kind) for kind in page.extrasamples)
    if photometric == PALETTE:
        indices, extras = pixels[..., 0] if pixels.ndim == 3 else pixels, ()
        pixels = _painted(indices, page.colormap, int(page.bitspersample))
    _check_samples(pixels, photometric, extras, path)
    if ASSOCIATED in extras and photometric != SEPARATED:
        pixels = straight(pixels, pixels.shape[2] - len(extras) + extras.index(ASSOCIATED))
        notes.append("colours divided by the transparency they were multiplied with")
    if photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) and pixels.ndim == 3:
        pixels = pixels[..., :2]  # further samples make no colours
    if photometric == WHITE_IS_ZERO:
        pixels = (1.0 - pixels).astype(np.float32) if pixels.dtype == np.float32 else ~pixels
    if photometric == YCBCR and page.compression not in DECODED_TO_RGB:
        pixels = from_ycbcr(pixels, header, path)
    picture, icc, more = rgb(pixels, header.icc, path, ink=photometric == SEPARATED)
    return Picture(upright(picture, header.orientation), icc, (*notes, *more))


def _check_samples(pixels: Array, photometric: int, extras: tuple[int, ...], path: Path) -> None:
    """Whether there are as many samples as the colours need, and a word for each one beyond."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    needed = {RGB: 3, PALETTE: 3, YCBCR: 3, SEPARATED: 4}.get(photometric, 1)
    unexplained = channels - len(extras) - needed
    if unexplained < 0 or unexplained > (needed < 4):  # many a program leaves its one alpha without a word
        raise _strange(path, f"{channels} samples a pixel are none of its colours")
    if photometric == SEPARATED and (pixels.dtype == np.float32 or ASSOCIATED in extras):
        raise UnreadableError(f"{path} holds inks mef cannot read.", "Save it as RGB.")


def _strange(path: Path, why: str) -> UnreadableError:
    return UnreadableError(f"{path} is no photograph mef can read: {why}.", "Save it as an RGB TIFF.")


def from_ycbcr(pixels: Array, header: Header, path: Path) -> Array:
    """RGB by the file's own coefficients and reference levels (TIFF 6.0, sections 20 and 21)."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise _strange(path, "its YCbCr samples are no integers")
    top = float(np.iinfo(pixels.dtype).max)
    middle = (top + 1) / 2
    weights = _numbers(header, 0x0211, (0.299, 0.587, 0.114))
    levels = np.array(_numbers(header, 0x0214, (0.0, top, middle, top, middle, top)), np.float32)
    if len(weights) != 3 or min(weights) <= 0 or abs(sum(weights) - 1) > 0.01:
        raise _strange(path, "its YCbCr coefficients mean no colours")
    if (
        len(levels) != 6
        or not (levels[1::2] > levels[0::2]).all()
        or levels.min() < 0
        or levels.max() > top + 1
    ):
        raise _strange(path, "its reference black and white mean no colours")
    (red, green, blue), blacks, whites = weights, levels[0::2], levels[1::2]
    spans = np.array([top, top / 2, top / 2], np.float32) / (whites - blacks)
    out = np.empty(pixels.shape[:2] + (3,), pixels.dtype)
    for row in range(0, pixels.shape[0], 256):  # strips keep the float copies small
        y, cb, cr = np.moveaxis((pixels[row : row + 256, :, :3] - blacks) * spans, 2, 0)
        r = y + cr * np.float32(2 - 2 * red)
        b = y + cb * np.float32(2 - 2 * blue)
        g = (y - np.float32(red) * r - np.float32(blue) * b) / np.float32(green)
        out[row : row + 256] = np.clip(np.stack([r, g, b], axis=2) + np.float32(0.5), 0, top)
    return out


def _numbers(header: Header, tag: int, default: tuple[float, ...]) -> tuple[float, ...]:
    return header.main[tag].numbers if tag in header.main else default


def _depth(pixels: Array, bits: int, path: Path, notes: list[str]) -> Array:
    kind = pixels.dtype.kind
    if kind == "b":
        black_or_white: Array = np.where(pixels, np.uint8(255), np.uint8(0))
        return black_or_white
    if kind == "f":
        return _floats(pixels, path, notes)
    if kind == "u":
        if pixels.dtype.itemsize > 2:
            notes.append(f"{bits}-bit integers reduced to 16 bits")
            return (pixels >> (bits - 16) if bits >= 16 else pixels).astype(np.uint16)
        if bits < 8 * pixels.dtype.itemsize and int(pixels.max()) >> bits:
            raise _strange(path, f"its samples have more than the {bits} bits that it says")
        return widened(pixels.astype(pixels.dtype.newbyteorder("=")), bits)
    raise UnreadableError(
        f"{path} holds signed or complex numbers, not a photograph.", "Save it as an 8- or 16-bit TIFF."
    )


def _floats(pixels: Array, path: Path, notes: list[str]) -> Array:
    with np.errstate(over="ignore"):  # doubles beyond a float's range become infinite, and are clipped
        floats = pixels.astype(np.float32)
    finite = np.isfinite(floats)
    if not finite.any():
        raise UnreadableError(f"{path} holds no finite number, so no picture.", "Export it again.")
    low, high = float(floats[finite].min()), float(floats[finite].max())
    if not finite.all() or low < 0 or high > 1:
        notes.append(f"values outside 0..1 ({low:.3g} to {high:.3g}) clipped")
        floats = np.clip(np.nan_to_num(floats, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    return floats


def _painted(indices: Array, palette: Any, bits: int) -> Array:
    # `_depth` stretched the indices to eight bits; the palette is asked for the index as stored.
    stored = indices if bits >= 8 else (indices.astype(np.uint32) * ((1 << bits) - 1) + 127) // 255
    colours = np.asarray(palette).T.astype(np.uint16)  # (entries, 3)
    painted: Array = colours[np.minimum(stored, len(colours) - 1)]
    if colours.max() < 256:  # as old programs write them
        painted = painted.astype(np.uint8)
    elif (colours % 257 == 0).all() or (colours & 255 == 0).all():  # eight-bit colours in sixteen-bit entries
        painted = (painted >> 8).astype(np.uint8)
    return painted
