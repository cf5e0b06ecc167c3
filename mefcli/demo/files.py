"""The demo camera's files: frames with the EXIF a camera writes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mefcli.demo.camera import APERTURE, FOCAL_MM, ISO, MAKE, MODEL, Exposure

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
        {0x010F: MAKE, 0x0110: MODEL, 0x0112: 1, 0x0131: "mef demo", 0x0132: stamp, 0x8298: "public domain"}
    )
    tags.get_ifd(EXIF_IFD).update(
        {
            0x829A: IFDRational(exposure.seconds.numerator, exposure.seconds.denominator),
            0x829D: ratio(APERTURE),
            0x8822: 3,  # aperture priority
            0x8827: ISO,
            0x9000: b"0232",
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
    from mefcli import formats

    with io.BytesIO() as buffer:
        _small_jpeg(buffer, exposure)
        carrier = path.with_suffix(".exif")
        carrier.write_bytes(buffer.getvalue())
    try:
        metadata = formats.read_metadata(carrier)
    finally:
        carrier.unlink()
    options = formats.Encoding(quality=93)
    formats.encode(path, pixels, icc=formats.icc_profile("srgb"), metadata=metadata, options=options)


def _small_jpeg(buffer: io.BytesIO, exposure: Exposure) -> None:
    """EXIF in the least of files, from where `formats` reads it as it does a camera's."""
    from PIL import Image

    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=exif(exposure).tobytes())
