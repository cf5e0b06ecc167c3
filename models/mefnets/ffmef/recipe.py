"""Training FFMEF:  mef train ffmef

No reference is needed: pairs from the simulator, dark first, whole views reduced to 224 x 224. One step of
two pairs (the paper's batch) costs about 0.8 CPU-seconds, the whole run about an hour; it fits in 2 GB. The
paper: 482 pairs of SICE, 30 epochs of batch 2 at 320 x 320, i.e. 7,000 steps, MEF-SSIM 0.962 on MEFB.

With 4 channels the result depends on the seed: train several and keep the best on MEF-SSIM.
"""

from __future__ import annotations

from mefnets.ffmef.loss import GIF, GIFObjective
from mefnets.recipe import Data, Recipe

RECIPE = Recipe(
    model="ffmef",
    data=Data(frames=(2, 2), crop_px=224, batch=2, views="whole"),
    objective=GIFObjective,
    steps=4000,
    lr=1e-3,
    optimiser="adamw",
    weight_decay=0.01,
    # The paper's step schedule never comes to its first step; a cosine ends calmer at the same cost.
    schedule="cosine",
    wide=False,
    variants={
        # The paper's ablations of the loss.
        "raw-masks": {"objective": lambda: GIFObjective(GIF(masks="raw"))},
        "plain-mean": {"objective": lambda: GIFObjective(GIF(smooth_target="mean"))},
        "no-global": {"objective": lambda: GIFObjective(GIF(weights=(1.25, 1.0, 0.0)))},
        # Chroma counted in 8-bit levels, as the paper's text has it.
        "firm-saturation": {"objective": lambda: GIFObjective(GIF(temperature=1 / 255))},
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
RECIPES = {"ffmef": RECIPE}
