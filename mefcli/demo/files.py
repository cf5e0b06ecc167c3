"""The demo camera's files: frames with the EXIF a camera writes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.demo.camera import (
    APERTURE,
    BAYER_GAINS,
    BLACK,
    FOCAL_MM,
    ISO,
    MAKE,
    MODEL,
    WHITE,
    Exposure,
)

EXIF_IFD = 0x8769


def exif(exposure: Exposure) -> Any:
    """The camera's EXIF for one exposure, as Pillow's object."""
    from PIL import Image
    from PIL.TiffImagePlugin import IFDRational

    def ratio(value: float) -> Any:
        return IFDRational(round(value * 100), 100)

    when = exposure.taken_at
    stamp = when.strftime("%Y:%m:%d %H:%M:%S")
    tags = Image.Exif()
    tags.update(
        {
            0x010F: MAKE,
            0x0110: MODEL,
            0x0112: 1,
            0x0131: "mef demo",
            0x0132: stamp,
            0x011A: ratio(300),
            0x011B: ratio(300),
            0x0128: 2,
            0x0213: 1,
            0x8298: "public domain",
        }
    )
    tags.get_ifd(EXIF_IFD).update(
        {
            0x829A: IFDRational(exposure.seconds.numerator, exposure.seconds.denominator),
            0x829D: ratio(APERTURE),
            0x8822: 3,  # aperture priority
            0x8827: ISO,
            0x9000: b"0232",
            0x9101: b"\x01\x02\x03\x00",
            0xA000: b"0100",
            0xA001: 1,  # sRGB
            0x9003: stamp,
            0x9004: stamp,
            0x9204: ratio(exposure.stops),
            0x9291: f"{when.microsecond // 1000:03d}",
            0xA402: 2,  # auto bracket
            0x920A: ratio(FOCAL_MM),
            0xA405: FOCAL_MM,
            0xA434: "mef demo lens 24mm",
        }
    )
    return tags


def write_frame(path: Path, pixels: NDArray[Any], exposure: Exposure) -> None:
    """An 8-bit JPEG or PNG, or a 16-bit TIFF, tagged as sRGB."""
    from PIL import Image

    from mefcli import formats

    icc = formats.icc_profile("srgb")
    if path.suffix == ".tif":
        with tempfile.TemporaryDirectory() as folder:
            # `formats` takes the EXIF from there, as from a camera's file.
            carrier = Path(folder) / "exif.jpg"
            Image.new("RGB", (8, 8)).save(carrier, exif=exif(exposure))
            metadata = formats.read_metadata(carrier)
        formats.encode(path, pixels, icc=icc, metadata=metadata, options=formats.Encoding())
        return
    options: dict[str, Any] = {"quality": 93, "subsampling": 0} if path.suffix == ".jpg" else {}
    Image.fromarray(pixels).save(path, exif=exif(exposure), icc_profile=icc, **options)


def write_raw(path: Path, mosaic: NDArray[np.uint16], exposure: Exposure) -> None:
    """A DNG whose white balance undoes the sensor's own colours."""
    from mefcli import formats
    from mefcli.formats.dng import SRGB_CAMERA

    matrix = [value * BAYER_GAINS[place // 3] for place, value in enumerate(SRGB_CAMERA)]
    formats.write_dng(
        path,
        mosaic,
        exposure_s=float(exposure.seconds),
        aperture=APERTURE,
        iso=ISO,
        bias_ev=exposure.stops,
        focal_mm=FOCAL_MM,
        taken_at=exposure.taken_at,
        make=MAKE,
        model=MODEL,
        black_level=BLACK,
        white_level=WHITE,
        colour_matrix=matrix,
        as_shot_neutral=BAYER_GAINS,
    )
