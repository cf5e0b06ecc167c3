"""WebP, BMP, PPM, PGM and GIF: one still picture, whole, upright, with profile and EXIF, or a sentence."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toolkit import Mef

from mefcli.errors import UnreadableError
from mefcli.formats import decode, icc_profile, profile_name, read_metadata, read_shot, sniff
from mefcli.formats.plain_headers import pnm_facts
from mefcli.formats.spaces import same_space
from tests.formats.conftest import exif_bytes, photo
from tests.formats.test_decode import deep


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def pnm(kind: int, pixels: np.ndarray[Any, Any], most: int) -> bytes:
    height, width = pixels.shape[:2]
    head = f"P{kind}\n# a comment 9 9\n{width} # another\n{height}\n{most}\n".encode()
    if kind in (5, 6):
        return head + pixels.astype(">u2" if most > 255 else "u1").tobytes()
    return head + b"\n".join(" ".join(map(str, row.ravel())).encode() for row in pixels) + b"\n"


WHOLE = {
    "webp": saved(Image.fromarray(photo()), "webp", quality=90),
    "lossless webp": saved(Image.fromarray(photo()), "webp", lossless=True),
    "clear webp": saved(Image.fromarray(photo()).convert("RGBA"), "webp", lossless=True),
    "webp with all": saved(
        Image.fromarray(photo()), "webp", lossless=True, exif=exif_bytes(6), icc_profile=icc_profile("p3")
    ),
    "bmp": saved(Image.fromarray(photo()), "bmp"),
    "palette bmp": saved(Image.fromarray(photo()).convert("P"), "bmp"),
    "ppm": pnm(6, photo(), 255),
    "pgm": pnm(5, photo()[..., 0], 255),
    "plain ppm": pnm(3, photo(), 255),
    "deep ppm": pnm(6, deep(photo()), 65535),
    "deep pgm": pnm(5, deep(photo())[..., 1], 65535),
    "deep plain ppm": pnm(3, deep(photo()), 65535),
    "gif": saved(Image.fromarray(photo()).convert("P"), "gif"),
}
KINDS = {name: "pnm" if name.split()[-1] in ("ppm", "pgm") else name.split()[0] for name in WHOLE}
KINDS |= {"lossless webp": "webp", "clear webp": "webp", "palette bmp": "bmp"}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_is_read_in_its_depth_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / "misnamed.jpg"
    path.write_bytes(WHOLE[name])
    assert sniff(path) == KINDS[name]
    found = decode(path)
    assert read_shot(path).size_px == found.pixels.shape[1::-1]
    if "deep" in name:
        expected = deep(photo()) if "ppm" in name else np.repeat(deep(photo())[..., 1:2], 3, axis=2)
        assert (found.pixels == expected).all()
        return
    with Image.open(io.BytesIO(WHOLE[name])) as image:
        expected = np.asarray(image.convert("RGB"))
    if name == "webp with all":
        expected = np.ascontiguousarray(np.rot90(expected, -1))
    assert found.pixels.dtype == np.uint8
    assert (found.pixels == expected).all()


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, -1])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, name: str, kept: float) -> None:
    whole = WHOLE[name]
    if name.startswith("plain") or name == "deep plain ppm":
        whole = whole.rstrip()[:-1] if kept == -1 else whole
    path = tmp_path / "x"
    path.write_bytes(whole[: int(len(whole) * kept) if kept > 0 else -3])
    with pytest.raises(UnreadableError, match=r"cut off|damaged"):
        decode(path)


def test_damaged_numbers_are_refused_and_no_library_talks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.ppm"
    numbers = " ".join(str(int(value) * 4) for value in photo().ravel())
    path.write_text(f"P3\n60 40\n1020\n{numbers}\n")
    assert (decode(path).pixels == photo().astype(np.uint16) * 257).all()
    for damaged in (numbers[:-1], f"{numbers[:-40]}\n", f"-1 {numbers}\n", f"x {numbers}\n"):
        path.write_text(f"P3\n60 40\n1020\n{damaged}")
        with pytest.raises(UnreadableError):
            decode(path)
    path.write_bytes(pnm(6, deep(photo()), 65535)[:-9])
    with pytest.raises(UnreadableError):
        decode(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("kind", "most"), [(5, 100), (6, 1023), (6, 4095), (3, 1000), (2, 15), (6, 256)])
def test_a_white_of_ones_own_is_white(tmp_path: Path, kind: int, most: int) -> None:
    path = tmp_path / "x.ppm"
    pixels = (np.arange(40 * 60 * 3).reshape(40, 60, 3) % (most + 1)).astype(np.uint16)
    pixels = pixels if kind in (3, 6) else pixels[..., 0]
    path.write_bytes(pnm(kind, pixels, most))
    found = decode(path).pixels
    top = np.iinfo(found.dtype).max
    assert found.max() == top
    expected = pixels if pixels.ndim == 3 else pixels[..., None]
    assert np.abs(found / top - expected / most).max() <= 1.01 / top


def test_bitmaps_of_one_bit_are_black_and_white(tmp_path: Path) -> None:
    path = tmp_path / "x.pbm"
    path.write_bytes(b"P1\n3 2\n0 1 0\n1 0 1\n")
    assert decode(path).pixels[..., 0].tolist() == [[255, 0, 255], [0, 255, 0]]
    path.write_bytes(b"P4 9 1\n\x80\x80")
    assert decode(path).pixels[0, :, 0].tolist() == [0, *[255] * 7, 0]


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_animations_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    frames = [Image.fromarray(photo(seed=seed)) for seed in (0, 90)]
    path.write_bytes(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    with pytest.raises(UnreadableError, match="animation"):
        decode(path)


def test_transparency_is_dropped_and_said(tmp_path: Path) -> None:
    path, picture = tmp_path / "x", np.dstack([photo(), np.full((40, 60), 128, np.uint8)])
    path.write_bytes(saved(Image.fromarray(picture), "webp", lossless=True, exact=True))
    found = decode(path)
    assert (found.pixels == photo()).all()
    assert found.notes == ("transparency dropped",)
    picture[:9, :, 3] = 0
    path.write_bytes(saved(Image.fromarray(picture), "gif"))
    assert decode(path).notes == ("transparency dropped",)


def test_webps_exif_and_profile_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.webp"
    path.write_bytes(WHOLE["webp with all"])
    shot = read_shot(path)
    assert (shot.exposure_s, shot.aperture, shot.iso, shot.orientation) == (0.008, 5.6, 200, 6)
    assert shot.lens == "Lens 24mm"
    assert shot.icc_name == "Display P3"
    assert decode(path).icc == icc_profile("p3")
    assert read_metadata(path).gps


def test_odd_exif_is_no_reason_to_warn(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    exif = exif_bytes()
    odd = exif[:30] + b"\xff" * 20 + exif[50:]
    for name, data in (
        ("x.webp", saved(Image.fromarray(photo()), "webp", lossless=True, exif=odd)),
        ("y.webp", saved(Image.fromarray(photo()), "webp", lossless=True, exif=exif[:60])),
    ):
        (tmp_path / name).write_bytes(data)
        assert (decode(tmp_path / name).pixels == photo()).all()
    assert not recwarn.list


def test_a_gifs_profile_is_kept(tmp_path: Path) -> None:
    path, whole, profile = tmp_path / "x.gif", WHOLE["gif"], icc_profile("adobergb")
    blocks = b"".join(
        bytes((len(profile[at : at + 255]),)) + profile[at : at + 255] for at in range(0, len(profile), 255)
    )
    start = 13 + (3 << (1 + (whole[10] & 7)))
    path.write_bytes(whole[:start] + b"\x21\xff\x0bICCRGBG1012" + blocks + b"\0" + whole[start:])
    assert decode(path).icc == profile


def bmp5(space: bytes, points: bytes = bytes(36), gamma: float = 0, profile: bytes = b"") -> bytes:
    plain = WHOLE["bmp"]
    at = 14 + 124
    pixels = plain[struct.unpack("<I", plain[10:14])[0] :]
    head = struct.pack("<I", 124) + plain[18:54] + struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0)
    head += space + points + struct.pack("<3I", *[round(gamma * 65536)] * 3)
    head += struct.pack("<4I", 4, 124 + len(pixels), len(profile), 0)
    return b"BM" + struct.pack("<IHHI", at + len(pixels) + len(profile), 0, 0, at) + head + pixels + profile


def test_a_bmps_words_on_colour_are_heard(tmp_path: Path) -> None:
    path = tmp_path / "x.bmp"
    adobe = np.array([[0.5767, 0.2973, 0.0270], [0.1856, 0.6274, 0.0707], [0.1882, 0.0753, 0.9911]])
    points = np.round(adobe * (1 << 30)).astype("<i4").tobytes()
    for data, expected in (
        (bmp5(b"BGRs"), None),
        (bmp5(b" niW"), None),
        (bmp5(bytes(4)), None),
        (bmp5(b"DEBM", profile=icc_profile("p3")), icc_profile("p3")),
        (bmp5(bytes(4), points, 2.19921875), icc_profile("adobergb")),
    ):
        path.write_bytes(data)
        found = decode(path)
        assert (found.pixels == photo()).all()
        assert same_space(found.icc, expected), profile_name(found.icc)
    path.write_bytes(bmp5(b"KNIL"))
    with pytest.raises(UnreadableError, match="another file"):
        decode(path)


def test_bombs_are_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    path, wide = tmp_path / "x", 60000
    gif = bytearray(WHOLE["gif"])
    gif[6:10] = struct.pack("<HH", wide, wide)
    bmp = bytearray(WHOLE["bmp"])
    bmp[18:26] = struct.pack("<ii", wide, -wide)
    webp = bytearray(WHOLE["webp with all"])
    webp[24:30] = (wide - 1).to_bytes(3, "little") * 2
    for data in (
        gif,
        bmp,
        webp,
        pnm(6, photo(), 255).replace(b"60 #", b"60000 #").replace(b"\n40\n", b"\n60000\n"),
    ):
        path.write_bytes(data)
        with pytest.raises(UnreadableError, match="more than the limit"):
            decode(path)


def test_more_pixels_than_pillow_likes_are_read_where_mef_allows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.bmp"
    path.write_bytes(WHOLE["bmp"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert (decode(path).pixels == photo()).all()
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize(
    "head", [b"P6 1", b"P6 0 5 255\n", b"P6 5 5 65536\n", b"P6 -1 5 255\n", b"P5\n5 x\n"]
)
def test_a_netpbm_header_that_makes_no_picture_is_refused(tmp_path: Path, head: bytes) -> None:
    assert pnm_facts(head + bytes(100)) is None or head == b"P6 1"
    (tmp_path / "x").write_bytes(head)
    with pytest.raises(UnreadableError, match="holds no picture"):
        decode(tmp_path / "x")


@pytest.mark.parametrize("suffix", ["webp", "bmp", "ppm", "gif"])
def test_a_bracket_of_them_is_fused(mef: Mef, tmp_path: Path, suffix: str) -> None:
    frames = []
    for number, factor in enumerate((0.5, 1.0)):
        frames.append(tmp_path / f"{number}.{suffix}")
        Image.fromarray((photo() * factor).astype(np.uint8)).save(frames[-1])
    done = mef("fuse", *frames, "--ev=-1,0", "--model", "average", "--align", "off", "-o", tmp_path / "x.tif")
    assert done.code == 0, done.err
    assert decode(tmp_path / "x.tif").pixels.dtype == np.uint16
