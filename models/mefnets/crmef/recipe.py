"""Training CRMEF:  mef train crmef-fast  (or crmef, crmef-align)

Ours is taught (`mefnets/teaching.py`), the general and the fast model; 0.8 CPU-seconds a step of the fast one
with bfloat16 units. `--variant untaught`: supervised by the reference that the simulator computes. The
general and the fast model begin as the plain mean of the exposures, so that even a few hundred steps help.
L1, Sobel, MEF-SSIM and the cast, without the critic, are the default.

`--variant paper` is what paper and published code state, and nothing of ours (README.md lists what neither
states): 2,000 epochs of 258 pairs (misaligned: of 80) in batches of 12, random 128 x 128 crops with flips and
quarter turns, Adam, lr 1e-4 on a cosine to 1e-10, each gradient cut at 0.01, L1 + 0.75 Sobel + 0.05 critic;
for 20.71 dB (general) and 20.54 dB (fast) on SICE, 22.04 dB misaligned.

CPU-seconds a step of batch 6 at 128 x 128, beside the simulator's: with bfloat16 units (AMX) fast 1, general
2; in float32 2 and 11. `crmef-align`, batch of 4 at 96 x 96, about 4. The critic adds 1.5.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from mefnets.crmef import genotype as genotypes
from mefnets.crmef.loss import CRMEFObjective
from mefnets.recipe import Data, Recipe, Stage
from mefnets.teaching import BRACKETS, taught

EPOCHS, PAIRS, MISALIGNED_PAIRS, BATCH = 2000, 258, 80, 12

# The paper's table of one operator everywhere: relighting, detail repletion.
UNIFORM = {
    "uniform-3": ("C-3", "RC-3"),
    "uniform-3-dilated": ("DC-3", "RDC-3"),
    "uniform-5": ("C-5", "RC-5"),
    "uniform-7": ("C-7", "RC-7"),
    "uniform-7-dilated": ("DC-7", "RDC-7"),
}


def papers_cosine(progress: float) -> float:
    """A cosine from lr to 1e-10, where lr is 1e-4."""
    low = 1e-10 / 1e-4
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress))


def paper(pairs: int, misaligned: float = 0.0, **options: object) -> dict[str, Any]:
    """The literal recipe. Every field stands here, so that none of ours slips in."""
    return {
        "data": Data(crop_px=128, batch=BATCH, views="patches", target=True, misaligned=misaligned),
        "objective": CRMEFObjective,
        "steps": EPOCHS * pairs // BATCH,
        "lr": 1e-4,
        "optimiser": "adam",
        "betas": (0.9, 0.999),
        "weight_decay": 0.0,
        "schedule": papers_cosine,
        "warmup_steps": 0,
        "clip_norm": None,
        "clip_value": 0.01,
        "ema": 0.0,
        "wide": False,
        "options": {"padding": "zeros", "start": "default", **options},
    }


def _uniform(width: int) -> dict[str, dict[str, Any]]:
    return {
        name: {"options": {"genotype": {"srsm": [c] * 3, "drm": [rc] * 4, "width": width}}}
        for name, (c, rc) in UNIFORM.items()
    }


LOSSES: dict[str, dict[str, Any]] = {
    "l1": {"objective": partial(CRMEFObjective, gradient=0, discriminative=0)},
    "l1-gradient": {"objective": partial(CRMEFObjective, discriminative=0)},
    "l1-critic": {"objective": partial(CRMEFObjective, gradient=0)},
    "critic": {"objective": CRMEFObjective},
}
# A searched genotype, saved as genotypes/NAME.json, is trained as variant NAME.
GENOTYPES: dict[str, dict[str, Any]] = {
    path.stem: {"options": {"genotype": path.stem}} for path in sorted(genotypes.FOLDER.glob("*.json"))
}


RELIGHTINGS: dict[str, dict[str, Any]] = {
    "no-relighting": {"options": {"relightings": 0}},
    "one-relighting": {"options": {"relightings": 1}},
    "three-relightings": {"options": {"relightings": 3}},
}
ALIGNMENTS: dict[str, dict[str, Any]] = {
    "no-alignment": {"options": {"alignment": "none"}},
    "alignment-first": {"options": {"alignment": "before"}},
}


def _of_paper(literal: dict[str, Any], ablations: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Ablations of the literal recipe: `paper-NAME`. What is called so without `paper-` changes ours."""
    found = {}
    for name, changes in ablations.items():
        options = {**literal["options"], **changes.get("options", {})}
        found[f"paper-{name}"] = {**literal, **changes, "options": options}
    return found


def _whole(width: int) -> dict[str, dict[str, Any]]:
    literal = paper(PAIRS, floor=1e-5)
    ablations = {**RELIGHTINGS, **_uniform(width)}
    losses = {name: changes for name, changes in LOSSES.items() if name != "critic"}
    return {
        "paper": literal,
        **_of_paper(literal, {**ablations, **losses}),
        **LOSSES,
        **ablations,
        **GENOTYPES,
    }


_ALIGNED = paper(MISALIGNED_PAIRS, misaligned=1.0, anchored=False, bounded=False)
ALIGNING = {
    "paper": _ALIGNED,
    **_of_paper(_ALIGNED, ALIGNMENTS),
    "code": paper(MISALIGNED_PAIRS, misaligned=1.0, variant="align-code", bounded=False),
    **LOSSES,
    **ALIGNMENTS,
    **{name: changes for name, changes in GENOTYPES.items() if genotypes.read(name).dasm},
}


def _ours() -> CRMEFObjective:
    """No critic. Towards references alone, real pairs had less structure than their mean (README.md)."""
    return CRMEFObjective(discriminative=0, fidelity=1.0, colour=3.0)


def _recipe(model: str, data: Data, steps: int, lr: float, variants: dict[str, dict[str, Any]]) -> Recipe:
    return Recipe(
        model=model,
        data=data,
        objective=_ours,
        steps=steps,
        lr=lr,
        ema=0.995,
        clip_norm=1.0,
        variants=variants,
    )


# Batch norm wants several different scenes in a batch; small crops pay for them.
RECIPES = {
    "crmef": _recipe("crmef", Data(crop_px=128, batch=6, target=True), 20_000, 3e-4, _whole(128)),
    "crmef-fast": _recipe("crmef-fast", Data(crop_px=128, batch=6, target=True), 20_000, 5e-4, _whole(32)),
    "crmef-align": _recipe(
        "crmef-align", Data(crop_px=96, batch=4, target=True, misaligned=0.6), 20_000, 2e-4, ALIGNING
    ),
}
# Ours: taught.
_LARGER = Stage(0.75, {"crop_px": 256, "batch": 4, "windows": 1, "window_px": 96})
for _name, _lr in (("crmef", 3e-4), ("crmef-fast", 4e-4)):
    RECIPES[_name] = taught(RECIPES[_name], "rgb", BRACKETS, stages=(_LARGER,), steps=12_000, lr=_lr)
RECIPE = RECIPES["crmef"]
