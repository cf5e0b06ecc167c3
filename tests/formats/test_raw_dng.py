"""RAW frames of a bracket differ by exposure only; our DNG is one that LibRaw develops."""

from __future__ import annotations

import itertools
import subprocess
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import rawpy

from mefcli.errors import MefError, UnreadableError, UsageError
from mefcli.formats import Development, bracket_development, decode, profile_name, read_shot, sniff, write_dng

NEUTRAL = (0.5, 1.0, 0.7)
BLACK, WHITE = 512, 16383


def scene() -> np.ndarray:
    """Linear light, grey: a step wedge from 0.01 to 0.2."""
    return np.repeat(np.repeat(np.linspace(0.01, 0.2, 12)[None], 64, 0), 8, axis=1)  # (64, 96)


def shoot(path: Path, gain: float, neutral: tuple[float, float, float] = NEUTRAL) -> Path:
    light = scene() * gain
    mosaic = np.empty(light.shape)
    for (row, column), channel in {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 2}.items():
        mosaic[row::2, column::2] = light[row::2, column::2] * NEUTRAL[channel]
    levels = np.clip(mosaic * (WHITE - BLACK) + BLACK, 0, WHITE).round().astype(np.uint16)
    write_dng(
        path,
        levels,
        exposure_s=gain / 100,
        aperture=8,
        iso=100,
        taken_at=datetime(2024, 1, 2, 3, 4, 5, 250_000),
        black_level=BLACK,
        white_level=WHITE,
        as_shot_neutral=neutral,
    )
    return path


@pytest.fixture
def bracket(tmp_path: Path) -> list[Path]:
    return [shoot(tmp_path / f"{index}.dng", gain) for index, gain in enumerate((0.25, 1.0, 4.0))]


def linear(pixels: np.ndarray) -> np.ndarray:
    value = pixels / 65535
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def test_a_dng_of_ours_is_a_raw_file_with_exposure(bracket: list[Path]) -> None:
    shot = read_shot(bracket[1])
    assert sniff(bracket[1]) == "raw"
    assert (shot.exposure_s, shot.aperture, shot.iso, shot.size_px) == (0.01, 8, 100, (96, 64))
    assert shot.taken_at == datetime(2024, 1, 2, 3, 4, 5, 250_000)


def test_exposure_steps_survive_development_and_grey_is_neutral(bracket: list[Path]) -> None:
    shots = [read_shot(path) for path in bracket]
    plan = bracket_development(shots)
    frames = [linear(decode(path, plan).pixels[8:-8, 8:-8].astype(float)) for path in bracket]
    for darker, brighter in itertools.pairwise(frames):
        assert np.median(brighter / darker) == pytest.approx(4.0, rel=0.03)
    middle = frames[1]
    assert np.abs(middle - middle[..., 1:2]).max() < 0.01


def test_one_white_balance_serves_the_whole_bracket(bracket: list[Path], tmp_path: Path) -> None:
    odd = shoot(tmp_path / "odd.dng", 4.0, neutral=(0.9, 1.0, 0.4))  # a camera that changed its mind
    plan = bracket_development([read_shot(path) for path in (bracket[0], bracket[1], odd)])
    assert plan.multipliers is not None
    assert (decode(odd, plan).pixels == decode(bracket[2], plan).pixels).all()
    assert (decode(odd).pixels != decode(bracket[2]).pixels).any()


@pytest.mark.parametrize(
    ("space", "name"),
    [("srgb", "sRGB"), ("p3", "Display P3"), ("adobergb", "Adobe RGB"), ("prophoto", "ProPhoto")],
)
def test_each_space_is_encoded_as_its_profile_says(bracket: list[Path], space: str, name: str) -> None:
    import imagecodecs

    from mefcli.formats import icc_profile

    picture = decode(bracket[1], Development(space=space))
    assert name in profile_name(picture.icc)
    assert picture.icc is not None
    seen = imagecodecs.cms_transform(
        picture.pixels, picture.icc, icc_profile("srgb"), colorspace="rgb", outcolorspace="rgb"
    )
    expected = decode(bracket[1], Development(space="srgb")).pixels
    assert np.abs(seen.astype(int) - expected)[8:-8, 8:-8].max() < 400  # 0.6 % of full scale


@pytest.mark.parametrize("wb", ["auto", "daylight"])
def test_other_white_balances_are_locked_too(bracket: list[Path], wb: str) -> None:
    plan = bracket_development([read_shot(path) for path in bracket], wb=wb)
    assert plan.multipliers is not None
    if wb == "auto":
        middle = linear(decode(bracket[1], plan).pixels[8:-8, 8:-8].astype(float))
        assert np.abs(middle.mean((0, 1)) / middle.mean() - 1).max() < 0.02


def test_unknown_development_choices_list_the_known() -> None:
    with pytest.raises(UsageError, match="prophotoo") as caught:
        bracket_development([], space="prophotoo")
    assert "prophoto" in caught.value.hint


def test_cut_off_raw_is_refused(bracket: list[Path]) -> None:
    data = bytearray(bracket[0].read_bytes())
    half = len(data) // 2
    data[half : len(data) - 700] = b""  # the directories at the end now point behind the file
    bracket[0].write_bytes(data)
    with pytest.raises(MefError):
        decode(bracket[0])


def test_broken_raw_samples_are_refused(samples: Path) -> None:
    for path in sorted((samples / "raw/broken_or_header_only").iterdir()):
        with pytest.raises(UnreadableError, match=path.name.replace(".", r"\.")):
            decode(path)


def test_sample_brackets_keep_their_steps(samples: Path) -> None:
    paths = sorted((samples / "raw/synthetic_dng_tree_shutter").iterdir())
    plan = bracket_development([read_shot(path) for path in paths])
    frames = [linear(decode(path, plan).pixels[::7, ::7].astype(float)) for path in paths]
    usable = (frames[2] < 0.8) & (frames[1] > 0.05)
    assert np.median(frames[2][usable] / frames[1][usable]) == pytest.approx(4, rel=0.06)


def test_our_dng_passes_exiftool(bracket: list[Path], exiftool: str) -> None:
    run = [exiftool, "-validate", "-warning", "-error", "-a", "-s3", str(bracket[0])]
    words = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split("\n")
    assert words[0] == "OK", words


def test_the_libraw_at_hand_has_the_fixes_of_2026() -> None:
    """Its decoders of lossless JPEG, X3F and floating-point DNG wrote beyond their buffers before."""
    assert rawpy.libraw_version >= (0, 22, 1)
