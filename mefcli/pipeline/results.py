"""What came of each bracket, as a value: for the screen, for scripts, and for the exit code.

JSON is made of it at the edge (`result_object`), and a journal reads it back (`done_before`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mefcli.errors import MefError, flag
from mefcli.formats.gainmap import facts_of
from mefcli.formats.table import WRITTEN
from mefcli.values import Alignment, Box, Bracket, Fused, GainMapFacts, Ghost, Ghosts, Placed, Record, Sharp


@dataclass(frozen=True)
class Done:
    bracket: Bracket
    outputs: tuple[Path, ...]
    record: Record
    size_px: tuple[int, int]
    alignment: Alignment | None = None
    ghosts: Ghosts | None = None
    seconds: float = 0.0  # from its files to its files
    before: bool = False  # by an earlier run of the same batch, and still as it was then
    sharp: Sharp | None = None  # of a focus stack
    gain_map: GainMapFacts | None = None
    thumbs: tuple[bytes, ...] = field(default=(), repr=False)  # for a batch's page, where one is asked for

    @property
    def inputs(self) -> tuple[Path, ...]:
        return self.bracket.paths


@dataclass(frozen=True)
class Failed:
    inputs: tuple[Path, ...]
    error: MefError
    bracket: Bracket | None = None
    seconds: float = 0.0


Result = Done | Failed


def done(fused: Fused, outputs: Sequence[Path]) -> Done:
    height, width, _ = fused.pixels.shape
    kept = any(WRITTEN[path.suffix.lower()].hdr == "map" for path in outputs)
    return Done(
        fused.bracket,
        tuple(outputs),
        fused.record,
        (width, height),
        fused.alignment,
        fused.ghosts,
        sum(fused.record.seconds.values()),
        sharp=fused.sharp,
        gain_map=facts_of(fused.gains) if kept and fused.gains is not None else None,
    )


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
        "warnings": list(bracket.notes),
    }


def result_object(result: Result) -> dict[str, Any]:
    """One JSON object for each bracket, the same keys whatever happened."""
    if isinstance(result, Failed):
        plan = plan_object(result.bracket) if result.bracket else {}
        return {
            **_EMPTY,
            "inputs": [str(path) for path in result.inputs],
            **plan,
            "seconds_total": round(result.seconds, 3),
            "error": error_object(result.error),
        }
    record = result.record
    return {
        **_EMPTY,
        "status": "finished before" if result.before else "done",
        **plan_object(result.bracket, result.outputs),
        "size_px": list(result.size_px),
        "model": record.model,
        "weights_sha256": record.weights_sha256,
        "settings": dict(record.settings),
        "alignment": alignment_objects(result.bracket, result.alignment),
        "box_px": list(result.alignment.box) if result.alignment else None,
        "ghosts": ghost_objects(result.bracket, result.ghosts),
        "deghost_weights_sha256": result.ghosts.weights_sha256 if result.ghosts else None,
        "sharp": sharp_objects(result.bracket, result.sharp),
        "gain_map": gain_map_object(result.gain_map),
        "seconds_total": round(result.seconds, 3),
        "seconds": {stage: round(seconds, 3) for stage, seconds in record.seconds.items()},
        "peak_memory_mb": record.peak_memory_mb,
        "warnings": list(record.notes),
    }


_EMPTY: dict[str, Any] = {
    "status": "failed",
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
    "box_px": None,
    "ghosts": None,
    "deghost_weights_sha256": None,
    "sharp": None,
    "gain_map": None,
    "seconds": {},
    "seconds_total": 0.0,
    "peak_memory_mb": None,
    "warnings": [],
    "error": None,
}


def error_object(error: MefError) -> dict[str, str]:
    """Parameters are spelled as flags: objects are what the command line tells."""
    message, hint = error.spelled(flag)
    return {"kind": type(error).__name__, "message": message, "hint": hint}


def done_before(bracket: Bracket, outputs: Sequence[Path], told: Mapping[str, Any]) -> Done:
    """A bracket's result from its object, as an earlier run told it.

    Raises KeyError, TypeError or ValueError for what this program did not tell. Outlines of ghosts and the
    map of sharp places, which only a report draws, are not in it.
    """
    width, height = (int(side) for side in told["size_px"])
    record = Record(
        model=str(told["model"]),
        weights_sha256=told["weights_sha256"],
        settings=dict(told["settings"]),
        seconds={str(stage): float(seconds) for stage, seconds in told["seconds"].items()},
        peak_memory_mb=told["peak_memory_mb"],
        notes=tuple(map(str, told["warnings"])),
        sources=tuple(path.name for path in bracket.paths),
    )
    return Done(
        bracket,
        tuple(outputs),
        record,
        (width, height),
        _alignment(told["alignment"], told.get("box_px")),
        _ghosts(told["ghosts"], told.get("deghost_weights_sha256")),
        float(told["seconds_total"]),
        before=True,
        sharp=_sharp(told.get("sharp")),
        gain_map=_gain_map(told.get("gain_map")),
    )


def _alignment(told: Any, box: Any) -> Alignment | None:
    if told is None or box is None:
        return None
    names = [one["frame"] for one in told]
    placed = tuple(
        Placed(
            one["model"],
            np.array(one["matrix"], np.float64),
            float(one["confidence"]),
            float(one["residual_px"]),
            float(one["moved_px"]),
            names.index(one["measured_against"]),
            bool(one["trusted"]),
            one.get("flow_share"),
        )
        for one in told
    )
    return Alignment(placed, _box(box))


def _ghosts(told: Any, weights_sha256: str | None) -> Ghosts | None:
    if told is None:
        return None
    reference = [bool(one["reference"]) for one in told].index(True)
    frames = tuple(Ghost(float(one["share"]), tuple(map(_box, one["boxes"]))) for one in told)
    return Ghosts(reference, frames, weights_sha256)


def _sharp(told: Any) -> Sharp | None:
    if told is None:
        return None
    return Sharp(tuple(float(one["share"]) for one in told), np.empty((0, 0), np.uint8))


def _gain_map(told: Any) -> GainMapFacts | None:
    if told is None:
        return None
    width, height = (int(side) for side in told["size_px"])
    numbers = float(told["stops"]), float(told["headroom"])
    return GainMapFacts(*numbers, (width, height), int(told["channels"]), tuple(map(str, told["told"])))


def _box(told: Any) -> Box:
    left, top, right, bottom = (int(side) for side in told)
    return left, top, right, bottom


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


def sharp_objects(bracket: Bracket, sharp: Sharp | None) -> list[dict[str, Any]] | None:
    """How much of the result each frame of a focus stack gave, near focus first; None of other fusions."""
    if sharp is None:
        return None
    return [
        {"frame": path.name, "share": round(share, 5)}
        for path, share in zip(bracket.paths, sharp.shares, strict=True)
    ]


def gain_map_object(facts: GainMapFacts | None) -> dict[str, Any] | None:
    """Of a file that holds light beyond white; None of others."""
    if facts is None:
        return None
    return {
        "stops": round(facts.stops, 3),
        "headroom": round(facts.headroom, 3),
        "size_px": list(facts.size_px),
        "channels": facts.channels,
        "told": list(facts.told),
    }
