"""The one table of formats: what mef reads and writes, under which suffixes, in which depths.

Everything else derives from it: what counts as a picture in a folder, what an output may be called, in which
depths it is written, the time a plan allows for reading, the sentences that say what is accepted, and the
README's table.
Imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mefcli.values import Kind


@dataclass(frozen=True)
class Format:
    title: str
    kind: Kind | None  # what `sniff` says of such a file; None: not read
    suffixes: tuple[str, ...]  # looked for in folders, and for outputs; the first is the usual one
    reads: str = "–"  # for people
    writes: str = "–"
    name: str | None = None  # in `Encoding.format`; None: not written
    depths: tuple[int, ...] = ()  # bits a channel that can be written
    read_s: float = 0.03  # CPU seconds a megapixel
    named_only: tuple[str, ...] = ()  # suffixes that other things in folders have too
    most_px: int | None = None  # a side of a file that is written
    hdr: Literal["", "map", "light"] = ""  # light beyond white: as a gain map, as the picture, or not at all

    @property
    def fused_bits(self) -> int:
        """The depth the fusion is asked for where the person names none."""
        return 16 if max(self.depths, default=8) > 8 else 8


FORMATS = (
    Format(
        "JPEG",
        "jpeg",
        (".jpg", ".jpeg", ".jpe"),
        "8 and 12 bits; baseline, progressive, lossless; grey, CMYK with its profile",
        "8 bits, 4:4:4; a gain map with `--hdr`",
        "jpeg",
        (8,),
        0.01,
        most_px=65535,
        hdr="map",
    ),
    Format(
        "TIFF",
        "tiff",
        (".tif", ".tiff"),
        "8, 16, 32, 64 bits, floating point; strips, tiles, planes, BigTIFF; RGB, grey, palette, YCbCr, "
        "CMYK with its profile; none, LZW, deflate, zstd, JPEG and others",
        "8 and 16 bits, 32-bit floating point; none, LZW, deflate (default), zstd",
        "tiff",
        (8, 16, 32),
    ),
    Format("PNG", "png", (".png",), "8 and 16 bits, all colour types", "8 and 16 bits", "png", (8, 16)),
    Format(
        "RAW",
        "raw",
        (
            ".dng",
            ".3fr",
            ".arw",
            ".cr2",
            ".cr3",
            ".crw",
            ".dcr",
            ".erf",
            ".fff",
            ".gpr",
            ".iiq",
            ".kdc",
            ".mef",
        )
        + (".mos", ".mrw", ".nef", ".nrw", ".orf", ".ori", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2")
        + (".srf", ".srw", ".x3f"),
        "every camera LibRaw knows, one white balance for the bracket",
        read_s=0.1,
        named_only=(
            ".ari",
            ".bay",
            ".cap",
            ".dcs",
            ".drf",
            ".eip",
            ".k25",
            ".mdc",
            ".ptx",
            ".pxn",
            ".r3d",
            ".rwz",
        ),
    ),
    Format(
        "HEIC",
        "heif",
        (".heic", ".heif", ".hif"),
        "8 to 12 bits, PQ and HLG brought to standard range; with `pip install '.[heif]'`",
        read_s=0.08,
    ),
    Format(
        "AVIF",
        "heif",
        (".avif",),
        "8, 10, 12 bits, PQ and HLG brought to standard range",
        "8, 10, 12 bits; PQ with `--hdr`",
        "avif",
        (8, 10, 12),
        0.08,
        most_px=65536,
        hdr="light",
    ),
    Format("JPEG XL", None, (".jxl",), writes="8 and 16 bits", name="jxl", depths=(8, 16)),
    Format("WebP", "webp", (".webp",), "8 bits, not animated", read_s=0.02),
    Format("BMP", "bmp", (".bmp", ".dib"), "up to 8 bits a channel", read_s=0.01),
    Format(
        "PPM, PGM", "pnm", (".ppm", ".pgm", ".pnm", ".pbm"), "8 and 16 bits, binary and plain", read_s=0.01
    ),
    Format("GIF", "gif", (), "8 bits, not animated", read_s=0.02, named_only=(".gif",)),
)

# Linear light, by `mef hdr` alone: no picture that a viewer shows as it is.
RADIANCE = (
    Format(
        "OpenEXR",
        None,
        (".exr",),
        writes="16-bit and 32-bit floating point, ZIP",
        name="exr",
        depths=(16, 32),
    ),
    Format("Radiance", None, (".hdr",), writes="RGBE", name="hdr", depths=(32,)),
    Format(
        "TIFF, linear",
        None,
        (".tif", ".tiff"),
        writes="32-bit floating point; none, LZW, deflate (default), zstd",
        name="light",
        depths=(32,),
    ),
)

# Maps of depth, by `mef depth` alone: one channel, numbers that are no colours.
DEPTH_MAPS = (
    Format(
        "TIFF, depth",
        "tiff",
        (".tif", ".tiff"),
        "8 and 16 bits, floating point",
        "8 and 16 bits, 32-bit floating point; deflate",
        "depth",
        (8, 16, 32),
    ),
    Format("PNG, depth", "png", (".png",), "8 and 16 bits", "8 and 16 bits", "depth", (8, 16)),
    Format("NumPy", None, (".npy",), "8 and 16 bits, floating point", "as read", "depth", (8, 16, 32)),
)

READ = tuple(format for format in FORMATS if format.kind is not None)
WRITTEN = {suffix: format for format in FORMATS if format.name for suffix in format.suffixes}
LIGHT = {suffix: format for format in RADIANCE for suffix in format.suffixes}
DEPTH = {suffix: format for format in DEPTH_MAPS for suffix in format.suffixes}
BY_NAME = {format.name: format for format in FORMATS if format.name}
PICTURES = frozenset(suffix for format in READ for suffix in format.suffixes)
RAW_SUFFIXES = frozenset(  # believed where content alone does not decide
    suffix for format in READ if format.kind == "raw" for suffix in format.suffixes + format.named_only
)
READ_S: dict[Kind, float] = {format.kind: format.read_s for format in READ if format.kind is not None}


def suffixes_of(*kinds: Kind) -> tuple[str, ...]:
    """The suffixes of some kinds of file, the usual one of each first."""
    formats = [format for kind in kinds for format in READ if format.kind == kind]
    return tuple(suffix for format in formats for suffix in format.suffixes)


OPENCV_READS = suffixes_of("jpeg", "png", "tiff", "bmp", "webp")  # for measuring and training


def written() -> str:
    """The usual suffixes of what mef writes, for people: jpg tif png avif jxl."""
    return " ".join(format.suffixes[0].lstrip(".") for format in BY_NAME.values())


def accepted() -> str:
    """What mef reads, in a sentence."""
    titles = [format.title for format in READ]
    return f"mef reads {', '.join(titles[:-1])} and {titles[-1]} files."


def readme_table() -> str:
    """The table of formats in the README, in Markdown."""
    rows = [f"| {format.title} | {format.reads} | {format.writes} |" for format in FORMATS]
    return "\n".join(["| | read | write |", "|---|---|---|", *rows])
