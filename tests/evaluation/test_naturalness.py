"""NIQE and TMQI against the same computed one pixel at a time, and against what an eye says."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from mefcli.errors import UsageError
from mefcli.evaluation.metrics import LIGHT_NAMES, METRICS, score
from mefcli.evaluation.metrics import naturalness as niqes
from mefcli.evaluation.metrics import radiance as tmqis
from mefcli.evaluation.metrics.picture import Picture, Real
from tests.toolkit import Mef

DEV = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "dev"
RNG = np.random.default_rng(7)


def photograph(height: int, width: int, seed: int = 3) -> np.ndarray:
    """Shapes at all scales with edges, as natural scenes have them; grey in three channels."""
    rng = np.random.default_rng(seed)
    light = np.zeros((height, width))
    for _ in range(160):
        radius = 2 + 40 * rng.random() ** 3
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        rows, columns = np.ogrid[:height, :width]
        light[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = rng.uniform(30, 225)
    light = cv2.GaussianBlur(light + rng.normal(0, 3, light.shape), (0, 0), 0.7)
    return np.repeat(np.clip(light, 0, 255)[..., None], 3, 2).astype(np.uint8)


def gaussian(size: int, sigma: float) -> Real:
    at = np.arange(size) - size // 2
    taps = np.exp(-(at**2) / (2 * sigma**2))
    window = np.outer(taps, taps)
    return np.asarray(window / window.sum())


def windows(x: Real, size: int) -> Real:
    return np.lib.stride_tricks.sliding_window_view(x, (size, size))


# ---- NIQE ------------------------------------------------------------------------------------------------


def plain_shape(values: Real) -> tuple[float, float, float]:
    """The estimate as its authors write it down, by a search of their grid."""
    left = math.sqrt(np.mean([v * v for v in values if v < 0]))
    right = math.sqrt(np.mean([v * v for v in values if v > 0]))
    g = left / right
    wanted = np.mean(np.abs(values)) ** 2 / np.mean(values**2) * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2

    def off(shape: float) -> float:
        ratio = math.gamma(2 / shape) ** 2 / (math.gamma(1 / shape) * math.gamma(3 / shape))
        return (ratio - wanted) ** 2

    shape = min((0.2 + 0.001 * k for k in range(9801)), key=off)
    width = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))
    return shape, left * width, right * width


def plain_normalised(grey: Real) -> tuple[Real, Real]:
    around = windows(np.pad(grey, 3, mode="edge"), 7)
    window = gaussian(7, 7 / 6)
    mean = (around * window).sum((2, 3))
    spread = np.sqrt(np.abs((around**2 * window).sum((2, 3)) - mean**2))
    return (grey - mean) / (spread + 1), spread


def plain_numbers(block: Real) -> list[float]:
    shape, left, right = plain_shape(block.ravel())
    found = [shape, (left + right) / 2]
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = plain_shape((block * np.roll(block, (down, across), (0, 1))).ravel())
        found += [
            shape,
            (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape),
            left,
            right,
        ]
    return found


def test_the_numbers_of_blocks_are_those_computed_plainly() -> None:
    """All 36 of two blocks, which are normalised as parts of the whole picture, and their sharpness."""
    grey = photograph(96, 192)[..., 0].astype(np.float64)
    half = grey.reshape(48, 2, 96, 2).mean((1, 3))
    fine, spread = plain_normalised(grey)
    coarse, _ = plain_normalised(half)
    features, sharpness = niqes.block_features(np.pad(grey, ((0, 40), (0, 30))))  # the rest fills no block
    wanted = [
        plain_numbers(fine[:, k * 96 : k * 96 + 96]) + plain_numbers(coarse[:, k * 48 : k * 48 + 48])
        for k in range(2)
    ]
    assert features == pytest.approx(np.array(wanted), abs=1e-6)
    assert sharpness == pytest.approx([spread[:, :96].mean(), spread[:, 96:].mean()])


def test_the_distance_is_the_one_that_is_computed_plainly() -> None:
    features, photographs = RNG.normal(size=(60, 36)), RNG.normal(size=(90, 36)) * 1.3 + 0.2
    model = niqes.Model(photographs.mean(0), np.cov(photographs, rowvar=False))

    def covariance(rows: Real) -> Real:
        centred = rows - rows.mean(0)
        return np.asarray(sum(np.outer(row, row) for row in centred) / (len(rows) - 1))

    away = features.mean(0) - photographs.mean(0)
    both = (covariance(features) + covariance(photographs)) / 2
    assert niqes.distance(features, model) == pytest.approx(math.sqrt(away @ np.linalg.solve(both, away)))


@pytest.mark.parametrize("power", [1.0, 2.0, 0.7])
def test_a_known_shape_is_found(power: float) -> None:
    """Of a generalised Gaussian, drawn as a power of a gamma variable."""
    drawn = RNG.gamma(1 / power, size=200_000) ** (1 / power) * RNG.choice([-1, 1], 200_000)
    shape, left, right = niqes.asymmetric_shape(drawn)
    assert shape == pytest.approx(power, rel=0.03)
    assert left == pytest.approx(1, rel=0.03)
    assert right == pytest.approx(1, rel=0.03)


def test_distance_is_none_from_itself_and_grows_with_damage() -> None:
    picture = photograph(288, 384)
    features, _ = niqes.block_features(Picture(picture).gray)
    own = niqes.Model(features.mean(0), np.cov(features, rowvar=False))
    assert niqes.distance(features, own) == pytest.approx(0, abs=1e-6)
    blurred = cv2.GaussianBlur(picture, (0, 0), 3)
    noisy = np.clip(picture + RNG.normal(0, 25, picture.shape), 0, 255).astype(np.uint8)
    for worse in (blurred, noisy):
        assert niqes.distance(niqes.block_features(Picture(worse).gray)[0], own) > 1


@pytest.mark.skipif(not DEV.exists(), reason="development data is not there")
def test_blur_and_noise_are_less_natural_than_a_photograph() -> None:
    photo = cv2.imread(str(DEV / "brackets" / "merianos_Flowers" / "01_Flowers2.jpg"))
    blurred = cv2.GaussianBlur(photo, (0, 0), 2)
    noisy = np.clip(photo + RNG.normal(0, 20, photo.shape), 0, 255).astype(np.uint8)
    kept, soft, rough = (niqes.niqe((), Picture(one)) for one in (photo, blurred, noisy))
    assert kept < 3.5
    assert min(soft, rough) > 2 * kept


def test_the_model_is_of_photographs() -> None:
    """The mean of normalised luma has about the width of a unit, and neighbours go together."""
    mean = niqes.model().mean
    assert 2 < mean[0] < 3.5
    assert 0.6 < mean[1] < 1.2
    assert min(mean[3], mean[7]) > 0  # products with the right and the lower neighbour


def test_small_and_flat_pictures_have_no_niqe() -> None:
    small = photograph(96, 96)
    assert math.isnan(score(small, [small, small], names=["NIQE"])["NIQE"])
    flat = np.full((192, 192, 3), 90, np.uint8)
    assert math.isnan(score(flat, [flat, flat], names=["NIQE"])["NIQE"])


def test_a_model_of_one_s_own_photographs(mef: Mef, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for k in range(2):
        cv2.imwrite(str(tmp_path / "photos" / f"{k}.png"), photograph(200, 300, k))
    cv2.imwrite(str(tmp_path / "photos" / "small.png"), photograph(60, 60))
    words = ("train", "niqe", tmp_path / "photos", "-o", tmp_path / "own.npz")
    done = mef(*words)
    assert done.code == 0, done.err
    assert "2 photographs" in done.err
    first = (tmp_path / "own.npz").read_bytes()
    assert mef(*words, "--overwrite").code == 0
    assert (tmp_path / "own.npz").read_bytes() == first
    done = mef("train", "niqe", tmp_path, "-o", tmp_path / "none" / "own.npz")
    assert done.code != 0


# ---- TMQI ------------------------------------------------------------------------------------------------


def plain_fidelity(light: Real, luma: Real) -> float:
    """Structural fidelity, window by window."""
    light = (light - light.min()) * (2.0**32 - 1) / (light.max() - light.min())
    window, found, frequency = gaussian(11, 1.5), 1.0, 32.0
    for weight in (0.0448, 0.2856, 0.3001, 0.2363, 0.1333):
        frequency /= 2
        sensitivity = 260 * (0.0192 + 0.114 * frequency) * math.exp(-((0.114 * frequency) ** 1.1))
        middle = 128 / (1.4 * sensitivity)
        values = []
        for a, b in zip(*(windows(x, 11).reshape(-1, 11, 11) for x in (light, luma)), strict=True):
            ma, mb = (a * window).sum(), (b * window).sum()
            sa = math.sqrt(max((a * a * window).sum() - ma * ma, 0))
            sb = math.sqrt(max((b * b * window).sum() - mb * mb, 0))
            both = (a * b * window).sum() - ma * mb
            seen = [0.5 * math.erfc(-(s - middle) / (middle / 3) / math.sqrt(2)) for s in (sa, sb)]
            strength = (2 * seen[0] * seen[1] + 0.01) / (seen[0] ** 2 + seen[1] ** 2 + 0.01)
            values.append(strength * (both + 10) / (sa * sb + 10))
        found *= max(float(np.mean(values)), 0) ** weight
        light, luma = (
            cv2.resize(x, (x.shape[1] // 2, x.shape[0] // 2), interpolation=cv2.INTER_AREA)
            for x in (light, luma)
        )
    return found


def test_tmqi_is_what_is_computed_window_by_window() -> None:
    picture = photograph(176, 192)
    light = (picture / 255.0) ** 2.2 * np.linspace(1, 50, 192)[None, :, None]
    fused = np.clip(picture * 0.8 + 20, 0, 255).astype(np.uint8)
    weights = np.array([0.2126, 0.7152, 0.0722])
    luma = fused.astype(np.float64) @ weights
    fidelity = plain_fidelity(light @ weights, luma)
    assert tmqis.structural_fidelity(light @ weights, luma) == pytest.approx(fidelity, rel=1e-6)
    blocks = [luma[y : y + 11, x : x + 11].std(ddof=1) for y in range(0, 176, 11) for x in range(0, 187, 11)]
    contrast = float(np.mean(blocks)) / 64.29
    mode = 3.4 / 12.5
    natural = (contrast / mode) ** 3.4 * ((1 - contrast) / (1 - mode)) ** 9.1
    natural *= math.exp(-(((luma.mean() - 115.94) / 27.99) ** 2) / 2)
    wanted = 0.8012 * fidelity**0.3046 + 0.1988 * natural**0.7088
    assert tmqis.tmqi(light, Picture(fused)) == pytest.approx(wanted, rel=1e-6)


def test_tmqi_falls_with_what_is_lost() -> None:
    picture = photograph(192, 192)
    light = (picture / 255.0) ** 2.2
    good = tmqis.tmqi(light, Picture(picture))
    dark = (picture.astype(np.float32) * 0.2).astype(np.uint8)
    clipped = np.clip(picture.astype(np.float32) * 3, 0, 255).astype(np.uint8)
    assert 0.7 < good <= 1
    assert tmqis.tmqi(light, Picture(dark)) < good - 0.05
    assert tmqis.tmqi(light, Picture(clipped)) < good - 0.05
    assert math.isnan(tmqis.tmqi(light[:100], Picture(picture[:100])))


def test_measures_against_light_need_it() -> None:
    picture = photograph(192, 192)
    assert LIGHT_NAMES == ("TMQI",)
    assert METRICS["TMQI"].better == "higher"
    with pytest.raises(UsageError, match="light of the scene"):
        score(picture, [picture, picture], names=["TMQI"])
    scores = score(picture, [picture, picture], light=(picture / 255.0).astype(np.float32))
    assert 0 < scores["TMQI"] <= 1


def test_a_radiance_map_beside_the_frames_is_the_light(mef: Mef, tmp_path: Path) -> None:
    room = tmp_path / "scenes" / "room"
    room.mkdir(parents=True)
    picture = photograph(192, 256)
    for k, gain in enumerate((0.4, 1.0)):
        cv2.imwrite(str(room / f"{k}.png"), (picture * gain).astype(np.uint8))
    cv2.imwrite(str(room / "light.hdr"), cv2.resize((picture / 255.0) ** 2.2, (512, 384)).astype(np.float32))
    done = mef("eval", tmp_path / "scenes", "--models", "average,mertens", "--metrics", "TMQI,NIQE", "--json")
    assert done.code == 0, done.err
    assert "null" not in done.out.split("published_places")[0]
    cv2.imwrite(str(room / "light.hdr"), np.ones((400, 400, 3), np.float32))
    done = mef("eval", tmp_path / "scenes", "--models", "average", "--metrics", "TMQI")
    assert done.code == 1
    assert "400x400" in done.err
