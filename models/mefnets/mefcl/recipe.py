"""How MEF-CL is trained: `mef train mefcl`.

Paper: 479 SICE sequences, 64 px patches, batch 20, 2 epochs, RMSProp 1e-4, VGG-16 features, 360 negatives:
`--variant paper --vgg16 PATH`, with nothing of ours (what it does not state is listed in README.md). Ours is
taught (`mefnets/teaching.py`). `--variant untaught`: simulated pairs, a third of them all under- or all
over-exposed (the paper's claim of breaking exposure limits needs them), our own frozen features (or, with
`--vgg16`, the paper's); whole views reduced to 96 px, for a picture of one patch cannot tell well from badly
exposed. A short run of 350 steps is about 15 CPU minutes on two cores.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from mefnets.mefcl.loss import MEFCLObjective
from mefnets.recipe import Data, Recipe, Stage
from mefnets.teaching import BRACKETS, taught

# With t = 0.01 and weight 20 the third term pulls 200 times harder than SSIM: the first steps of a short run
# destroy the picture (measured: MSE to the sources 0.04 -> 0.23 in one step). With weight 1 and nothing for
# colour, 350 steps gave sharp pictures, all of them green.
ours = partial(
    MEFCLObjective,
    style=True,
    by_plane=True,
    t=0.1,
    nce_weight=0.1,
    colour_weight=20.0,
    fidelity_weight=15.0,
    release=0.75,
)

# The paper's ablations.
OFF: dict[str, dict[str, Any]] = {
    "mse": {"mse_weight": 0.0},
    "ssim": {"ssim_weight": 0.0},
    "contrast": {"nce_weight": 0.0},
    "shallow": {"taps": ("deep",)},
    "deep": {"taps": ("shallow",)},
}

# What the paper states and nothing of ours: its constants (the defaults of the loss), own sources among the
# negatives, features as they are, pairs in the order they come in, random weights, one rate, raw weights.
paper = partial(MEFCLObjective, subtract_mean=False, by_plane=True, own_sources=True, swap=False)
PAPER: dict[str, Any] = {
    "data": Data(crop_px=64, batch=20, views="patches", normals=20, extremes=20),
    "objective": paper,
    "optimiser": "rmsprop",
    "lr": 1e-4,
    "weight_decay": 0.0,
    "steps": 20_000,
    "schedule": "constant",
    "warmup_steps": 0,
    "clip_norm": None,
    "ema": 0.0,
    "wide": False,
    "options": {"start": "none", "padding": "reflect"},
}

RECIPE = Recipe(
    model="mefcl",
    data=Data(frames=(2, 2), crop_px=96, batch=4, views="whole", lopsided=0.33, normals=4, extremes=8),
    objective=ours,
    steps=350,
    lr=3e-4,
    ema=0.98,
    variants={
        "paper": PAPER,
        **{
            f"paper_without_{name}": {**PAPER, "objective": partial(paper, **off)}
            for name, off in OFF.items()
        },
        "position_by_position": {"objective": partial(ours, style=False)},
        "paper_weights": {"objective": partial(MEFCLObjective, style=True)},
        **{f"without_{name}": {"objective": partial(ours, **off)} for name, off in OFF.items()},
        "without_colour": {"objective": partial(ours, colour_weight=0.0)},
        "without_release": {"objective": partial(ours, release=0.0)},
        # As in the paper: a result's own sources are among what it is drawn away from.
        "own_sources": {"objective": partial(ours, own_sources=True)},
        "bare_start": {"options": {"start": "none"}},
    },
)
# Ours: taught. Some pairs are all under- or all over-exposed; of them the teacher sees the bracket that
# should have been taken. With a third of such pairs the network learns that white is grey.
RECIPE = taught(
    RECIPE,
    "rgb",
    replace(BRACKETS, fewer=3.0, lopsided=0.15),
    stages=(Stage(0.75, {"crop_px": 256, "batch": 3, "windows": 1, "window_px": 96}),),
    steps=8000,
    lr=3e-4,
    norms_rest=1.0,
    swap=True,
    neighbours=0.0,  # of two dark ones this network makes a bright picture
)
RECIPES = {"mefcl": RECIPE}
