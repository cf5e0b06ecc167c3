"""Training FFMEF:  mef train ffmef

Ours is taught (`mefnets/teaching.py`), whole views of 160 to 256 px. `--variant untaught`: no reference is
needed, pairs from the simulator, dark first, whole views reduced to 224 x 224. One step of two pairs (the
paper's batch) costs about 0.8 CPU-seconds, the whole run about an hour; it fits in 2 GB.

`--variant paper` has nothing of ours. From the paper: 482 pairs of SICE resized to 128 x 128, equation 9 on
chroma in 8-bit levels, for MEF-SSIM 0.962 on MEFB. From the authors' code, where the paper is silent: AdamW,
lr 1e-3, batch 2, 30 epochs (their step schedule halves the rate after 30, so it never does), luminance from
16 to 235, cut to [0, 1] before the loss, zeros beyond the border. `--variant code` is the code throughout:
320 x 320, gradients as 8 bits, and the softmax that overwrites its first weight.

With 4 channels the result depends on the seed: train several and keep the best on MEF-SSIM.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from mefnets.ffmef.loss import (
    GIF,
    PRINTED,
    GIFObjective,
    ProportionalObjective,
    StructureObjective,
)
from mefnets.recipe import Data, Objective, Recipe, Stage
from mefnets.teaching import taught
from mefnets.truth import TruthObjective

PAIRS, EPOCHS, BATCH = 482, 30, 2

# Table 2 of the paper: which filters there are.
FILTERS = {"1": (1,), "1-3": (1, 3), "3-5": (3, 5), "1-3-5-7": (1, 3, 5, 7)}


def _gif(**options: Any) -> GIFObjective:
    return GIFObjective(GIF(**options))


def _authors(**options: Any) -> GIFObjective:
    return GIFObjective(GIF(**options), studio=True, clamped=True)


def _literal(objective: Callable[[], Objective], crop_px: int) -> dict[str, Any]:
    """Every field stands here, so that none of ours slips in."""
    return {
        "data": Data(crop_px=crop_px, batch=BATCH, views="whole"),
        "objective": objective,
        "steps": EPOCHS * PAIRS // BATCH,
        "lr": 1e-3,
        "optimiser": "adamw",
        "betas": (0.9, 0.999),
        "weight_decay": 0.01,
        "schedule": "constant",
        "warmup_steps": 0,
        "clip_norm": None,
        "ema": 0.0,
        "wide": False,
        "options": {"padding": "zeros", "luma": "studio"},
    }


_printed = partial(_authors, temperature=PRINTED)
PAPER = _literal(_printed, 128)

# The paper's ablations: of its own recipe (`paper-NAME`), and, under the name alone, of ours.
LOSSES: dict[str, dict[str, Any]] = {
    "raw-masks": {"masks": "raw"},
    "plain-mean": {"smooth_target": "mean"},
    "no-global": {"weights": (1.25, 1.0, 0.0)},
}
OTHERS: dict[str, Callable[[], Objective]] = {
    "structure-loss": StructureObjective,
    "proportional-loss": ProportionalObjective,
}
KERNELS = {f"filters-{name}": {"kernels": list(sides)} for name, sides in FILTERS.items()}

RECIPE = Recipe(
    model="ffmef",
    data=Data(frames=(2, 2), crop_px=224, batch=2, views="whole"),
    objective=GIFObjective,
    steps=4000,
    lr=1e-3,
    optimiser="adamw",
    weight_decay=0.01,
    # The step schedule of the authors' code never comes to its first step; a cosine ends calmer.
    schedule="cosine",
    wide=False,
    variants={
        "paper": PAPER,
        "code": _literal(partial(_authors, masks="code", smooth_target="code"), 320),
        **{f"paper-{n}": {**PAPER, "objective": partial(_printed, **off)} for n, off in LOSSES.items()},
        **{f"paper-{name}": {**PAPER, "objective": other} for name, other in OTHERS.items()},
        **{
            f"paper-{name}": {**PAPER, "options": {**PAPER["options"], **kernels}}
            for name, kernels in KERNELS.items()
        },
        **{name: {"objective": partial(_gif, **off)} for name, off in LOSSES.items()},
        **{name: {"objective": other} for name, other in OTHERS.items()},
        **{name: {"options": kernels} for name, kernels in KERNELS.items()},
        # Chroma counted in 8-bit levels, as equation 9 has it.
        "firm-saturation": {"objective": partial(_gif, temperature=PRINTED)},
        # Ours: with a term for the tone of large shapes.
        "toned": {"objective": lambda: GIFObjective(tone=1 / 1500)},
        # Ours: what the four measures of a fusion ask for, beside the paper's loss, from gentle pairs to far
        # ones, some through a fisheye. A small picture has more border than the large one it stands for.
        "measured": {
            "objective": lambda: GIFObjective(tone=1 / 100, measures=1.0, border=0.5),
            "data": {"spread_ev": (1.5, 11.0), "fisheye": 0.3},
        },
        # Pairs as far apart as real ones: the darker frame then has steep edges in lights only.
        "apart": {"data": {"spread_ev": (4.0, 8.5)}},
        # Three to five frames at once instead of pairs.
        "many": {"data": Data(frames=(2, 5), crop_px=256, batch=4, views="whole")},
    },
)
# Ours: taught, on whole views throughout, since its norms average over the whole picture.
RECIPE = taught(
    RECIPE,
    "luma",
    Data(crop_px=160, batch=2, spread_ev=(1.5, 11.0), fisheye=0.15, clean=True),
    stages=(Stage(0.6, {"crop_px": 256, "batch": 1}),),
    steps=8000,
    lr=5e-4,
    ema=0.995,
    norms_rest=1.0,
    measures=0.1,
    tone=1 / 20_000,
    rising=(0.0, 0.2),
)

# Focus stacks: a simulator knows what everything in focus looks like. `--variant paper` learns without it, by
# GIF, as the authors do for pairs of this kind. A step of four pairs takes about half a CPU-second.
FOCUS = Recipe(
    model="ffmef-focus",
    data=Data(
        stack="focus",
        crop_px=128,
        batch=4,
        views="patches",
        misaligned=0.5,
        target=True,
        as_recorded=True,
    ),
    objective=partial(TruthObjective, "luma", swap=True),  # without it flat places are the far frame's
    stages=(Stage(0.6, {"crop_px": 192, "batch": 2}),),
    steps=20_000,
    lr=1e-3,
    optimiser="adamw",
    weight_decay=0.01,
    schedule="cosine",
    ema=0.995,
    wide=False,
    variants={
        "paper": {
            **_literal(partial(_authors, temperature=PRINTED), 128),
            "data": Data(stack="focus", crop_px=128, batch=BATCH),
        },
    },
)
# Visible and infrared, likewise: a simulator knows what is warm, and both frames without noise.
INFRARED = replace(
    FOCUS,
    model="ffmef-infrared",
    data=Data(stack="infrared", crop_px=128, batch=4, views="patches", misaligned=0.5, target=True),
    objective=partial(TruthObjective, "luma"),  # the visible frame comes first
    variants={
        "paper": {
            **_literal(partial(_authors, temperature=PRINTED), 128),
            "data": Data(stack="infrared", crop_px=128, batch=BATCH),
        },
    },
)
RECIPES = {"ffmef": RECIPE, "ffmef-focus": FOCUS, "ffmef-infrared": INFRARED}
