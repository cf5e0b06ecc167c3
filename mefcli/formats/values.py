"""What goes in and out of the formats: a decoded picture, how a RAW is developed, how a file is encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mefcli.values import Pixels

Compression = Literal["none", "deflate", "zstd", "lzw"]
Format = Literal["tiff", "png", "jpeg", "jxl", "avif"]

# 400 MP is above any single camera frame and below what a laptop can hold: a header that asks
# for more is taken for a decompression bomb.
MAX_PIXELS = 400_000_000


@dataclass(frozen=True)
class Picture:
    """Decoded pixels, upright: `(H, W, 3)` RGB in the source's own depth, with their profile."""

    pixels: Pixels  # uint8 | uint16 | float32 in [0, 1]
    icc: bytes | None  # None: untagged
    notes: tuple[str, ...] = ()  # what was changed on the way in, in words


@dataclass(frozen=True)
class Development:
    """How RAW frames are developed. One value for a whole bracket, so that frames differ by exposure only."""

    wb: str = "camera"  # camera | auto | daylight: where the white balance came from
    space: str = "srgb"  # srgb | p3 | adobergb | prophoto
    highlights: str = "clip"  # clip | blend | reconstruct
    multipliers: tuple[float, float, float, float] | None = None  # R, G1, B, G2, fixed for the bracket


@dataclass(frozen=True)
class Encoding:
    """How the result is written. `None` means: as the file's suffix and the format suggest."""

    format: str | None = None  # tiff | png | jpeg | jxl | avif
    bit_depth: int | None = None  # 8 | 10 | 12 | 16 | 32
    compression: str = "deflate"  # TIFF: none | deflate | zstd | lzw
    quality: int = 95  # JPEG, JPEG XL and AVIF


class Rows(Protocol):
    """A picture that gives rows as float32 `(h, W, 3)` when it is asked for them."""

    @property
    def shape(self) -> tuple[int, int, int]: ...

    @property
    def dtype(self) -> np.dtype[np.float32]: ...

    def __getitem__(self, rows: slice, /) -> NDArray[np.float32]: ...
