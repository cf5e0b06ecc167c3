"""AVIF with light beyond white: PQ on BT.2020, tagged as what it is."""

from __future__ import annotations

import json
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gainmaps import Floats
from toolkit import Mef

from mefcli import api, formats, pipeline
from mefcli.formats.boxes import heif_items
from mefcli.formats.colours import PRIMARIES, WHITE_NITS, pq_light
from mefcli.formats.icc import SRGB_CURVE, matrix_profile
from mefcli.formats.metadata import read_metadata
from mefcli.formats.pq import PEAK, pq_signal
from mefcli.formats.spaces import matrix_of
from mefcli.job import Job
from mefcli.pipeline.beyond import Bright, brightened
from mefcli.pipeline.write import write
from mefcli.values import Fused


@pytest.fixture(scope="session")
def picture(room: list[Path]) -> Fused:
    job = Job(model="mertens", align="off", hdr=True)
    return pipeline.make(api.plan(room, job=job), job, depth=16)


def light_in(path: Path, icc: bytes | None = None) -> Floats:
    """What an AVIF in PQ shows, linear, 1 at diffuse white, on the primaries of a profile."""
    import imagecodecs

    data = path.read_bytes()
    bits = heif_items(data).of_primary(b"pixi")[0][5]
    wide = pq_light(imagecodecs.avif_decode(data) / ((1 << bits) - 1))
    source = matrix_of(matrix_profile(*PRIMARIES[9], SRGB_CURVE))
    target = matrix_of(icc or formats.icc_profile("srgb"))
    assert source is not None
    assert target is not None
    return np.asarray(wide @ (source.colorants @ np.linalg.inv(target.colorants)), np.float32)


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("space", ["srgb", "p3"])
def test_the_signal_is_the_light(bits: int, space: str) -> None:
    light = np.geomspace(0.001, PEAK, 300, dtype=np.float32).reshape(10, 10, 3)
    light[5:] = np.geomspace(0.001, 8, 50, dtype=np.float32).reshape(5, 10, 1)  # greys
    signal = pq_signal(light, formats.icc_profile(space), bits)  # type: ignore[arg-type]
    assert signal.levels.max() <= (1 << bits) - 1
    grey = pq_light(signal.levels[5:] / ((1 << bits) - 1))
    assert (grey / light[5:]).mean() == pytest.approx(1, abs=0.003)
    assert np.abs(grey / light[5:] - 1).max() < (0.03 if bits == 10 else 0.008), "half a step of PQ"
    assert np.ptp(signal.levels[5:], axis=2).max() == 0, "grey is grey"


def test_white_and_the_brightest_are_where_the_standard_has_them() -> None:
    light = np.ones((4, 4, 3), np.float32)
    light[0, 0] = 1000.0
    signal = pq_signal(light, None, 10)  # type: ignore[arg-type]
    assert signal.levels[2, 2].tolist() == [594] * 3  # 58 % at 203 cd/m² (BT.2408, table 1)
    assert signal.levels[0, 0].tolist() == [1023] * 3
    assert struct.unpack(">HH", signal.light_level) == (10_000, round((15 * WHITE_NITS + 10_000) / 16))


@pytest.mark.parametrize("bits", [None, 16], ids=["10 bits", "12 bits"])
def test_the_file_shows_the_picture_with_its_light(picture: Fused, bits: int | None, tmp_path: Path) -> None:
    path = tmp_path / "bright.avif"
    write(picture, [path], Job(hdr=True, bit_depth=bits, quality=100))
    items = heif_items(path.read_bytes())
    assert items.of_primary(b"colr") == [b"nclx" + struct.pack(">HHHB", 9, 16, 9, 0x80)]
    assert items.of_primary(b"pixi")[0][5] == (10 if bits is None else 12)
    light = brightened(picture)
    (level,) = items.of_primary(b"clli")
    most, mean = struct.unpack(">HH", level)
    assert 0.7 * light.max() * WHITE_NITS < most <= 1.02 * light.max() * WHITE_NITS
    assert mean == pytest.approx(light.max(axis=2).mean() * WHITE_NITS, rel=0.1)
    found = light_in(path, picture.icc)
    apart = np.abs(found - light) / np.maximum(light, 0.05)
    assert np.median(apart) < 0.01
    assert np.quantile(apart, 0.99) < 0.1


def test_the_command_line_tells_and_keeps_metadata(
    mef: Mef, room: list[Path], tmp_path: Path, exiftool: str
) -> None:
    path = tmp_path / "bright.avif"
    done = mef("fuse", *room, "-o", path, "-m", "mertens", "--align", "off", "--hdr", "--json")
    assert json.loads(done.out)["warnings"] == []
    run = [exiftool, "-validate", "-warning", "-error", "-a", "-s3", str(path)]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "OK\n"
    kept = read_metadata(path)
    assert kept.exif[0x829A].numbers == read_metadata(room[2]).exif[0x829A].numbers
    note = formats.decode(path).notes[0]
    assert "PQ" in note, "and mef reads it as what it is"


def test_rows_are_parts_of_the_whole(picture: Fused) -> None:
    whole, rows = brightened(picture), Bright(picture)
    for part in (slice(0, 7), slice(7, 8), slice(50, 96)):
        assert np.allclose(rows[part], whole[part], rtol=1e-5)
    import cv2

    assert picture.gains is not None
    size = (picture.pixels.shape[1], picture.pixels.shape[0])
    stops = cv2.resize(picture.gains.levels.astype(np.float32), size) * np.float32(picture.gains.most / 255)
    plain = brightened(replace(picture, gains=None))
    assert np.abs((plain + 1 / 64) * 2**stops - 1 / 64 - whole).max() < 1e-3


def test_a_scene_within_the_picture_is_an_ordinary_avif(picture: Fused, tmp_path: Path) -> None:
    path = tmp_path / "plain.avif"
    write(replace(picture, gains=None), [path], Job(hdr=True))
    (nclx,) = (body for body in heif_items(path.read_bytes()).of_primary(b"colr") if body[:4] == b"nclx")
    assert struct.unpack(">H", nclx[6:8]) == (13,)
    assert not heif_items(path.read_bytes()).of_primary(b"clli")
