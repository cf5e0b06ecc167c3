"""A JPEG with a gain map: our picture, and beside it the light that the bracket holds beyond its white."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import STOPS, MakeBracket, Mef

import mefcli
from mefcli import api, demo, formats, pipeline
from mefcli.errors import MismatchError
from mefcli.formats.boxes import jpeg_segments
from mefcli.formats.gainmap import ISO_HEAD, MPF_HEAD
from mefcli.formats.header import ICC_HEAD, XMP_HEAD
from mefcli.formats.metadata import read_metadata
from mefcli.formats.spaces import matrix_of
from mefcli.hdr.beyond import gain_map
from mefcli.job import Job
from mefcli.pipeline.beyond import NOTHING, brightened
from mefcli.values import GAIN_OFFSET, GainMap
from tests.formats.conftest import exif_bytes, exiftool, photo, samples
from tests.formats.test_encode import XMP

__all__ = ["exiftool", "samples"]  # fixtures, borrowed

Floats = NDArray[np.float32]
WIDE = (-4.0, -2.0, 0.0, 2.0)  # the darkest shows what is outside the window


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory, light: Floats) -> list[Path]:
    return demo.make_bracket(tmp_path_factory.mktemp("wide"), stops=WIDE, light=light)


@pytest.fixture
def judge() -> Any:
    """libultrahdr: linear light from a file, by somebody else's reading of the standard."""
    import imagecodecs

    if not getattr(getattr(imagecodecs, "ULTRAHDR", None), "available", False):
        pytest.skip("imagecodecs with libultrahdr is not installed: gain maps were NOT judged")

    def decode(path: Path) -> Floats:
        pixels: Floats = imagecodecs.ultrahdr_decode(path.read_bytes(), dtype="float16")
        return pixels[..., :3].astype(np.float32)

    return decode


def fused(mef: Mef, frames: list[Path], output: Path, *words: object) -> Path:
    done = mef("fuse", *frames, "-o", output, "-m", "mertens", "--align", "off", *words)
    assert done.code == 0, done.err
    return output


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    for marker, start, end in jpeg_segments(data):
        yield marker, data[start:end]


def of(data: bytes, head: bytes) -> bytes:
    """The payload of the segment with this head."""
    return next(body[len(head) :] for _, body in segments(data) if body.startswith(head))


def map_of(data: bytes) -> bytes:
    """The second JPEG, by the multi-picture index."""
    index = of(data, MPF_HEAD)
    assert index[:8] == b"MM\0*\0\0\0\x08"
    (places,) = struct.unpack(">I", index[10 + 24 + 8 : 10 + 24 + 12])
    first, second = (struct.unpack(">IIIHH", index[places + at : places + at + 16]) for at in (0, 16))
    assert first[:3] == (0x030000, len(data) - second[1], 0)
    origin = data.index(MPF_HEAD) + len(MPF_HEAD)
    assert origin + second[2] + second[1] == len(data)
    return data[origin + second[2] :]


def most_of(second: bytes) -> float:
    """The stops of the map's white, by the standard's metadata."""
    body = of(second, ISO_HEAD)
    assert body[:5] == b"\0\0\0\0\x40"
    return float(np.divide(*struct.unpack(">iI", body[5 + 24 : 5 + 32])))


def expected(path: Path, icc: bytes) -> Floats:
    """Base times gain, with the map enlarged as libultrahdr does: weighed by inverse distances."""
    import imagecodecs

    data = path.read_bytes()
    second = map_of(data)
    planes = imagecodecs.jpeg8_decode(data, outcolorspace="YCBCR").astype(np.float64)
    luma, blue, red = planes[..., 0], planes[..., 1] - 128, planes[..., 2] - 128
    signal = np.stack(
        [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1
    )
    matrix = matrix_of(icc)
    assert matrix is not None
    light = matrix.light(np.clip(signal / 255, 0, 1).ravel())[:, 0].reshape(signal.shape)
    levels = imagecodecs.jpeg8_decode(second).astype(np.float64)
    (height, width), (rows, columns) = light.shape[:2], levels.shape[:2]
    x, y = np.arange(width) * columns / width, np.arange(height) * columns / width
    total, weights = np.zeros(light.shape), np.zeros((height, width, 1))
    for down in (0, 1):
        for right in (0, 1):
            at_y = np.minimum(np.floor(y).astype(int) + down, rows - 1)
            at_x = np.minimum(np.floor(x).astype(int) + right, columns - 1)
            apart = np.hypot((x - at_x)[None, :], (y - at_y)[:, None])
            weight = 1 / np.maximum(apart, 1e-9)[..., None]
            total += weight * levels[at_y][:, at_x]
            weights += weight
    stops = total / weights / 255 * most_of(second)
    return np.asarray((light + GAIN_OFFSET) * 2**stops - GAIN_OFFSET, np.float32)


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
    assert (np.abs(found - wanted) / np.maximum(wanted, 0.01)).max() < 0.02


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


def test_exiftool_says_that_it_does_not_know_the_standard_and_nothing_else(
    mef: Mef, room: list[Path], tmp_path: Path, exiftool: str
) -> None:
    path = fused(mef, room, tmp_path / "bright.jpg", "--hdr")
    run = [exiftool, "-validate", "-warning", "-error", "-a", "-s3", str(path)]
    lines = subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines in (["OK"], ["1 Warning (minor)", "[minor] Unknown APP2 segment"])
    run = [exiftool, "-b", "-MPImage2", str(path)]
    assert subprocess.run(run, capture_output=True, check=True).stdout == map_of(path.read_bytes())


@pytest.mark.parametrize(
    "change", [["-GPS:all="], ["-Artist=A name that is rather long" * 9], ["-IPTC:all="]]
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


# ---- the map ---------------------------------------------------------------------------------------------


def ramp(top: float) -> tuple[Floats, Floats]:
    """A picture that holds light down above its mid-tones, and a scene that goes up to `top`."""
    scene = np.geomspace(0.01, top, 400, dtype=np.float32)
    shown = np.where(scene < 0.5, scene, 0.5 + 0.5 * (1 - np.exp(0.5 - scene))).astype(np.float32)
    return (np.tile(one[None, :, None], (40, 1, 3)) for one in (shown, scene))  # type: ignore[return-value]


def stops_of(gains: GainMap) -> Floats:
    return gains.levels.astype(np.float32) * np.float32(gains.most / 255)


def test_mid_tones_are_left_alone_and_light_comes_back_above_them() -> None:
    picture, scene = ramp(8)
    gains = gain_map(picture, 0.01 * scene, 3.0)  # whatever the scene's unit
    assert gains is not None
    stops = stops_of(gains)[20].mean(axis=1)
    shown = picture[20, :, 0]
    assert (gains.levels[:, shown < 0.45] == 0).all(), "exactly 1 where nothing is brighter"
    assert stops[-1] > 1.5
    assert (np.diff(stops) > -0.02).all(), "what is brighter stays brighter"
    assert np.abs(np.diff(stops)).max() < 0.1, "and no step is made"


@pytest.mark.parametrize("headroom", [0.5, 2.0, 4.0])
def test_no_gain_is_above_the_headroom(headroom: float) -> None:
    picture, scene = ramp(10_000)
    gains = gain_map(picture, scene, headroom)
    assert gains is not None
    assert 0.8 * headroom < gains.most <= headroom


def test_a_lamp_gains_its_own_colour() -> None:
    picture, scene = ramp(8)
    scene = scene.copy()
    picture[10:30, 350:], scene[10:30, 350:] = 0.95, (8.0, 4.0, 1.0)  # shown white, really orange
    gains = gain_map(picture, scene, 3.0)
    assert gains is not None
    red, green, blue = stops_of(gains)[20, 375]
    assert red > green + 0.3 > blue + 0.6


def test_what_has_another_colour_and_is_not_brighter_keeps_the_pictures() -> None:
    picture, scene = ramp(8)
    picture, scene = picture.copy(), scene.copy()
    picture[:20, :60], scene[:20, :60] = (0.7, 0.5, 0.1), (0.6, 0.5, 0.4)  # a yellow wall, drawn yellower
    gains = gain_map(picture, scene, 3.0)
    assert gains is not None
    assert stops_of(gains)[5:15, 10:50].max() < 0.05


def test_where_even_the_darkest_frame_clips_the_map_is_even() -> None:
    picture, scene = ramp(64)
    clipped = np.minimum(scene, 4.0)
    gains = gain_map(picture, clipped, 3.0)
    assert gains is not None
    assert np.ptp(stops_of(gains)[:, scene[0, :, 0] > 8]) < 0.1


def test_a_window_makes_no_halo_on_its_frame() -> None:
    """Beside a step from dark to bright, what a screen makes of dark pixels stays dark."""
    import cv2

    picture = np.full((160, 240, 3), 0.06, np.float32)
    scene = picture.copy()
    picture[:, 121:], scene[:, 121:] = 0.9, 6.0  # not where a map's pixel ends
    picture[60:100, 20:60] = scene[60:100, 20:60] = 0.3  # mid-tones
    small = [cv2.resize(one, (60, 40), interpolation=cv2.INTER_AREA) for one in (picture, scene)]
    gains = gain_map(small[0], small[1], 3.0)
    assert gains is not None
    stops = cv2.resize(stops_of(gains), (240, 160), interpolation=cv2.INTER_LINEAR)
    shown = (picture + GAIN_OFFSET) * 2**stops - GAIN_OFFSET
    assert shown[:, 125:].min() > 1.5
    assert shown[:, :110].max() < 0.31
    assert shown[:, :121].max() < 0.31, "up to the edge itself"
    assert (gains.levels[:, :25] == 0).all()


@pytest.mark.parametrize(
    ("name", "lights", "rest"),
    [
        ("merianos_SecretBeach", (280, 340, 50, 130), (500, 700, 700, 1000)),  # the sun; rocks near by
        ("room_canon_t2i", (65, 135, 120, 170), (20, 140, 400, 620)),  # a lamp; the dark behind
        ("peyrou", (360, 390, 805, 850), (250, 350, 100, 500)),  # floodlight; the blue hour
    ],
)
def test_real_lights_gain_and_what_is_around_them_does_not(
    samples: Path, name: str, lights: tuple[int, ...], rest: tuple[int, ...]
) -> None:
    frames = sorted((samples / "brackets" / name).glob("[0-9]*"))
    job = Job(model="mertens", align="off", hdr=True)
    made = pipeline.make(api.plan(frames, job=job), job)
    assert made.gains is not None
    stops = stops_of(made.gains)

    def mean(box: tuple[int, ...]) -> float:
        top, bottom, left, right = (side // 4 for side in box)
        return float(stops[top:bottom, left:right].max(axis=2).mean())

    assert mean(lights) > 1
    assert mean(rest) < 0.15


# ---- the option ------------------------------------------------------------------------------------------


def test_a_scene_within_the_picture_has_no_map_and_that_is_said(mef: Mef, tmp_path: Path) -> None:
    frames = []
    for number, value in enumerate((60, 90)):
        frames.append(tmp_path / f"{number}.png")
        noise = np.random.default_rng(1).integers(0, 30, (60, 80, 1))
        Image.fromarray(np.repeat(value + noise, 3, axis=2).astype(np.uint8)).save(frames[-1])
    path = tmp_path / "plain.jpg"
    done = mef("fuse", *frames, "--ev=-1,0", "-o", path, "-m", "average", "--align", "off", "--hdr")
    assert done.code == 0
    assert NOTHING in " ".join(done.err.split())
    assert MPF_HEAD not in path.read_bytes()
    assert b"hdrgm" not in path.read_bytes()


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_a_format_that_keeps_no_light_is_refused_before_a_pixel_is_decoded(
    mef: Mef, jpegs: list[Path], tmp_path: Path, suffix: str
) -> None:
    for words in ([], ["--dry-run"]):
        done = mef("fuse", *jpegs, "-o", tmp_path / f"a.{suffix}", "--hdr", *words)
        assert done.code == 2
        assert "files keep no light beyond white" in done.err
        assert "With --hdr, write .jpg" in " ".join(done.err.split())
    done = mef("batch", jpegs[0].parent, "-o", tmp_path / "out", "--format", suffix, "--hdr")
    assert done.code == 2
    assert "files keep no light beyond white" in done.err


def test_beside_a_format_that_keeps_it_others_hold_the_picture_alone(
    mef: Mef, room: list[Path], tmp_path: Path
) -> None:
    names = [tmp_path / name for name in ("a.tif", "a.jpg")]
    done = mef("fuse", *room, "-o", names[0], "-o", names[1], "--hdr", "-m", "mertens", "--json")
    (note,) = (one for one in json.loads(done.out)["warnings"] if one.startswith("a."))
    assert note == "a.tif: the picture alone: TIFF keeps no light beyond white beside it"
    assert MPF_HEAD in names[1].read_bytes()


def test_without_a_name_the_file_is_a_jpeg(mef: Mef, copy_bracket: MakeBracket) -> None:
    frames = copy_bracket("jpeg")
    assert mef("fuse", *frames, "-m", "mertens", "--hdr").code == 0
    assert frames[0].with_name(f"{frames[0].stem}_fused.jpg").is_file()


def test_a_batch_writes_maps_too(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    done = mef("batch", jpegs[0].parent, "-o", tmp_path / "out", "--format", "jpg", "--hdr", "-m", "mertens")
    assert done.code == 0, done.err
    (path,) = (tmp_path / "out").rglob("*.jpg")
    assert most_of(map_of(path.read_bytes())) > 0.2


def test_python_gives_linear_light_beyond_white(room: list[Path]) -> None:
    bright = mefcli.fuse(room, model="mertens", align="off", hdr=True)
    picture = mefcli.fuse(room, model="mertens", align="off")
    assert bright.dtype == np.float32
    assert bright.max() > 2
    matrix = matrix_of(formats.icc_profile("srgb"))
    assert matrix is not None
    base = matrix.light(picture.ravel())[:, 0].reshape(picture.shape)
    assert (bright >= base - 1e-4).all()
    dark = picture.max(axis=2) < 0.3
    assert np.quantile(np.abs(bright - base)[dark], 0.99) < 0.01
    lower = mefcli.fuse(room, model="mertens", align="off", hdr=True, headroom=1)
    assert lower.max() < bright.max()
    assert lower.max() <= 2.05


def test_a_raw_bracket_has_its_light(light: Floats, tmp_path: Path) -> None:
    frames = demo.make_bracket(tmp_path, stops=STOPS, kind="raw", light=light)
    job = Job(model="mertens", align="off", hdr=True)
    made = pipeline.make(api.plan(frames, job=job), job)
    assert made.gains is not None
    assert brightened(made).max() > 1.5


def test_a_profile_of_tables_is_refused_in_a_sentence(jpegs: list[Path]) -> None:
    tables = formats.icc_profile("srgb").replace(b"rTRC", b"xTRC")
    for frame in jpegs:
        with Image.open(frame) as image:
            image.save(frame, exif=image.getexif(), icc_profile=tables)
    with pytest.raises(MismatchError, match="has tables"):
        mefcli.fuse(jpegs, model="mertens", hdr=True)
