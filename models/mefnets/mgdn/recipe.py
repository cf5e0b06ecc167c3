"""How MGDN is trained for exposure fusion: `mef train mgdn`.

Paper: SICE with its reference pictures; 64 px patches with flips and rotations, Adam, an averaged copy of the
weights, multi-step rate (from the authors' options; the paper gives no recipe), 5,500 iterations. Ours:
simulated pairs whose reference is fused from the noise-free bracket; whole views reduced to 96 px, because
the channel attention and the gates average over the whole picture. A short run of 300 steps is about 15 CPU
minutes on two cores.
"""

from __future__ import annotations

from functools import partial

from mefnets.mgdn.loss import MGDNObjective
from mefnets.recipe import Data, Recipe, Stage
from mefnets.teaching import taught

ours = partial(MGDNObjective, fidelity_weight=1.0, colour_weight=3.0)

RECIPE = Recipe(
    model="mgdn",
    data=Data(frames=(2, 2), crop_px=96, batch=2, views="whole", target=True),
    objective=ours,
    steps=300,
    lr=2e-4,
    ema=0.98,
    variants={
        "paper": {
            "data": Data(crop_px=64, batch=8, views="patches", target=True),
            "objective": MGDNObjective,
            "steps": 5_500,
            "lr": 1e-4,
        },
        "without_mi": {"objective": partial(ours, mi_weight=0.0)},
        "own_guidance": {"options": {"exchange": "own"}},
        "code_exchange": {"options": {"exchange": "code", "norm_residual": False}},
        "bracket": {
            "data": Data(frames=(3, 5), crop_px=96, batch=2, views="whole", target=True),
            "options": {"task": "bracket"},
        },
        "bare_start": {"options": {"start": "none"}},
    },
)
# Ours: taught.
RECIPE = taught(
    RECIPE,
    "rgb",
    Data(crop_px=160, batch=2, windows=2, window_px=64, spread_ev=(2.0, 9.0), fisheye=0.1, clean=True),
    stages=(Stage(0.7, {"windows": 0, "crop_px": 128, "batch": 1}),),
    steps=8000,
    lr=4e-4,
    light=1.0,
)
RECIPES = {"mgdn": RECIPE}
