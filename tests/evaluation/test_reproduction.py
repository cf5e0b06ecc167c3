"""Papers' tables and claims: each names what exists, and verdicts follow from the figures alone."""

from __future__ import annotations

import json
import re
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mefcli.api import load_fuser
from mefcli.cli.app import COMMANDS
from mefcli.evaluation.metrics import METRICS
from mefcli.evaluation.published import claims_of, systems, table_of
from mefcli.reproduction import skills
from mefcli.reproduction.ablations import Arm, Judged, check, judge, not_measured
from mefcli.reproduction.table import AUTHORS, AVERAGE, PAPER, Measured, measure, through_jpeg
from mefcli.reproduction.words import to_markdown
from mefcli.training.settings import Settings, find_recipe
from mefnets import MODELS
from mefnets.claims import Claim, Skill, Table, Told
from mefnets.ffmef.network import build as build_ffmef
from tests.toolkit import Mef

ROOT = Path(__file__).resolve().parents[2]
CLAIM = Claim("less", "Less is less.", "table 1", without="less", measure="PSNR_GT", instead="Q_CV")


def arm(residual: float = 9.0, **scores: list[float]) -> Arm:
    """Of two scenes and two seeds."""
    measured = {"MEF_SSIM": (0.9,) * 4, **{name: tuple(values) for name, values in scores.items()}}
    return Arm("x", measured, (1000, 1000), residual)


def test_every_system_with_a_paper_says_what_its_paper_says() -> None:
    assert list(systems()) == ["ffmef", "crmef", "mefcl", "lcndr", "mgdn"]


@pytest.mark.parametrize("name", systems())
def test_claims_name_recipes_and_measures_that_exist(name: str) -> None:
    table = table_of(MODELS[name])
    for scores in (table.row, *table.others.values()):
        assert set(scores) <= set(METRICS)
    claims = claims_of(MODELS[name])
    assert len({claim.name for claim in claims}) == len(claims)
    for claim in claims:
        if isinstance(claim, Skill):
            assert {claim.model or name, claim.against or name} <= set(MODELS)
            continue
        if isinstance(claim, Told):
            assert claim.published
            for page in re.findall(r"docs/\w+\.md|models/\w+/\w+", claim.here):
                assert (ROOT / page).exists()
            for command in re.findall(r"`mef (\w+)", claim.here):
                assert command in [entry.name for entry in COMMANDS]
            continue
        for variant in (claim.full, claim.without):
            find_recipe(claim.model or name, variant)
        assert METRICS[claim.instead].compare is None  # needs no reference
        assert claim.measure is None or claim.measure in METRICS
        assert claim.published is None or claim.measure or claim.theirs  # figures of what?
        # An ablation of the paper is one of its own recipe.
        assert claim.full == "paper"
        assert claim.without.startswith(("paper-", "paper_"))


def test_a_claim_holds_when_the_full_recipe_is_better_by_more_than_chance() -> None:
    less, full = arm(PSNR_GT=[20.0, 21.0, 20.0, 21.0]), arm(PSNR_GT=[21.0, 22.1, 21.0, 22.0])
    assert judge(CLAIM, less, full).verdict == "holds"
    assert judge(CLAIM, full, less).verdict == "does not hold"
    assert judge(CLAIM, less, arm(PSNR_GT=[19.0, 21.1, 20.5, 21.2])).verdict == "undecided"


def test_a_handful_of_steps_decides_nothing() -> None:
    less, full = arm(PSNR_GT=[20.0, 21.0, 20.0, 21.0]), arm(PSNR_GT=[21.0, 22.1, 21.0, 22.0])
    for one, other in ((replace(less, steps=(2, 1000)), full), (less, replace(full, steps=(9, 9)))):
        found = judge(CLAIM, one, other)
        assert found.verdict == "undecided"
        assert "of which nothing can be read" in found.note


def test_what_two_trainings_disagree_about_is_undecided() -> None:
    """Scenes agree, seeds do not: another training would say something else."""
    less, full = arm(PSNR_GT=[20.0, 20.0, 20.0, 20.0]), arm(PSNR_GT=[22.0, 22.0, 20.1, 20.1])
    assert judge(CLAIM, less, full).verdict == "undecided"


def test_one_training_of_each_decides_nothing() -> None:
    less = Arm("less", {"MEF_SSIM": (0.9, 0.9), "PSNR_GT": (20.0, 21.0)}, (1000,), 9.0)
    full = Arm("full", {"MEF_SSIM": (0.9, 0.9), "PSNR_GT": (22.0, 23.1)}, (1000,), 9.0)
    found = judge(CLAIM, less, full)
    assert found.verdict == "undecided"
    assert "more seeds" in found.note


def test_where_lower_is_better_lower_holds() -> None:
    found = judge(CLAIM, arm(Q_CV=[300.0, 310.0, 305.0, 301.0]), arm(Q_CV=[250.0, 255.0, 262.0, 255.0]))
    assert (found.verdict, found.measure) == ("holds", "Q_CV")
    assert "needs reference pictures" in found.note


def test_a_network_that_has_not_learned_or_collapsed_decides_nothing() -> None:
    less, full = arm(PSNR_GT=[20.0, 21.0, 20.0, 21.0]), arm(PSNR_GT=[21.0, 22.1, 21.0, 22.0])
    assert judge(CLAIM, less, full, plain=0.95).verdict == "undecided"
    flat = arm(residual=0.4, PSNR_GT=[21.0, 22.1, 21.0, 22.0])
    found = judge(CLAIM, less, flat)
    assert found.verdict == "undecided"
    assert "collapsed" in found.note


def test_the_paper_s_table_beside_ours(scenes: Path) -> None:
    table = Table("table 1", "MEFB", row={"MEF_SSIM": 0.9621, "PSNR_GT": 20.0}, jpeg_quality=75)
    found = measure(MODELS["ffmef"], table, scenes, "plain", max_megapixels=0.01)
    assert found.scenes == 1
    assert set(found.rows) == {PAPER, AVERAGE, "ffmef", "ffmef@paper"}
    assert 0.3 < found.rows["ffmef"]["MEF_SSIM"] <= 1
    assert np.isnan(found.rows["ffmef"].get("PSNR_GT", np.nan))
    assert any("authors" in words for words in found.absent)
    assert found.trained_on == {"ffmef": ("MEF_SSIM",)}
    assert any("reference" in words for words in found.absent)


def test_the_authors_weights_have_a_row(scenes: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "their weights.pth"
    torch.save(build_ffmef().state_dict(), theirs)
    table = Table("table 1", "MEFB", row={"MEF_SSIM": 0.9621})
    found = measure(MODELS["ffmef"], table, scenes, "plain", authors=theirs, max_megapixels=0.01)
    assert set(found.rows) == {PAPER, AVERAGE, AUTHORS, "ffmef", "ffmef@paper"}
    assert -1 <= found.rows[AUTHORS]["MEF_SSIM"] <= 1
    assert not any("authors" in words for words in found.absent)


def test_a_system_without_weights_of_the_papers_recipe_says_so(scenes: Path) -> None:
    table = Table("table 1", "MEFB", row={"MEF_SSIM": 0.9621})
    found = measure(MODELS["lcndr"], table, scenes, "plain", max_megapixels=0.01)
    assert set(found.rows) == {PAPER, AVERAGE, "lcndr"}
    assert any("the paper's own recipe is not trained" in words for words in found.absent)


def test_the_page_tells_rows_apart_and_keeps_names_as_they_are_spelled() -> None:
    spec = MODELS["mgdn"]
    table = Table("results on MEFB", "MEFB, 100 pairs", row={"MEF_SSIM": 0.9})
    measured = Measured(
        3, {"mgdn": {"MEF_SSIM": 0.95}, AVERAGE: {"MEF_SSIM": 0.9}}, (), {"mgdn": ("MEF_SSIM",)}
    )
    page = to_markdown(spec, table, measured, not_measured(claims_of(spec), "no time"))
    assert "## Results on MEFB (MEFB, 100 pairs)" in page
    assert "| **mgdn**, our best, measured | 0.9500 |" in page
    assert "| **mean of both frames**, measured | 0.9000 |" in page
    assert "mgdn was trained on MEF_SSIM: a table of these flatters it." in page
    assert "| PSNR-mu of moving brackets 44.16, 44.46 | - | **not measured**: no time |" in page


def test_results_go_through_jpeg_where_the_paper_s_did() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    there = through_jpeg(noise, 75)
    assert there.shape == noise.shape
    assert (there != noise).mean() > 0.5
    grey = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    assert np.abs(through_jpeg(grey, 75).astype(int) - grey).max() <= 3  # red stays red


def test_each_recipe_is_trained_once_for_all_claims(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mefcli.reproduction import ablations
    from mefcli.training import export

    trained: list[tuple[str, int]] = []

    def train(settings: Settings) -> tuple[Path, int]:
        trained.append((settings.variant, settings.seed))
        return tmp_path, 1

    monkeypatch.setattr(export, "export_run", lambda *words: (tmp_path, "", 0))
    monkeypatch.setattr(ablations, "_fused", lambda weights, scenes, device: [s.frames[1] for s in scenes])
    rng = np.random.default_rng(1)
    dark, bright = (rng.integers(0, top, (64, 64, 3), dtype=np.uint8) for top in (90, 255))
    claims = [Claim(name, "", "", without=name, full="all", instead="SD") for name in ("a", "b")]
    found = check(
        MODELS["ffmef"],
        claims,
        [Judged((dark, bright)), Judged((bright // 3, bright))],
        lambda model, variant, seed: Settings(model, tmp_path, variant=variant, seed=seed),
        2,
        train,
    )
    assert trained == [(name, seed) for name in ("all", "a", "b") for seed in (0, 1)]
    assert [one.verdict for one in found] == ["undecided", "undecided"]


def test_claims_about_pairs_that_moved_are_judged_on_such(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mefcli.reproduction import ablations
    from mefcli.training import export

    seen: list[int] = []

    def fused(weights: Path, scenes: list[Judged], device: str) -> list[np.ndarray]:
        seen.append(len(scenes))
        return [scene.frames[1] for scene in scenes]

    monkeypatch.setattr(export, "export_run", lambda *words: (tmp_path, "", 0))
    monkeypatch.setattr(ablations, "_fused", fused)
    claim = Claim("a", "", "", without="a", full="all", measure="PSNR_GT", model="crmef-align", moved=True)
    (found,) = check(
        MODELS["crmef"],
        [claim],
        [],
        lambda model, variant, seed: Settings(model, tmp_path, variant=variant, seed=seed),
        2,
        lambda settings: (tmp_path, 1),
        moved=two_frames(60, 100)[:3],
    )
    assert seen == [3] * 4  # two recipes, two seeds
    assert (found.verdict, found.measure) == ("undecided", "PSNR_GT")


# ---- skills ----------------------------------------------------------------------------------------------


class Gain:
    """A fusion: the mean of the frames, brightened."""

    def __init__(self, gain: float) -> None:
        self.gain = gain

    def fuse(self, frames: list[np.ndarray], depth: int) -> np.ndarray:
        mean = np.mean(np.stack(frames).astype(np.float64), axis=0)
        return np.clip(mean * self.gain + 0.5, 0, 255).astype(np.uint8)


def two_frames(low: int, high: int) -> list[Judged]:
    rng = np.random.default_rng(2)
    flat = [np.full((48, 48, 3), value) for value in (low, high, 117)]
    found = []
    for _ in range(8):
        dark, bright, well = (np.uint8(one + rng.integers(-6, 6, one.shape)) for one in flat)
        found.append(Judged((dark, bright), well))
    return found


def test_a_picture_that_leaves_both_frames_breaks_the_limits_of_exposure() -> None:
    skill = Skill("two-under", "", "", "two-under")
    found = skills.beyond(skill, two_frames(15, 40), Gain(3.0))
    assert found.verdict == "holds"
    assert found.figures["beyond_both"] == 8
    assert found.figures["result"] == pytest.approx(3 * 27.5 / 255, abs=0.01)
    assert "brighter than both in 8 of 8" in found.note
    assert skills.beyond(skill, two_frames(15, 40), Gain(1.0)).verdict == "does not hold"
    darker = skills.beyond(Skill("two-over", "", "", "two-over"), two_frames(180, 220), Gain(0.6))
    assert (darker.verdict, darker.figures["beyond_both"]) == ("holds", 8)
    assert darker.figures["psnr_to_well_exposed"] > 25  # 0.6 of 200 is 120


def test_who_comes_nearer_is_counted_pair_by_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skills, "_behind", lambda scene, fuser, align: scene.frames[align == "auto"])
    skill = Skill("misaligned", "", "", "moved", model="a", against="b")
    found = skills.nearer(skill, two_frames(60, 100), Gain(117 / 80), Gain(1.0))
    assert (found.verdict, found.figures["better"], found.figures["scenes"]) == ("holds", 8, 8)
    assert found.figures["psnr"] > found.figures["psnr_against"]
    assert found.figures["better_than_behind_auto"] == found.figures["better_than_behind_flow"] == 8
    assert found.figures["psnr_behind_auto"] > found.figures["psnr_behind_flow"]  # 100, not 60


def test_pairs_of_any_exposures_are_held_against_the_mean_of_both() -> None:
    rng = np.random.default_rng(5)
    texture = rng.integers(0, 60, (96, 96, 3))
    dark, bright = np.uint8(texture // 2 + 10), np.uint8(texture + 120)
    skill = Skill("ratios", "", "", "ratios")
    pairs = [Judged((dark, np.roll(bright, turn, axis=0))) for turn in range(8)]  # detail that a mean blurs
    brightest = types.SimpleNamespace(fuse=lambda frames, depth: frames[-1])
    found = skills.structured(skill, pairs, brightest)
    assert (found.verdict, found.figures["pairs"], found.figures["better"]) == ("holds", 8, 8)
    assert found.figures["mef_ssim"] > found.figures["mef_ssim_of_mean"]
    assert skills.structured(skill, pairs, Gain(1.0)).verdict == "does not hold"


def test_a_middle_frame_must_add_information_scene_by_scene() -> None:
    rng = np.random.default_rng(6)
    scenes = []
    for _ in range(8):
        dark, bright = np.full((64, 64, 3), 20, np.uint8), np.full((64, 64, 3), 220, np.uint8)
        scenes.append(Judged((dark, np.uint8(rng.integers(60, 190, dark.shape)), bright)))
    skill = Skill("sequence", "", "", "sequence")
    found = skills.informed(skill, scenes, Gain(1.0))
    assert (found.verdict, found.figures["more"]) == ("holds", 8)
    assert found.figures["entropy_of_two"] == 0 < found.figures["entropy"]
    ends_alone = types.SimpleNamespace(fuse=lambda frames, depth: frames[-1])
    assert skills.informed(skill, scenes, ends_alone).verdict == "does not hold"


@pytest.mark.parametrize("align", ["flow", "auto"])
def test_behind_an_alignment_a_pair_that_moved_is_fused_as_one_that_did_not(align: str) -> None:
    import cv2

    rng = np.random.default_rng(4)
    picture = cv2.resize(rng.integers(0, 255, (16, 20, 3)).astype(np.uint8), (120, 96))
    bright = cv2.convertScaleAbs(picture[:, 8:], alpha=1.0, beta=10)
    moved = cv2.convertScaleAbs(picture[:, 4:-4], alpha=0.8)
    still = cv2.convertScaleAbs(picture[:, 8:], alpha=0.8)
    wanted = Gain(1.0).fuse([still, bright], 8)
    fused = skills._behind(Judged((moved, bright)), load_fuser("average"), align)
    left, unaligned = (
        np.abs(one[16:-16, 16:-16].astype(int) - wanted[16:-16, 16:-16]).mean()
        for one in (fused, Gain(1.0).fuse([moved, bright], 8))
    )
    assert left < unaligned / 2


@pytest.fixture
def scenes(jpegs: list[Path], tmp_path: Path) -> Path:
    room = tmp_path / "scenes" / "room"
    room.mkdir(parents=True)
    for path in jpegs:
        path.rename(room / path.name)
    return room.parent


def test_the_command_writes_a_page_and_an_object(mef: Mef, tmp_path: Path) -> None:
    done = mef("reproduce", "lcndr", "-o", tmp_path / "lcndr.md", "--claims", "add-add")
    assert done.code == 0, done.err
    page = (tmp_path / "lcndr.md").read_text()
    assert "| Two ends that add over-expose. | ablation of branch ends | MEF_SSIM 0.886, 0.936 |" in page
    assert "not measured" in page
    done = mef("reproduce", "lcndr", "--json")
    told = json.loads(done.out)["claims"]
    assert [one["name"] for one in told] == [claim.name for claim in claims_of(MODELS["lcndr"])]
    assert told[-1]["published_words"].startswith("0.079 s")
    assert "mef bench models" in told[-1]["note"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ffme",), "Did you mean ffmef?"),
        (("house",), "no system with a paper"),
        (("ffmef", "--claims", "filters"), "Known: filters-1"),
        (("ffmef", "-o", "page.txt"), "End it in .md or .json."),
        (("ffmef", "--authors", "weights.pth"), "--data"),
    ],
)
def test_what_cannot_be_reproduced_is_said(mef: Mef, words: tuple[str, ...], said: str) -> None:
    done = mef("reproduce", *words)
    assert done.code == 2
    assert said in " ".join(done.err.split())


def test_photographed_scenes_leave_what_is_simulated_unmeasured(
    scenes: Path, tmp_path: Path, mef: Mef
) -> None:
    words = ["--train", scenes, "--runs", tmp_path / "runs", "--claims", "ratios,two-under", "--json"]
    found = json.loads(mef("reproduce", "mefcl", *words).out)
    assert {one["verdict"] for one in found["claims"]} == {"not measured"}
    assert all("free pictures" in one["note"] for one in found["claims"])
