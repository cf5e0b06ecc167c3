"""How LCNDR is trained: `mef train lcndr`.

Paper: 374 SICE pairs, random 256 px crops, batch 16, Adam 1e-4, 500 epochs. Ours: simulated pairs from free
pictures, whole views reduced to 128 px (what the coordinate and self-attention see in use are whole
pictures), batch 4; a short run of 350 steps is about 15 CPU minutes on two cores. The log must show
`residual_levels` well above 3 and `w_o_spread` above 0.05, else training has collapsed to a fixed mix.
"""

from __future__ import annotations

from functools import partial

from mefnets.lcndr.loss import LCNDRObjective
from mefnets.recipe import Data, Recipe, Stage
from mefnets.teaching import taught

ours = partial(LCNDRObjective, fidelity_weight=1.0)

RECIPE = Recipe(
    model="lcndr",
    data=Data(frames=(2, 2), crop_px=128, batch=4, views="whole"),
    objective=ours,
    steps=350,
    lr=5e-4,
    ema=0.98,
    variants={
        "paper": {
            "data": Data(crop_px=256, batch=16, views="patches"),
            "objective": LCNDRObjective,
            "steps": 12_000,
            "lr": 1e-4,
        },
        "without_cem": {"options": {"cem": False}},
        "without_sam": {"options": {"sam": False}},
        "without_erm": {"options": {"erm": False}},
        "one_attention": {"options": {"attentions": 1}},
        "two_attentions": {"options": {"attentions": 2}},
        "add_add": {"options": {"over_end": "add", "under_end": "add", "start": "none"}},
        "add_multiply": {"options": {"over_end": "add", "under_end": "multiply", "start": "none"}},
        "multiply_multiply": {"options": {"under_end": "multiply", "start": "none"}},
        "bare_start": {"options": {"start": "none"}},
        "square_on_inner_range": {"objective": partial(ours, mse_weight=20.0)},
    },
)
# Ours: taught, at windows of 64 px for most of the run, then whole views.
RECIPE = taught(
    RECIPE,
    "luma",
    Data(crop_px=192, batch=3, windows=2, window_px=64, spread_ev=(2.0, 9.0), fisheye=0.1, clean=True),
    stages=(
        Stage(0.6, {"windows": 0, "crop_px": 128, "batch": 2}),
        Stage(0.85, {"windows": 0, "crop_px": 176, "batch": 2}),
    ),
    steps=8000,
    lr=8e-4,
    light=1.0,
)
RECIPES = {"lcndr": RECIPE}
