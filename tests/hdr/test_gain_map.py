"""The gain map of a photograph: what gains light beyond white, how much, and when it is asked for."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import plain
import pytest
from gainmaps import Floats, map_of, most_of, stops_of
from PIL import Image
from toolkit import STOPS, MakeBracket, Mef

import mefcli
from mefcli import api, demo, formats, pipeline
from mefcli.batch.plan import Work
from mefcli.batch.work import fuse_work
from mefcli.errors import MismatchError
from mefcli.formats.gainmap import MPF_HEAD
from mefcli.formats.spaces import matrix_of
from mefcli.hdr.beyond import gain_map
from mefcli.hdr.curves import picture_curves
from mefcli.hdr.merge import Radiance
from mefcli.job import Job
from mefcli.pipeline.beyond import NOTHING, PLACES, _enlarged, _reduced, beyond_white, brightened
from mefcli.pipeline.light import response_of
from mefcli.pipeline.results import Done
from mefcli.values import GAIN_OFFSET, GainMap

# ---- the map ---------------------------------------------------------------------------------------------


def map_of_light(picture: Floats, scene: Floats, headroom: float) -> GainMap | None:
    return gain_map(picture.transpose(2, 0, 1), scene.transpose(2, 0, 1), headroom)


def ramp(top: float) -> tuple[Floats, Floats]:
    """A picture that holds light down above its mid-tones, and a scene that goes up to `top`."""
    scene = np.geomspace(0.01, top, 400, dtype=np.float32)
    shown = np.where(scene < 0.5, scene, 0.5 + 0.5 * (1 - np.exp(0.5 - scene))).astype(np.float32)
    return (np.tile(one[None, :, None], (40, 1, 3)) for one in (shown, scene))  # type: ignore[return-value]


def test_mid_tones_are_left_alone_and_light_comes_back_above_them() -> None:
    picture, scene = ramp(8)
    gains = map_of_light(picture, 0.01 * scene, 3.0)  # whatever the scene's unit
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
    gains = map_of_light(picture, scene, headroom)
    assert gains is not None
    assert 0.8 * headroom < gains.most <= headroom


def test_a_lamp_gains_its_own_colour() -> None:
    picture, scene = ramp(8)
    scene = scene.copy()
    picture[10:30, 350:], scene[10:30, 350:] = 0.95, (8.0, 4.0, 1.0)  # shown white, really orange
    gains = map_of_light(picture, scene, 3.0)
    assert gains is not None
    red, green, blue = stops_of(gains)[20, 375]
    assert red > green + 0.3 > blue + 0.6


def test_what_has_another_colour_and_is_not_brighter_keeps_the_pictures() -> None:
    picture, scene = ramp(8)
    picture, scene = picture.copy(), scene.copy()
    picture[:20, :60], scene[:20, :60] = (0.7, 0.5, 0.1), (0.6, 0.5, 0.4)  # a yellow wall, drawn yellower
    gains = map_of_light(picture, scene, 3.0)
    assert gains is not None
    assert stops_of(gains)[5:15, 10:50].max() < 0.05


def test_where_even_the_darkest_frame_clips_the_map_is_even() -> None:
    picture, scene = ramp(64)
    clipped = np.minimum(scene, 4.0)
    gains = map_of_light(picture, clipped, 3.0)
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
    gains = map_of_light(small[0], small[1], 3.0)
    assert gains is not None
    stops = cv2.resize(stops_of(gains), (240, 160), interpolation=cv2.INTER_LINEAR)
    shown = (picture + GAIN_OFFSET) * 2**stops - GAIN_OFFSET
    assert shown[:, 125:].min() > 1.5
    assert shown[:, :110].max() < 0.31
    assert shown[:, :121].max() < 0.31, "up to the edge itself"
    assert (gains.levels[:, :25] == 0).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("bright", [False, True], ids=["dark room", "mostly windows"])
def test_the_map_is_that_of_the_plain_formulas_within_one_level(
    room: list[Path], bits: int, bright: bool
) -> None:
    """However it is hurried: in strips, only where it is looked at, through tables."""
    job = Job(align="off", hdr=True)
    stack = pipeline.prepare(api.plan(room, job=job), job)
    rng = np.random.default_rng(5)
    frames = [np.tile(frame, (6, 7, 1)) for frame in stack.frames]  # of several strips
    if bits == 16:
        noise = rng.integers(-200, 200, frames[0].shape)
        frames = [np.clip(frame * 257.0 + noise, 0, 65535).astype(np.uint16) for frame in frames]
    stack = replace(stack, frames=frames)
    pixels = frames[3 if bright else 1]
    found, _ = beyond_white(stack, pixels, 3.0)
    icc = formats.icc_profile("srgb")
    response, evs = response_of(stack, icc, places=PLACES)
    curves = picture_curves(response.light, 256 if bits == 8 else 65536)
    scene = plain.radiance(list(_reduced(frames)), curves, evs.tolist())
    (small,) = _reduced([pixels])
    matrix = matrix_of(icc)
    assert matrix is not None
    light = matrix.light(small.ravel() / np.iinfo(small.dtype).max)[:, 0].reshape(small.shape)
    wanted = plain.stops(light, scene, 3.0)
    assert found is not None
    assert found.most == pytest.approx(wanted.max(), abs=0.001)
    assert bool((light.max(axis=2) > 0.2).mean() > 0.6) is bright
    levels = np.rint(wanted * 255 / wanted.max())
    assert np.abs(found.levels - levels).max() <= 1


def test_only_where_it_is_looked_at_the_radiance_is_made(room: list[Path]) -> None:
    job = Job(align="off")
    stack = pipeline.prepare(api.plan(room, job=job), job)
    curves = picture_curves(lambda signal: np.repeat(signal[:, None] ** 2.2, 3, axis=1), 256)
    radiance = Radiance(stack.frames, curves, stack.bracket.evs, (1.0,) * len(room), None)
    whole = radiance.whole()
    where = np.random.default_rng(2).random(whole.shape[:2]) < 0.3
    where[:40], where[60:80] = False, True
    found = radiance.by_colour(where).transpose(1, 2, 0)
    assert (found[where] == whole[where]).all()
    assert (found[~where] == 0).mean() > 0.99
    assert (radiance.by_colour().transpose(1, 2, 0) == whole).all()


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


@pytest.mark.parametrize("size", [(400, 600), (401, 602), (403, 607), (3, 5), (1, 90), (2, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_reduced_picture_lies_over_the_whole(size: tuple[int, int], dtype: type) -> None:
    """Stretched over all of it again, nothing is off by more than two pixels."""
    top = np.iinfo(dtype).max
    height, width = size
    for along, side in ((0, height), (1, width)):
        ramp = np.linspace(0, top, side, dtype=np.float32)
        ramp = np.repeat(np.expand_dims(ramp, 1 - along), size[1 - along], axis=1 - along)
        (small,) = _reduced([np.repeat(ramp[..., None], 3, axis=2).astype(dtype)])
        assert small.shape == (max(1, height // 4), max(1, width // 4), 3)
        again = _enlarged(small.astype(np.float32) * (255 / top), (height, width, 3), 0, height)
        inside = (slice(2, -2) if height > 8 else slice(None), slice(2, -2) if width > 8 else slice(None))
        if side > 8:
            assert np.abs(again[..., 0] - ramp * (255 / top))[inside].max() < 2 * 255 / side + 1


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
@pytest.mark.parametrize(("suffix", "kind"), [("tif", "TIFF"), ("png", "PNG"), ("jxl", "JPEG XL")])
def test_a_format_that_keeps_no_light_is_refused_before_a_pixel_is_decoded(
    mef: Mef, jpegs: list[Path], tmp_path: Path, suffix: str, kind: str
) -> None:
    for words in ([], ["--dry-run"]):
        done = mef("fuse", *jpegs, "-o", tmp_path / f"a.{suffix}", "--hdr", *words)
        assert done.code == 2
        assert f"no light beyond white into {kind} files" in " ".join(done.err.split())
        assert "With --hdr, write .jpg" in " ".join(done.err.split())
    done = mef("batch", jpegs[0].parent, "-o", tmp_path / "out", "--format", suffix, "--hdr")
    assert done.code == 2
    assert f"no light beyond white into {kind} files" in " ".join(done.err.split())


@pytest.mark.usefixtures("undecoded")
def test_headroom_without_the_light_that_it_is_for_is_refused(
    mef: Mef, jpegs: list[Path], tmp_path: Path
) -> None:
    commands = (["fuse", *jpegs], ["batch", jpegs[0].parent], ["demo", tmp_path / "demo"])
    for words in commands:
        ends = [] if words[0] == "demo" else ["-o", tmp_path / "a.jpg"]
        done = mef(*words, *ends, "--headroom", 2)
        assert done.code == 2
        assert "--headroom is of no use without --hdr" in " ".join(done.err.split())
    (jpegs[0].parent / "mef.toml").write_text("headroom = 2")  # for whenever there is --hdr
    assert mef("fuse", *jpegs, "-o", tmp_path / "a.jpg", "--dry-run").code == 0


def test_beside_a_format_that_keeps_it_others_hold_the_picture_alone(
    mef: Mef, room: list[Path], tmp_path: Path
) -> None:
    names = [tmp_path / name for name in ("a.tif", "a.jpg")]
    done = mef("fuse", *room, "-o", names[0], "-o", names[1], "--hdr", "-m", "mertens", "--json")
    (note,) = (one for one in json.loads(done.out)["warnings"] if one.startswith("a."))
    assert note == "a.tif: the picture alone: mef writes no light beyond white into TIFF"
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


def test_a_map_belongs_to_the_picture_as_the_series_has_it(room: list[Path], tmp_path: Path) -> None:
    """`--same-look` changes the fused picture: the map is of what is written, not of what was before."""
    job = Job(model="mertens", align="off", hdr=True)
    names = (tmp_path / "a.jpg", tmp_path / "a.tif")
    darker = ((0.0, 0.0), (0.4, 0.4), (1.0, 0.7))  # mid-tones stay, lights come down
    result = fuse_work(Work(api.plan(room, job=job), names, job, curve=darker))
    assert isinstance(result, Done), result
    stack = pipeline.prepare(api.plan(room, job=job), job)
    wanted, _ = beyond_white(stack, formats.decode(names[1]).pixels, job.headroom)
    before = pipeline.make(api.plan(room, job=job), job).gains
    assert wanted is not None
    assert before is not None
    second = map_of(names[0].read_bytes())
    levels = np.asarray(Image.open(io.BytesIO(second))).astype(np.float32)
    found = levels * np.float32(most_of(second) / 255)
    assert np.abs(found - stops_of(wanted)).mean() < 0.02
    assert np.abs(stops_of(before) - stops_of(wanted)).mean() > 0.1


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


@pytest.mark.parametrize("size", [(1, 1), (50, 1), (2, 2), (3, 40)])
def test_the_smallest_pictures_have_or_lack_a_map_like_any(size: tuple[int, int], tmp_path: Path) -> None:
    frames = []
    for number, value in enumerate((90, 255)):
        frames.append(tmp_path / f"{number}.png")
        Image.new("RGB", size, (value, value, value)).save(frames[-1])
    light = mefcli.fuse(frames, ev=[-3, 0], model="mertens", align="off", hdr=True)
    assert light.shape == (size[1], size[0], 3)
    assert np.isfinite(mefcli.radiance(frames, ev=[-3, 0], align="off")).all()


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
