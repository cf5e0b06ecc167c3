"""TIFF out: tifffile writes the pixels, we write the directories.

tifffile cannot place EXIF and GPS directories. So it writes a plain file; then the main directory is written
again at the end of the file with all tags and with pointers to the directories before it, and the header is
turned to it. The strips stay where they are; a few hundred bytes of the first directory lie unused.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mefcli.formats.ifd import EXIF_POINTER, GPS_POINTER, IFD8, LONG, Entry, Tags, TiffReader, serialise
from mefcli.formats.values import Rows
from mefcli.values import Pixels
from mefnets.engine.frames import strips
from mefnets.engine.threads import each

STRIP_BYTES = 1 << 21  # large enough for readers and disks, small enough for their caches
CODED_STRIP_BYTES = 1 << 17  # several stay in a core's cache: deflate takes 1.03 CPU-s, with 2 MB 1.23
CODECS = {"none": None, "deflate": "zlib", "zstd": "zstd", "lzw": "lzw"}
# libdeflate's level 1: 24 MP of 16-bit photograph take 1.0 CPU-s and 67.2 % of their bytes, at level 2 1.7
# and 66.7 %, at level 6 2.4 and 66.0 %; zlib's level 1 takes 2.6 and 67.5 %, zlib-ng's 1.1 and 85.9 %.
LEVELS = {"deflate": 1, "zstd": 1}
FROM_PIXELS = frozenset(
    {0x00FE, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0111, 0x0115, 0x0116, 0x0117, 0x011C, 0x013D, 0x0153}
)


def write_tiff(
    path: Path, pixels: Pixels | Rows, compression: str, main: Tags, exif: Tags, gps: Tags
) -> None:
    """`pixels` may be made row by row as they are coded."""
    import tifffile

    codec = CODECS[compression]
    made_later = not isinstance(pixels, np.ndarray) and codec is not None
    whole: Any = pixels if made_later else np.ascontiguousarray(pixels[: pixels.shape[0]])
    row_bytes = pixels.shape[1] * 3 * pixels.dtype.itemsize
    rows = max(1, min(pixels.shape[0], (CODED_STRIP_BYTES if codec else STRIP_BYTES) // max(1, row_bytes)))
    tifffile.imwrite(
        path,
        _coded_strips(whole, compression, rows) if codec else whole,
        shape=pixels.shape,
        dtype=pixels.dtype,
        byteorder="<",
        photometric="rgb",
        metadata=None,
        software=False,
        compression=codec,
        predictor=_predictor(pixels) if codec else None,
        rowsperstrip=rows,
    )
    with path.open("r+b") as file:
        attach(file, main, exif, gps)


def _predictor(pixels: Pixels | Rows) -> int:
    return 3 if pixels.dtype == np.float32 else 2


def _coded_strips(pixels: Pixels | Rows, compression: str, rows: int) -> Iterator[bytes]:
    """The strips as they lie in the file, coded by as many threads as there are, in order."""
    import imagecodecs

    level = LEVELS.get(compression)
    encode: Callable[..., Any] = {
        "deflate": imagecodecs.deflate_encode,  # libdeflate
        "zstd": imagecodecs.zstd_encode,
        "lzw": imagecodecs.lzw_encode,
    }[compression]
    differences = imagecodecs.floatpred_encode if _predictor(pixels) == 3 else imagecodecs.delta_encode

    def code(span: tuple[int, int]) -> bytes:
        strip = differences(pixels[span[0] : span[1]], axis=1)
        return bytes(encode(strip) if level is None else encode(strip, level=level))

    return each(code, strips(pixels.shape[0], rows))


def attach(file: BinaryIO, main: Tags, exif: Tags, gps: Tags) -> None:
    """Writes the directories at the end of an open TIFF file and turns its header to them."""
    reader = TiffReader(_FileBuffer(file))
    written = reader.read(reader.first)[0]
    tags = {tag: entry for tag, entry in written.items() if tag in FROM_PIXELS} | main
    at = file.seek(0, os.SEEK_END)
    if at % 2:
        file.write(b"\0")
        at += 1
    for pointer, sub in ((EXIF_POINTER, exif), (GPS_POINTER, gps)):
        if sub:
            data = serialise(sub, at, big=reader.big)
            tags[pointer] = Entry(IFD8 if reader.big else LONG, (at,))
            file.write(data)
            at += len(data)
    file.write(serialise(tags, at, big=reader.big))
    file.seek(8 if reader.big else 4)
    file.write(struct.pack("<Q" if reader.big else "<I", at))


class _FileBuffer:
    """An open file, sliced like bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def __len__(self) -> int:
        return self.file.seek(0, os.SEEK_END)

    def __getitem__(self, key: slice) -> bytes:
        self.file.seek(key.start or 0)
        return self.file.read((key.stop or len(self)) - (key.start or 0))
