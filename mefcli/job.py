"""Everything that can be chosen about a fusion, with the defaults: for command line, Python and batches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

from mefcli.errors import UsageError
from mefnets import DEFAULT_MODEL

Align = Literal["auto", "off", "shift", "rigid", "homography", "flow"]
Crop = Literal["common", "none", "reference"]
Resolution = Literal["auto", "native", "guided"]
StrategyName = Literal["auto", "sequential", "pairwise"]
RawOrJpeg = Literal["raw", "jpeg"]
RawSpace = Literal["srgb", "p3", "adobergb", "prophoto"]
RawWhite = Literal["camera", "auto", "daylight"]
Highlights = Literal["clip", "blend", "reconstruct"]
Compression = Literal["none", "deflate", "zstd", "lzw"]


class Options(TypedDict, total=False):
    """A job's fields as keywords, each optional."""

    model: str
    weights: str | None
    align: Align
    crop: Crop
    deghost: str
    debug_dir: str | None
    reference: str | None
    strict: bool
    resolution: Resolution
    working_size: float | None
    strategy: StrategyName
    device: str
    half: bool
    max_memory: float | None
    max_pixels: float
    raw_or_jpeg: RawOrJpeg
    raw_space: RawSpace
    raw_wb: RawWhite
    highlights: Highlights
    bit_depth: int | None
    compression: Compression
    quality: int
    overwrite: bool


@dataclass(frozen=True)
class Job:
    model: str = DEFAULT_MODEL
    weights: str | None = None  # a .safetensors file instead of the shipped one
    align: Align = "auto"
    crop: Crop = "common"
    deghost: str = "off"  # "off", "auto", or a strength from 1 to 10
    debug_dir: str | None = None  # a folder for pictures of what ghost removal replaced
    reference: str | None = None  # a number, dark to bright from 1, or a file name
    strict: bool = False
    resolution: Resolution = "auto"
    working_size: float | None = None  # megapixels
    strategy: StrategyName = "auto"
    device: str = "auto"
    half: bool = False  # half precision on a graphics card
    max_memory: float | None = None  # MB, for fusion beside the frames and the result
    max_pixels: float = 400.0  # megapixels a source may have
    raw_or_jpeg: RawOrJpeg = "raw"
    raw_space: RawSpace = "srgb"
    raw_wb: RawWhite = "camera"
    highlights: Highlights = "clip"
    bit_depth: int | None = None  # 8, 16 or 32; None: what suits the output's format
    compression: Compression = "deflate"
    quality: int = 95
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, kind in _CHOICES.items():
            value = getattr(self, name)
            if value not in get_args(kind):
                known = ", ".join(get_args(kind))
                raise UsageError(f"{name} cannot be {value!r}.", f"Choose one of: {known}.")
        if self.deghost not in ("off", "auto", *map(str, range(1, 11))):
            raise UsageError(
                f"deghost cannot be {self.deghost!r}.", "Choose off, auto, or a strength from 1 to 10."
            )
        if self.bit_depth not in (None, 8, 16, 32):
            raise UsageError(f"There is no bit depth {self.bit_depth}.", "Choose 8, 16 or 32 (float).")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"A quality of {self.quality} does not exist.", "Choose 1 to 100.")
        for name, example in (("working_size", 2), ("max_memory", 2000), ("max_pixels", 400)):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name} cannot be {value}.", f"Give a positive number, such as {example}.")

    @property
    def settings(self) -> dict[str, object]:
        """What differs from the defaults, for records."""
        return {
            name: value
            for name, value in vars(self).items()
            if value != getattr(_DEFAULT, name) and name not in ("overwrite", "model", "weights")
        }


_CHOICES = {
    "align": Align,
    "crop": Crop,
    "resolution": Resolution,
    "strategy": StrategyName,
    "raw_or_jpeg": RawOrJpeg,
    "raw_space": RawSpace,
    "raw_wb": RawWhite,
    "highlights": Highlights,
    "compression": Compression,
}
_DEFAULT = Job()
