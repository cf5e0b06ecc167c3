"""The metrics: the calibration values of the definitions, hand-computed cases, and identity checks."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from mefcli.errors import MismatchError, UsageError
from mefcli.evaluation.metrics import (
    MEFB_NAMES,
    METRICS,
    Picture,
    feature_information,
    known_names,
    phase,
    score,
)
from mefcli.evaluation.metrics.light import compressed, psnr_mu
from mefcli.evaluation.metrics.picture import to_bytes
from mefcli.evaluation.metrics.reference import ciede2000
from tests.evaluation.vector import make_vector

DEV = Path(__file__).resolve().parents[2].parent / "shared/data/dev"
CALIBRATION = {
    **{"CE": -0.125763, "EN": 6.856159, "FMI": 0.860568, "NMI": 1.825568, "PSNR": 49.129350},
    **{"Q_NCIE": 0.893061, "TE": 28.174106, "AG": 12.465530, "EI": 120.015187, "Q_ABF": 0.810340},
    **{"Q_P": 0.872354, "SD": 35.578459, "SF": 38.547578, "Q_C": 0.668303, "Q_W": 0.876193},
    **{"Q_Y": 0.807700, "MEF_SSIM": 0.942173, "Q_CB": 0.577396, "Q_CV": 197.346488, "VIF": 0.641422},
    **{"MI": 12.139111, "CC": 0.963755, "PSNR_GT": 9.255449, "SSIM_GT": 0.811281},
    **{"SSIM_RGB_GT": 0.811598, "FSIM": 0.938869, "FSIMc": 0.936093, "dE00_GT": 27.2279},
}
DARK, BRIGHT, FUSED = make_vector()


def test_psnr_mu_is_what_its_formula_gives_by_hand() -> None:
    truth, light = np.full((2, 2, 3), 0.25), np.full((2, 2, 3), 0.25)
    light[0, 0] = [0.5, 0.25, 3.0]  # beyond white counts as white
    by_hand = [math.log(1 + 5000 * x) / math.log(5001) for x in (0.5, 0.25, 1.0)]
    error = ((by_hand[0] - by_hand[1]) ** 2 + (by_hand[2] - by_hand[1]) ** 2) / 12
    assert psnr_mu(light, truth) == pytest.approx(-10 * math.log10(error), abs=1e-9)
    assert psnr_mu(truth, truth) == math.inf
    assert compressed(np.array([0.0, 1.0])) == pytest.approx([0, 1])


def flat(level: int, height: int = 48, width: int = 52) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


@pytest.fixture(scope="module")
def calibrated() -> dict[str, float]:
    return score(FUSED, [DARK, BRIGHT], names=CALIBRATION, reference=BRIGHT)


@pytest.mark.parametrize("name", CALIBRATION)
def test_the_test_vector_gives_the_published_digits(calibrated, name) -> None:
    tolerance = 1e-4 if name == "dE00_GT" else 1e-5 if name == "Q_P" else 2e-6
    assert calibrated[name] == pytest.approx(CALIBRATION[name], abs=tolerance, rel=1e-8)


def test_three_inputs_are_scored_where_the_metric_is_defined() -> None:
    scores = score(FUSED, [DARK, FUSED, BRIGHT])
    assert scores["MEF_SSIM"] == pytest.approx(0.943753, abs=1e-6)
    assert not {"Q_C", "Q_Y", "Q_W", "Q_P", "Q_CB", "Q_CV", "Q_NCIE"} & set(scores)


IDENTITY = {
    **{"FMI": 1, "NMI": 2, "Q_C": 1, "Q_Y": 1, "Q_W": 1, "MEF_SSIM": 1, "Q_CB": 1, "VIF": 1},
    **{"CC": 1, "CE": 0, "Q_CV": 0, "PSNR": math.inf, "Q_C0": 1, "Q_Y0": 1},
    **{"PSNR_GT": math.inf, "PSNR_Y_GT": math.inf, "SSIM_GT": 1, "SSIM_RGB_GT": 1, "FSIM": 1, "FSIMc": 1},
    "dE00_GT": 0,
}


@pytest.fixture(scope="module")
def identical() -> dict[str, float]:
    return score(BRIGHT, [BRIGHT, BRIGHT], names=(*IDENTITY, "Q_ABF", "Q_P"), reference=BRIGHT)


@pytest.mark.parametrize("name", IDENTITY)
def test_a_perfect_copy_scores_the_ideal(identical, name) -> None:
    assert identical[name] == pytest.approx(IDENTITY[name], abs=1e-4)


def test_a_perfect_copy_stays_below_one_where_the_definition_says_so(identical) -> None:
    assert identical["Q_ABF"] == pytest.approx(0.975, abs=2e-3)
    assert 0.9 < identical["Q_P"] < 1


def halves(left: int, right: int) -> np.ndarray:
    picture = flat(left)
    picture[:, 26:] = right
    return picture


@pytest.mark.parametrize(
    ("name", "fused", "inputs", "by_hand"),
    [
        ("EN", halves(10, 20), [flat(0), flat(9)], 1.0),
        ("SD", halves(10, 20), [flat(0), flat(9)], 5.0),
        # One step of 10 in each row: sqrt(48 * 100 / (48 * 52)).
        ("SF", halves(10, 20), [flat(0), flat(9)], math.sqrt(100 / 52)),
        # Central differences: 5 in two columns; sqrt(25 / 2) * 2 * 48 / (47 * 51).
        ("AG", halves(10, 20), [flat(0), flat(9)], math.sqrt(12.5) * 96 / (47 * 51)),
        # Sobel: 4 * 10 in two columns of 52.
        ("EI", halves(10, 20), [flat(0), flat(9)], 80 / 52),
        # p = (1/2, 1/2) against p_F = (1/4, 3/4) for one input; a copy of F for the other.
        (
            "CE",
            np.concatenate([flat(10)[:, :13], flat(20)[:, 13:]], 1),
            [halves(10, 20), np.concatenate([flat(10)[:, :13], flat(20)[:, 13:]], 1)],
            (0.5 * math.log2(2) + 0.5 * math.log2(2 / 3)) / 2,
        ),
        ("MI", halves(10, 20), [halves(3, 7), halves(50, 40)], 2.0),
        ("NMI", halves(10, 20), [halves(3, 7), flat(5)], 1.0),
        # Two values in step, so all joint entropies are 1 bit: r = 1/8 everywhere.
        (
            "Q_NCIE",
            halves(10, 20),
            [halves(3, 7), halves(9, 2)],
            1 + sum(v / 3 * math.log2(v / 3) for v in (1.25, 0.875, 0.875)) / 8,
        ),
        ("CC", halves(10, 20), [halves(3, 7), halves(50, 40)], 0.0),
        # The root of the summed squares is sqrt(n) * 6 for one input and 0 for the other.
        ("PSNR", flat(16), [flat(10), flat(16)], 20 * math.log10(255 / math.sqrt(3 / math.sqrt(48 * 52)))),
        # Joint (1/2, 1/2): 2 cells of (1/2)^1.85 / (1/4)^0.85 an input.
        ("TE", halves(10, 20), [halves(3, 7), halves(4, 9)], 2 * (2**0.85 - 1) / 0.85),
    ],
)  # fmt: skip
def test_a_hand_computed_case(name, fused, inputs, by_hand) -> None:
    assert score(fused, inputs, names=[name])[name] == pytest.approx(by_hand, rel=1e-9, abs=1e-12)


def test_psnr_gt_of_a_constant_error_is_as_by_hand() -> None:
    scores = score(flat(110), [flat(1), flat(2)], names=["PSNR_GT", "PSNR_Y_GT"], reference=flat(100))
    assert scores["PSNR_GT"] == pytest.approx(20 * math.log10(25.5))
    assert scores["PSNR_Y_GT"] == pytest.approx(20 * math.log10(25.5))


def test_ssim_gt_of_two_flat_pictures_is_the_luminance_term() -> None:
    c1 = 2.55**2
    by_hand = (2 * 100 * 120 + c1) / (100**2 + 120**2 + c1)
    got = score(flat(120), [flat(1), flat(2)], names=["SSIM_RGB_GT"], reference=flat(100))
    assert got["SSIM_RGB_GT"] == pytest.approx(by_hand, abs=1e-9)


@pytest.mark.parametrize(
    ("lab1", "lab2", "difference"),
    [  # from the published test data of Sharma, Wu and Dalal
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1, 2), (50, 0, 0), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_ciede2000_gives_the_published_test_data(lab1, lab2, difference) -> None:
    assert float(ciede2000(np.array(lab1), np.array(lab2))) == pytest.approx(difference, abs=1e-4)


def test_mef_ssim_does_not_see_a_shift_of_brightness() -> None:
    frames = [DARK // 2 + 20, BRIGHT // 2 + 20]
    darker = score(FUSED // 2, frames, names=["MEF_SSIM"])["MEF_SSIM"]
    brighter = score(FUSED // 2 + 60, frames, names=["MEF_SSIM"])["MEF_SSIM"]
    assert brighter == pytest.approx(darker, abs=1e-3)


def test_keeping_edges_scores_higher_than_blurring_them() -> None:
    import cv2

    soft = cv2.GaussianBlur(FUSED, (9, 9), 2)
    names = ["Q_ABF", "Q_W", "MEF_SSIM", "VIF", "Q_P", "Q_CB", "Q_C0", "Q_Y0", "FMI"]
    sharp, blurred = (score(x, [DARK, BRIGHT], names=names) for x in (FUSED, soft))
    assert all(sharp[name] > blurred[name] for name in names)


def test_q_cv_is_larger_for_a_result_of_wrong_shapes() -> None:
    mirrored = np.ascontiguousarray(FUSED[:, ::-1])
    good, bad = (score(x, [DARK, BRIGHT], names=["Q_CV"])["Q_CV"] for x in (FUSED, mirrored))
    assert bad > 1.5 * good


def test_flat_pictures_do_not_break_any_metric() -> None:
    with np.errstate(all="raise", under="ignore"):
        scores = score(flat(128), [flat(0), flat(255)], names=[n for n in METRICS if n not in ("Q_C", "Q_Y")],
                       reference=flat(128), light=np.ones((*flat(128).shape[:2], 3)))  # fmt: skip
    assert set(scores) == set(METRICS) - {"Q_C", "Q_Y"}


def test_saturated_windows_are_settled_to_zero_in_the_settled_variants() -> None:
    bright = BRIGHT.copy()
    bright[:, 64:] = 255
    scores = score(FUSED, [DARK, bright], names=["Q_C0", "Q_Y0"])
    assert all(0 < value <= 1 for value in scores.values())


def test_fmi_of_two_patterns_by_the_definition() -> None:
    # One marked position against another: no entropy in either, so nothing is shared.
    assert feature_information._evaluate(np.array([1 * 512 + 2]))[0] == 0
    # The table is symmetric: swapping picture and result changes nothing.
    pairs = np.array([37 * 512 + 300, 300 * 512 + 37])
    first, second = feature_information._evaluate(pairs)
    assert first == pytest.approx(second, abs=1e-12)


@pytest.mark.parametrize("size", [9, 10, 1001, 1000])
def test_the_fast_median_is_the_median(size) -> None:
    values = np.random.default_rng(size).gamma(2.0, 3.0, size).astype(np.float32)
    assert phase._median(values) == pytest.approx(float(np.median(values)), rel=1e-7)


def test_floats_are_rounded_half_up_to_stored_values() -> None:
    quantised = to_bytes(np.array([[[0.5 / 255, 1.49 / 255, 1.2]]]))
    assert quantised.tolist() == [[[1, 1, 255]]]


def test_scoring_pictures_prepared_once_gives_the_same_values() -> None:
    prepared = [Picture(DARK), Picture(BRIGHT)]
    first = score(FUSED, prepared, names=["Q_P", "Q_W", "NMI"])
    score(DARK, prepared, names=["Q_P", "Q_W", "NMI"])
    assert score(FUSED, prepared, names=["Q_P", "Q_W", "NMI"]) == first


def test_metric_names_forgive_case_and_dashes() -> None:
    assert known_names(["mef-ssim", "qabf", "DE00_gt"]) == ("MEF_SSIM", "Q_ABF", "dE00_GT")


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="MEF_SSIM"):
        score(FUSED, [DARK, BRIGHT], names=["MEF_SIM"])


def test_pictures_of_different_sizes_are_refused_with_both_sizes() -> None:
    with pytest.raises(MismatchError, match=r"52x48.*128x96"):
        score(flat(3), [DARK, BRIGHT])


def test_every_metric_states_source_range_and_direction() -> None:
    assert len(MEFB_NAMES) == 20
    for metric in METRICS.values():
        assert metric.source[-4:].isdigit() or metric.source.startswith("ISO")
        assert metric.low < metric.high
        assert sum(way is not None for way in (metric.measure, metric.compare, metric.lit)) == 1


@pytest.mark.skipif(not (DEV / "reference_scores.csv").exists(), reason="development data is not there")
def test_the_plain_average_of_a_real_pair_scores_as_the_reference_table_says() -> None:
    import cv2

    with (DEV / "reference_scores.csv").open() as table:
        row = next(
            r for r in csv.DictReader(table) if r["scene"] == "merianos_Flowers" and r["method"] == "Average"
        )
    folder = DEV / "brackets" / row["scene"]
    frames = [cv2.imread(str(folder / row[key]))[..., ::-1].astype(np.float32) for key in ("dark", "bright")]
    height, width = frames[0].shape[:2]
    scale = min(1.0, (1e6 / (height * width)) ** 0.5)
    if scale < 1:
        size = (int(width * scale), int(height * scale))
        frames = [cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in frames]
    stored = [np.floor(x + 0.5).clip(0, 255).astype(np.uint8) for x in frames]
    names = [name for name in row if name in METRICS and name != "Q_P"]
    scores = score(np.mean(stored, axis=0) / 255, stored, names=names)
    for name in names:
        assert scores[name] == pytest.approx(float(row[name]), abs=1.5e-4), name
