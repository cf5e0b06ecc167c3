"""A bracket's light is the light it was photographed from, and files of light hold what was merged."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from toolkit import Mef

import mefcli
from mefcli import api, formats
from mefcli.bench import radiance as bench
from mefcli.errors import MismatchError, UsageError
from mefcli.formats.primaries import primaries_of
from mefcli.hdr.curves import columns, picture_curves
from mefcli.hdr.exposures import recorded_evs
from mefcli.hdr.merge import Radiance, looked_up
from mefcli.hdr.places import look
from mefcli.hdr.response import recover
from mefcli.job import Job
from mefcli.pipeline import light as stage

Floats = NDArray[np.float32]


@pytest.fixture(scope="session")
def scene() -> Floats:
    """A rendered room, 240 x 160, through a lens."""
    return bench.maps(None, 1, 240)[0][1]


def photographed(
    scene: Floats, kind: str, count: int, folder: Path
) -> tuple[list[Path], list[float], Floats, Floats]:
    return bench.photograph(scene, kind, count, folder, np.random.default_rng(3))


def lit(paths: list[Path], evs: list[float], **options: object) -> stage.Lit:
    job = Job(**options)  # type: ignore[arg-type]
    return stage.make(api.plan(paths, ev=evs, job=job), job)


# ---- what comes out is what went in ----------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 5])
def test_raw_gives_the_light_of_the_scene_within_two_hundredths_of_a_stop(
    scene: Floats, count: int, tmp_path: Path
) -> None:
    paths, evs, truth, seen = photographed(scene, "raw", count, tmp_path)
    made = lit(paths, evs)
    found = made.radiance.whole()
    assert made.response == "linear sensor values"
    assert bench.error(found, truth, seen)[0] < 0.02
    assert np.median(found[seen] / truth[seen]) == pytest.approx(1.0, rel=0.01), "1 is the reference's white"


@pytest.mark.parametrize("response", bench.RESPONSES)
def test_jpegs_tell_their_own_response(scene: Floats, response: str, tmp_path: Path) -> None:
    paths, evs, truth, seen = photographed(scene, response, 3, tmp_path)
    made = lit(paths, evs)
    assert made.response == "recovered from the bracket"
    assert bench.error(made.radiance.whole(), truth, seen)[0] < 0.05


def test_a_response_that_is_not_srgb_is_missed_by_srgb(scene: Floats, tmp_path: Path) -> None:
    """So the recovery is what makes the difference, and not that any curve would do."""
    paths, evs, truth, seen = photographed(scene, "contrast", 3, tmp_path)
    frames = tuple(formats.decode(path).pixels for path in paths)
    srgb = picture_curves(bench_srgb, 256)
    plain = Radiance(frames, srgb, tuple(evs), (1.0,) * 3, None).whole()
    assert (
        bench.error(plain, truth, seen)[0] > 2 * bench.error(lit(paths, evs).radiance.whole(), truth, seen)[0]
    )


def bench_srgb(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return np.repeat(light[:, None], 3, axis=1)


def test_every_recovered_curve_rises(scene: Floats, tmp_path: Path) -> None:
    for response in ("contrast", "toe"):
        paths, evs, _, _ = photographed(scene, response, 3, tmp_path)
        places = look([formats.decode(path).pixels for path in paths])
        found = recover(places, np.array(evs), bench_srgb, "sRGB")
        assert found.recovered
        assert (np.diff(found.light(np.linspace(0, 1, 512)), axis=0) > 0).all()


def test_what_moved_has_little_say_in_the_response(scene: Floats, tmp_path: Path) -> None:
    paths, evs, _, _ = photographed(scene, "srgb", 3, tmp_path)
    frames = [formats.decode(path).pixels.copy() for path in paths]
    before = recover(look(frames), np.array(evs), bench_srgb, "sRGB")
    frames[1][20:70, 30:110] = frames[1][90:140, 100:180]
    after = recover(look(frames), np.array(evs), bench_srgb, "sRGB")
    middle = np.linspace(0.1, 0.9, 40)
    assert np.abs(np.log2(after.light(middle) / before.light(middle))).max() < 0.1


def test_frames_with_little_in_common_are_taken_by_their_profile(tmp_path: Path) -> None:
    grey = [np.full((64, 96, 3), value, np.uint8) for value in (40, 90, 180)]
    found = recover(look(grey), np.array([-2.0, 0.0, 2.0]), bench_srgb, "sRGB")
    assert not found.recovered
    assert "sRGB" in found.why


def test_exposures_that_nobody_recorded_are_measured_and_srgb_is_said(scene: Floats, tmp_path: Path) -> None:
    paths, evs, truth, seen = photographed(scene, "srgb", 3, tmp_path)
    job = Job()
    made = stage.make(api.plan(paths, job=job), job)
    assert "sRGB" in made.response
    assert made.evs == pytest.approx(evs, abs=0.15)
    assert bench.error(made.radiance.whole(), truth, seen)[0] < 0.06


# ---- clipped, black, colours -----------------------------------------------------------------------------


def test_what_every_frame_clips_or_shows_black_is_told() -> None:
    dark, bright = (np.full((40, 60, 3), value, np.uint8) for value in (60, 200))
    dark[:20, :30] = 255
    bright[:20, :30] = 255
    dark[30:] = bright[30:] = 0
    made = Radiance((dark, bright), picture_curves(bench_srgb, 256), (0.0, 3.0), (1.0, 1.0), None)
    assert made.shares() == pytest.approx((0.25, 0.25))
    light = made.whole()
    assert light[5, 5] == pytest.approx(1.0), "at least as bright as the darkest frame's white"
    assert (light[35] < 0.001).all()


def test_light_goes_on_evenly_where_the_brighter_frame_clips() -> None:
    """A ramp of light over white of every frame but the darkest has no step."""
    light = np.repeat(np.linspace(0.01, 0.95, 600)[None], 20, axis=0)
    encoded = [np.clip(light * 2.0**ev, 0, 1) for ev in (0.0, 2.0, 4.0)]
    frames = tuple(
        np.repeat(
            np.rint(255 * np.interp(one, bench_srgb(np.linspace(0, 1, 999))[:, 0], np.linspace(0, 1, 999)))[
                ..., None
            ],
            3,
            2,
        ).astype(np.uint8)
        for one in encoded
    )
    found = Radiance(frames, picture_curves(bench_srgb, 256), (0.0, 2.0, 4.0), (1.0,) * 3, None).whole()
    ratio = np.log2(found[10, 5:-25, 1] / light[10, 5:-25])
    assert np.abs(ratio).max() < 0.06


@pytest.mark.parametrize("levels", [256, 65536])
def test_a_column_for_all_colours_is_looked_up_as_one_for_each(levels: int) -> None:
    rng = np.random.default_rng(4)
    seen = rng.integers(0, levels, (30, 40, 3)).astype(np.uint8 if levels == 256 else np.uint16)
    table = rng.random((levels, 3))
    for one in (table, np.repeat(table[:, :1], 3, axis=1)):
        wanted = np.stack([one[:, c][seen[..., c]] for c in range(3)], axis=-1).astype(np.float32)
        assert (looked_up(columns(one), seen) == wanted).all()
    assert columns(np.repeat(table[:, :1], 3, axis=1)).shape == (levels, 1)


def test_strips_are_the_whole(scene: Floats, tmp_path: Path) -> None:
    paths, evs, _, _ = photographed(scene, "raw", 3, tmp_path)
    radiance = lit(paths, evs).radiance
    whole = radiance.whole()
    for top, bottom in ((0, 1), (63, 65), (17, 150), (150, 160)):
        assert (radiance[top:bottom] == whole[top:bottom]).all()


def test_raw_colours_are_those_of_a_single_developed_frame(scene: Floats, tmp_path: Path) -> None:
    """The camera's matrix as LibRaw applies it, also into another space."""
    paths, evs, _, _ = photographed(scene * 0.3, "raw", 3, tmp_path)
    for space in ("srgb", "prophoto"):
        plan = formats.bracket_development([formats.read_shot(path) for path in paths], space=space)
        middle = formats.decode(paths[1], plan)
        developed = formats_light(middle.pixels / 65535, middle.icc)
        found = lit(paths, evs, raw_space=space).radiance.whole()
        usable = (developed.max(2) < 0.8) & (developed.min(2) > 0.05)
        assert np.median(np.abs(found[usable] / developed[usable] - 1)) < 0.02


def formats_light(signal: NDArray[np.float64], icc: bytes | None) -> NDArray[np.float64]:
    from mefcli.formats.spaces import matrix_of

    assert icc is not None
    matrix = matrix_of(icc)
    assert matrix is not None
    return np.stack(
        [matrix.light(signal[..., c].ravel())[:, c].reshape(signal.shape[:2]) for c in range(3)], -1
    )


def test_highlights_end_neutral_unless_they_are_kept(scene: Floats, tmp_path: Path) -> None:
    bright = scene.copy()
    bright[40:90, 60:140] = np.array([60.0, 45.0, 30.0]) * np.median(scene)
    paths, evs, _, _ = photographed(bright, "raw", 3, tmp_path)
    clipped = lit(paths, evs).radiance.whole()[50:80, 80:120].reshape(-1, 3).mean(0)
    kept = lit(paths, evs, raw_highlights="blend").radiance.whole()[50:80, 80:120].reshape(-1, 3).mean(0)
    assert np.ptp(clipped) / clipped.mean() < 0.02
    assert kept.max() > clipped.max()


def test_kinds_that_mean_light_differently_are_refused(scene: Floats, tmp_path: Path) -> None:
    raws, _, _, _ = photographed(scene, "raw", 3, tmp_path)
    jpegs, _, _, _ = photographed(scene, "srgb", 3, tmp_path)
    with pytest.raises(MismatchError, match="is RAW"):
        lit([raws[0], jpegs[1]], [-2.0, 0.0])


def test_times_from_a_dial_are_what_shutters_make(jpegs: list[Path]) -> None:
    from dataclasses import replace

    bracket = api.plan(jpegs)
    dial = [
        replace(shot, exposure_s=time)
        for shot, time in zip(bracket.shots, (1 / 60, 1 / 15, 1 / 4), strict=True)
    ]
    evs = [shot.ev - dial[1].ev for shot in dial]  # type: ignore[operator]
    assert evs[2] == pytest.approx(1.907, abs=0.01)
    exact = recorded_evs(replace(bracket, shots=tuple(dial), evs=tuple(evs), reference=1))
    assert exact == pytest.approx([-2.0, 0.0, 2.0])
    odd = replace(dial[2], exposure_s=0.27)  # on no dial: all are taken as they are
    evs[2] = odd.ev - dial[1].ev  # type: ignore[operator]
    assert recorded_evs(
        replace(bracket, shots=(*dial[:2], odd), evs=tuple(evs), reference=1)
    ) == pytest.approx(evs)


# ---- files -----------------------------------------------------------------------------------------------


def read_exr(path: Path) -> tuple[dict[str, bytes], Floats]:
    """OpenEXR by its specification: attributes and (H, W, 3), written apart from the writer."""
    data = path.read_bytes()
    assert data[:8] == bytes.fromhex("762f3101 02000000")
    at, told = 8, {}
    while data[at]:
        end = data.index(0, at)
        name, at = data[at:end].decode(), end + 1
        at = data.index(0, at) + 1
        size = struct.unpack_from("<i", data, at)[0]
        told[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    at += 1
    _, _, right, bottom = struct.unpack("<4i", told["dataWindow"])
    width, height = right + 1, bottom + 1
    assert told["compression"] == b"\x03"
    kind = {1: "<f2", 2: "<f4"}[struct.unpack_from("<i", told["channels"], 2)[0]]
    step = np.dtype(kind).itemsize
    picture = np.empty((height, width, 3), np.float32)
    lines = []
    for place in struct.unpack_from(f"<{-(-height // 16)}Q", data, at):
        top, size = struct.unpack_from("<ii", data, place)
        rows = min(16, height - top)
        body = data[place + 8 : place + 8 + size]
        plain = rows * width * 3 * step
        if size < plain:
            sums = bytearray(zlib.decompress(body))
            for index in range(1, len(sums)):
                sums[index] = (sums[index - 1] + sums[index] - 128) & 255
            half = (len(sums) + 1) // 2
            body = bytes(sums[index // 2 + (half if index % 2 else 0)] for index in range(len(sums)))
        planes = np.frombuffer(body, kind).reshape(rows, 3, width)
        picture[top : top + rows] = planes[:, ::-1].transpose(0, 2, 1)
        lines.append(top)
    assert lines == list(range(0, height, 16))
    return told, picture


def test_exr_holds_the_light_with_its_primaries(jpegs: list[Path], mef: Mef, tmp_path: Path) -> None:
    out = tmp_path / "scene.exr"
    done = mef("hdr", *jpegs, "-o", out, "--quiet")
    assert (done.code, done.out.strip()) == (0, str(out))
    told, picture = read_exr(out)
    light = mefcli.radiance(jpegs)
    assert light.dtype == np.float32
    assert np.abs(picture - light).max() <= light.max() * 2**-11
    assert struct.unpack("<8f", told["chromaticities"]) == pytest.approx(
        (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329), abs=1e-4
    )
    assert struct.unpack("<f", told["expTime"])[0] == pytest.approx(1 / 15)
    assert b"1 is the white of" in told["comments"]
    nits = struct.unpack("<f", told["whiteLuminance"])[0]
    assert nits == pytest.approx(120 * 64 / (1 / 15 * 100), rel=1e-3)


def test_exr_at_32_bits_is_exact_and_odd_sizes_end_right(scene: Floats, tmp_path: Path) -> None:
    paths, evs, _, _ = photographed(scene[:51, :75], "srgb", 3, tmp_path)
    out = tmp_path / "scene.exr"
    api.light_files(api.plan(paths, ev=evs), [out], job=Job(bit_depth=32))
    assert (read_exr(out)[1] == mefcli.radiance(paths, ev=evs)).all()


def test_radiance_and_tiff_hold_the_same(tiffs: list[Path], mef: Mef, tmp_path: Path) -> None:
    import cv2
    import tifffile

    hdr, tif = tmp_path / "scene.hdr", tmp_path / "scene.tif"
    assert mef("hdr", *tiffs, "-o", hdr, "-o", tif).code == 0
    light = mefcli.radiance(tiffs)
    assert (tifffile.imread(tif) == light).all()
    read = cv2.imread(str(hdr), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert (np.abs(read - light) <= light.max(axis=2, keepdims=True) / 127).all()
    assert b"PRIMARIES=0.6400 0.3300" in hdr.read_bytes()[:400]
    with tifffile.TiffFile(tif) as file:
        profile = formats.profile_name(file.pages[0].iccprofile)  # type: ignore[union-attr]
    assert profile == "sRGB, linear"
    assert formats.read_shot(tif).exposure_s == pytest.approx(1 / 15)
    again = formats.decode(tif)
    assert "linear light" in " ".join(again.notes), "and other programs of ours know it for linear"


def test_primaries_of_a_stranger_profile_come_from_its_numbers() -> None:
    from mefcli.formats.icc import D65_XY, matrix_profile

    wide = ((0.70, 0.29), (0.20, 0.75), (0.14, 0.05))
    found = primaries_of(matrix_profile("mine", wide, D65_XY, (2.2,)))
    assert found is not None
    assert np.array(found.all) == pytest.approx(np.array([*wide, D65_XY]), abs=2e-4)


def test_json_says_what_was_done(jpegs: list[Path], mef: Mef, tmp_path: Path) -> None:
    import json

    done = mef("hdr", *jpegs, "-o", tmp_path / "a.exr", "--json")
    told = json.loads(done.out)
    assert told["size_px"] == [144, 96]
    assert told["primaries"] == "sRGB"
    assert told["outputs"] == [str(tmp_path / "a.exr")]


def test_outputs_are_safe(jpegs: list[Path], mef: Mef, tmp_path: Path) -> None:
    out = tmp_path / "a.exr"
    out.write_bytes(b"kept")
    assert mef("hdr", *jpegs, "-o", out).code == 1
    assert out.read_bytes() == b"kept"
    assert mef("hdr", *jpegs, "-o", tmp_path / "a.png").code == 2
    assert mef("hdr", *jpegs, "-o", tmp_path / "b.exr", "-o", tmp_path / "no/c.exr").code == 1
    assert not (tmp_path / "b.exr").exists()
    refused = mef("fuse", *jpegs, "-o", tmp_path / "b.exr")
    assert refused.code == 2
    assert "mef hdr" in refused.err
    with pytest.raises(UsageError):
        api.light_files(api.plan(jpegs), [jpegs[0]])
