"""RAW in, through LibRaw: the same development for every frame of a bracket, so that only exposure differs.

No automatic brightening, and no white level guessed per frame: LibRaw would otherwise scale each frame by its
own brightest pixel, and the bracket's exposure steps with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mefcli.errors import UnreadableError, UsageError
from mefcli.formats.facts import Header
from mefcli.formats.icc import icc_profile
from mefcli.formats.ifd import Buffer, Tags, TiffReader
from mefcli.formats.kinds import is_sensor_data
from mefcli.formats.pixels import Array
from mefcli.formats.source import RESTORE, opened
from mefcli.formats.tiff import too_large
from mefcli.formats.values import Development, Picture
from mefcli.values import Shot

# Encoding curves as LibRaw takes them: 1/gamma and the slope near black, matching the profiles we embed.
GAMMAS = {"srgb": (2.4, 12.92), "p3": (2.4, 12.92), "adobergb": (563 / 256, 0.0), "prophoto": (1.8, 0.0)}
# For light rather than for a picture: the camera's own colours, white-balanced and stored by sRGB's curve,
# with nothing clipped before the sensor itself is.
CAMERA, KEPT = "camera", "keep"
MOST_PIXELS_A_BYTE = 16  # the hardest lossy compression of sensor data spends more than half a bit a pixel
WHITE_BALANCES = ("camera", "auto", "daylight")
HIGHLIGHTS = ("clip", "blend", "reconstruct")


def bracket_development(
    shots: Sequence[Shot], wb: str = "camera", space: str = "srgb", highlights: str = "clip"
) -> Development:
    """One development for a bracket, with the white balance of its middle exposure locked for all frames."""
    plan = Development(wb, space, highlights)
    _check(plan)
    raws = [shot for shot in shots if shot.kind == "raw"]
    if not raws:
        return plan
    by_exposure = sorted(raws, key=lambda shot: (shot.ev is None, shot.ev or 0.0, str(shot.path)))
    middle = by_exposure[(len(by_exposure) - 1) // 2]
    return replace(plan, multipliers=_multipliers(middle.path, wb))


def decode_raw(
    path: Path, header: Header, development: Development, max_pixels: int, *, half: bool = False
) -> Picture:
    _check(development)
    check_whole(path)
    import rawpy

    spaces = {
        "srgb": rawpy.ColorSpace.sRGB,
        "p3": rawpy.ColorSpace.P3D65,
        "adobergb": rawpy.ColorSpace.Adobe,
        "prophoto": rawpy.ColorSpace.ProPhoto,
        CAMERA: rawpy.ColorSpace.raw,
    }
    modes = {
        "clip": rawpy.HighlightMode.Clip,
        "blend": rawpy.HighlightMode.Blend,
        "reconstruct": rawpy.HighlightMode.ReconstructDefault,
        KEPT: rawpy.HighlightMode.Ignore,
    }
    with raw_file(path) as raw:
        size = (raw.sizes.raw_width, raw.sizes.raw_height)
        if size[0] * size[1] > max_pixels:
            raise too_large(path, size, max_pixels)
        multipliers = development.multipliers or _white_balance(raw, development.wb)
        # LibRaw leaves what a short file lacks as it found the memory: often black, but not always.
        if size[0] * size[1] > MOST_PIXELS_A_BYTE * path.stat().st_size:
            raise UnreadableError(f"{path} is cut off: part of its sensor data is missing.", RESTORE)
        mosaic = raw.raw_image if raw.raw_type == rawpy.RawType.Flat else None
        if mosaic is not None and is_blank(mosaic):
            raise UnreadableError(f"{path} is cut off: part of its sensor data is missing.", RESTORE)
        pixels: Array = raw.postprocess(
            user_wb=list(multipliers),
            use_camera_wb=False,
            output_bps=16,
            no_auto_bright=True,
            adjust_maximum_thr=0.0,
            output_color=spaces[development.space],
            highlight_mode=modes[development.highlights],
            gamma=GAMMAS.get(development.space, GAMMAS["srgb"]),
            half_size=half,
        )
    icc = None if development.space == CAMERA else icc_profile(development.space)
    return Picture(np.ascontiguousarray(pixels), icc)


def upright_size(path: Path) -> tuple[int, int] | None:
    """Width and height of the developed picture, without unpacking it; nothing where LibRaw cannot tell."""
    import rawpy

    try:
        with rawpy.imread(str(path)) as raw:
            sizes = raw.sizes
    except (rawpy.LibRawError, OSError):
        return None
    width, height = sizes.iwidth or sizes.width, sizes.iheight or sizes.height
    if not width or not height:
        return None
    return (height, width) if sizes.flip in (5, 6) else (width, height)


@contextmanager
def raw_file(path: Path) -> Iterator[Any]:
    import rawpy

    try:
        with rawpy.imread(str(path)) as raw:
            yield raw
    except (rawpy.LibRawError, OSError) as reason:
        raise _refusal(path, reason) from reason


def is_blank(mosaic: Array) -> bool:
    """Whether the last rows are all zero: noise forbids that, a decoder that ran dry leaves them so."""
    tail = mosaic[-max(1, mosaic.shape[0] // 20) :]
    return not tail.any()


def check_whole(path: Path) -> None:
    """Refuses files that say of themselves that their sensor data goes on beyond their end."""
    with opened(path) as data:
        if claimed_bytes(data) > len(data):
            raise UnreadableError(f"{path} is cut off: part of its sensor data is missing.", RESTORE)
        try:
            reader = TiffReader(data)
        except ValueError:
            return
        for tags in reader.chain():
            _check_panasonic(tags, len(data), path)
            if not is_sensor_data(tags):
                continue
            offsets = tags.get(0x0111) or tags.get(0x0144)
            counts = tags.get(0x0117) or tags.get(0x0145)
            if offsets is None or counts is None:
                continue
            ends = [at + size for at, size in zip(offsets.numbers, counts.numbers, strict=False)]
            if ends and max(ends) > len(data):
                raise UnreadableError(f"{path} is cut off: part of its sensor data is missing.", RESTORE)
        if reader.cut:
            raise UnreadableError(f"{path} is cut off: part of its description is missing.", RESTORE)


def claimed_bytes(data: Buffer) -> int:
    """How long the RAW formats without TIFF structure say they are; 0 for others, and where they do not say.

    Canon CRW and Sigma X3F keep their directory at the end, so LibRaw notices by itself.
    """

    def number(at: int, size: int = 4) -> int:
        return int.from_bytes(data[at : at + size], "big")

    if data[:15] == b"FUJIFILMCCD-RAW":  # offset and length of the sensor data
        return number(0x64) + number(0x68)
    if data[4:12] == b"ftypcrx ":  # boxes, one after the other (ISO/IEC 14496-12)
        at = 0
        while at + 8 <= len(data):
            size = number(at) if number(at) != 1 else number(at + 8, 8)
            if size < 8:
                break
            at += size
        return at
    if data[:4] == b"\0MRM":  # blocks; PRD has the sensor's size and bits a sample; then the samples
        at, end = 8, 8 + number(4)
        while at + 8 < min(end, len(data)):
            if data[at : at + 4] == b"\0PRD":
                height, width, bits = number(at + 16, 2), number(at + 18, 2), number(at + 24, 1)
                return end + height * width * bits // 8
            at += 8 + number(at + 4)
    return 0


def _check_panasonic(tags: Tags, file_bytes: int, path: Path) -> None:
    """RW2 states where its data starts but not its length; any of its kinds needs half a byte a pixel."""
    start, width, height = (tags[tag].integer or 0 if tag in tags else 0 for tag in (0x0118, 0x0002, 0x0003))
    if start and width * height > 2 * max(0, file_bytes - start):
        raise UnreadableError(f"{path} is cut off: part of its sensor data is missing.", RESTORE)


def _multipliers(path: Path, wb: str) -> tuple[float, float, float, float]:
    with raw_file(path) as raw:
        return _white_balance(raw, wb)


def _white_balance(raw: Any, wb: str) -> tuple[float, float, float, float]:
    found: Any = raw.camera_whitebalance if wb == "camera" else None
    if wb == "auto":
        found = _grey_world(raw)
    if found is None or not all(value > 0 for value in list(found)[:3]):
        found = raw.daylight_whitebalance
    values = [float(value) for value in found] + [0.0] * 4
    if not all(value > 0 for value in values[:3]):
        return 1.0, 1.0, 1.0, 1.0
    return values[0], values[1], values[2], values[3] if values[3] > 0 else values[1]


def _grey_world(raw: Any) -> list[float] | None:
    """Multipliers that make the average of all well-exposed sensor values neutral."""
    import rawpy

    if raw.raw_type != rawpy.RawType.Flat:
        return None
    try:
        mosaic = raw.raw_image_visible
    except rawpy.LibRawError:
        return None
    colours, blacks = raw.raw_colors_visible, raw.black_level_per_channel
    means = []
    for channel in range(3):
        values = (
            mosaic[(colours == channel) | ((channel == 1) & (colours == 3))].astype(np.float32)
            - blacks[channel]
        )
        usable = values[(values > 0) & (values < 0.9 * (raw.white_level - blacks[channel]))]
        if not usable.size:
            return None
        means.append(float(usable.mean()))
    return [means[1] / mean for mean in means] + [1.0]


def _check(development: Development) -> None:
    for value, known, name in (
        (development.wb, WHITE_BALANCES, "white balance"),
        (development.space, (*GAMMAS, CAMERA), "colour space"),
        (development.highlights, (*HIGHLIGHTS, KEPT), "highlight mode"),
    ):
        if value not in known:
            raise UsageError(f"{value} is no {name} mef knows.", f"Choose one of: {', '.join(known)}.")


def _refusal(path: Path, reason: Exception) -> UnreadableError:
    text = str(reason)
    if "Unsupported" in text:
        return UnreadableError(
            f"{path} is a RAW file that LibRaw cannot read.",
            "Convert it to DNG, or give a TIFF or JPEG of it.",
        )
    return UnreadableError(f"{path} is cut off or damaged: its sensor data cannot be decoded.", RESTORE)
