"""Papers' tables and claims: each names what exists, and verdicts follow from the figures alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mefcli.evaluation.metrics import METRICS
from mefcli.evaluation.published import claims_of, systems, table_of
from mefcli.reproduction.ablations import Arm, Judged, check, judge
from mefcli.reproduction.table import AVERAGE, PAPER, measure, through_jpeg
from mefcli.training.settings import Settings, find_recipe
from mefnets import MODELS
from mefnets.claims import Claim, Table
from tests.toolkit import Mef

CLAIM = Claim("less", "Less is less.", "table 1", without="less", measure="PSNR_GT", instead="Q_CV")


def arm(residual: float = 9.0, **scores: list[float]) -> Arm:
    measured = {"MEF_SSIM": (0.9,), **{name: tuple(values) for name, values in scores.items()}}
    return Arm("x", measured, (10,), residual)


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
        for variant in (claim.full, claim.without):
            find_recipe(claim.model or name, variant)
        assert METRICS[claim.instead].compare is None  # needs no reference
        assert claim.measure is None or claim.measure in METRICS


def test_a_claim_holds_when_the_full_recipe_is_better_by_more_than_chance() -> None:
    less, full = arm(PSNR_GT=[20.0, 21.0, 22.0]), arm(PSNR_GT=[21.0, 22.1, 23.0])
    assert judge(CLAIM, less, full).verdict == "holds"
    assert judge(CLAIM, full, less).verdict == "does not hold"
    assert judge(CLAIM, less, arm(PSNR_GT=[19.0, 21.1, 23.2])).verdict == "undecided"


def test_where_lower_is_better_lower_holds() -> None:
    found = judge(CLAIM, arm(Q_CV=[300.0, 310.0, 305.0]), arm(Q_CV=[250.0, 255.0, 262.0]))
    assert (found.verdict, found.measure) == ("holds", "Q_CV")
    assert "needs reference pictures" in found.note


def test_a_network_that_has_not_learned_or_collapsed_decides_nothing() -> None:
    less, full = arm(PSNR_GT=[20.0, 21.0, 22.0]), arm(PSNR_GT=[21.0, 22.1, 23.0])
    assert judge(CLAIM, less, full, plain=0.95).verdict == "undecided"
    flat = arm(residual=0.4, PSNR_GT=[21.0, 22.1, 23.0])
    found = judge(CLAIM, less, flat)
    assert found.verdict == "undecided"
    assert "collapsed" in found.note


def test_the_paper_s_table_beside_ours(scenes: Path) -> None:
    table = Table("table 1", "MEFB", row={"MEF_SSIM": 0.9621, "PSNR_GT": 20.0}, jpeg_quality=75)
    found = measure(MODELS["ffmef"], table, scenes, "plain", max_megapixels=0.01)
    assert found.scenes == 1
    assert set(found.rows) == {PAPER, AVERAGE, "ffmef"}
    assert 0.3 < found.rows["ffmef"]["MEF_SSIM"] <= 1
    assert np.isnan(found.rows["ffmef"].get("PSNR_GT", np.nan))
    assert any("authors" in words for words in found.absent)
    assert any("reference" in words for words in found.absent)


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


@pytest.fixture
def scenes(jpegs: list[Path]) -> Path:
    room = jpegs[0].parent.parent / "scenes" / "room"
    room.parent.mkdir()
    jpegs[0].parent.rename(room)
    return room.parent


def test_the_command_writes_a_page_and_an_object(mef: Mef, tmp_path: Path) -> None:
    done = mef("reproduce", "lcndr", "-o", tmp_path / "lcndr.md", "--claims", "add-add")
    assert done.code == 0, done.err
    page = (tmp_path / "lcndr.md").read_text()
    assert "| Two ends that add over-expose. | ablation of branch ends | MEF_SSIM 0.886, 0.936 |" in page
    assert "not measured" in page
    done = mef("reproduce", "lcndr", "--json")
    assert len(json.loads(done.out)["claims"]) == 8


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
