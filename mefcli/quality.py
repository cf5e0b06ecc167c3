"""How good each model's pictures are, as measured: `scores.json` beside the weights, for lists and tables.

`mef train scores` writes it. A row names the weights it was measured with, and counts for no others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mefcli import checkpoints, storage
from mefcli.errors import InputError
from mefnets import ModelSpec

SCORES = "scores.json"
NAMES = ("MEF_SSIM", "Q_ABF", "Q_W", "Q_CV", "crushed", "blown", "colour")
MEGAPIXELS = 0.25
PICTURES = "darkest and brightest usable frame of {scenes} scenes, at most {megapixels:g} MP"
DIGITS = 5
STAR = "*"  # after a number that weights were trained on
STARRED = f"{STAR} what the weights were trained on: such a number flatters them."


def quality_of(spec: ModelSpec, path: Path | None = None) -> Mapping[str, float] | None:
    """The means of a model with the weights that are here; None where nobody measured them.

    `path`: its weights, where they may be others than those that are found by its name."""
    row = _row(spec, path)
    return None if row is None else {name: row[name] for name in NAMES}


def trained_on(spec: ModelSpec, path: Path | None = None) -> tuple[str, ...]:
    """Those of the measures that were in the loss of the weights: these numbers flatter them."""
    return tuple((_row(spec, path) or {}).get("trained_on", ()))


def _row(spec: ModelSpec, path: Path | None) -> Mapping[str, Any] | None:
    if path is not None and path != checkpoints.find_weights(spec):
        return None
    for folder in checkpoints.weight_folders():
        row = _read(folder / SCORES).get("models", {}).get(spec.name)
        if row is None:
            continue
        if spec.weights and row["weights_sha256"] != checkpoints.known_hashes(folder).get(spec.weights):
            return None
        return row  # type: ignore[no-any-return]
    return None


def words_of(spec: ModelSpec) -> str:
    """What is known of a model's pictures, in a few words."""
    return spec.merit or words(quality_of(spec), trained_on(spec))


def words(quality: Mapping[str, float] | None, asked: Sequence[str] = ()) -> str:
    """structure 0.983*, tone 274, lost 0.2 %*"""
    if quality is None:
        return "not measured"
    structure, tone, lost = cells(quality, asked)
    return f"structure {structure}, tone {tone}, lost {lost}"


def cells(quality: Mapping[str, float], asked: Sequence[str] = ()) -> tuple[str, str, str]:
    """Structure, tone, and what is lost; with a star where the weights were `asked` for it in training."""
    lost = 100 * (quality["crushed"] + quality["blown"])
    told = {
        "MEF_SSIM": f"{quality['MEF_SSIM']:.3f}",
        "Q_CV": f"{quality['Q_CV']:.0f}",
        "crushed": f"{lost:.1f} %",
    }
    structure, tone, lost_words = (f"{word}{STAR}" if name in asked else word for name, word in told.items())
    return structure, tone, lost_words


def measure(
    folder: Path,
    scenes: Path,
    *,
    anew: bool = False,
    names: Sequence[str] | None = None,
    on_model: Callable[[str, str], None] = lambda name, words: None,
) -> Path:
    """Measure every model whose weights in `folder` have no row yet, all of them with `anew`."""
    from mefcli.evaluation import methods, ranking
    from mefcli.evaluation.scenes import find_scenes

    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", "Name the folder of the weights.")
    found = find_scenes(scenes)
    path = folder / SCORES
    pictures = PICTURES.format(scenes=len(found), megapixels=MEGAPIXELS)
    kept = _load(path)
    rows: dict[str, Any] = kept.get("models", {}) if kept.get("pictures") == pictures else {}
    hashes = checkpoints.known_hashes(folder)
    for name, spec in checkpoints.known_models("exposure").items():
        sha256 = hashes.get(spec.weights) if spec.weights else None
        wanted = not names or name in names
        if not wanted or (spec.weights and sha256 is None):
            continue
        asked = methods.trained_on([name], NAMES).get(name, ())
        if not anew and name in rows and rows[name]["weights_sha256"] == sha256:
            rows[name]["trained_on"] = list(asked)
            continue
        makers = methods.from_models([name])
        scored = list(methods.evaluate(found, makers, names=NAMES, max_pixels=MEGAPIXELS, ends=True))
        means = ranking.means(scored)[name]
        rows[name] = {
            "weights_sha256": sha256,
            "trained_on": list(asked),
            **{key: round(value, DIGITS) for key, value in means.items() if not math.isnan(value)},
        }
        on_model(name, words(rows[name], asked))
        _write(path, pictures, rows)
    _write(path, pictures, rows)
    return path


def _write(path: Path, pictures: str, rows: Mapping[str, Any]) -> None:
    table = {"pictures": pictures, "models": dict(sorted(rows.items()))}
    storage.write_text(path, json.dumps(table, indent=1) + "\n")
    _read.cache_clear()


@lru_cache
def _read(path: Path) -> dict[str, Any]:
    return _load(path)


def _load(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}
