"""Scenes, means, ranks, and `mef eval` from end to end on small pictures."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mefcli.cli.app import run
from mefcli.errors import InputError
from mefcli.evaluation import ranking
from mefcli.evaluation.ranking import Row
from mefcli.evaluation.scenes import find_fused, find_scenes, read_scene
from tests.evaluation.vector import make_vector

DARK, BRIGHT, FUSED = (picture[:48, :64] for picture in make_vector())


def save(path: Path, pixels: np.ndarray) -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for scene in ("House", "House_2"):
        save(tmp_path / "scenes" / scene / "a.png", BRIGHT)
        save(tmp_path / "scenes" / scene / "b.png", DARK)
        save(tmp_path / "fused" / f"{scene}_mine.png", FUSED)
        save(tmp_path / "fused" / f"{scene}_other.png", DARK)
    save(tmp_path / "scenes" / "House_2" / "House_2_gt.png", BRIGHT)
    return tmp_path


def test_scenes_are_folders_with_pictures_and_a_reference_is_told_apart(folder) -> None:
    scenes = find_scenes(folder / "scenes")
    assert [(s.name, len(s.inputs), s.reference is not None) for s in scenes] == [
        ("House", 2, False),
        ("House_2", 2, True),
    ]


def test_frames_come_dark_to_bright_whatever_their_names(folder) -> None:
    dark, bright = read_scene(find_scenes(folder / "scenes")[0])
    assert dark.mean() < bright.mean()
    assert (dark == DARK).all()


def test_results_find_the_scene_with_the_longest_matching_name(folder) -> None:
    found = find_fused(folder / "fused", find_scenes(folder / "scenes"))
    assert {m: sorted(paths) for m, paths in found.items()} == {
        "mine": ["House", "House_2"],
        "other": ["House", "House_2"],
    }


def test_the_layout_of_the_benchmark_is_understood(tmp_path) -> None:
    save(tmp_path / "input" / "Lamp" / "Lamp_A.jpg", DARK)
    save(tmp_path / "input" / "Lamp" / "Lamp_B.jpg", BRIGHT)
    save(tmp_path / "output" / "x.png", FUSED)
    (scene,) = find_scenes(tmp_path, "mefb")
    assert [path.name for path in scene.inputs] == ["Lamp_A.jpg", "Lamp_B.jpg"]


def test_a_folder_without_scenes_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="no scenes"):
        find_scenes(tmp_path)


@pytest.mark.parametrize("damaged", ["frame", "light"])
def test_a_damaged_file_is_refused_and_not_scored_and_only_we_say_so(folder, damaged: str) -> None:
    """OpenCV fills up what a JPEG lacks, and talks on the screen."""
    scene = folder / "scenes" / "House"
    path = scene / "b.jpg"
    if damaged == "frame":
        (scene / "b.png").unlink()
        save(path, DARK)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 3 // 4] + data[-2:])
    else:
        path = scene / "light.hdr"
        path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 9 +X 9\n\2\2")
    command = [sys.executable, "-m", "mefcli", "eval", str(folder / "scenes"), "--models", "average"]
    root = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join([str(root), str(root / "models")])
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, check=False
    )
    assert done.returncode == 1
    assert f"Error: {path} is" in done.stderr
    assert "OpenCV" not in done.stderr
    assert "Corrupt JPEG" not in done.stderr


def test_ranks_follow_each_metrics_direction_and_ties_share() -> None:
    table = {
        "a": {"Q_ABF": 0.7, "Q_CV": 300.0},
        "b": {"Q_ABF": 0.6, "Q_CV": 200.0},
        "c": {"Q_ABF": 0.6, "Q_CV": 400.0},
    }
    assert ranking.ranks(table) == {
        "a": {"Q_ABF": 1.0, "Q_CV": 2.0},
        "b": {"Q_ABF": 2.5, "Q_CV": 1.0},
        "c": {"Q_ABF": 2.5, "Q_CV": 3.0},
    }
    assert ranking.mean_ranks(table) == {"a": 1.5, "b": 1.75, "c": 2.75}


def test_means_leave_out_scenes_without_a_number() -> None:
    rows = [Row("x", "m", {"Q_C": 0.5}), Row("y", "m", {"Q_C": math.nan}), Row("z", "m", {"Q_C": 0.7})]
    assert ranking.means(rows)["m"]["Q_C"] == pytest.approx(0.6)


def test_a_place_among_the_published_counts_those_that_are_better() -> None:
    places = ranking.places({"MEF_SSIM": 0.9700, "Q_CV": 100.0, "SD": 40.0})
    assert (places["MEF_SSIM"].rank, places["MEF_SSIM"].of) == (2, 8)  # only FMMEF, 0.9737, is above
    assert (places["Q_CV"].rank, places["Q_CV"].of) == (1, 2)
    assert "SD" not in places  # nobody published it


def test_published_means_are_of_known_metrics() -> None:
    from mefcli.evaluation.metrics import METRICS

    data = ranking.published()
    assert len(data["methods"]["FFMEF"]) == 14
    assert data["methods"]["MGDN"] == {"CE": 2.3624, "Q_CB": 0.4883, "VIF": 0.8538}
    assert all(metric in METRICS for scores in data["methods"].values() for metric in scores)


def test_eval_writes_a_csv_and_ranks_the_better_result_first(folder, capsys) -> None:
    target = folder / "scores.csv"
    command = [
        "eval",
        str(folder / "scenes"),
        "--fused",
        str(folder / "fused"),
        "--metrics",
        "Q_ABF,VIF,SSIM_GT",
    ]
    assert run([*command, "-o", str(target), "--json", "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["mean_rank"]["mine"] < result["mean_rank"]["other"]
    with target.open() as table:
        lines = list(csv.DictReader(table))
    assert [(x["scene"], x["method"]) for x in lines][:2] == [("House", "mine"), ("House", "other")]
    assert lines[0]["SSIM_GT"] == "nan"  # House has no reference
    assert 0 < float(lines[2]["SSIM_GT"]) < 1


def test_eval_runs_models_and_prints_a_table(folder, capsys) -> None:
    assert run(["eval", str(folder / "scenes"), "--models", "average,mertens", "--metrics", "MEF_SSIM"]) == 0
    out = capsys.readouterr().out
    assert "MEF_SSIM ↑" in out
    assert "mean rank" in out
    assert "average" in out


def test_a_table_says_which_weights_were_trained_on_its_measures(folder, capsys) -> None:
    words = ["eval", str(folder / "scenes"), "--models", "average,lcndr", "--metrics", "MEF_SSIM,VIF"]
    assert run(words) == 0
    assert "lcndr was trained on MEF_SSIM, by which it is judged here." in capsys.readouterr().err
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trained_on"] == {"lcndr": ["MEF_SSIM"]}


def test_eval_without_anything_to_score_is_a_usage_error(folder, capsys) -> None:
    assert run(["eval", str(folder / "scenes")]) == 2
    assert "--fused" in capsys.readouterr().err
