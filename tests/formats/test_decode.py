"""Pixels come in whole, upright and in their own depth, or not at all."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from mefcli.errors import MefError, UnreadableError
from mefcli.formats import decode, decode_reduced, profile_name, read_shot
from tests.formats.conftest import exif_bytes, photo


def deep(picture: np.ndarray) -> np.ndarray:
    """16-bit pixels that use their low bits."""
    ramp = np.arange(picture.size, dtype=np.uint32).reshape(picture.shape)
    return ((picture.astype(np.uint32) * 257 + ramp) % 65536).astype(np.uint16)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_equals_pillow(tmp_path: Path, progressive: bool) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(photo()).save(path, quality=95, progressive=progressive)
    with Image.open(path) as image:
        expected = np.asarray(image).astype(int)
    assert np.abs(decode(path).pixels.astype(int) - expected).max() <= 1


def test_grey_jpeg_gives_three_equal_channels(tmp_path: Path) -> None:
    path = tmp_path / "grey.jpg"
    Image.fromarray(photo()).convert("L").save(path)
    pixels = decode(path).pixels
    assert pixels.shape == (40, 60, 3)
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(tmp_path: Path, orientation: int) -> None:
    for suffix in (".jpg", ".png", ".tif"):
        path = tmp_path / f"turned{suffix}"
        if suffix == ".tif":
            tifffile.imwrite(path, photo(), photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
        else:
            Image.fromarray(photo()).save(path, exif=exif_bytes(orientation), quality=100, subsampling=0)
        with Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image)).astype(int)
        pixels = decode(path).pixels
        assert np.abs(pixels.astype(int) - expected).max() <= 2
        assert pixels.shape[1::-1] == read_shot(path).size_px


@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
@pytest.mark.parametrize("progressive", [False, True])
def test_cut_off_jpeg_is_refused(tmp_path: Path, part: float, progressive: bool) -> None:
    path = tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path, progressive=progressive)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    for read in (decode, lambda p: decode_reduced(p, 8)):
        with pytest.raises(UnreadableError, match="cut off"):
            read(path)


def test_a_thumbnail_does_not_hide_that_the_picture_is_cut(tmp_path: Path, jpeg: Path) -> None:
    whole = jpeg.read_bytes()
    thumbnail = b"\xff\xe5" + struct.pack(">H", len(whole) + 2) + whole  # a complete JPEG within a segment
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole[:2] + thumbnail + whole[2:-40])
    with pytest.raises(UnreadableError, match="cut off"):
        decode(path)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw"},
        {"compression": "zstd"},
        {"tile": (16, 16), "compression": "zlib"},
        {"bigtiff": True},
        {"rowsperstrip": 7},
        {"byteorder": ">"},
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_of_any_layout_is_exact(tmp_path: Path, options: dict, dtype: type) -> None:
    picture = {np.uint8: photo(), np.uint16: deep(photo()), np.float32: photo().astype(np.float32) / 255}[
        dtype
    ]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture, photometric="rgb", **options)
    found = decode(path).pixels
    assert found.dtype == dtype
    assert (found == picture).all()


def test_planar_alpha_grey_palette_and_white_is_zero_tiffs(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.moveaxis(deep(photo()), 2, 0), photometric="rgb", planarconfig="separate")
    assert (decode(path).pixels == deep(photo())).all()

    with_alpha = np.dstack([deep(photo()), np.full((40, 60), 9, np.uint16)])
    tifffile.imwrite(path, with_alpha, photometric="rgb", extrasamples=["unassalpha"])
    picture = decode(path)
    assert (picture.pixels == deep(photo())).all()
    assert picture.notes == ("transparency dropped",)

    tifffile.imwrite(path, photo()[..., 0], photometric="minisblack")
    assert (decode(path).pixels == photo()[..., :1]).all()
    tifffile.imwrite(path, photo()[..., 0], photometric="miniswhite")
    assert (decode(path).pixels == 255 - photo()[..., :1]).all()

    image = Image.fromarray(photo()).convert("P")
    image.save(path)
    assert (decode(path).pixels == np.asarray(image.convert("RGB"))).all()


def test_float_outside_the_range_is_clipped_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.array([[[-1.0, 0.5, 7.0]] * 4] * 4, np.float32), photometric="rgb")
    picture = decode(path)
    assert picture.pixels[0, 0].tolist() == [0.0, 0.5, 1.0]
    assert "clipped" in picture.notes[0]


def test_cut_off_tiff_and_png_are_refused(tmp_path: Path) -> None:
    tiff, png = tmp_path / "a.tif", tmp_path / "a.png"
    tifffile.imwrite(tiff, deep(photo()), photometric="rgb")
    Image.fromarray(photo()).save(png)
    for path in (tiff, png):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(UnreadableError):
            decode(path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_png_of_any_kind_equals_pillow(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    image = Image.fromarray(photo()).convert(mode)
    image.save(path)
    assert (decode(path).pixels == np.asarray(image.convert("RGB"))).all()


def test_sixteen_bit_png_keeps_its_low_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(deep(photo())))
    assert (decode(path).pixels == deep(photo())).all()


def test_header_bombs_are_refused_before_decoding(tmp_path: Path, jpeg: Path) -> None:
    data = bytearray(jpeg.read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
    bomb = tmp_path / "bomb.jpg"
    bomb.write_bytes(data)
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    png = tmp_path / "bomb.png"
    png.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    for path in (bomb, png):
        with pytest.raises(UnreadableError, match="more than the limit") as caught:
            decode(path)
        assert "max_pixels" in caught.value.hint
    with pytest.raises(UnreadableError, match=r"more than the limit of 0\.0001 MP"):
        decode(jpeg, max_pixels=100)


def test_reduced_pictures_are_small_and_look_alike(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(photo(400, 600)).save(path, quality=95, exif=exif_bytes(orientation=6))
    small = decode_reduced(path, 60).pixels
    assert small.shape == (60, 40, 3)
    whole = decode(path).pixels
    assert np.abs(small.mean((0, 1)) - whole.mean((0, 1))).max() < 2
    assert decode_reduced(path, 5000).pixels.shape == whole.shape


def test_avif_is_read_in_its_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    path.write_bytes(
        imagecodecs.avif_encode(deep(photo()) >> 6, level=100, bitspersample=10, pixelformat="444")
    )
    pixels = decode(path).pixels
    assert pixels.dtype == np.uint16
    assert np.abs(pixels.astype(int) - deep(photo())).mean() < 400


def test_heic_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch, samples: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(MefError, match="pillow-heif") as caught:
        decode(samples / "exif_samples/immich_formats/IMG_2682.heic")
    assert "mef[heif]" in caught.value.hint


def test_camera_marked_adobe_rgb_is_tagged_so(samples: Path) -> None:
    picture = decode(samples / "exif_samples/exiv2/exiv2-nikon-d70.jpg")
    assert "Adobe RGB" in profile_name(picture.icc)


@pytest.mark.slow
def test_every_sample_decodes_or_is_refused_kindly(samples: Path) -> None:
    decoded, named = 0, list[bool]()
    for folder in ("exif_samples", "raw", "brackets"):
        for path in sorted((samples / folder).rglob("*.*")):
            try:
                picture = decode(path)
            except MefError as trouble:
                named.append(path.name in trouble.message)
                continue
            decoded += 1
            assert picture.pixels.shape[1::-1] == read_shot(path).size_px
    assert decoded > 200
    assert all(named)
