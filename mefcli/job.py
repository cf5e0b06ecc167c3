"""Everything that can be chosen about a fusion, with the defaults: for command line, Python and batches.

To add an option, add a field here and use it where it acts; it then stands in `mef fuse`, `mef batch`, the
Python functions and the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from mefcli.errors import UsageError, named
from mefcli.options import FRAMES, FUSION, LOOK, OUTPUT, RAW, checked, described, option
from mefnets import DEFAULT_MODEL

Align = Literal["auto", "off", "shift", "rigid", "homography", "flow"]
Crop = Literal["common", "none", "reference"]
Resolution = Literal["auto", "native", "guided"]
StrategyName = Literal["auto", "sequential", "pairwise"]
RawOrJpeg = Literal["raw", "jpeg"]
RawSpace = Literal["srgb", "p3", "adobergb", "prophoto"]
RawWhite = Literal["camera", "auto", "daylight"]
RawHighlights = Literal["clip", "blend", "reconstruct"]
Look = Literal["natural", "bright", "deep", "flat"]
Compression = Literal["none", "deflate", "zstd", "lzw"]

STRENGTHS = tuple(str(strength) for strength in range(1, 11))  # of ghost removal
NETWORK = "mgdn"  # that removes ghosts from three frames


def megabytes(text: str) -> float:
    """'2G', '800M' or a number of megabytes, in MB."""
    factors = {"G": 1024.0, "M": 1.0}
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    try:
        size = float(number.rstrip("GM")) * factors.get(number[-1:], 1.0)
    except ValueError:
        size = 0.0
    if not 0 < size < float("inf"):
        raise UsageError(f"{named('max_memory')} cannot be {text!r}.", "Give a size, such as 2G or 800M.")
    return size


def _slider(help: str) -> Any:
    return option(0.0, help, LOOK, metavar="-100..100", least=-100, most=100)


@dataclass(frozen=True)
class Job:
    model: str = option(
        DEFAULT_MODEL, "Fuse with this model, by name or weights file.", FUSION, "-m", completes="models"
    )
    weights: str | None = option(None, "A .safetensors file instead of the model's own.", FUSION)
    resolution: Resolution = option(
        "auto",
        "native runs the network on every pixel; guided runs it small and carries the result up.",
        FUSION,
    )
    working_size: float | None = option(
        None, "About so many megapixels are seen by the network in guided mode.", FUSION, least=0.01
    )
    strategy: StrategyName = option("auto", "How two-frame networks fold longer brackets.", FUSION)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps.", FUSION)
    half: bool = option(
        False, "Half precision on a graphics card: faster, within 1/255. For models that bear it.", FUSION
    )
    max_memory: float | None = option(
        None,
        "Memory for the whole process, pictures included, such as 2G. Else half of what is free.",
        FUSION,
        metavar="SIZE",
        least=1e-3,
        read=megabytes,
    )
    look: Look = option(
        "natural",
        "bright opens mid-tones and keeps windows, deep is for nights and sunsets, flat for editing.",
        LOOK,
    )
    shadows: float = _slider("Above 0, dark places take more of the brighter frames.")
    highlights: float = _slider("Below 0, light places take more of the darker frames.")
    contrast: float = _slider("Of shapes and details.")
    colour: float = _slider("Above 0 further from grey, below 0 nearer.")
    align: Align = option(
        "auto", "auto aligns hand-held frames and leaves tripod brackets bit-identical.", FRAMES
    )
    crop: Crop = option(
        "reference",
        "After aligning: the reference's size, only what all frames saw (common), or all of it (none).",
        FRAMES,
    )
    deghost: str = option(
        "off",
        "Show things that moved once, as one frame saw them: off, auto, a strength from 1 to 10, "
        "or mgdn: a network, for three frames.",
        FRAMES,
        metavar="HOW",
        choices=("off", "auto", *STRENGTHS, NETWORK),
    )
    debug_dir: str | None = option(
        None,
        "Also write what deghosting replaced, and where frames agree, as pictures in here.",
        FRAMES,
        metavar="FOLDER",
        settable="never",  # whoever names the pictures says where else to write
    )
    reference: str | None = option(
        None,
        "Frame whose geometry and metadata the result keeps: a number from 1 (darkest), or its name.",
        FRAMES,
        metavar="FRAME",
        settable="never",  # it is of one bracket
    )
    strict: bool = option(False, "Fail where frames cannot be aligned.", FRAMES)
    max_pixels: float = option(
        400.0, "Megapixels beyond which a file is refused.", FRAMES, least=0.001, settable="user"
    )
    raw_or_jpeg: RawOrJpeg = option("raw", "Which of a RAW+JPEG pair to use.", RAW)
    raw_space: RawSpace = option(
        "srgb",
        "Colour space to develop RAW into. Other files keep their own profile.",
        RAW,
        "--profile",
    )
    raw_wb: RawWhite = option("camera", "One white balance for the whole bracket.", RAW)
    raw_highlights: RawHighlights = option("clip", "What RAW development does above white.", RAW)
    bit_depth: int | None = option(
        None,
        "8, 16 or 32 (float). Without it: 8 for JPEG, 10 for AVIF, else 16.",
        OUTPUT,
        choices=(8, 16, 32),
        written=True,
    )
    compression: Compression = option("deflate", "Of TIFF files.", OUTPUT, written=True)
    quality: int = option(95, "Of JPEG, JPEG XL and AVIF files.", OUTPUT, least=1, most=100, written=True)
    hdr: bool = option(
        False,
        "Also keep the scene's light beyond white: a JPEG with a gain map, or AVIF in PQ.",
        OUTPUT,
    )
    headroom: float = option(
        3.0, "Stops above white that such a picture reaches at most.", OUTPUT, least=0.25, most=6
    )
    overwrite: bool = option(False, "Replace outputs that exist.", OUTPUT, written=True, settable="never")

    def __post_init__(self) -> None:
        checked(self)

    @property
    def settings(self) -> dict[str, object]:
        """What differs from the defaults, for records."""
        return {
            one.name: getattr(self, one.name)
            for one in described(Job)
            if getattr(self, one.name) != one.default and one.name not in ("overwrite", "model", "weights")
        }


def job_of(job: Job | None, options: dict[str, Any]) -> Job:
    """A job with the options that a caller gives as keywords; a slip in a name is told with its near ones."""
    from dataclasses import replace
    from difflib import get_close_matches

    known = [one.name for one in fields(Job)]
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=2)
            raise TypeError(f"no option {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    return replace(job or Job(), **options)
