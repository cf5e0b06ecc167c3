"""Where weights come from: every leg of training that led to them, oldest first.

A leg is one run of one recipe. Weights that a run began with bring their legs along, a blend brings those of
both sides, so nothing that a file has cost is forgotten. The legs lie in the file's metadata as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

LEGS = "lineage"  # the key in a file's metadata
UNRECORDED = "legs before this one were not recorded"


@dataclass(frozen=True)
class Leg:
    recipe: str
    steps: int
    brackets: int = 0  # simulated and seen; 0: not recorded
    hours: float = 0.0
    cpu_hours: float = 0.0  # 0: not recorded
    pictures: str = ""  # what was seen of each bracket
    began: str = ""  # the weights it began with: their SHA-256, shortened; empty: from nothing
    teacher: str = ""  # likewise, of the network it learned from
    seed: int = 0
    commit: str = ""
    data: str = ""
    device: str = ""
    note: str = ""
    asks: str = ""  # measures of a fusion that its loss had in it, with spaces between

    def words(self) -> str:
        """One line for people."""
        seen = f", {self.brackets:,} brackets" if self.brackets else ""
        cost = f"{self.cpu_hours:.2f} CPU-hours" if self.cpu_hours else f"{self.hours:.2f} hours"
        parts = [
            f"{self.recipe}: {self.steps:,} steps{seen}, {cost}",
            self.pictures,
            f"began with {self.began}" if self.began else "",
            f"taught by {self.teacher}" if self.teacher else "",
            f"seed {self.seed}",
            self.commit,
            f"asked for {', '.join(self.asks.split())}" if self.asks else "",
            self.note,
        ]
        return "; ".join(part for part in parts if part)


def to_json(legs: Sequence[Leg]) -> str:
    """Without what is empty, so that metadata stays short."""
    return json.dumps([{k: v for k, v in asdict(leg).items() if v not in ("", 0.0)} for leg in legs])


def from_json(words: str) -> tuple[Leg, ...]:
    known = set(Leg.__dataclass_fields__)
    rows: list[dict[str, Any]] = json.loads(words)
    return tuple(
        Leg(**{"recipe": "", "steps": 0, **{k: v for k, v in row.items() if k in known}}) for row in rows
    )


def of_metadata(metadata: Mapping[str, str]) -> tuple[Leg, ...]:
    """The legs that a weights file tells of; of older files the one they know."""
    if LEGS in metadata:
        return from_json(metadata[LEGS])
    if "steps" not in metadata:
        return ()
    return (
        Leg(
            recipe=metadata.get("recipe", metadata.get("model", "")),
            steps=int(metadata["steps"]),
            hours=float(metadata.get("hours") or float(metadata.get("minutes") or 0) / 60),
            seed=int(metadata.get("seed") or 0),
            commit=metadata.get("commit", ""),
            data=metadata.get("data_sha256", "")[:12],
            device=metadata.get("device", ""),
            note=UNRECORDED if metadata.get("model") != "features" else "",
        ),
    )


def legs_of(checkpoint: Mapping[str, Any]) -> tuple[Leg, ...]:
    """Every leg that a run's checkpoint tells of, its own last."""
    own = checkpoint.get("leg")
    if own is None:  # written before legs were recorded
        variant = f":{checkpoint['variant']}" if checkpoint["variant"] else ""
        leg = Leg(
            recipe=f"{checkpoint['model']}{variant}",
            steps=int(checkpoint["step"]),
            hours=round(checkpoint["elapsed_s"] / 3600, 3),
            seed=int(checkpoint["seed"]),
            data=str(checkpoint["data_hash"])[:12],
            device=str(checkpoint["device"]),
            note=UNRECORDED,
        )
        return (leg,)
    return (*from_json(checkpoint.get("earlier", "[]")), *from_json(own))


def joined(ours: Sequence[Leg], theirs: Sequence[Leg], note: str) -> tuple[Leg, ...]:
    """The legs of a blend: what both sides share once, then theirs, then ours, then what was done."""
    shared = 0
    for one, other in zip(ours, theirs, strict=False):
        # A leg gets its commit when it is exported; one that another run continued from never was.
        if replace(one, commit="") != replace(other, commit=""):
            break
        shared += 1
    blend = Leg(recipe="blend", steps=0, note=note)
    return (*theirs, *ours[shared:], blend)


def asked(legs: Sequence[Leg]) -> tuple[str, ...]:
    """The measures that any leg's loss had in it: tables of these flatter the weights."""
    found = (name for leg in legs for name in (leg.asks.split() or _asked_of_recipe(leg)))
    return tuple(dict.fromkeys(found))


def asked_of(path: Path) -> tuple[str, ...]:
    """Likewise, of a file of weights."""
    from mefcli.checkpoints import read_header

    return asked(of_metadata(read_header(path.read_bytes())))


def _asked_of_recipe(leg: Leg) -> tuple[str, ...]:
    """Of a leg that does not say so itself: those of its recipe. Before recipes were taught, one was called
    what its untaught form is called today; such a leg has no teacher."""
    from mefcli.errors import MefError
    from mefcli.training.settings import find_recipe

    model, _, variant = leg.recipe.partition(":")
    try:
        objective = find_recipe(model, variant).objective()
        if hasattr(objective, "use_teacher") and not leg.teacher:
            objective = find_recipe(model, "untaught").objective()
    except MefError:  # a blend, the feature network, a recipe that is no more
        return ()
    return objective.asks()


def table(folder: Path) -> str:
    """What every network has cost so far, as Markdown: from the metadata of the files in `folder`."""
    from mefcli.checkpoints import read_header

    lines = [
        "| file | legs recorded | steps | brackets seen | CPU-hours |",
        "|---|---|---|---|---|",
    ]
    for path in sorted(folder.glob("*.safetensors")):
        legs = of_metadata(read_header(path.read_bytes()))
        runs = [leg for leg in legs if leg.recipe != "blend"]
        hours = sum(leg.cpu_hours or leg.hours for leg in runs)
        earlier = any(leg.note == UNRECORDED for leg in runs)
        brackets = sum(leg.brackets for leg in runs)
        lines.append(
            f"| `{path.name}` | {len(runs)}{' and earlier ones' if earlier else ''} "
            f"| {sum(leg.steps for leg in runs):,} | {f'{brackets:,}' if brackets else '-'} | {hours:.2f} |"
        )
    return "\n".join(lines) + "\n"
