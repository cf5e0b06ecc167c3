"""What is written is read back exactly, with profile and metadata, and valid."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from mefcli.errors import UsageError
from mefcli.formats import Encoding, decode, encode, icc_profile, profile_name, read_metadata, read_shot
from mefcli.formats.header import read_header
from mefcli.formats.metadata import Metadata
from mefcli.formats.pixels import to_depth
from mefcli.values import Record
from tests.formats.conftest import exif_bytes, photo
from tests.formats.test_decode import deep

RECORD = Record(
    "house", "ab" * 32, {"align": "auto", "odd": "<&>\x00"}, sources=("dark.jpg", "bright <ü>.jpg")
)
SUFFIXES = ("tif", "png", "jpg", "jxl", "avif")
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'xmp:Rating="4" crs:Exposure2012="+1.5">'
    b"<dc:subject><rdf:Bag><rdf:li>lake</rdf:li><rdf:li>night</rdf:li></rdf:Bag></dc:subject>"
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.jpg"
    Image.fromarray(photo()).save(path, exif=exif_bytes(orientation=6), xmp=XMP)
    return path


def write(
    path: Path, pixels: np.ndarray, source: Path | None = None, space: str = "p3", **options: object
) -> Path:
    metadata = read_metadata(source) if source else None
    encode(
        path, pixels, icc=icc_profile(space), metadata=metadata, options=Encoding(**options), record=RECORD
    )  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("compression", ["none", "deflate", "zstd", "lzw"])
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_tiff_is_exact(tmp_path: Path, source: Path, compression: str, bits: int) -> None:
    pixels = {8: photo(), 16: deep(photo()), 32: deep(photo()).astype(np.float32) / np.float32(65535)}[bits]
    path = write(tmp_path / "a.tif", pixels, source, compression=compression)
    found = decode(path)
    assert found.pixels.dtype == pixels.dtype
    assert (found.pixels == pixels).all()
    assert found.icc == icc_profile("p3")
    assert (tifffile.imread(path) == pixels).all()  # another reader agrees
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].samplesperpixel == 3


@pytest.mark.parametrize("bits", [8, 16])
def test_png_and_lossless_jpeg_xl_are_exact(tmp_path: Path, source: Path, bits: int) -> None:
    import imagecodecs

    pixels = photo() if bits == 8 else deep(photo())
    assert (decode(write(tmp_path / "a.png", pixels, source)).pixels == pixels).all()
    path = write(tmp_path / "a.jxl", pixels, source, space="srgb", quality=100)
    assert (imagecodecs.jpegxl_decode(path.read_bytes()) == pixels).all()


def test_jpeg_is_close_and_not_subsampled(tmp_path: Path, source: Path) -> None:
    path = write(tmp_path / "a.jpg", deep(photo()), source, quality=98)
    eight = to_depth(deep(photo()), 8)
    assert np.abs(decode(path).pixels.astype(int) - eight).mean() < 1.5
    with Image.open(path) as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}


def test_avif_keeps_ten_bits_and_the_profile(tmp_path: Path, source: Path) -> None:
    found = decode(write(tmp_path / "a.avif", deep(photo()), source, quality=100))
    assert found.icc == icc_profile("p3")
    assert len(np.unique(found.pixels)) > 256
    assert np.abs(found.pixels.astype(int) - deep(photo())).mean() < 400
    with Image.open(tmp_path / "a.avif") as image:  # another reader agrees
        assert image.size == (60, 40)
        assert image.info["icc_profile"] == icc_profile("p3")


def test_wide_gamut_is_converted_for_jpeg_xl_and_said(tmp_path: Path) -> None:
    notes = encode(
        tmp_path / "a.jxl", deep(photo()), icc=icc_profile("prophoto"), metadata=None, options=Encoding()
    )
    assert "sRGB" in notes[0]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_metadata_travels_into_every_format(tmp_path: Path, source: Path, suffix: str, exiftool: str) -> None:
    path = write(tmp_path / f"a.{suffix}", deep(photo()), source, compression="none")
    run = [exiftool, "-j", "-n", "-G0", "-struct", str(path)]
    import json

    tags = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)[0]
    assert (tags["EXIF:ExposureTime"], tags["EXIF:FNumber"], tags["EXIF:ISO"]) == (0.008, 5.6, 200)
    assert tags["EXIF:Orientation"] == 1
    assert tags["EXIF:LensModel"] == "Lens 24mm"
    assert tags["EXIF:GPSLatitude"] == pytest.approx(47.504167, abs=1e-5)
    assert tags["XMP:Rating"] == 4
    assert tags["XMP:Subject"] == ["lake", "night"]
    assert tags["XMP:Model"] == "house"
    assert tags["XMP:WeightsSHA256"] == "ab" * 32
    assert tags["XMP:Sources"] == ["dark.jpg", "bright <ü>.jpg"]
    assert not any("Exposure2012" in name or "Thumbnail" in name for name in tags)
    if suffix != "jxl":
        assert tags["ICC_Profile:ProfileDescription"] == "Display P3"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_exiftool_finds_nothing_to_complain_about(
    tmp_path: Path, source: Path, suffix: str, exiftool: str
) -> None:
    # Deflate is not among the compressions of TIFF 6.0, which is all that exiftool's check accepts.
    path = write(tmp_path / f"a.{suffix}", deep(photo()), source, compression="none")
    run = [exiftool, "-validate", "-warning", "-error", "-a", "-s3", str(path)]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "OK\n"


def test_our_own_reader_finds_the_metadata_again(tmp_path: Path, source: Path) -> None:
    for suffix in ("tif", "png", "jpg", "avif"):
        path = write(tmp_path / f"a.{suffix}", deep(photo()), source)
        shot, metadata = read_shot(path), read_metadata(path)
        assert (shot.exposure_s, shot.iso, shot.orientation) == (0.008, 200, 1)
        assert shot.icc_name == "Display P3"
        assert (metadata.rating, metadata.keywords) == (4, ("lake", "night"))
        assert set(metadata.gps) >= {1, 2, 3, 4}


def test_structure_thumbnail_and_maker_notes_stay_behind(samples: Path, tmp_path: Path) -> None:
    source = samples / "exif_samples/exiv2/exiv2-nikon-d70.jpg"
    path = tmp_path / "a.tif"
    encode(path, photo(), icc=None, metadata=read_metadata(source), options=Encoding())
    header = read_header(path)
    assert 0x927C not in header.exif
    assert 0x014A not in header.main
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1


def test_iptc_travels(samples: Path, tmp_path: Path) -> None:
    metadata = read_metadata(samples / "exif_samples/exiftool_headers/IPTC.jpg")
    assert metadata.iptc
    assert metadata.keywords
    for suffix in ("tif", "jpg"):
        path = tmp_path / f"a.{suffix}"
        encode(path, photo(), icc=None, metadata=metadata, options=Encoding())
        assert read_metadata(path).keywords == metadata.keywords


def test_hostile_xmp_is_left_out(tmp_path: Path) -> None:
    bomb = XMP.replace(b"<x:xmpmeta", b'<!DOCTYPE a [<!ENTITY b "c">]><x:xmpmeta').replace(
        b">lake<", b"><![CDATA[x]]><"
    )
    path = tmp_path / "a.png"
    encode(path, photo(), icc=None, metadata=Metadata(xmp=bomb), options=Encoding(), record=RECORD)
    assert read_metadata(path).rating is None
    encode(
        path,
        photo(),
        icc=None,
        metadata=Metadata(xmp=b"\xff<x:xmpmeta broken"),
        options=Encoding(),
        record=RECORD,
    )
    assert decode(path).pixels.shape == (40, 60, 3)


def test_a_sidecar_speaks_for_a_raw_file(tmp_path: Path) -> None:
    from mefcli.formats import write_dng

    raw = tmp_path / "a.dng"
    write_dng(raw, np.full((8, 8), 1000, np.uint16))
    raw.with_suffix(".xmp").write_bytes(XMP)
    assert read_metadata(raw).rating == 4


@pytest.mark.parametrize(
    "odd",
    [
        XMP.replace(b"4", b"1e309"),
        XMP.replace(b"4", b"-inf"),
        XMP.replace(b"4", b"nan"),
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        b' xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Description><dc:title>'
        + b"<rdf:li>" * 5000
        + b"</rdf:li>" * 5000
        + b"</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>",
    ],
    ids=["beyond", "endless", "none", "deep"],
)
def test_an_odd_sidecar_stops_no_picture(tmp_path: Path, odd: bytes) -> None:
    from mefcli.formats import write_dng

    raw = tmp_path / "a.dng"
    write_dng(raw, np.full((8, 8), 1000, np.uint16))
    raw.with_suffix(".xmp").write_bytes(odd)
    found = read_metadata(raw)
    assert found.rating is None
    encode(tmp_path / "a.jpg", photo(), icc=None, metadata=found, options=Encoding(format="jpeg"))
    assert decode(tmp_path / "a.jpg").pixels.shape == (40, 60, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are for Unix")
def test_a_pipe_in_a_sidecars_place_is_not_waited_for(tmp_path: Path) -> None:
    from mefcli.formats import write_dng

    raw = tmp_path / "a.dng"
    write_dng(raw, np.full((8, 8), 1000, np.uint16))
    os.mkfifo(raw.with_suffix(".xmp"))
    assert read_metadata(raw).rating is None


def test_depth_conversions_round_correctly() -> None:
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, 2)
    exact = np.floor(every.astype(np.float64) / 257 + 0.5).astype(np.uint8)
    assert (to_depth(every, 8) == exact).all()
    assert (to_depth(to_depth(every, 32), 16) == every).all()
    eight = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    for bits in (16, 32):
        assert (to_depth(to_depth(eight, bits), 8) == eight).all()
    odd = np.array([[[np.nan, -1, 2]]], np.float32)
    assert to_depth(odd, 16).tolist() == [[[0, 0, 65535]]]


def test_wrong_choices_are_usage_errors(tmp_path: Path) -> None:
    for name, options in (("a.xyz", {}), ("a.tif", {"compression": "rar"}), ("a.jpg", {"quality": 0})):
        with pytest.raises(UsageError):
            write(tmp_path / name, photo(), **options)
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("space", ["srgb", "p3", "adobergb", "prophoto"])
def test_profiles_are_valid_and_keep_grey_neutral(space: str) -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile(space)))
    assert ImageCms.getProfileDescription(profile).strip() == profile_name(icc_profile(space))
    to_srgb = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2))
    seen = np.asarray(ImageCms.applyTransform(ramp, to_srgb)).astype(int)
    assert np.abs(seen - seen[..., 1:2]).max() <= 1
    assert (np.diff(seen[0, :, 1]) >= 0).all()
    assert seen[0, 255].tolist() == [255, 255, 255]
    if space == "srgb":
        assert np.abs(seen[0, :, 1] - np.arange(256)).max() <= 1
