"""Measures what settings and parts of a network do, by short trainings: `python docs/trainings.py DATA`.

Settings: our recipe is trained for some minutes on small crops, again with another seed, and once for each
setting in which the paper's differs, with that one of theirs (`mef train SYSTEM --variant paper.SETTING`).
Parts: our recipe without a teacher, with and without what the paper's own ablations take away. All are judged
on the eight validation scenes. `mef reproduce` tests the papers' claims with their own recipes, at length.

Writes docs/trainings.json, which docs/generate.py shows in the cards; what is there already is left as it is.
About two hours of one core.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from mefcli.training.loop import Trainer
from mefcli.training.prepare import prepare
from mefcli.training.settings import Settings, by_setting, find_recipe
from mefnets.trouble import ModelError

FOUND = Path(__file__).resolve().parent / "trainings.json"
STEPS = {"ffmef": 400, "crmef-fast": 100, "lcndr": 100, "mefcl": 60, "mgdn": 30}
CROP_PX = 96
RUNS = Path("runs/trainings")  # here, with the views of the data
# Measured one by one. Others ask for other pictures, for more of them, or are what a run is long for.
SETTINGS = (
    "warmup_steps",
    "clip_norm",
    "ema",
    "norms_rest",
    "wide",
    "padding",
    "scale",
    "scaled",
    "join",
    "norms",
    "edges",
    "start",
)
# System, steps, side of the crops, and the variants that are compared with `untaught`.
PARTS = {
    "ffmef": (500, 96, ("firm-saturation", "plain-mean", "no-global")),
    "crmef-fast": (150, 64, ("one-relighting", "no-relighting")),
    "lcndr": (150, 64, ("without_cem", "without_sam", "without_erm", "without_coordination")),
    "mgdn": (90, 64, ("without_mi", "own_guidance", "static_filters")),
}
DIGITS = {"mef_ssim": 4, "q_abf": 4, "q_w": 4, "q_cv": 1, "luma": 2}


def compared(system: str) -> list[str]:
    ours, theirs = by_setting(find_recipe(system)), by_setting(find_recipe(system, "paper"))
    return [name for name in SETTINGS if name in theirs and theirs[name] != ours.get(name)]


def trained(run: Settings) -> dict[str, float]:
    shutil.rmtree(run.folder, ignore_errors=True)  # of a measurement that was broken off
    try:
        scores = Trainer(prepare(run)).train().scores
    except ModelError:  # its pictures are not finite
        return {}
    return {name: round(scores[name], digits) for name, digits in DIGITS.items()}


def measure(name: str, runs: dict[str, Settings]) -> None:
    """Whatever of it is not measured yet."""
    for label, run in runs.items():
        kept = json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.is_file() else {}
        rows = kept.setdefault(name, {"steps": run.steps, "crop_px": run.crop_px, "scores": {}})["scores"]
        if label not in rows:
            rows[label] = trained(run)
            FOUND.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            sys.stdout.write(f"{name} {label} {rows[label]}\n")
            sys.stdout.flush()


def main(data: Path) -> None:
    usual = Settings(model="", data=data, runs=RUNS, device="cpu", validate_every_s=1e9)
    for system, (steps, side, variants) in PARTS.items():
        whole = replace(usual, model=system, variant="untaught", steps=steps, crop_px=side)
        runs = {"untaught": whole, "another seed": replace(whole, seed=1)}
        measure(f"{system}, parts", runs | {name: replace(whole, variant=name) for name in variants})
    for system, steps in STEPS.items():
        ours = replace(usual, model=system, steps=steps, crop_px=CROP_PX)
        runs = {"ours": ours, "another seed": replace(ours, seed=1)}
        measure(system, runs | {name: replace(ours, variant=f"paper.{name}") for name in compared(system)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
