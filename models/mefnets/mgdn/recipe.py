"""How MGDN is trained for exposure fusion: `mef train mgdn`.

Ours is taught (`mefnets/teaching.py`). `--variant untaught`: simulated pairs whose reference is fused from
the noise-free bracket; whole views reduced to 96 px, because the channel attention and the gates average over
the whole picture. A short run of 300 steps is about 15 CPU minutes on two cores.

`--variant paper` has nothing of ours: SICE with its reference pictures, L1 and masked mutual information
summed over the stages, equation 1's division, the code's 64 px patches with flips and quarter turns, Adam, an
averaged copy of the weights, 5,500 iterations (its weights for exposures are from there). README.md lists
what neither states.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from mefnets.mgdn.depth import DepthObjective
from mefnets.mgdn.loss import MGDNObjective
from mefnets.recipe import Data, Recipe, Stage
from mefnets.teaching import BRACKETS, taught
from mefnets.truth import TruthObjective

ours = partial(MGDNObjective, fidelity_weight=1.0, colour_weight=3.0)

paper = partial(MGDNObjective, ssim_weight=0.0, mi_over="sum")
OPTIONS = {"start": "default", "scale": "divide", "padding": "zeros"}
PAPER: dict[str, Any] = {
    "data": Data(crop_px=64, batch=4, views="patches", target=True),
    "objective": paper,
    "steps": 5_500,
    "lr": 1e-4,
    "optimiser": "adam",
    "betas": (0.9, 0.999),
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup_steps": 0,
    "clip_norm": None,
    "ema": 0.999,
    "wide": False,
    "options": OPTIONS,
}

RECIPE = Recipe(
    model="mgdn",
    data=Data(frames=(2, 2), crop_px=96, batch=2, views="whole", target=True),
    objective=ours,
    steps=300,
    lr=2e-4,
    ema=0.98,
    variants={
        "paper": PAPER,
        "paper_without_mi": {**PAPER, "objective": partial(paper, mi_weight=0.0)},
        "paper_own_guidance": {**PAPER, "options": {**OPTIONS, "exchange": "own"}},
        "paper_static_filters": {**PAPER, "options": {**OPTIONS, "filters": "static"}},
        "without_mi": {"objective": partial(ours, mi_weight=0.0)},
        "own_guidance": {"options": {"exchange": "own"}},
        "static_filters": {"options": {"filters": "static"}},
        "code_exchange": {"options": {"exchange": "code", "norm_residual": False}},
        "bracket": {
            "data": Data(frames=(3, 5), crop_px=96, batch=2, views="whole", target=True),
            "objective": partial(ours, task="bracket"),
            "options": {"task": "bracket"},
        },
        "bare_start": {"options": {"start": "none"}},
    },
)
# Ours: taught.
RECIPE = taught(
    RECIPE,
    "rgb",
    replace(BRACKETS, crop_px=160, batch=2),
    stages=(Stage(0.7, {"crop_px": 224, "windows": 1, "window_px": 96}),),
    steps=8000,
    lr=2e-4,
    norms_rest=1.0,
)

# Focus stacks: L1, slopes and structure against everything in focus. `--variant paper` has L1 and masked
# mutual information only, 64 px patches and default initial weights; its 62,000 iterations are the authors'.
FOCUS = Recipe(
    model="mgdn-focus",
    data=Data(
        stack="focus",
        crop_px=96,
        batch=2,
        views="patches",
        misaligned=0.5,
        target=True,
        as_recorded=True,
    ),
    objective=partial(TruthObjective, "rgb", swap=True),
    steps=20_000,
    lr=4e-4,
    ema=0.995,
    wide=False,  # with bfloat16 its loss is not finite after 20 steps
    variants={
        "paper": {
            **PAPER,
            "data": Data(stack="focus", crop_px=64, batch=4, views="patches", target=True),
            "objective": partial(paper, task="focus"),
            "steps": 62_000,
        },
    },
)


def halved_late(progress: float) -> float:
    """Half the rate after 8,000 epochs, a tenth after 12,000 (code); that there are 15,000 is ours."""
    return 1.0 if progress < 8 / 15 else 0.5 if progress < 12 / 15 else 0.1


# Moving scenes: three frames to linear light, L1 after mu-law. Ours is half as wide and says which frame to
# believe (README.md); `--variant paper` is the paper's network, which paints the light, with masked mutual
# information of the reference and either side, 128 px patches with four-fold flips and the code's rate.
MOVING = Recipe(
    model="mgdn-moving",
    data=Data(
        frames=(3, 3),
        stack="moving",
        crop_px=64,
        batch=4,
        views="patches",
        misaligned=0.7,
        target=True,
    ),
    objective=partial(MGDNObjective, "moving", mi_weight=0.0, ssim_weight=0.0),
    stages=(Stage(0.6, {"crop_px": 96, "batch": 2}),),
    steps=20_000,
    lr=6e-4,
    ema=0.99,
    wide=False,
    variants={
        "paper": {
            **PAPER,
            "data": Data(
                frames=(3, 3),
                stack="moving",
                crop_px=128,
                batch=4,
                views="patches",
                turns=2,
                misaligned=0.7,
                target=True,
            ),
            "objective": partial(paper, "deghosting"),
            "steps": 277_500,  # 15,000 epochs of 74 scenes
            "schedule": halved_late,
            "options": {**OPTIONS, "task": "deghosting"},
        },
    },
)

# Depth: what colour tells of the edges of a depth map, at any factor. `--variant paper` is the paper's
# network for x4 and x8, which paints the depth, at any factor too; how long it learns nobody states.
DEPTH = Recipe(
    model="mgdn-depth",
    data=Data(
        frames=(1, 1),
        stack="depth",
        crop_px=96,
        batch=2,
        views="patches",
        misaligned=0.6,
        target=True,
    ),
    objective=DepthObjective,
    stages=(Stage(0.6, {"crop_px": 160, "batch": 1}),),
    steps=20_000,
    lr=1e-3,
    ema=0.995,
    wide=False,
    variants={
        "paper": {
            **PAPER,
            "data": Data(
                frames=(1, 1),
                stack="depth",
                crop_px=64,
                batch=4,
                views="patches",
                misaligned=0.6,
                target=True,
            ),
            "objective": partial(paper, "depth"),
            "steps": 62_000,
            "options": {**OPTIONS, "task": "depth"},
        },
    },
)
RECIPES = {"mgdn": RECIPE, "mgdn-focus": FOCUS, "mgdn-moving": MOVING, "mgdn-depth": DEPTH}
