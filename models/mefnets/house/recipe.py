"""Training the house network:  mef train house --data TRAIN --budget 60m

Brackets of two to nine frames, half of them pairs, up to 14 stops; whole views reduced to 256 x 256: what
the network sees in use is a whole picture at working size, so that is what it sees in training. It starts
close to Mertens' fusion. One step, of one bracket, costs about 0.6 CPU-seconds.
"""

from __future__ import annotations

from mefnets.house.loss import MeasuresObjective
from mefnets.recipe import Data, Recipe

RECIPE = Recipe(
    model="house",
    data=Data(frames=(2, 9), fewer=3.0, crop_px=256, batch=1, views="whole", spread_ev=(1.5, 14.0)),
    objective=MeasuresObjective,
    steps=6000,
    lr=1e-3,
    schedule="cosine",
    warmup_steps=10,
    clip_norm=1.0,
    ema=0.99,
    wide=False,
    variants={
        "pairs": {"data": Data(frames=(2, 2), crop_px=320, batch=2, views="whole", spread_ev=(1.5, 9.0))},
        "no-tone": {"objective": lambda: MeasuresObjective(tone=0.0)},
        "no-light": {"objective": lambda: MeasuresObjective(light=0.0)},
        "open": {"objective": lambda: MeasuresObjective(light=15.0, freedom=0.05)},
        "more-tone": {"objective": lambda: MeasuresObjective(tone=1 / 60)},
    },
)
RECIPES = {"house": RECIPE}
