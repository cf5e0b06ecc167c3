"""What a file says its numbers mean is honoured, or the file is refused: never wrong colours in silence."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from toolkit import Mef

from mefcli.errors import MismatchError, OutputError, UnreadableError
from mefcli.formats import Encoding, decode, decode_reduced, encode, icc_profile, profile_name, read_shot
from mefcli.formats import colours as c
from mefcli.formats.boxes import heif_items
from mefcli.formats.header import parse_header
from mefcli.formats.isobox import box, full_box
from mefcli.formats.pixels import straight
from mefcli.formats.spaces import encode_srgb, is_srgb, matrix_of, same_space, space_name
from tests.formats.conftest import exif_bytes, photo
from tests.formats.profiles import named, old_srgb, press, with_points
from tests.formats.test_decode import deep

LINEAR = (1.0,)


def near(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], levels: float = 1) -> None:
    assert found.shape == expected.shape
    assert np.abs(found.astype(float) - expected.astype(float)).max() <= levels


def linear16(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Linear light, 16 bits, of an sRGB picture."""
    signal = picture / 255
    light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return np.round(light * 65535).astype(np.uint16)


# ---- profiles by what they mean -------------------------------------------------------------------------


def test_a_space_is_known_by_its_numbers_and_not_by_its_name() -> None:
    assert is_srgb(old_srgb())
    assert is_srgb(named("Camera RGB"))
    assert space_name(named("Camera RGB")) == "sRGB"
    assert not is_srgb(named("sRGB", "p3"))
    assert not is_srgb(named("linear sRGB", curve=LINEAR))
    assert not is_srgb(named("sRGB g2.2", curve=(2.2,)))
    assert same_space(None, old_srgb())
    assert same_space(named("a", "adobergb"), named("b", "adobergb"))
    assert not same_space(named("a", "adobergb"), named("a", "p3"))
    assert not same_space(press(), icc_profile("srgb"))
    assert same_space(press(), press())


@pytest.mark.parametrize("space", ["srgb", "p3", "adobergb", "prophoto"])
def test_our_profiles_numbers_are_those_that_littlecms_uses(space: str) -> None:
    found = matrix_of(icc_profile(space))
    assert found is not None
    pixels = deep(photo())
    light = found.light(pixels / 65535.0)  # (H, W, 3 signals, 3 curves)
    own = np.stack([light[..., colour, colour] for colour in range(3)], axis=-1)
    expected = imagecodecs.cms_transform(
        pixels,
        icc_profile(space),
        named("linear", space, LINEAR),
        colorspace="rgb",
        outcolorspace="rgb",
        outdtype=np.uint16,
    )
    near(own * 65535, expected, 60)


def test_jpeg_xl_converts_whatever_is_not_srgb_also_under_srgbs_name(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.jxl", linear16(photo())
    options = Encoding(quality=100)
    notes = encode(path, pixels, icc=named("sRGB linear", curve=LINEAR), metadata=None, options=options)
    assert "converted to sRGB for JPEG XL" in notes
    near(imagecodecs.jpegxl_decode(path.read_bytes()), photo().astype(np.uint16) * 257, 600)
    assert not encode(path, pixels, icc=old_srgb(), metadata=None, options=options)


def test_avif_and_exif_say_srgb_of_srgb_only(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    for profile, expected in ((named("sRGB", "p3"), 0xFFFF), (old_srgb(), 1)):
        encode(path, photo(), icc=profile, metadata=None, options=Encoding(quality=100))
        header = parse_header(path.read_bytes(), "heif")
        assert header.exif[0xA001].integer == expected
        codes = [body for body in heif_items(path.read_bytes()).of_primary(b"colr") if body[:4] == b"nclx"]
        assert codes[0][4:8] == (b"\0\2\0\2" if expected == 0xFFFF else b"\0\1\0\x0d")


def test_frames_whose_profiles_share_a_name_but_not_primaries_are_refused(mef: Mef, tmp_path: Path) -> None:
    frames = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, space in zip(frames, ("adobergb", "p3"), strict=True):
        Image.fromarray(photo()).save(path, icc_profile=named("Camera RGB", space))
    done = mef("fuse", *frames, "--ev=-1,1", "--model", "average", "-o", tmp_path / "x.png")
    assert done.code == 1
    assert "another space of that name" in done.err


def test_one_space_under_two_names_isone_profile() -> None:
    from mefcli.formats import Picture
    from mefcli.pipeline.read import one_profile
    from mefcli.values import Bracket, Shot

    bracket = Bracket((Shot(Path("a.png"), "png"), Shot(Path("b.png"), "png")), (0.0, 1.0), 0, "")
    pictures = [Picture(photo(), old_srgb()), Picture(photo(), None)]
    assert one_profile(bracket, pictures) == old_srgb()
    pictures = [Picture(photo(), None), Picture(photo(), named("Any"))]
    assert one_profile(bracket, pictures) == named("Any")
    with pytest.raises(MismatchError, match=r"b\.png in another space"):
        one_profile(bracket, [Picture(photo(), named("A", "p3")), Picture(photo(), named("A", "adobergb"))])


def test_a_damaged_profile_is_ignored_with_a_word_and_never_dropped_without(tmp_path: Path) -> None:
    damaged = bytearray(icc_profile("p3"))
    damaged[132:260] = bytes(128)  # its table of tags
    path = tmp_path / "a.png"
    Image.fromarray(photo()).save(path, icc_profile=bytes(damaged))
    found = decode(path)
    assert found.icc is None
    assert found.notes == ("a damaged colour profile was ignored: taken as sRGB",)
    with pytest.raises(OutputError, match="damaged"):
        encode(tmp_path / "a.jxl", photo(), icc=bytes(damaged), metadata=None, options=Encoding())


# ---- linear light, and more than white ------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_linear_light_gets_srgbs_curve_on_the_files_own_primaries(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    for space, expected in (("srgb", None), ("p3", "p3 linear, sRGB curve")):
        profile = named("p3 linear", space, LINEAR)
        if suffix == ".png":
            path.write_bytes(with_chunks(linear16(photo()), iCCP=b"x\0\0" + zlib.compress(profile)))
        else:
            tifffile.imwrite(path, linear16(photo()), photometric="rgb", iccprofile=profile)
        found = decode(path)
        near(found.pixels, photo().astype(np.uint16) * 257, 140)
        assert (profile_name(found.icc) if found.icc else None) == expected
        assert found.icc is None or same_space(found.icc, icc_profile("p3"))
        assert "linear light" in found.notes[-1]


def test_linear_floats_and_bytes_too(tmp_path: Path) -> None:
    path, profile = tmp_path / "a.tif", named("linear", curve=LINEAR)
    tifffile.imwrite(
        path, (linear16(photo()) / 65535).astype(np.float32), photometric="rgb", iccprofile=profile
    )
    near(decode(path).pixels * 255, photo(), 0.51)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    tifffile.imwrite(path, ramp, photometric="rgb", iccprofile=profile)
    found = decode(path).pixels
    assert found.dtype == np.uint16
    assert len(np.unique(found)) == 256
    assert decode_reduced(path, 64).pixels.dtype == np.uint16


def test_pq_and_hlg_agree_with_the_standards_numbers() -> None:
    # BT.2408, table 1: diffuse white is 58 % of PQ and 75 % of HLG. BT.2100: PQ 1.0 is 10,000 cd/m².
    assert c.pq_light(np.array([0.5806])) == pytest.approx(1.0, rel=0.002)
    assert c.pq_light(np.array([0.0, 1.0])) * c.WHITE_NITS == pytest.approx([0, 10000], abs=1e-6)
    assert c.pq_light(np.array([0.5081])) * c.WHITE_NITS == pytest.approx(100, rel=0.002)
    weights = np.array([0.2627, 0.6780, 0.0593])
    white = c.hlg_light(np.array([[0.75] * 3, [1.0] * 3, [0.0] * 3]), weights)
    assert white[0] == pytest.approx(1.0, rel=0.005)
    assert white[1] * c.WHITE_NITS == pytest.approx(1000, rel=1e-4)
    assert white[2] == pytest.approx(0.0, abs=1e-6)


def pq_signal(light: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The inverse of PQ, for light of 1 at diffuse white."""
    levels = np.linspace(0, 1, 200001)
    return np.interp(light, c.pq_light(levels), levels)


@pytest.mark.parametrize("bits", [10, 12])
def test_a_pq_avif_shows_diffuse_white_as_white_and_clips_what_is_brighter(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "a.avif"
    light = np.linspace(0, 1, 64)[None, :, None] * np.ones((32, 64, 3)) * np.array([1.0, 0.7, 0.4])
    light[:8] = 5.0
    data = np.round(pq_signal(light) * ((1 << bits) - 1)).astype(np.uint16)
    coded = imagecodecs.avif_encode(
        data, level=100, bitspersample=bits, pixelformat="444", primaries=9, transfer=16, matrix=0
    )
    path.write_bytes(coded)
    found = decode(path)
    near(found.pixels / 65535, encode_srgb(light), 0.02)
    assert (found.pixels[:8] == 65535).all()
    assert "HDR (PQ)" in found.notes[-1]
    assert found.icc is not None
    assert profile_name(found.icc) == "BT.2020"
    assert read_shot(path).icc_name == "BT.2020 PQ"


def test_an_hlg_heic_is_brought_to_standard_range(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed: HLG was NOT tried")
    path = tmp_path / "a.heic"
    grey = np.full((64, 64, 3), round(0.75 * 1023), np.uint16)
    grey[:32] = round(0.5 * 1023)
    image = heif.from_bytes("RGB;16", (64, 64), (grey << 6).astype("<u2").tobytes())
    image.save(
        path, quality=-1, chroma=444, color_primaries=9, transfer_characteristics=18, matrix_coefficients=9
    )
    found = decode(path)
    # 75 % is diffuse white; half the signal is 1/12 of the scene's peak, (1/12)^1.2 of 1000 cd/m².
    half = encode_srgb(np.array([1000 / 203 * (1 / 12) ** 1.2]))[0]
    near(found.pixels[60, 60] / 65535, np.ones(3), 0.006)
    near(found.pixels[4, 4] / 65535, np.full(3, half), 0.006)
    assert "HDR (HLG)" in found.notes[-1]


def test_a_deep_heics_white_is_white(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed: depth was NOT tried")
    path = tmp_path / "a.heic"
    data = np.full((64, 64, 3), 1023 << 6, "<u2")
    heif.from_bytes("RGB;16", (64, 64), data.tobytes()).save(path, quality=-1, chroma=444)
    assert decode(path).pixels.min() == 65535


@pytest.mark.parametrize(
    ("primaries", "transfer", "name"),
    [(9, 1, "BT.2020"), (12, 13, "Display P3"), (1, 4, "BT.709"), (11, 2, "DCI-P3")],
)
def test_code_points_become_profiles(tmp_path: Path, primaries: int, transfer: int, name: str) -> None:
    path = tmp_path / "a.avif"
    path.write_bytes(
        imagecodecs.avif_encode(photo(), level=100, pixelformat="444", primaries=primaries, transfer=transfer)
    )
    found = decode(path)
    assert found.icc is not None
    assert profile_name(found.icc) == name
    matrix = matrix_of(found.icc)
    assert matrix is not None
    assert matrix.light(np.array([0.5])).max() == pytest.approx(0.2176 if transfer == 4 else 0.214, abs=1e-3)


@pytest.mark.parametrize(("primaries", "transfer"), [(1, 13), (2, 2), (1, 1), (1, 6), (1, 2)])
def test_code_points_that_mean_srgb_leave_no_profile(tmp_path: Path, primaries: int, transfer: int) -> None:
    path = tmp_path / "a.avif"
    path.write_bytes(
        imagecodecs.avif_encode(photo(), level=100, pixelformat="444", primaries=primaries, transfer=transfer)
    )
    assert decode(path).icc is None


@pytest.mark.parametrize(("primaries", "transfer"), [(1, 9), (10, 13), (1, 17), (77, 16)])
def test_code_points_that_nobody_here_knows_are_refused(
    tmp_path: Path, primaries: int, transfer: int
) -> None:
    path = tmp_path / "a.avif"
    plain = imagecodecs.avif_encode(photo(), level=100, pixelformat="444", primaries=1, transfer=13)
    at = plain.index(b"nclx") + 4
    path.write_bytes(plain[:at] + struct.pack(">HH", primaries, transfer) + plain[at + 4 :])
    with pytest.raises(UnreadableError, match="which mef does not know"):
        decode(path)


def test_profiles_made_for_hdr_are_converted_where_they_name_it_and_refused_else(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    signal = np.round(pq_signal(linear16(photo()) / 65535) * 65535).astype(np.uint16)
    profile = with_points(named("Rec. 2100", "p3"), 12, 16)
    tifffile.imwrite(path, signal, photometric="rgb", iccprofile=profile)
    found = decode(path)
    near(found.pixels / 257, photo(), 1)
    assert same_space(found.icc, icc_profile("p3"))
    tifffile.imwrite(path, signal, photometric="rgb", iccprofile=named("unnamed", curve=(5.5,)))
    with pytest.raises(UnreadableError, match="more light than white"):
        decode(path)


# ---- PNG ------------------------------------------------------------------------------------------------


def chunk(name: str, body: bytes) -> bytes:
    key = name.encode()
    return struct.pack(">I", len(body)) + key + body + struct.pack(">I", zlib.crc32(key + body))


def with_chunks(pixels: np.ndarray[Any, Any], **chunks: bytes) -> bytes:
    coded = bytes(imagecodecs.png_encode(pixels))
    return coded[:33] + b"".join(chunk(name, body) for name, body in chunks.items()) + coded[33:]


SRGB_XY = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
ADOBE_XY = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)


def test_pngs_own_words_on_colour_are_heard_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def read(**chunks: bytes) -> Any:
        path.write_bytes(with_chunks(deep(photo()), **chunks))
        return decode(path)

    gamma = struct.pack(">I", 45455)
    assert read(gAMA=gamma).icc is None
    assert read(gAMA=gamma, cHRM=SRGB_XY).icc is None
    assert read(sRGB=b"\0", gAMA=struct.pack(">I", 55556)).icc is None
    assert same_space(read(gAMA=struct.pack(">I", 45471), cHRM=ADOBE_XY).icc, icc_profile("adobergb"))
    mac = read(gAMA=struct.pack(">I", 55556))
    assert "power 1.8" in profile_name(mac.icc)
    assert (mac.pixels == deep(photo())).all()
    assert read(cICP=bytes((12, 13, 0, 1)), sRGB=b"\0").icc == c.coded(12, 13).profile
    assert read(iCCP=b"", sRGB=b"\0").icc is None
    assert read(iCCP=b"x\0\0").icc is None
    for refused in (
        {"gAMA": struct.pack(">I", 220000)},
        {"cICP": bytes((1, 13, 1, 1))},
        {"cICP": bytes((1, 13, 0, 0))},
        {"cICP": bytes((1, 10, 0, 1))},
    ):
        with pytest.raises(UnreadableError, match="which mef does not know"):
            read(**refused)


def test_of_words_twice_in_a_png_the_first_count_and_none_behind_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    words = {
        "gAMA": (struct.pack(">I", 45455), struct.pack(">I", 100000)),
        "cICP": (bytes((1, 13, 0, 1)), bytes((9, 16, 0, 1))),
        "iCCP": tuple(b"x\0\0" + zlib.compress(icc_profile(space)) for space in ("srgb", "prophoto")),
        "eXIf": (exif_bytes(1).removeprefix(b"Exif\0\0"), exif_bytes(6).removeprefix(b"Exif\0\0")),
    }
    for name, (first, second) in words.items():
        plain = with_chunks(deep(photo()), **{name: first})
        path.write_bytes(plain)
        expected = decode(path)
        assert expected.pixels.shape == (40, 60, 3)
        path.write_bytes(plain[:33] + chunk(name, first) + chunk(name, second) + plain[33:])
        assert (decode(path).pixels == expected.pixels).all()
        assert decode(path).icc == expected.icc
        if name == "eXIf":  # which may stand anywhere
            continue
        bare = bytes(imagecodecs.png_encode(deep(photo())))
        path.write_bytes(bare[:-12] + chunk(name, second) + bare[-12:])
        found = decode(path)
        assert found.icc is None
        assert (found.pixels == deep(photo())).all()


def test_a_linear_png_is_not_taken_for_srgb(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(with_chunks(linear16(photo()), gAMA=struct.pack(">I", 100000)))
    near(decode(path).pixels, photo().astype(np.uint16) * 257, 140)


def test_an_animated_png_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    frames = [Image.fromarray(photo(seed=seed)) for seed in (0, 50)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableError, match="animation"):
        decode(path)


# ---- TIFF -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_ycbcr_tiffs_are_converted(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(photo()).convert("YCbCr").save(path, compression=compression)
    near(decode(path).pixels, photo(), 3 if compression != "jpeg" else 20)


def test_ycbcr_of_16_bits_and_reference_levels_are_honoured(tmp_path: Path) -> None:
    path, rgb = tmp_path / "a.tif", deep(photo()).astype(float)
    red, green, blue = 0.2126, 0.7152, 0.0722
    y = rgb @ np.array([red, green, blue])
    cb, cr = (rgb[..., 2] - y) / (2 - 2 * blue), (rgb[..., 0] - y) / (2 - 2 * red)
    limits = (4096, 60160, 32768, 61440, 32768, 61440)  # as television levels
    scaled = [
        4096 + y * (60160 - 4096) / 65535,
        32768 + cb * (28672 / 32767.5),
        32768 + cr * (28672 / 32767.5),
    ]
    stored = np.round(np.stack(scaled, axis=2)).astype(np.uint16)
    tags = [
        (529, 5, 3, (2126, 10000, 7152, 10000, 722, 10000), True),
        (532, 5, 6, tuple(part for limit in limits for part in (limit, 1)), True),
    ]
    tifffile.imwrite(path, stored, photometric="ycbcr", subsampling=(1, 1), extratags=tags, metadata=None)
    near(decode(path).pixels, deep(photo()), 4)


def test_ycbcr_at_reduced_size_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, photo(), photometric="ycbcr", metadata=None)
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<HHI", 530, 3, 2)) + 8
    data[at : at + 4] = struct.pack("<HH", 2, 2)
    path.write_bytes(data)
    with pytest.raises(UnreadableError, match="reduced size"):
        decode(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_premultiplied_colours_are_divided(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "a.tif"
    top = 1.0 if dtype == np.float32 else float(np.iinfo(dtype).max)
    colour = np.linspace(0.1, 1, 40 * 60 * 3).reshape(40, 60, 3)
    cover = np.full((40, 60, 1), 0.5)
    cover[:4] = 0
    stored = np.concatenate([colour * cover, cover], axis=2) * top
    stored = (np.round(stored) if dtype != np.float32 else stored).astype(dtype)
    tifffile.imwrite(path, stored, photometric="rgb", extrasamples=["assocalpha"])
    found = decode(path)
    near(found.pixels[4:] / top, colour[4:], 0.008 if dtype == np.uint8 else 1e-4)
    assert not found.pixels[:4].any()
    assert any("divided" in note for note in found.notes)


def test_dividing_never_overflows() -> None:
    every = np.array(np.meshgrid(range(256), range(256))).T.reshape(1, -1, 2).astype(np.uint8)
    exact = np.minimum(255, np.floor(every[..., 0] * 255.0 / np.maximum(every[..., 1], 1) + 0.5))
    near(straight(every, 1)[..., 0], np.where(every[..., 1] > 0, exact, 0), 0)
    assert straight(np.full((1, 1, 2), 65535, np.uint16), 1)[0, 0, 0] == 65535


def test_a_tiff_that_is_not_laid_out_as_it_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, photo(), photometric="rgb", metadata=None)
    whole = path.read_bytes()
    for tag, value, match in (
        (284, 65535, "laid out"),  # PlanarConfiguration
        (262, 1, "none of its colours"),  # grey, with three samples
        (262, 5, "none of its colours"),  # inks, with three samples
        (262, 8, "Lab"),
        (262, 32845, "another kind of picture"),
    ):
        data = bytearray(whole)
        at = data.index(struct.pack("<HHI", tag, 3, 1)) + 8
        data[at : at + 2] = struct.pack("<H", value)
        path.write_bytes(data)
        with pytest.raises(UnreadableError, match=match):
            decode(path)


def test_a_tiff_that_leaves_out_how_its_colours_are_stored_is_refused(tmp_path: Path) -> None:
    """tifffile would guess: no compression, white is zero, one bit."""
    path = tmp_path / "a.tif"
    Image.fromarray(photo()).convert("P").save(path, compression="tiff_lzw")
    whole = path.read_bytes()
    for tag, kind, match in ((259, 3, "how its colours"), (262, 3, "how its colours"), (320, 3, "palette")):
        data = bytearray(whole)
        at = data.index(struct.pack("<HH", tag, kind))
        data[at + 2 : at + 4] = b"\6\0" if tag == 320 else b"\x13\0"
        path.write_bytes(data)
        with pytest.raises(UnreadableError, match=match):
            decode(path)
    for mode, count, match in (("RGB", 3, "how its colours"), ("L", 1, "no JPEG has 1 bits")):
        Image.fromarray(photo()).convert(mode).save(path, compression="jpeg")
        data = bytearray(path.read_bytes())
        at = data.index(struct.pack("<HHI", 258, 3, count))
        data[at : at + 2] = struct.pack("<H", 319)
        path.write_bytes(data)
        with pytest.raises(UnreadableError, match=match):
            decode(path)


def test_a_tiff_with_fewer_strips_than_rows_is_refused(tmp_path: Path) -> None:
    """tifffile would leave the rest black."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, photo(), photometric="rgb", metadata=None, compression="zlib")
    whole = path.read_bytes()
    for tag, kind, value in ((257, 4, 400), (278, 4, 16), (278, 3, 16)):
        if (at := whole.find(struct.pack("<HHI", tag, kind, 1))) < 0:
            continue
        path.write_bytes(whole[: at + 8] + struct.pack("<H", value) + whole[at + 10 :])
        with pytest.raises(UnreadableError, match="cut off"):
            decode(path)


@pytest.mark.parametrize(
    ("tag", "values"), [(529, (1, 1, 1, 1, 1, 1)), (529, (0, 1, 1, 1, 0, 1)), (532, (9, 1) * 6)]
)
def test_ycbcr_numbers_that_mean_no_colours_are_refused(tmp_path: Path, tag: int, values: Any) -> None:
    path = tmp_path / "a.tif"
    tags = [(tag, 5, len(values) // 2, values, True)]
    tifffile.imwrite(path, photo(), photometric="ycbcr", subsampling=(1, 1), extratags=tags, metadata=None)
    with pytest.raises(UnreadableError, match="mean no colours"):
        decode(path)


def test_a_sample_is_not_its_colour_and_its_transparency_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, photo(), photometric="rgb", metadata=None)
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<HHI", 284, 3, 1))
    data[at : at + 2] = struct.pack("<H", 338)  # ExtraSamples: 1, premultiplied
    path.write_bytes(data)
    with pytest.raises(UnreadableError, match="none of its colours"):
        decode(path)


def test_a_profile_that_cannot_be_unpacked_is_told_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(with_chunks(photo(), iCCP=b"x\0\0" + b"no deflate stream at all"))
    assert "ignored" in decode(path).notes[0]
    path.write_bytes(with_chunks(photo(), iCCP=b""))
    assert (decode(path).pixels == photo()).all()
    assert capfd.readouterr() == ("", ""), "libpng talks on the screen"


def test_a_press_profile_on_pixels_that_are_no_inks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, photo(), photometric="rgb", iccprofile=press())
    with pytest.raises(UnreadableError, match="profile for inks"):
        decode(path)


def test_a_decoded_picture_has_the_size_its_header_says(jpeg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mefcli.formats import decoding

    real = decoding.parse_header

    def lying(*arguments: Any) -> Any:
        return replace(real(*arguments), size_px=(59, 40))

    monkeypatch.setattr(decoding, "parse_header", lying)
    with pytest.raises(UnreadableError, match="another size"):
        decode(jpeg)


def test_a_tiffs_primaries_and_curve_are_honoured(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"

    def read(*extra: Any) -> Any:
        adobe = (64, 100, 33, 100, 21, 100, 71, 100, 15, 100, 6, 100)
        tags = [(318, 5, 2, (3127, 10000, 3290, 10000), True), (319, 5, 6, adobe, True), *extra]
        tifffile.imwrite(path, photo(), photometric="rgb", extratags=tags, metadata=None)
        return decode(path)

    power = np.round((np.arange(256) / 255) ** (563 / 256) * 65535).astype(int).tolist()
    assert same_space(read((301, 3, 256, power, True)).icc, icc_profile("adobergb"))
    assert same_space(read((301, 3, 768, power * 3, True)).icc, icc_profile("adobergb"))
    assert not same_space(read().icc, icc_profile("adobergb"))  # sRGB's curve, where none is given
    assert read().icc is not None
    with pytest.raises(UnreadableError, match="a curve of its own"):
        read((301, 3, 256, [min(65535, 2 * value) for value in power], True))


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_wide_integers_become_sixteen_bits(tmp_path: Path, dtype: type) -> None:
    path, shift = tmp_path / "a.tif", np.dtype(dtype).itemsize * 8 - 16
    tifffile.imwrite(path, deep(photo()).astype(dtype) << dtype(shift), photometric="rgb")
    found = decode(path)
    assert (found.pixels == deep(photo())).all()
    assert "reduced to 16 bits" in found.notes[0]


def test_numbers_that_are_none_are_refused_or_clipped_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((8, 8, 3), np.nan, np.float32), photometric="rgb")
    with pytest.raises(UnreadableError, match="no finite number"):
        decode(path)
    doubles = np.full((8, 8, 3), 0.25)
    doubles[0, 0] = (1e300, -np.inf, np.nan)
    tifffile.imwrite(path, doubles, photometric="rgb")
    found = decode(path)
    assert found.pixels[0, 0].tolist() == [1.0, 0.0, 0.0]
    assert found.pixels[1, 1].tolist() == [0.25] * 3


# ---- inks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_inks_are_converted_by_their_profile_and_refused_without_one(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    image = Image.fromarray(photo()).convert("CMYK")
    for profile in (None, press()[:-40], icc_profile("srgb")):
        image.save(path, **({"icc_profile": profile} if profile else {}))
        with pytest.raises(UnreadableError, match="CMYK with"):
            decode(path)
    image.save(path, icc_profile=press(), **({"quality": 100} if suffix == ".jpg" else {}))
    found = decode(path)
    inks = np.asarray(image)
    expected = imagecodecs.cms_transform(
        inks, press(), icc_profile("srgb"), colorspace="cmyk", outcolorspace="rgb", outdtype=np.uint8
    )
    near(found.pixels, expected, 12 if suffix == ".jpg" else 0)
    assert found.icc == icc_profile("srgb")


# ---- HEIF -----------------------------------------------------------------------------------------------


def test_an_avifs_depth_is_its_codecs(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    coded = bytes(imagecodecs.avif_encode(deep(photo()) >> 4, level=100, bitspersample=12, pixelformat="444"))
    assert coded.count(b"pixi") == 1
    path.write_bytes(coded)
    expected = decode(path).pixels
    assert expected.max() > 50000
    path.write_bytes(coded.replace(b"pixi", b"skip"))
    assert (decode(path).pixels == expected).all()


def lying(coded: bytes, bits: int) -> bytes:
    """An AVIF whose container says another depth than its stream."""
    out = bytearray(coded)
    at = out.index(b"av1C") + 6
    out[at] = out[at] & 0x9F | {8: 0, 10: 0x40, 12: 0x60}[bits]
    at = out.index(b"pixi") + 9
    out[at : at + 3] = bytes([bits] * 3)
    return bytes(out)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_an_avifs_depth_is_its_streams_whatever_the_container_says(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "a.avif"
    pixels = photo() if bits == 8 else deep(photo()) >> (16 - bits)
    coded = bytes(imagecodecs.avif_encode(pixels, level=100, bitspersample=bits, pixelformat="444"))
    path.write_bytes(coded)
    expected = decode(path).pixels
    near(expected, photo() if bits == 8 else deep(photo()), 1 if bits == 8 else 300)
    for other in {8, 10, 12} - {bits}:
        path.write_bytes(lying(coded, other))
        assert (decode(path).pixels == expected).all()


@pytest.mark.parametrize("size_px", [(61, 40), (60, 39), (600, 40)])
def test_an_avif_whose_container_says_another_size_is_refused_and_not_stretched(
    tmp_path: Path, size_px: tuple[int, int]
) -> None:
    path = tmp_path / "a.avif"
    coded = bytes(imagecodecs.avif_encode(photo(), level=100))
    said = struct.pack(">4sIII", b"ispe", 0, 60, 40)
    assert coded.count(said) == 1
    path.write_bytes(coded.replace(said, struct.pack(">4sIII", b"ispe", 0, *size_px)))
    with pytest.raises(UnreadableError, match="another size than it says"):
        decode(path)


@pytest.mark.parametrize("count", [2, 9])
def test_of_an_avif_sequence_the_still_picture_is_used(tmp_path: Path, count: int) -> None:
    """imagecodecs, asked for its first picture, writes beyond its memory."""
    path = tmp_path / "a.avif"
    pictures = np.stack([deep(photo()) >> 4, *[deep(photo()) >> 5] * (count - 1)])
    coded = bytes(imagecodecs.avif_encode(pictures, level=100, bitspersample=12, pixelformat="444"))
    assert coded[8:12] == b"avis"
    path.write_bytes(coded)
    found = decode(path)
    near(found.pixels, deep(photo()), 300)
    assert found.notes == ("the first picture of a sequence used",)
    path.write_bytes(coded.replace(b"meta", b"free"))
    with pytest.raises(UnreadableError, match="is an animation"):
        decode(path)


def test_a_grids_depth_is_that_of_its_tiles(tmp_path: Path) -> None:
    tile = deep(photo(64, 64)) >> 6
    coded = bytes(imagecodecs.avif_encode(tile, level=100, bitspersample=10, pixelformat="444"))
    items = heif_items(coded)
    stream = items.content(coded, items.primary or 1)
    lie = dict(heif_items(lying(coded, 12)).properties)
    properties = [box(b"av1C", lie[b"av1C"]), box(b"pixi", lie[b"pixi"])]
    properties += [full_box(b"ispe", 0, 0, struct.pack(">II", *size)) for size in ((64, 64), (128, 64))]
    owned = {1: (2, 4), 2: (1, 2, 3), 3: (1, 2, 3)}
    associations = b"".join(
        struct.pack(">HB", item, len(numbers)) + bytes(numbers) for item, numbers in owned.items()
    )
    grid = bytes((0, 0, 0, 1)) + struct.pack(">HH", 128, 64)
    head = box(b"ftyp", b"avif\0\0\0\0avifmif1")

    def meta(at: int) -> bytes:
        places = [(1, at, len(grid)), (2, at + len(grid), len(stream)), (3, at + len(grid), len(stream))]
        return full_box(
            b"meta",
            0,
            0,
            full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"pict"), b"\0"),
            full_box(b"pitm", 0, 0, struct.pack(">H", 1)),
            full_box(
                b"iloc",
                0,
                0,
                b"\x44\0\0\3",
                *(struct.pack(">HHHII", one, 0, 1, start, size) for one, start, size in places),
            ),
            full_box(
                b"iinf",
                0,
                0,
                b"\0\3",
                *(
                    full_box(b"infe", 2, 0, struct.pack(">HH4s", one, 0, kind), b"\0")
                    for one, kind in ((1, b"grid"), (2, b"av01"), (3, b"av01"))
                ),
            ),
            full_box(b"iref", 0, 0, box(b"dimg", struct.pack(">HHHH", 1, 2, 2, 3))),
            box(
                b"iprp",
                box(b"ipco", *properties),
                full_box(b"ipma", 0, 0, struct.pack(">I", 3), associations),
            ),
        )

    path = tmp_path / "a.avif"
    path.write_bytes(head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", grid + stream))
    found = decode(path).pixels
    assert found.shape == (64, 128, 3)
    near(found, np.tile(deep(photo(64, 64)), (1, 2, 1)), 300)


def test_boxes_that_hold_nothing_are_no_profile() -> None:
    properties = box(b"ipco", box(b"colr", b"prof")) + full_box(b"ipma", 0, 0, b"\0\0\0\1\0\1\1\1")
    meta = full_box(b"meta", 0, 0, full_box(b"pitm", 0, 0, b"\0\1"), box(b"iprp", properties))
    assert parse_header(box(b"ftyp", b"avif\0\0\0\0avif") + meta, "heif").icc is None
