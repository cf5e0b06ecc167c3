"""Training the house network:  mef train house --data TRAIN --budget 60m

Brackets of two to five frames, whole views reduced to 320 x 320: what the network sees in use is a whole
picture at working size, so that is what it sees in training. It starts close to Mertens' fusion. One step of
two brackets costs about 2.5 CPU-seconds; a thousand steps pass Mertens on the development pairs.
"""

from __future__ import annotations

from mefnets.house.loss import MeasuresObjective
from mefnets.recipe import Data, Recipe

RECIPE = Recipe(
    model="house",
    data=Data(frames=(2, 5), crop_px=320, batch=2, views="whole", spread_ev=(1.5, 9.0)),
    objective=MeasuresObjective,
    steps=6000,
    lr=2e-3,
    schedule="cosine",
    warmup_steps=30,
    clip_norm=1.0,
    ema=0.995,
    wide=False,
    variants={
        "pairs": {"data": Data(frames=(2, 2), crop_px=320, batch=2, views="whole", spread_ev=(1.5, 9.0))},
        "no-tone": {"objective": lambda: MeasuresObjective(tone=0.0)},
        "no-light": {"objective": lambda: MeasuresObjective(light=0.0)},
        "open": {"objective": lambda: MeasuresObjective(light=15.0, freedom=0.05)},
        "more-tone": {"objective": lambda: MeasuresObjective(tone=1 / 250)},
    },
)
RECIPES = {"house": RECIPE}
