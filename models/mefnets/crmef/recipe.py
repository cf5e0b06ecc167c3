"""Training CRMEF:  mef train crmef-fast  (or crmef, crmef-align)

Supervised by the reference that the simulator computes. The general and the fast model begin as the plain
mean of the exposures, so that even a few hundred steps help. L1, Sobel, MEF-SSIM and the cast, without the
critic, are the default. The variant `paper` is the paper's loss, critic and all; the paper
trains 2000 epochs of 258 pairs at 128 x 128, lr 1e-4, for 20.71 dB (general) and 20.54 dB (fast) on SICE.

CPU-seconds a step of batch 6 at 128 x 128, beside the simulator's: with bfloat16 units (AMX) fast 1, general
2; in float32 2 and 11. `crmef-align`, batch of 4 at 96 x 96, about 4. The critic adds 1.5.
"""

from __future__ import annotations

from typing import Any

from mefnets.crmef.genotype import FOLDER
from mefnets.crmef.loss import CRMEFObjective
from mefnets.recipe import Data, Recipe

VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {"objective": CRMEFObjective},
    "l1": {"objective": lambda: CRMEFObjective(gradient=0, discriminative=0)},
    "l1-gradient": {"objective": lambda: CRMEFObjective(discriminative=0)},
    "l1-critic": {"objective": lambda: CRMEFObjective(gradient=0)},
    "no-relighting": {"options": {"relightings": 0}},
    "one-relighting": {"options": {"relightings": 1}},
    # A searched genotype, saved as genotypes/NAME.json, is trained as variant NAME.
    **{path.stem: {"options": {"genotype": path.stem}} for path in sorted(FOLDER.glob("*.json"))},
}


def _ours() -> CRMEFObjective:
    """No critic. Towards references alone, real pairs had less structure than their mean (README.md)."""
    return CRMEFObjective(discriminative=0, fidelity=1.0, colour=3.0)


def _recipe(model: str, data: Data, steps: int, lr: float) -> Recipe:
    return Recipe(
        model=model,
        data=data,
        objective=_ours,
        steps=steps,
        lr=lr,
        ema=0.995,
        clip_norm=1.0,
        variants=VARIANTS,
    )


# Batch norm wants several different scenes in a batch; small crops pay for them.
RECIPES = {
    "crmef": _recipe("crmef", Data(crop_px=128, batch=6, target=True), steps=20_000, lr=3e-4),
    "crmef-fast": _recipe("crmef-fast", Data(crop_px=128, batch=6, target=True), steps=20_000, lr=5e-4),
    "crmef-align": _recipe(
        "crmef-align", Data(crop_px=96, batch=4, target=True, misaligned=0.6), steps=20_000, lr=2e-4
    ),
}
RECIPE = RECIPES["crmef"]
