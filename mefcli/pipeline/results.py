"""What came of each bracket, as a value: for the screen, for scripts, and for the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mefcli.errors import MefError
from mefcli.values import Bracket, Fused, Record


@dataclass(frozen=True)
class Done:
    bracket: Bracket
    outputs: tuple[Path, ...]
    record: Record
    size_px: tuple[int, int]
    extras: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    inputs: tuple[Path, ...]
    error: MefError
    bracket: Bracket | None = None


Result = Done | Failed


def done(fused: Fused, outputs: Sequence[Path]) -> Done:
    height, width, _ = fused.pixels.shape
    return Done(fused.bracket, tuple(outputs), fused.record, (width, height), dict(fused.extras))


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
        plan = plan_object(result.bracket) if result.bracket else {}
        return {
            **_EMPTY,
            "inputs": [str(path) for path in result.inputs],
            **plan,
            "error": {
                "kind": type(result.error).__name__,
                "message": result.error.message,
                "hint": result.error.hint,
            },
        }
    record = result.record
    return {
        **_EMPTY,
        **plan_object(result.bracket, result.outputs),
        "size_px": list(result.size_px),
        "model": record.model,
        "weights_sha256": record.weights_sha256,
        "settings": dict(record.settings),
        "alignment": _plain(result.extras.get("alignment")),
        "ghosts": _plain(result.extras.get("ghosts")),
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


def _plain(value: Any) -> Any:
    """Findings of any shape as what JSON knows."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    return str(value)
