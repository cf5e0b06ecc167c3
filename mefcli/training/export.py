"""Weights to ship: safetensors whose metadata says where they come from, and the table of their hashes."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from mefcli import storage
from mefcli.errors import OutputError, named
from mefcli.training.lineage import LEGS, joined, legs_of, of_metadata, to_json

if TYPE_CHECKING:
    from mefnets.recipe import Recipe
    from mefnets.spec import ModelSpec

HALF_ABOVE_BYTES = 4_000_000  # larger sets are stored as float16
HASHES = "hashes.json"


def commit(folder: Path) -> str:
    """The checkout's commit, "+changes" where files differ from it; empty outside of a checkout."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "mefcli/training", "models")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def write_weights(
    state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str], half: bool | None = None
) -> str:
    """Write `path` and its line in hashes.json beside it; returns the SHA-256."""
    import torch
    from safetensors.torch import save

    floats = sum(t.numel() for t in state.values() if t.is_floating_point())
    if half is None:
        half = floats * 4 > HALF_ABOVE_BYTES
    stored = {
        name: (t.half() if half and t.is_floating_point() else t).detach().cpu().contiguous()
        for name, t in state.items()
    }
    if any(t.is_floating_point() and not torch.isfinite(t).all() for t in stored.values()):
        raise OutputError(
            "The weights hold values that are not finite.", "Train again from an older checkpoint."
        )
    data = save(stored, {**metadata, "dtype": "float16" if half else "float32"})
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = replace_file(path, data)
    record_hash(path, digest)
    return digest


def record_hash(path: Path, digest: str) -> None:
    """hashes.json: file name -> SHA-256, sorted."""
    table = path.parent / HASHES
    hashes = json.loads(table.read_text()) if table.is_file() else {}
    hashes[path.name] = digest
    replace_file(table, (json.dumps(dict(sorted(hashes.items())), indent=2) + "\n").encode())


def replace_file(path: Path, data: bytes) -> str:
    """Write the whole file or nothing; its SHA-256."""
    storage.write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Blend:
    """Older weights to be mixed in: between two ends of one lineage lies what each alone gave up."""

    weights: Path
    share: float  # of the run; the rest is theirs
    data: Path  # a mixture is no step of any run, so it is scored anew


def export_run(
    model: str,
    folder: Path,
    variant: str,
    which: str,
    out: Path,
    blend: Blend | None = None,
    default: bool = False,
) -> tuple[Path, str, int]:
    """The averaged weights of the run in `folder` into `out`; (path, SHA-256, bytes).

    Those of a variant become a set of their own, MODEL@VARIANT, unless they are to be the model's default.
    """
    import torch

    from mefcli.checkpoints import SET, read_header
    from mefcli.errors import InputError
    from mefcli.training.settings import find_recipe
    from mefcli.training.store import Store
    from mefnets import MODELS

    checkpoint = folder / f"{which}.pt"
    if not checkpoint.is_file():
        raise InputError(
            f"There is no {checkpoint}.",
            f"Train first, or name the run's {named('seed')}, {named('variant')} and {named('crop_px')}.",
        )
    kept = torch.load(checkpoint, map_location="cpu", weights_only=True)
    recipe = find_recipe(model, variant)
    spec = MODELS[recipe.model]
    stamp = commit(Path(__file__).resolve().parent)
    *before, own = legs_of(kept)
    legs = (*before, replace(own, commit=stamp))
    metadata = {
        "model": spec.name,
        "recipe": f"{model}{':' + variant if variant else ''}",
        "commit": stamp,
        "data": kept.get("data_words", Store.words),
        "data_sha256": kept["data_hash"],
        "seed": str(kept["seed"]),
        "steps": str(kept["step"]),
        "hours": f"{kept['elapsed_s'] / 3600:.2f}",
        "device": kept["device"],
        "validation": json.dumps({k: round(float(v), 4) for k, v in kept["scores"].items()}),
        "licence": kept.get("licence", Store.licence),
        "options": json.dumps(recipe.options),
        "luma_range": spec.luma_range,
    }
    state = kept["average"]
    if blend is not None:
        state, changes = _blended(spec, recipe, state, blend, folder.parent / "cache")
        legs = joined(legs, of_metadata(read_header(blend.weights.read_bytes())), changes["blend"])
        metadata |= changes
    metadata[LEGS] = to_json(legs)
    kind = f"{SET}{variant}" if variant and not default else ""
    path = out / f"{spec.name}{kind}.safetensors"
    digest = write_weights(state, path, metadata)
    return path, digest, path.stat().st_size


def _blended(
    spec: ModelSpec, recipe: Recipe, state: Mapping[str, Tensor], blend: Blend, cache: Path
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The mixed weights, and what their metadata says of it."""
    from mefcli.checkpoints import read_weights
    from mefcli.errors import UsageError
    from mefcli.training.prepare import data_at, judged_by
    from mefcli.training.validate import validate
    from mefnets.engine.fuser import build_network

    if not 0 < blend.share < 1:
        raise UsageError("A blend needs some of both.", f"Give {named('share')} between 0 and 1.")
    others, sha256, about = read_weights(blend.weights)
    alike = {n: t.shape for n, t in others.items()} == {n: t.shape for n, t in state.items()}
    if not alike or about.get("luma_range", spec.luma_range) != spec.luma_range:
        raise UsageError(f"{blend.weights.name} is not of the same network.", "Blend weights of one model.")
    mixed = {
        name: (others[name].float().lerp(ours.float(), blend.share) if ours.is_floating_point() else ours)
        for name, ours in state.items()
    }
    spec = replace(spec, options={**spec.options, **recipe.options})
    brackets = judged_by(data_at(blend.data, cache), spec, recipe)
    scores = validate(spec, build_network(spec, mixed), brackets).scores
    return mixed, {
        "blend": f"{blend.share:g} of this run, {1 - blend.share:g} of {about.get('recipe', '')} "
        f"({about.get('commit', '')}, SHA-256 {sha256[:12]})",
        "validation": json.dumps({name: round(float(value), 4) for name, value in scores.items()}),
    }


def export_features(network: nn.Module, out: Path, metadata: Mapping[str, str]) -> tuple[Path, str]:
    path = out / "features.safetensors"
    state = network.state_dict()
    base = {"model": "features", "commit": commit(Path(__file__).resolve().parent), "licence": "MIT"}
    return path, write_weights(state, path, {**base, **metadata}, half=True)
