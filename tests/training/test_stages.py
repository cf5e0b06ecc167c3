"""Runs in stages: small pictures first, whole ones late."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mefcli.training.loop import Trainer
from mefcli.training.prepare import prepare
from mefcli.training.settings import Settings, data_in, shortened, varied
from mefcli.training.store import Store
from mefcli.training.validate import judge, validate
from mefnets.recipe import Data, Stage
from tests.training.tiny import RECIPE, make_run

STAGED = replace(
    RECIPE,
    data=Data(crop_px=192, batch=4, windows=2),
    stages=(
        Stage(0.5, {"windows": 0, "crop_px": 128}),
        Stage(0.9, {"windows": 0, "crop_px": 160, "batch": 1}),
    ),
)


def test_a_stage_holds_until_the_next_begins_and_changes_what_it_names() -> None:
    seen = [
        (d.crop_px, d.batch, d.windows)
        for d in (data_in(STAGED, p) for p in (0.0, 0.49, 0.5, 0.89, 0.9, 1.0))
    ]
    assert seen == [(192, 4, 2), (192, 4, 2), (128, 4, 0), (128, 4, 0), (160, 1, 0), (160, 1, 0)]


def test_the_loop_goes_from_stage_to_stage(store: Store, tmp_path: Path) -> None:
    shapes = []
    run = make_run(store, tmp_path, 40)
    trainer = Trainer(run)
    step = trainer.step

    def watched(batch, lr, progress):  # type: ignore[no-untyped-def]
        shapes.append(tuple(batch.frames.shape[:1] + batch.frames.shape[-1:]))
        return step(batch, lr, progress)

    trainer.step = watched  # type: ignore[method-assign]
    trainer.train()
    assert shapes == [(2, 32)] * 14 + [(3, 40)] * 26


def test_pictures_of_a_size_of_ones_own_drop_the_stages() -> None:
    assert varied(STAGED, {"crop_px": 64}).stages == ()
    assert varied(STAGED, {"data": Data()}).stages == ()
    assert varied(STAGED, {"lopsided": 0.5}).stages == STAGED.stages


def test_a_smoke_test_goes_through_all_stages_on_small_pictures() -> None:
    small = shortened(STAGED)
    assert len(small.stages) == 2
    assert all(data_in(small, p).crop_px <= 64 and data_in(small, p).batch <= 2 for p in (0, 0.5, 0.9))


def test_validation_sees_the_network_as_its_variant_wants_it(packed: Path, tmp_path: Path) -> None:
    """Without colour coordination LCNDR works on RGB; the literal recipe shows no mirrored border."""
    run = prepare(
        Settings(
            "lcndr", packed, runs=tmp_path, variant="paper_without_coordination", smoke=True, device="cpu"
        )
    )
    assert run.spec.colour == "rgb"
    assert run.spec.tiling.mirror_px == 0
    validate(run.spec, run.state.network, run.held[:1])


def test_what_is_shown_longer_brackets_is_judged_by_them_too(packed: Path, tmp_path: Path) -> None:
    """A network of pairs that exaggerates does so with every fusion: the score of its state tells."""
    shown, pairs_only = (
        prepare(Settings(model, packed, runs=tmp_path, smoke=True, device="cpu"))
        for model in ("lcndr", "ffmef")
    )
    assert [(len(one.frames), one.folded) for one in shown.held] == [(2, False), (5, True)]
    assert {len(one.frames) for one in pairs_only.held} == {2}
    held = shown.held
    plain = [np.float32(one.frames[0] / 510 + one.frames[-1] / 510) for one in held]
    grey = plain[1].mean(2, keepdims=True)
    told, gaudy = judge(held, plain), judge(held, [plain[0], grey + 1.5 * (plain[1] - grey)])
    assert told["mef_ssim"] == gaudy["mef_ssim"]
    assert told["folded_colour"] < gaudy["folded_colour"]
    assert "folded" not in judge(held[:1], plain[:1])
