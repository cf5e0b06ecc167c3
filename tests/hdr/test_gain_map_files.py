"""JPEGs with a gain map: the picture is ours, and every reader finds in them what there is."""

from __future__ import annotations

import json
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gainmaps import WIDE, Floats, expected, fused, map_of, most_of, of
from PIL import Image
from toolkit import Mef

from mefcli import demo, formats
from mefcli.formats.gainmap import ISO_HEAD, MPF_HEAD
from mefcli.formats.gainmap_reader import read_gain_map
from mefcli.formats.header import ICC_HEAD, XMP_HEAD
from mefcli.formats.metadata import read_metadata
from mefcli.values import GainMap
from tests.formats.conftest import exif_bytes, photo
from tests.formats.test_encode import XMP

# ---- the file --------------------------------------------------------------------------------------------


def test_the_picture_is_the_one_without_hdr_for_every_reader(
    mef: Mef, room: list[Path], tmp_path: Path
) -> None:
    import cv2
    import imageio.v3 as iio

    plain = fused(mef, room, tmp_path / "plain.jpg")
    bright = fused(mef, room, tmp_path / "bright.jpg", "--hdr")
    with Image.open(plain) as one, Image.open(bright) as other:
        assert other.format == "JPEG"
        assert (np.asarray(one) == np.asarray(other)).all()
        assert one.info["icc_profile"] == other.info["icc_profile"]
        assert other.getexif() == one.getexif()
    for read in (lambda path: cv2.imread(str(path)), iio.imread, lambda path: formats.decode(path).pixels):
        assert (read(plain) == read(bright)).all()
    assert bright.stat().st_size < 1.3 * plain.stat().st_size


@pytest.mark.parametrize("space", ["srgb", "p3"])
@pytest.mark.parametrize("size", [(144, 96), (141, 93)], ids=["whole quarters", "odd"])
def test_libultrahdr_finds_base_times_gain(
    mef: Mef, light: Floats, judge: Any, tmp_path: Path, space: str, size: tuple[int, int]
) -> None:
    frames = demo.make_bracket(tmp_path, stops=WIDE, light=light[: size[1], : size[0]].copy())
    for frame in frames:
        with Image.open(frame) as image:
            image.save(frame, quality=93, exif=image.getexif(), icc_profile=formats.icc_profile(space))
    path = fused(mef, frames, tmp_path / "bright.jpg", "--hdr")
    found, wanted = judge(path), expected(path, formats.icc_profile(space))
    assert found.shape == wanted.shape
    assert wanted.max() > 2
    assert apart(found, wanted) < 0.02


@pytest.mark.parametrize("name", ["room_canon_t2i", "balcony_7", "peyrou", "sunroom_6"])
def test_libultrahdr_finds_base_times_gain_in_real_pictures(
    mef: Mef, judge: Any, samples: Path, tmp_path: Path, name: str
) -> None:
    frames = sorted((samples / "brackets" / name).glob("[0-9]*"))
    path = fused(mef, frames, tmp_path / "bright.jpg", "--hdr")
    found, wanted = judge(path), expected(path, formats.icc_profile("srgb"))
    assert wanted.max() > 1.5
    assert apart(found, wanted) < 0.02


@pytest.mark.parametrize("size", [(600, 400), (600, 403), (597, 400)], ids=["whole", "rows over", "columns"])
def test_libultrahdr_finds_base_times_gain_up_to_the_borders(
    judge: Any, tmp_path: Path, size: tuple[int, int]
) -> None:
    width, height = size
    path, icc = tmp_path / "a.jpg", formats.icc_profile("srgb")
    gains = GainMap(photo(height // 4, width // 4), 2.5)
    options = formats.Encoding()
    formats.encode(path, photo(height, width), icc=icc, metadata=None, options=options, gains=gains)
    assert apart(judge(path), expected(path, icc)) < 0.02


def apart(found: Floats, wanted: Floats) -> float:
    """As a share of the light, or of a hundredth of white where it is darker.

    libultrahdr looks light up in a table of 1024 steps of the picture's signal; at a hundredth of white half
    a step is 1 % of the light, and below more.
    """
    return float((np.abs(found - wanted) / np.maximum(wanted, 0.01)).max())


@pytest.mark.parametrize(("space", "told"), [("srgb", 0), ("p3", 0), ("adobergb", 1), ("prophoto", 1)])
def test_a_profile_that_not_every_reader_knows_is_told(space: str, told: int, tmp_path: Path) -> None:
    notes = formats.encode(
        tmp_path / "a.jpg",
        photo(),
        icc=formats.icc_profile(space),
        metadata=None,
        options=formats.Encoding(),
        gains=GainMap(photo(10, 15), 2.5),
    )
    assert len(notes) == told
    assert all("some readers of gain maps take for sRGB" in note for note in notes)


def test_both_forms_of_metadata_say_the_same(mef: Mef, room: list[Path], tmp_path: Path) -> None:
    data = fused(mef, room, tmp_path / "bright.jpg", "--hdr", "--headroom", 2).read_bytes()
    second = map_of(data)
    most = most_of(second)
    assert 1 < most <= 2
    said = of(second, XMP_HEAD).decode()
    assert f'hdrgm:GainMapMax="{most:.3f}' in said
    assert f'hdrgm:HDRCapacityMax="{most:.3f}' in said
    assert 'hdrgm:OffsetSDR="0.015625"' in said
    assert of(data, ISO_HEAD) == bytes(4)
    ours = of(data, XMP_HEAD).decode()
    assert 'hdrgm:Version="1.0"' in ours
    assert f'Item:Length="{len(second)}"' in ours
    assert "<mef:Model>mertens" in ours, "ours is merged with the directory, not replaced"


def test_metadata_and_profile_are_kept_whole(tmp_path: Path) -> None:
    source = tmp_path / "source.jpg"
    Image.fromarray(photo()).save(source, exif=exif_bytes(), xmp=XMP)
    gains = GainMap(photo(10, 15), 2.5)
    for name, one in (("plain.jpg", None), ("bright.jpg", gains)):
        formats.encode(
            tmp_path / name,
            photo(),
            icc=formats.icc_profile("p3"),
            metadata=formats.read_metadata(source),
            options=formats.Encoding(),
            gains=one,
        )
    plain, bright = (read_metadata(tmp_path / name) for name in ("plain.jpg", "bright.jpg"))
    assert plain.gps
    assert replace(plain, xmp=None) == replace(bright, xmp=None)
    assert (plain.rating, plain.keywords) == (bright.rating, bright.keywords) == (4, ("lake", "night"))
    data = (tmp_path / "bright.jpg").read_bytes()
    assert of(data, ICC_HEAD)[2:] == formats.icc_profile("p3")
    assert formats.read_shot(tmp_path / "bright.jpg").icc_name == "Display P3"


@pytest.mark.usefixtures("judge")
def test_exiftool_says_of_it_what_it_says_of_libultrahdrs_own(
    mef: Mef, room: list[Path], tmp_path: Path, exiftool: str
) -> None:
    """That the standard's segment is unknown to it, in versions that do not know the standard."""
    import imagecodecs

    path, theirs = fused(mef, room, tmp_path / "bright.jpg", "--hdr"), tmp_path / "theirs.jpg"
    theirs.write_bytes(imagecodecs.ultrahdr_encode(np.full((64, 96, 4), 2.0, np.float16)))
    run = [exiftool, "-validate", "-warning", "-error", "-a", "-s3"]
    said, expected = (
        subprocess.run([*run, str(one)], capture_output=True, text=True, check=True).stdout
        for one in (path, theirs)
    )
    assert said == expected
    run = [exiftool, "-b", "-MPImage2", str(path)]
    assert subprocess.run(run, capture_output=True, check=True).stdout == map_of(path.read_bytes())


@pytest.mark.parametrize(
    "change", [["-GPS:all="], ["-Artist=A name that is rather long" * 9], ["-IPTC:all="], ["-XMP:all="]]
)
def test_a_file_that_exiftool_rewrote_keeps_its_light(
    mef: Mef, room: list[Path], judge: Any, tmp_path: Path, exiftool: str, change: list[str]
) -> None:
    path = fused(mef, room, tmp_path / "bright.jpg", "--hdr")
    before, second = judge(path), map_of(path.read_bytes())
    subprocess.run([exiftool, "-q", "-overwrite_original", *change, str(path)], check=True)
    assert (judge(path) == before).all()
    run = [exiftool, "-b", "-MPImage2", str(path)]
    assert subprocess.run(run, capture_output=True, check=True).stdout == second


def test_a_source_with_a_gain_map_hands_none_of_it_on(mef: Mef, room: list[Path], tmp_path: Path) -> None:
    bright = fused(mef, room, tmp_path / "bright.jpg", "--hdr")
    with Image.open(bright) as image:
        exif, xmp = image.info["exif"], image.info["xmp"]
    frames = []
    for number, frame in enumerate(room[:2]):
        with Image.open(frame) as image:
            frames.append(tmp_path / f"{number}.jpg")
            image.save(frames[-1], exif=exif, xmp=xmp)
    path = fused(mef, frames, tmp_path / "plain.jpg", "--ev=-2,0")
    assert b"hdrgm" not in path.read_bytes()
    assert b"Container" not in path.read_bytes()


# ---- what files say --------------------------------------------------------------------------------------


def test_info_and_the_result_say_what_the_map_adds(mef: Mef, room: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "bright.jpg"
    done = mef("fuse", *room, "-o", path, "-m", "mertens", "--align", "off", "--hdr", "--json")
    told = json.loads(done.out)["gain_map"]
    assert told["stops"] == pytest.approx(most_of(map_of(path.read_bytes())), abs=0.001)
    assert (told["size_px"], told["channels"], told["told"]) == ([36, 24], 3, ["ISO 21496-1", "XMP"])
    shots = json.loads(mef("info", path, room[0], "--json").out)["shots"]
    assert {Path(shot["path"]).name: shot["gain_map"] for shot in shots} == {
        path.name: told,
        room[0].name: None,
    }
    said = mef("info", path, room[0]).out
    assert f"bright.jpg holds light beyond white, up to {told['stops']:.1f} stops" in said
    assert said.count("beyond white") == 1


def test_what_has_no_map_in_its_files_reports_none(mef: Mef, room: list[Path], tmp_path: Path) -> None:
    """An AVIF in PQ is bright by itself, and `mef info` says so."""
    path = tmp_path / "bright.avif"
    words = ("fuse", *room, "-m", "mertens", "--align", "off", "--hdr", "--json")
    assert json.loads(mef(*words, "-o", path).out)["gain_map"] is None
    both = json.loads(mef(*words, "-o", tmp_path / "b.avif", "-o", tmp_path / "b.jpg").out)
    assert both["gain_map"]["stops"] > 1
    assert "bright.avif holds light beyond white, in BT.2020 PQ" in mef("info", path, room[0]).out


def test_a_batch_that_goes_on_remembers_the_map(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    words = ("batch", jpegs[0].parent, "-o", tmp_path / "out", "--format", "jpg", "--hdr", "-m", "mertens")
    first, again = (json.loads(mef(*words, "--json").out) for _ in range(2))
    assert (first["status"], again["status"]) == ("done", "finished before")
    assert first["gain_map"] == again["gain_map"] is not None


def test_files_of_libultrahdr_are_understood(judge: Any, tmp_path: Path) -> None:
    import imagecodecs

    scene = np.full((64, 96, 4), 0.3, np.float16)
    scene[:32, :, :3] = 4.0
    path = tmp_path / "theirs.jpg"
    path.write_bytes(imagecodecs.ultrahdr_encode(scene, scale=4))
    facts = read_gain_map(path)
    assert facts is not None
    assert (facts.size_px, facts.channels, facts.told) == ((24, 16), 3, ("ISO 21496-1",))
    assert 0 < facts.stops < 8


@pytest.mark.parametrize("form", ["xmp", "iso", "iso in short"])
def test_either_form_alone_is_enough(form: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    formats.encode(
        path, photo(), icc=None, metadata=None, options=formats.Encoding(), gains=GainMap(photo(10, 15), 2.5)
    )
    data = path.read_bytes()
    second = map_of(data)
    if form == "xmp":  # of equal length, so that the index stays right
        data = data.replace(ISO_HEAD, b"urn:of:nobody:at:all:0000:0\0").replace(MPF_HEAD, b"XXXX")
    else:
        data = data.replace(b"hdrgm:Version", b"hdrgm:Verxion")
    if form == "iso in short":  # with one denominator, and a set of numbers for each colour
        numbers = struct.pack(">BIII", 0xC8, 100, 0, 300)
        for most in (150, 250, 200):
            numbers += struct.pack(">iiIii", 0, most, 100, 1, 1)
        body = ISO_HEAD + bytes(4) + numbers
        old = second.index(ISO_HEAD) - 4
        size = int.from_bytes(second[old + 2 : old + 4], "big")
        changed = second[:old] + b"\xff\xe2" + struct.pack(">H", 2 + len(body)) + body
        changed += second[old + 2 + size :]
        changed = changed.replace(b"hdrgm:Version", b"hdrgm:Verxion")
        data = data[: -len(second)].replace(
            struct.pack(">III", 0, len(second), 0)[:8], struct.pack(">II", 0, len(changed))
        )
        data += changed
    path.write_bytes(data)
    facts = read_gain_map(path)
    assert facts is not None
    assert (facts.stops, facts.headroom) == (2.5, 3.0 if form == "iso in short" else 2.5)
    assert facts.told == (("XMP",) if form == "xmp" else ("ISO 21496-1",))


@pytest.mark.parametrize(
    ("stops", "headroom"),
    [((-3, 1), (3, 1)), ((0, 1), (3, 1)), ((99, 1), (3, 1)), ((3, 1), (9999, 1)), ((3, 0), (3, 1))],
)
def test_numbers_that_no_light_has_are_no_map(
    stops: tuple[int, int], headroom: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    formats.encode(
        path, photo(), icc=None, metadata=None, options=formats.Encoding(), gains=GainMap(photo(10, 15), 3.0)
    )
    assert read_gain_map(path) is not None
    said = bytearray(path.read_bytes())
    numbers = said.rindex(ISO_HEAD) + len(ISO_HEAD) + 5
    said[numbers + 8 : numbers + 16] = struct.pack(">II", *headroom)
    said[numbers + 24 : numbers + 32] = struct.pack(">iI", *stops)
    path.write_bytes(bytes(said))
    assert read_gain_map(path) is None


def test_a_damaged_index_is_no_map_and_no_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    formats.encode(
        path, photo(), icc=None, metadata=None, options=formats.Encoding(), gains=GainMap(photo(10, 15), 2.5)
    )
    whole = path.read_bytes().replace(b"Container:", b"Kontainer:")
    index = whole.index(MPF_HEAD) + 4
    rng = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(whole)
        for at in rng.integers(index, index + 82, 3):
            broken[at] = rng.integers(256)
        path.write_bytes(bytes(broken))
        read_gain_map(path)
    for length in (index + 20, len(whole) - 200, len(whole) - 5):
        path.write_bytes(whole[:length])
        read_gain_map(path)


def test_the_demo_shows_it(mef: Mef, tmp_path: Path) -> None:
    done = mef("demo", tmp_path / "out", "--width", 96, "-m", "mertens", "--hdr", "--json")
    assert json.loads(done.out)["gain_map"]["stops"] > 1
    assert MPF_HEAD in (tmp_path / "out/room_fused.jpg").read_bytes()
