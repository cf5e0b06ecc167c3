"""Laws that hold for any pictures, exposures and file orders."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import mefcli
from mefcli import formats
from mefcli.brackets.group import group
from mefcli.formats.ifd import RATIONAL, SHORT, Entry, exif_block
from mefcli.values import Drive, Shot

few = settings(max_examples=8, deadline=None, derandomize=True)
many = settings(max_examples=60, deadline=None, derandomize=True)
sides = st.integers(2, 40)


@st.composite
def brackets(draw: Any, frames: int = 3) -> list[np.ndarray]:
    """Random texture in a few exposures, uint8 (H, W, 3) each."""
    height, width = draw(sides), draw(sides)
    chance = np.random.default_rng(draw(st.integers(0, 10_000)))
    light = chance.random((height, width, 3)) * np.linspace(0.2, 1.5, width)[:, None]
    return [(np.clip(light * 2.0**step, 0, 1) * 255).astype(np.uint8) for step in range(-1, frames - 1)]


def saved(folder: str, frames: Sequence[np.ndarray]) -> list[Path]:
    paths = [Path(folder) / f"{number}.png" for number in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path)
    return paths


def fused(frames: Sequence[np.ndarray], order: Sequence[int] = (0, 1, 2), **options: Any) -> np.ndarray:
    options = {"model": "mertens", "align": "off", **options}
    with tempfile.TemporaryDirectory() as folder:
        paths = saved(folder, frames)
        return mefcli.fuse([paths[at] for at in order], ev=[2.0 * at for at in order], **options)


@few
@given(brackets(), st.permutations([0, 1, 2]))
def test_the_order_of_the_files_does_not_matter(frames: list[np.ndarray], order: list[int]) -> None:
    np.testing.assert_array_equal(fused(frames, order), fused(frames))


@few
@given(brackets())
def test_running_again_gives_the_same_bits(frames: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(fused(frames, align="auto"), fused(frames, align="auto"))


@few
@given(brackets(), st.sampled_from([(0,), (1,), (0, 1)]))
def test_mirrored_frames_give_the_mirrored_picture(frames: list[np.ndarray], axes: tuple[int, ...]) -> None:
    """In noise, where pyramids halve symmetrically (2^k + 1 px) but for their last levels."""
    odd = [np.resize(frame, (33, 65, 3)) for frame in frames]
    mirrored = [np.ascontiguousarray(np.flip(frame, axes)) for frame in odd]
    difference = np.abs(np.flip(fused(mirrored), axes) - fused(odd))
    assert difference.mean() < 0.2 / 255
    assert difference.max() < 6 / 255


@few
@given(brackets())
def test_identical_frames_fuse_to_themselves(frames: list[np.ndarray]) -> None:
    same = fused([frames[0]] * 3)
    np.testing.assert_array_equal(np.rint(same * 255).astype(np.uint8), frames[0])


@few
@given(brackets())
def test_results_stay_in_range(frames: list[np.ndarray]) -> None:
    result = fused(frames)
    assert np.isfinite(result).all()
    assert result.min() >= 0
    assert result.max() <= 1


EXACT = [(".tif", name) for name in ("none", "deflate", "zstd", "lzw")] + [(".png", "deflate")]


@pytest.mark.parametrize(("suffix", "compression"), EXACT)
@few
@given(st.data())
def test_writing_and_reading_is_exact(suffix: str, compression: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    shape = (data.draw(sides), data.draw(sides), 3)
    pixels = data.draw(arrays(dtype, shape))
    encoding = formats.Encoding(compression=compression, bit_depth=8 * np.dtype(dtype).itemsize)
    with tempfile.TemporaryDirectory() as folder:
        donor = Path(folder) / "donor.png"
        Image.new("RGB", (4, 4)).save(donor)
        path = Path(folder) / f"x{suffix}"
        formats.encode(path, pixels, icc=None, metadata=formats.read_metadata(donor), options=encoding)
        found = formats.decode(path).pixels
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, pixels)


exposures = st.tuples(
    st.fractions(Fraction(1, 8000), 60, max_denominator=8000),
    st.fractions(1, 32, max_denominator=10),
    st.integers(25, 51_200),
)


def _shot_of(folder: str, exposure: tuple[Fraction, Fraction, int]) -> Shot:
    seconds, aperture, iso = exposure
    exif = {
        0x829A: Entry(RATIONAL, ((seconds.numerator, seconds.denominator),)),
        0x829D: Entry(RATIONAL, ((aperture.numerator, aperture.denominator),)),
        0x8827: Entry(SHORT, (iso,)),
    }
    path = Path(folder) / "x.jpg"
    Image.new("RGB", (8, 8)).save(path, exif=b"Exif\0\0" + exif_block({}, exif, {}))
    return formats.read_shot(path)


@many
@given(exposures, exposures)
def test_more_light_is_a_larger_ev(
    one: tuple[Fraction, Fraction, int], two: tuple[Fraction, Fraction, int]
) -> None:
    light = [float(seconds * iso / aperture**2) for seconds, aperture, iso in (one, two)]
    with tempfile.TemporaryDirectory() as folder:
        evs = [_shot_of(folder, exposure).ev for exposure in (one, two)]
    assert evs[0] is not None
    assert evs[1] is not None
    assert math.isclose(evs[1] - evs[0], math.log2(light[1] / light[0]), abs_tol=1e-6)


@st.composite
def cards(draw: Any) -> list[Shot]:
    """A memory card's shots, with any pauses, exposures, cameras and gaps in what they record."""
    count, shots = draw(st.integers(0, 30)), []
    moment = datetime(2024, 5, 6, 7, 8, 9)
    for number in range(count):
        moment += timedelta(seconds=draw(st.sampled_from([0, 0.2, 1, 3, 10, 100, 4000, -5])))
        shots.append(
            Shot(
                path=Path(draw(st.sampled_from(["a", "b"]))) / f"IMG_{number:04d}.jpg",
                kind="jpeg",
                size_px=draw(st.sampled_from([(60, 40), (40, 60), None])),
                exposure_s=draw(st.sampled_from([None, 1 / 1000, 1 / 250, 1 / 60, 1 / 15, 1 / 4, 1.0])),
                aperture=draw(st.sampled_from([None, 8.0])),
                iso=draw(st.sampled_from([None, 100.0, 800.0])),
                bias_ev=draw(st.sampled_from([None, -2.0, 0.0, 2.0])),
                taken_at=draw(st.sampled_from([moment, moment, None])),
                camera=draw(st.sampled_from(["one", "one", "two", None])),
                drive=draw(st.sampled_from([Drive(), Drive(True), Drive(True, 1, 3), Drive(False)])),
            )
        )
    return shots


@many
@given(cards(), st.sampled_from(["auto", "folder", 2, 3, 5]), st.sampled_from([None, 0.5, 60.0]))
def test_grouping_is_a_partition(shots: list[Shot], mode: Any, gap_s: float | None) -> None:
    """Every shot comes out exactly once: in a bracket, or left over with a reason."""
    found = group(shots, mode=mode, gap_s=gap_s, thumbnail=None)
    out = [path for bracket in found.brackets for path in bracket.paths]
    out += [shot.path for shot, reason in found.leftovers if reason]
    assert sorted(out) == sorted(shot.path for shot in shots)
    for bracket in found.brackets:
        assert len(bracket.shots) >= 2
        assert all(one <= two for one, two in pairwise(bracket.evs))
        assert 0 <= bracket.reference < len(bracket.shots)


@many
@given(cards())
def test_grouping_does_not_depend_on_the_order_of_the_files(shots: list[Shot]) -> None:
    one, two = group(shots, thumbnail=None), group(shots[::-1], thumbnail=None)
    assert {bracket.paths for bracket in one.brackets} == {bracket.paths for bracket in two.brackets}
