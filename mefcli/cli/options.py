"""The options that commands share, each described once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from mefcli.errors import UsageError
from mefcli.job import (
    Align,
    Compression,
    Crop,
    Highlights,
    RawOrJpeg,
    RawSpace,
    RawWhite,
    Resolution,
    StrategyName,
)

FUSION = "Fusion"
FRAMES = "Frames"
OUTPUT = "Output"
RAW = "RAW"
TALK = "Talk"


def complete_models(incomplete: str) -> Iterator[tuple[str, str]]:
    from mefnets import MODELS

    for name, spec in MODELS.items():
        if name.startswith(incomplete):
            yield name, spec.summary


def parse_evs(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise UsageError(
            f"--ev takes numbers in stops with commas between; {text!r} is not that.",
            "For example --ev -2,0,2.",
        ) from None


def parse_memory(text: str | None) -> float | None:
    """'2G', '800M' or a number of megabytes, in MB."""
    if text is None:
        return None
    factors = {"G": 1024.0, "M": 1.0}
    number = text.upper().removesuffix("B").removesuffix("I")
    try:
        megabytes = float(number.rstrip("GM")) * factors.get(number[-1:], 1.0)
    except ValueError:
        megabytes = 0.0
    if not megabytes > 0:
        raise UsageError(f"--max-memory cannot be {text!r}.", "Give a size, such as 2G or 800M.")
    return megabytes


Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILES...",
        help="The exposures of one scene, in any order.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="Fuse with this model.", autocompletion=complete_models, rich_help_panel=FUSION
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="A .safetensors file instead of the model's own.",
        rich_help_panel=FUSION,
    ),
]
Resolution_ = Annotated[
    Resolution,
    typer.Option(
        "--resolution",
        help="native runs the network on every pixel; guided runs it small and carries the result up.",
        rich_help_panel=FUSION,
    ),
]
WorkingSize = Annotated[
    float | None,
    typer.Option(
        "--working-size", help="Megapixels the network sees in guided mode.", min=0.01, rich_help_panel=FUSION
    ),
]
Strategy = Annotated[
    StrategyName,
    typer.Option(
        "--strategy",
        help="How two-frame networks fold longer brackets.",
        rich_help_panel=FUSION,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        help="auto, cpu, cuda, cuda:1 or mps.",
        rich_help_panel=FUSION,
    ),
]
Half = Annotated[
    bool,
    typer.Option(
        "--half",
        help="Half precision on a graphics card: faster, within 1/255. For models that bear it.",
        rich_help_panel=FUSION,
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        "--max-memory",
        help="Memory for the whole process, pictures included, such as 2G. Else half of what is free.",
        metavar="SIZE",
        rich_help_panel=FUSION,
    ),
]
Align_ = Annotated[
    Align,
    typer.Option(
        "--align",
        help="auto aligns hand-held frames and leaves tripod brackets bit-identical.",
        rich_help_panel=FRAMES,
    ),
]
Crop_ = Annotated[
    Crop,
    typer.Option(
        "--crop", help="After aligning, keep what all frames saw, or the whole.", rich_help_panel=FRAMES
    ),
]
Deghost = Annotated[
    str,
    typer.Option(
        "--deghost",
        help="Show things that moved once, as one frame saw them: off, auto, or a strength from 1 to 10.",
        metavar="HOW",
        rich_help_panel=FRAMES,
    ),
]
DebugDir = Annotated[
    str | None,
    typer.Option(
        "--debug-dir",
        help="With --deghost: also write what was replaced, and where frames agree, as pictures in here.",
        metavar="FOLDER",
        rich_help_panel=FRAMES,
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        "--reference",
        help="Frame whose geometry and metadata the result keeps: a number from 1 (darkest), or its name.",
        metavar="FRAME",
        rich_help_panel=FRAMES,
    ),
]
Ev = Annotated[
    str | None,
    typer.Option(
        "--ev",
        help="Exposures in stops, in the order of the files: -2,0,2.",
        metavar="STOPS",
        rich_help_panel=FRAMES,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Fail where frames cannot be aligned.",
        rich_help_panel=FRAMES,
    ),
]
MaxPixels = Annotated[
    float,
    typer.Option(
        "--max-pixels", help="Megapixels beyond which a file is refused.", min=0.001, rich_help_panel=FRAMES
    ),
]
Output = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        "-o",
        help="Where to write, the format by suffix: tif png jpg jxl avif. Several are possible. "
        "Without it: <first file>_fused.tif beside the first file.",
        metavar="FILE",
        rich_help_panel=OUTPUT,
    ),
]
BitDepth = Annotated[
    int | None,
    typer.Option(
        "--bit-depth",
        help="8, 16 or 32 (float). Without it: 8 for JPEG, 10 for AVIF, else 16.",
        rich_help_panel=OUTPUT,
    ),
]
Compression_ = Annotated[
    Compression,
    typer.Option(
        "--compression",
        help="Of TIFF files.",
        rich_help_panel=OUTPUT,
    ),
]
Quality = Annotated[
    int,
    typer.Option(
        "--quality", help="Of JPEG, JPEG XL and AVIF files.", min=1, max=100, rich_help_panel=OUTPUT
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        help="Also write a page that shows before and after, exposures, alignment and times: .html.",
        metavar="FILE",
        rich_help_panel=OUTPUT,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace outputs that exist.",
        rich_help_panel=OUTPUT,
    ),
]
RawOrJpeg_ = Annotated[
    RawOrJpeg,
    typer.Option(
        "--raw-or-jpeg",
        help="Which of a RAW+JPEG pair to use.",
        rich_help_panel=RAW,
    ),
]
RawSpace_ = Annotated[
    RawSpace,
    typer.Option(
        "--raw-space",
        "--profile",
        help="Colour space to develop RAW into. Other files keep their own profile.",
        rich_help_panel=RAW,
    ),
]
RawWb = Annotated[
    RawWhite,
    typer.Option(
        "--raw-wb",
        help="One white balance for the whole bracket.",
        rich_help_panel=RAW,
    ),
]
Highlights_ = Annotated[
    Highlights,
    typer.Option(
        "--highlights",
        help="What RAW development does above white.",
        rich_help_panel=RAW,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the plan; decode and write nothing.", rich_help_panel=TALK)
]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON object on standard output.", rich_help_panel=TALK)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.", rich_help_panel=TALK)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.", rich_help_panel=TALK)]
