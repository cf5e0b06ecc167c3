"""Exposure facts from EXIF, APEX and maker notes, without decoding."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from mefcli.errors import MefError
from mefcli.formats import read_metadata, read_shot
from mefcli.formats.ifd import Entry, exif_block
from mefcli.formats.makernotes import canon_facts
from tests.formats.conftest import exif_bytes, photo


def test_a_shot_tells_its_exposure_time_place_and_camera(jpeg: Path) -> None:
    shot = read_shot(jpeg)
    assert (shot.exposure_s, shot.aperture, shot.iso) == (0.008, 5.6, 200)
    assert shot.taken_at == datetime(2024, 5, 6, 7, 8, 9, 250_000)
    assert (shot.camera, shot.lens, shot.serial) == ("Testmaker One", "Lens 24mm", "S123")
    assert shot.size_px == (60, 40)


def test_size_is_upright(tmp_path: Path) -> None:
    path = tmp_path / "portrait.jpg"
    Image.fromarray(photo()).save(path, exif=exif_bytes(orientation=6))
    shot = read_shot(path)
    assert (shot.orientation, shot.size_px) == (6, (40, 60))


def test_apex_values_stand_in_for_missing_ones(tmp_path: Path) -> None:
    exif = {0x9201: Entry(10, ((7, 1),)), 0x9202: Entry(5, ((4, 1),)), 0x8832: Entry(4, (102400,))}
    exif[0x8827] = Entry(3, (65535,))
    path = tmp_path / "apex.jpg"
    Image.fromarray(photo()).save(path, exif=b"Exif\0\0" + exif_block({}, exif, {}))
    shot = read_shot(path)
    assert shot.exposure_s == pytest.approx(1 / 128)
    assert (shot.aperture, shot.iso) == (4.0, 102400)


def test_canon_brackets_are_told_by_the_maker_note() -> None:
    settings = [0] * 17
    settings[16] = 2
    facts = canon_facts({0x04: Entry(3, tuple(settings)), 0x95: Entry(2, b"EF 24mm\0")})
    assert (facts.drive.bracketing, facts.drive.sequence_number, facts.lens) == (True, 2, "EF 24mm")


@pytest.mark.parametrize(("mode", "bracketing"), [(0, None), (1, None), (2, True)])
def test_without_a_makers_word_the_exposure_mode_tells_of_a_bracket(
    tmp_path: Path, mode: int, bracketing: bool | None
) -> None:
    path = tmp_path / "mode.jpg"
    block = exif_block({}, {0xA402: Entry(3, (mode,))}, {})
    Image.fromarray(photo()).save(path, exif=b"Exif\0\0" + block)
    assert read_shot(path).drive.bracketing is bracketing


def test_no_sample_raises_anything_but_a_kind_error(samples: Path) -> None:
    seen, named = 0, list[bool]()
    for folder in ("exif_samples", "raw"):
        for path in sorted((samples / folder).rglob("*.*")):
            try:
                read_shot(path)
                read_metadata(path)
                seen += 1
            except MefError as trouble:
                named.append(path.name in trouble.message)
    assert seen > 160
    assert all(named)


def test_samples_without_exposure_time_get_it_from_apex(samples: Path) -> None:
    shot = read_shot(samples / "exif_samples/exif-samples_exif-org/fujifilm-finepix40i.jpg")
    assert shot.exposure_s == pytest.approx(2**-5.5, rel=0.01)
    bracketed = read_shot(samples / "exif_samples/exif-samples_tests/11-tests.jpg")
    assert (bracketed.drive.bracketing, bracketed.drive.sequence_number) == (True, 1)


def test_reading_shots_loads_no_heavy_library(jpeg: Path) -> None:
    code = (
        "import sys, pathlib; from mefcli.formats import read_shot; read_shot(pathlib.Path(sys.argv[1]));"
        "heavy = {'torch', 'cv2', 'rawpy', 'imagecodecs', 'tifffile', 'PIL'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(jpeg)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
