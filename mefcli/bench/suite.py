"""The runs of `mef bench fusion`: our models, the floor below them, and other programs where found."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mefcli.bench.measure import Cost, median, run
from mefcli.errors import MefError

REFERENCE = "enfuse -d 16"  # what ratios are to


@dataclass(frozen=True)
class Row:
    program: str
    megapixels: float
    frames: int
    cpu_s: float
    wall_s: float
    peak_mb: float
    cpu_ratio: float | None = None  # to enfuse -d 16 in the same run
    stages_s: dict[str, float] = field(default_factory=dict)
    trouble: str = ""


Runner = Callable[[list[Path], Path], Cost]


def runners(models: Sequence[str], extra: Sequence[str] = ()) -> dict[str, Runner]:
    """Every program to measure on this machine, by name."""
    python = sys.executable
    found: dict[str, Runner] = {
        "import torch": lambda files, folder: run([python, "-c", "import torch"], folder),
        "I/O floor": lambda files, folder: run(
            [python, "-m", "mefcli.bench.floor", "io", "o.tif", *files], folder
        ),
    }
    for model in models:
        found[f"mef {model}"] = _mef(python, model, extra)
    if shutil.which("enfuse"):
        found[REFERENCE] = _enfuse
        if shutil.which("align_image_stack"):
            found["align_image_stack + enfuse"] = _hugin
    found["OpenCV MergeMertens"] = lambda files, folder: run(
        [python, "-m", "mefcli.bench.floor", "opencv", "cv.tif", *files], folder
    )
    return found


def _mef(python: str, model: str, extra: Sequence[str]) -> Runner:
    settings = ["--compression", "none", "--overwrite", "--quiet", "--json", *extra]
    return lambda files, folder: run(
        [python, "-m", "mefcli", "fuse", *files, "-o", "mef.tif", "--model", model, *settings], folder
    )


def _enfuse(files: list[Path], folder: Path) -> Cost:
    return run(["enfuse", "-d", "16", "-o", "enfuse.tif", *files], folder)


def _hugin(files: list[Path], folder: Path) -> Cost:
    aligned = run(["align_image_stack", "-a", "al_", *files], folder)
    frames = sorted(folder.glob("al_*.tif"))
    try:
        return aligned.plus(run(["enfuse", "-d", "16", "-o", "hugin.tif", *frames], folder))
    finally:
        for frame in frames:
            frame.unlink()


def measure(
    folder: Path,
    programs: dict[str, Runner],
    megapixels: Sequence[float],
    frames: Sequence[int],
    repeats: int,
    on_run: Callable[[str], None],
    *,
    moved: bool = False,
) -> Iterator[list[Row]]:
    """One list of rows for each size and number of frames: medians of `repeats` interleaved rounds.

    `moved`: brackets as from the hand.
    """
    for size, count, files in brackets(folder, megapixels, frames, on_run, moved=moved):
        costs: dict[str, list[Cost]] = {name: [] for name in programs}
        troubles: dict[str, str] = {}
        for turn in range(repeats):
            for name, runner in programs.items():
                if name in troubles:
                    continue
                on_run(f"{size:g} MP x {count}: {name}, {turn + 1} of {repeats}")
                try:
                    costs[name].append(runner(files, folder))
                except MefError as error:
                    troubles[name] = str(error)
        yield _rows(size, count, costs, troubles)


def brackets(
    folder: Path,
    megapixels: Sequence[float],
    frames: Sequence[int],
    on_run: Callable[[str], None],
    *,
    moved: bool = False,
) -> Iterator[tuple[float, int, list[Path]]]:
    """Size, frames and files of each bracket, made when it is asked for and gone when the next one is."""
    hand = ["moved"] if moved else []
    for size, count in itertools.product(megapixels, frames):
        on_run(f"{size:g} MP x {count}: making the bracket")
        run([sys.executable, "-m", "mefcli.bench.scene", folder, f"{size}", f"{count}", *hand], folder)
        files = sorted(folder.glob("*MP_*.jpg"))
        yield size, count, files
        for file in files:
            file.unlink()


def _rows(size: float, count: int, costs: dict[str, list[Cost]], troubles: dict[str, str]) -> list[Row]:
    reference = median(costs[REFERENCE]).cpu_s if costs.get(REFERENCE) else None
    rows = []
    for name, runs in costs.items():
        if name in troubles or not runs:
            rows.append(Row(name, size, count, 0.0, 0.0, 0.0, trouble=troubles.get(name, "did not run")))
            continue
        cost = median(runs)
        ratio = cost.cpu_s / reference if reference else None
        rows.append(Row(name, size, count, cost.cpu_s, cost.wall_s, cost.peak_mb, ratio, _stages(cost.said)))
    return rows


def _stages(said: str) -> dict[str, float]:
    """The seconds a `mef fuse --json` reports for its stages."""
    try:
        told: Any = json.loads(said.strip().splitlines()[-1])
        return {stage: float(seconds) for stage, seconds in told["seconds"].items()}
    except (IndexError, ValueError, KeyError, TypeError, AttributeError):
        return {}
