"""Depth maps in files: one channel of numbers that mean what the camera says, with holes where it saw none.

A pixel without depth is 0 or, of floating point, not a finite number. Read are PNG, TIFF and NumPy's .npy,
in 8 or 16 bits or floating point; numbers come as they are stored, and go out in the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import UnreadableError, UsageError
from mefcli.formats.source import RESTORE, opened

Numbers = NDArray[Any]  # uint8, uint16 or float32, (h, w)
NPY = b"\x93NUMPY"
ONE_CHANNEL = "Give a map of one channel: 8 or 16 bits, or floating point, as TIFF, PNG or .npy."


@dataclass(frozen=True)
class DepthMap:
    numbers: Numbers
    notes: tuple[str, ...] = ()

    @property
    def holes(self) -> NDArray[np.bool_]:
        """Where there is no depth."""
        holes: NDArray[np.bool_] = self.numbers == 0
        return holes | ~np.isfinite(self.numbers)


def size_of(path: Path, max_pixels: int) -> tuple[int, int]:
    """(height, width), from the header alone; refuses what is no map of depth as far as that tells."""
    from mefcli.formats.header import parse_header
    from mefcli.formats.kinds import kind_of
    from mefcli.formats.shot import turned
    from mefcli.formats.tiff import too_large

    with opened(path) as data:
        if bytes(data[0:6]) == NPY:
            shape, _ = _npy_header(path)
            size = shape[1], shape[0]
        else:
            kind = kind_of(data, path)
            if kind not in ("tiff", "png"):
                raise _strange(path, "it is neither TIFF nor PNG nor .npy")
            header = parse_header(data, kind)
            if header.size_px is None or 0 in header.size_px:
                raise UnreadableError(f"{path} is cut off or damaged: it holds no map.", RESTORE)
            size = turned(header.size_px, header.orientation) or header.size_px
    if size[0] * size[1] > max_pixels:
        raise too_large(path, size, max_pixels)
    return size[1], size[0]


def read(path: Path, max_pixels: int) -> DepthMap:
    size = size_of(path, max_pixels)
    with opened(path) as data:
        if bytes(data[0:6]) == NPY:
            numbers = _npy(path)
        elif bytes(data[0:4]) == b"\x89PNG":
            numbers = _png(bytes(data[0 : len(data)]), path)
        else:
            numbers = _tiff(path, max_pixels)
    if numbers.shape != size:
        raise _strange(path, f"it has {numbers.shape[2]} channels" if numbers.ndim == 3 else "it is no map")
    return _usual(numbers, path)


def check_kind(outputs: list[Path], numbers: Numbers) -> None:
    """Refuse a file that cannot hold the map's kind of numbers."""
    for output in outputs:
        if output.suffix.lower() == ".png" and numbers.dtype.kind == "f":
            raise UsageError(
                f"{output} cannot hold this depth: PNG files have no floating point.",
                "Write .tif or .npy.",
            )


def encode(path: Path, numbers: Numbers, suffix: str) -> None:
    """Write one whole file, in the format that the suffix says."""
    if suffix == ".npy":
        with path.open("wb") as file:
            np.save(file, numbers, allow_pickle=False)
    elif suffix == ".png":
        import cv2

        done, data = cv2.imencode(".png", numbers)
        assert done
        path.write_bytes(data.tobytes())
    else:
        import tifffile

        tifffile.imwrite(
            path,
            numbers,
            photometric="minisblack",
            compression="zlib",
            predictor=3 if numbers.dtype.kind == "f" else 2,
            rowsperstrip=max(1, (1 << 18) // max(1, numbers.shape[1] * numbers.itemsize)),
            metadata=None,
            software="mef depth",
        )


# ---- kinds of file ---------------------------------------------------------------------------------------


def _npy_header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            readers = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            shape, _, kind = readers[version](file)
    except (ValueError, KeyError, OSError) as reason:
        raise UnreadableError(f"{path} is cut off or damaged: it holds no array.", RESTORE) from reason
    if len(shape) != 2 or 0 in shape or kind.kind not in "fiu":
        raise _strange(path, f"it holds {kind} numbers of shape {'x'.join(map(str, shape)) or '1'}")
    return shape, kind


def _npy(path: Path) -> Numbers:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, EOFError, OSError) as reason:
        raise UnreadableError(f"{path} is cut off: it ends before its data does.", RESTORE) from reason


def _png(data: bytes, path: Path) -> Numbers:
    import imagecodecs

    from mefcli.formats.header import parse_header
    from mefcli.formats.pixels import upright
    from mefcli.formats.png import INDEXED, only_pixels

    if data[25] == INDEXED:
        raise _strange(path, "its numbers are colours of a palette")
    try:
        numbers: Numbers = imagecodecs.png_decode(only_pixels(data))
    except Exception as reason:  # libpng's complaints come as several exception types
        raise UnreadableError(
            f"{path} is cut off or damaged: its map cannot be decoded.", RESTORE
        ) from reason
    return upright(numbers, parse_header(data, "png").orientation)


def _tiff(path: Path, max_pixels: int) -> Numbers:
    import tifffile

    from mefcli.formats.header import read_header
    from mefcli.formats.pixels import upright
    from mefcli.formats.tiff import BLACK_IS_ZERO, WHITE_IS_ZERO, check_page

    header = read_header(path)
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0].aspage()
            check_page(page, path, file.filehandle.size, max_pixels)
            if int(page.photometric) not in (BLACK_IS_ZERO, WHITE_IS_ZERO):
                raise _strange(path, "its numbers are colours")
            numbers = page.asarray()
    except (UnreadableError, MemoryError):
        raise
    except Exception as reason:  # tifffile and its codecs report damage by many exception types
        raise UnreadableError(f"{path} is damaged: its map cannot be decoded.", RESTORE) from reason
    return upright(numbers, header.orientation)


def _usual(numbers: Numbers, path: Path) -> DepthMap:
    """As one of the three kinds that go out again."""
    kind, bytes_each = numbers.dtype.kind, numbers.dtype.itemsize
    if kind == "f":
        if bytes_each == 4:
            return DepthMap(np.ascontiguousarray(numbers, np.float32))
        with np.errstate(over="ignore"):
            return DepthMap(
                np.ascontiguousarray(numbers.astype(np.float32)),
                (f"{path.name}: {8 * bytes_each}-bit floating point becomes 32-bit",),
            )
    if kind == "u" and bytes_each <= 2:
        return DepthMap(np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("=")))
    if kind in "iu" and numbers.min() >= 0 and numbers.max() < 1 << 16:
        return DepthMap(
            np.ascontiguousarray(numbers, np.uint16), (f"{path.name}: {numbers.dtype} becomes 16-bit",)
        )
    raise _strange(path, "its numbers are negative or have more than 16 bits")


def _strange(path: Path, why: str) -> UnreadableError:
    return UnreadableError(f"{path} is no depth map that mef can read: {why}.", ONE_CHANNEL)
