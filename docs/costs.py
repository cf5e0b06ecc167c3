"""Measures what whole programs cost, for the table of docs/engine.md: `python docs/costs.py [REPEATS]`.

Brackets as `mef bench` makes them, JPEG to 16-bit TIFF; every program in turn on the same files, medians.
Ratios hold on a busy machine, too, seconds on this one. Writes docs/costs.json, which docs/generate.py shows.
`enfuse` and `align_image_stack` have to be there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mefcli.bench.measure import Cost, median, run
from mefcli.bench.suite import REFERENCE, Runner, brackets, runners

COSTS = Path(__file__).resolve().parent / "costs.json"
PLAIN = ("--compression", "none")


@dataclass(frozen=True)
class Case:
    """One size of bracket, from a tripod or from the hand, and the ways that it is fused."""

    megapixels: float
    frames: int
    moved: bool
    ways: dict[str, tuple[str, ...]]  # what mef is told beside its defaults
    peers: tuple[str, ...] = ()
    once: bool = False  # large ones, of whose memory once is enough


HUGIN = "align_image_stack + enfuse"
CASES = (
    Case(
        24,
        3,
        False,
        {"default options": PLAIN, "deflate": (), "`--align off`": (*PLAIN, "--align", "off")},
        (REFERENCE,),
    ),
    Case(24, 3, True, {"default options": PLAIN}, (REFERENCE, HUGIN)),
    Case(24, 9, True, {"default options": PLAIN}, (REFERENCE,), once=True),
    Case(0.1, 3, False, {"default options": ()}),
    Case(100, 3, False, {"default options": PLAIN}, once=True),
    Case(50, 9, False, {"default options": PLAIN}, once=True),
)


def _mef(settings: Sequence[str]) -> Runner:
    command = [sys.executable, "-m", "mefcli", "fuse"]
    told = ["-o", "mef.tif", "--overwrite", "--quiet", *settings]
    return lambda files, folder: run([*command, *files, *told], folder)


def measured(case: Case, folder: Path, repeats: int) -> list[dict[str, object]]:
    programs = {f"mef, {way}": _mef(settings) for way, settings in case.ways.items()}
    known = runners([])
    programs |= {name: known[name] for name in case.peers}
    rows: list[dict[str, object]] = []
    for _, _, files in brackets(folder, [case.megapixels], [case.frames], _say, moved=case.moved):
        costs: dict[str, list[Cost]] = {name: [] for name in programs}
        for turn in range(1 if case.once else repeats):
            for name, program in programs.items():
                _say(f"{case.frames} x {case.megapixels:g} MP: {name}, {turn + 1}")
                costs[name].append(program(files, folder))
        middle = {name: median(each) for name, each in costs.items()}
        for name, cost in middle.items():
            rows.append(
                {
                    "bracket": f"{case.frames} x {case.megapixels:g} MP, {_from(case)}",
                    "program": name,
                    "cpu_s": round(cost.cpu_s, 2),
                    "wall_s": round(cost.wall_s, 1),
                    "peak_mb": round(cost.peak_mb),
                    **({"ratio": round(cost.cpu_s / middle[REFERENCE].cpu_s, 3)} if case.peers else {}),
                }
            )
    return rows


def _from(case: Case) -> str:
    return "hand" if case.moved else "tripod"


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


def main(repeats: int) -> None:
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            rows += measured(case, Path(folder), repeats)
    COSTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
