"""What came of each bracket, as a value: for the screen, for scripts, and for the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mefcli.errors import MefError, flag
from mefcli.values import Alignment, Bracket, Fused, Ghosts, Record


@dataclass(frozen=True)
class Done:
    bracket: Bracket
    outputs: tuple[Path, ...]
    record: Record
    size_px: tuple[int, int]
    alignment: Alignment | None = None
    ghosts: Ghosts | None = None


@dataclass(frozen=True)
class Failed:
    inputs: tuple[Path, ...]
    error: MefError
    bracket: Bracket | None = None


Result = Done | Failed


def done(fused: Fused, outputs: Sequence[Path]) -> Done:
    height, width, _ = fused.pixels.shape
    return Done(fused.bracket, tuple(outputs), fused.record, (width, height), fused.alignment, fused.ghosts)


def exit_code(results: Iterable[Result]) -> int:
    return 1 if any(isinstance(result, Failed) for result in results) else 0


def plan_object(bracket: Bracket, outputs: Sequence[Path] = ()) -> dict[str, Any]:
    """What would be fused, for `--dry-run --json`."""
    return {
        "inputs": [str(path) for path in bracket.paths],
        "evs": list(bracket.evs),
        "reference": str(bracket.paths[bracket.reference]),
        "why": bracket.why,
        "outputs": [str(path) for path in outputs],
    }


def result_object(result: Result) -> dict[str, Any]:
    """One JSON object for each bracket, the same keys whatever happened."""
    if isinstance(result, Failed):
        message, hint = result.error.spelled(flag)
        plan = plan_object(result.bracket) if result.bracket else {}
        return {
            **_EMPTY,
            "inputs": [str(path) for path in result.inputs],
            **plan,
            "error": {"kind": type(result.error).__name__, "message": message, "hint": hint},
        }
    record = result.record
    return {
        **_EMPTY,
        **plan_object(result.bracket, result.outputs),
        "size_px": list(result.size_px),
        "model": record.model,
        "weights_sha256": record.weights_sha256,
        "settings": dict(record.settings),
        "alignment": alignment_objects(result.bracket, result.alignment),
        "ghosts": ghost_objects(result.bracket, result.ghosts),
        "seconds": {stage: round(seconds, 3) for stage, seconds in record.seconds.items()},
        "peak_memory_mb": record.peak_memory_mb,
        "warnings": list(record.notes),
    }


_EMPTY: dict[str, Any] = {
    "inputs": [],
    "evs": [],
    "reference": None,
    "why": None,
    "outputs": [],
    "size_px": None,
    "model": None,
    "weights_sha256": None,
    "settings": {},
    "alignment": None,
    "ghosts": None,
    "seconds": {},
    "peak_memory_mb": None,
    "warnings": [],
    "error": None,
}


def alignment_objects(bracket: Bracket, alignment: Alignment | None) -> list[dict[str, Any]] | None:
    """What alignment found for each frame, dark to bright; None where it did not run."""
    if alignment is None:
        return None
    names = [path.name for path in bracket.paths]
    return [
        {
            "frame": name,
            "model": one.model,
            "matrix": one.matrix.tolist(),
            "confidence": round(one.confidence, 3),
            "residual_px": one.residual_px,
            "moved_px": round(one.moved_px, 3),
            "measured_against": names[one.via],
            "kept_identity": one.kept_identity,
            "trusted": one.trusted,
            **({} if one.flow_share is None else {"flow_share": one.flow_share}),
        }
        for name, one in zip(names, alignment.placed, strict=True)
    ]


def ghost_objects(bracket: Bracket, ghosts: Ghosts | None) -> list[dict[str, Any]] | None:
    """What moved in each frame, dark to bright; None where nobody looked."""
    if ghosts is None:
        return None
    return [
        {
            "frame": path.name,
            "reference": index == ghosts.reference,
            "share": round(one.share, 5),
            "boxes": [list(box) for box in one.boxes],
        }
        for index, (path, one) in enumerate(zip(bracket.paths, ghosts.frames, strict=True))
    ]
