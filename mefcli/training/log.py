"""The log of a run as CSV: a row every few steps and per validation. A resumed run cuts it back first."""

from __future__ import annotations

import csv
import json
from pathlib import Path

COLUMNS = ("step", "seconds", "progress", "lr", "loss", "terms", "scores")


class Log:
    """Terms and scores differ between recipes; each is one column of JSON."""

    def __init__(self, path: Path, resumed_step: int) -> None:
        self.path = path
        kept: list[dict[str, str]] = []
        if path.is_file() and resumed_step:
            with path.open(newline="") as file:
                kept = [row for row in csv.DictReader(file) if int(row["step"]) <= resumed_step]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)

    def add(
        self,
        step: int,
        seconds: float,
        progress: float,
        lr: float,
        loss: float | None = None,
        terms: dict[str, float] | None = None,
        scores: dict[str, float] | None = None,
    ) -> None:
        row = {
            "step": step,
            "seconds": f"{seconds:.1f}",
            "progress": f"{progress:.4f}",
            "lr": f"{lr:.3g}",
            "loss": "" if loss is None else f"{loss:.6g}",
            "terms": _compact(terms),
            "scores": _compact(scores),
        }
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)


def _compact(values: dict[str, float] | None) -> str:
    return json.dumps({name: float(f"{value:.5g}") for name, value in values.items()}) if values else ""
