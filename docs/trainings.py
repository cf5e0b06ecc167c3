"""Measures what each setting of a paper does to our recipe: `python docs/trainings.py DATA [SYSTEM ...]`.

Our recipe is trained for some minutes on small crops, again with another seed, and once for each setting in
which the paper's differs, with that one of the paper's (`mef train SYSTEM --variant paper.SETTING`). All are
judged on the eight validation scenes. Writes docs/trainings.json, which docs/generate.py shows in the
cards; what is there already is left as it is. About an hour and a half of one core.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from mefcli.training.loop import Trainer
from mefcli.training.prepare import prepare
from mefcli.training.settings import WITH_THE_LOSS, Settings, by_setting, find_recipe

FOUND = Path(__file__).resolve().parent / "trainings.json"
STEPS = {"ffmef": 400, "crmef-fast": 100, "lcndr": 120, "mefcl": 100, "mgdn": 60}
CROP_PX = 96
RUNS = Path("runs/trainings")  # here, with the views of the data
# What is judged are whole pictures: these ask for other pictures, or for more of them.
OF_PICTURES = {
    "views",
    "crop_px",
    "batch",
    "turns",
    "frames",
    "spread_ev",
    "lopsided",
    "misaligned",
    "fisheye",
}
NOT_BY_ITSELF = OF_PICTURES | WITH_THE_LOSS | {"normals", "extremes", "steps", "betas"}
MEASURES = {"mef_ssim": 4, "q_abf": 4, "q_w": 4, "q_cv": 1}


def compared(system: str) -> list[str]:
    ours, theirs = by_setting(find_recipe(system)), by_setting(find_recipe(system, "paper"))
    return [name for name, value in theirs.items() if name not in NOT_BY_ITSELF and value != ours.get(name)]


def trained(run: Settings) -> dict[str, float]:
    shutil.rmtree(run.folder, ignore_errors=True)  # of a measurement that was broken off
    outcome = Trainer(prepare(run)).train()
    return {name: round(outcome.scores[name], digits) for name, digits in MEASURES.items()}


def main(data: Path, systems: list[str]) -> None:
    kept = json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.is_file() else {}
    for system in systems or STEPS:
        rows = kept.setdefault(system, {"steps": STEPS[system], "crop_px": CROP_PX, "scores": {}})["scores"]
        ours = Settings(
            model=system,
            data=data,
            runs=RUNS,
            steps=STEPS[system],
            crop_px=CROP_PX,
            device="cpu",
            validate_every_s=1e9,
        )
        runs = {"ours": ours, "another seed": replace(ours, seed=1)}
        runs |= {name: replace(ours, variant=f"paper.{name}") for name in compared(system)}
        for name, run in runs.items():
            if name not in rows:
                rows[name] = trained(run)
                FOUND.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
                sys.stdout.write(f"{system} {name} {rows[name]}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
