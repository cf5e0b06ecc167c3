"""How LCNDR is trained: `mef train lcndr`.

`--variant paper` has nothing of ours: 374 SICE pairs, random 256 px crops, batch 16, Adam 1e-4 times 0.9 an
epoch (what the authors' checkpoint records), 500 epochs. Ours is taught (`mefnets/teaching.py`), 0.7
CPU-seconds a step with bfloat16 units. `--variant untaught`: simulated pairs from free pictures, whole views
reduced to 128 px (what the coordinate and self-attention see in use are whole pictures), batch 4; a
short run of 350 steps is about 15 CPU minutes on two cores. The log must show `residual_levels` well above 3
and `w_o_spread` above 0.05, else training has collapsed to a fixed mix.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from mefnets.lcndr.loss import MSE_WEIGHT, LCNDRObjective
from mefnets.recipe import Data, Recipe, Stage
from mefnets.teaching import BRACKETS, taught

ours = partial(LCNDRObjective, fidelity_weight=1.0)

# The paper's ablations.
MODULES: dict[str, dict[str, Any]] = {
    "without_cem": {"cem": False},
    "without_sam": {"sam": False},
    "without_erm": {"erm": False},
    "one_attention": {"attentions": 1},
    "two_attentions": {"attentions": 2},
    "without_coordination": {"planes": "rgb"},
}
ENDS: dict[str, dict[str, Any]] = {
    "add_add": {"over_end": "add", "under_end": "add"},
    "add_multiply": {"over_end": "add", "under_end": "multiply"},
    "multiply_multiply": {"under_end": "multiply"},
}

EPOCHS, PAIRS, BATCH = 500, 374, 16
INNER = 4.0  # a square on [-1, 1] in units of one on [0, 1]


def decay(progress: float) -> float:
    """0.9 an epoch."""
    return 0.9 ** (EPOCHS * progress)  # type: ignore[no-any-return]


OPTIONS: dict[str, Any] = {
    "start": "none",
    "join": "sum",
    "norms": True,
    "scaled": False,
    "grid": 0,
    "edges": "alone",
    "padding": "zeros",
}
PAPER: dict[str, Any] = {
    "data": Data(crop_px=256, batch=BATCH, views="patches"),
    "objective": partial(LCNDRObjective, mse_weight=INNER * MSE_WEIGHT),
    "steps": EPOCHS * PAIRS // BATCH,
    "lr": 1e-4,
    "optimiser": "adam",
    "betas": (0.9, 0.999),
    "weight_decay": 0.0,
    "schedule": decay,
    "warmup_steps": 0,
    "clip_norm": None,
    "ema": 0.0,
    "wide": False,
    "options": OPTIONS,
}

RECIPE = Recipe(
    model="lcndr",
    data=Data(frames=(2, 2), crop_px=128, batch=4, views="whole"),
    objective=ours,
    steps=350,
    lr=5e-4,
    ema=0.98,
    variants={
        "paper": PAPER,
        **{
            f"paper_{name}": {**PAPER, "options": {**OPTIONS, **changes}}
            for name, changes in (MODULES | ENDS).items()
        },
        **{name: {"options": changes} for name, changes in MODULES.items()},
        **{name: {"options": {"start": "none", **changes}} for name, changes in ENDS.items()},
        # Single points in which the architecture of `paper` differs from the default.
        "summed": {"options": {"join": "sum"}},
        "normed_attention": {"options": {"norms": True}},
        "edges_alone": {"options": {"edges": "alone"}},
        "bare_start": {"options": {"start": "none"}},
        "square_on_inner_range": {"objective": partial(ours, mse_weight=INNER * MSE_WEIGHT)},
    },
)
# Ours: taught, at windows of larger views; its attention looks at all of what it is shown, so they may not be
# too small. Whole views of 128 to 176 px took back half of what windows had gained on real pictures.
RECIPE = taught(
    RECIPE,
    "luma",
    replace(BRACKETS, fewer=3.0, crop_px=224, batch=3, windows=1, window_px=96, fisheye=0.15),
    stages=(Stage(0.5, {"crop_px": 288, "batch": 2, "window_px": 144}),),
    steps=8000,
    lr=4e-4,
)
RECIPES = {"lcndr": RECIPE}
