"""What a file is, by its first bytes and (where TIFF-structured) its directories, not by its name."""

from __future__ import annotations

from pathlib import Path

from mefcli.errors import MissingExtraError, UnreadableError
from mefcli.formats.ifd import Buffer, Tags, TiffReader
from mefcli.formats.source import opened
from mefcli.formats.table import RAW_SUFFIXES, accepted
from mefcli.values import Kind

# Signatures at the start of RAW files that are no plain TIFF.
RAW_SIGNATURES = (b"FUJIFILMCCD-RAW", b"\0MRM", b"FOVb", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
CFA, LINEAR_RAW = 32803, 34892  # PhotometricInterpretation of DNG and TIFF/EP
# Compression schemes that only cameras write: Nikon, Sony, Samsung, Kodak, Pentax.
RAW_COMPRESSIONS = frozenset({34713, 32767, 32770, 65000, 65535})
HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"mif2"}
)
KNOWN_OTHERS = {
    b"8BPS": "a Photoshop document",
    b"%PDF": "a PDF",
    b"P7": "a PAM picture",
    b"PF\n": "a PFM picture",
    b"Pf\n": "a PFM picture",
    b"\xff\x0a": "a JPEG XL picture",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\0\0\0\x0cjP": "a JPEG 2000 picture",
    b"v/1\x01": "an OpenEXR picture",
    b"#?RADIANCE": "a Radiance picture",
    b"<svg": "an SVG drawing",
}


def sniff(path: Path) -> Kind:
    """The kind of picture a file holds, by content."""
    path = Path(path)
    with opened(path) as data:
        return kind_of(data, path)


def kind_of(data: Buffer, path: Path) -> Kind:
    head = bytes(data[0:32])
    if head[:2] == b"\xff\xd8":
        return "jpeg"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if head.startswith(RAW_SIGNATURES) or head[6:14] == b"HEAPCCDR":
        return "raw"
    if head[4:8] == b"ftyp":
        if head[8:12] == b"crx ":
            return "raw"
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, 32, 4))}
        if brands & HEIF_BRANDS:
            return "heif"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "raw" if _tiff_is_raw(data, path) else "tiff"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[:2] == b"BM" and head[14:18].strip(b"\0") and head[15:18] == b"\0\0\0":
        return "bmp"
    if head[:1] == b"P" and b"1" <= head[1:2] <= b"6" and head[2:3] in (b" ", b"\t", b"\n", b"\r", b"#"):
        return "pnm"
    if path.suffix.lower() in RAW_SUFFIXES and head.strip(b"\0"):
        return "raw"  # a few old RAW formats have no signature; LibRaw decides
    for signature, name in KNOWN_OTHERS.items():
        if head.startswith(signature):
            raise UnreadableError(f"{path} is {name}, which mef does not read.", accepted())
    raise UnreadableError(f"{path} is not a picture mef knows.", accepted())


def _tiff_is_raw(data: Buffer, path: Path) -> bool:
    if path.suffix.lower() in RAW_SUFFIXES:
        return True
    if bytes(data[8:10]) == b"CR" or bytes(data[8:12]) in (b"IIII", b"MMMM"):  # Canon CR2; Phase One
        return True
    try:
        reader = TiffReader(data)
    except ValueError:  # a few bytes, no more
        return False
    return any(is_sensor_data(tags) or 0xC612 in tags for tags in reader.chain())


def is_sensor_data(tags: Tags) -> bool:
    """Whether a directory describes a sensor's mosaic rather than a finished picture."""
    photometric, compression = tags.get(0x0106), tags.get(0x0103)
    return (photometric is not None and photometric.integer in (CFA, LINEAR_RAW)) or (
        compression is not None and compression.integer in RAW_COMPRESSIONS
    )


def need_heif(path: Path) -> MissingExtraError:
    return MissingExtraError(
        f"{path} is a HEIF picture, which needs the package pillow-heif.",
        "Install it with: pip install 'mef[heif]'",
    )
