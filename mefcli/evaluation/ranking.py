"""Means, ranks, and the place among published methods: plain arithmetic over tables of scores."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from typing import Any

BENCHMARK = "MEFB"
CAUTION = (
    "Published results of scenes with JPEG inputs went through JPEG quality 75 before they were measured. "
    "Save results for such scenes as JPEG quality 75 to compare, and never mix them with lossless ones."
)
Means = dict[str, dict[str, float]]  # method -> metric -> mean


@dataclass(frozen=True)
class Row:
    """One result's scores."""

    scene: str
    method: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Place:
    """Where a method stands among the published ones on one metric, 1 is best."""

    rank: int
    of: int


def means(rows: Sequence[Row]) -> Means:
    """Mean over scenes; scenes without a number are left out of it."""
    table: Means = {}
    for method in dict.fromkeys(row.method for row in rows):
        mine = [row.scores for row in rows if row.method == method]
        table[method] = {}
        for metric in mine[0]:
            values = [s[metric] for s in mine if metric in s and not math.isnan(s[metric])]
            table[method][metric] = sum(values) / len(values) if values else math.nan
    return table


def _key(metric: str, value: float) -> float:
    """Smaller is better."""
    from mefcli.evaluation.metrics import METRICS

    return METRICS[metric].key(value)


def ranks(table: Means) -> Means:
    """Rank of every method on every metric, 1 is best; ties share the mean of their places."""
    result: Means = {method: {} for method in table}
    for metric in dict.fromkeys(m for scores in table.values() for m in scores):
        keyed = {
            method: _key(metric, scores[metric])
            for method, scores in table.items()
            if not math.isnan(scores.get(metric, math.nan))
        }
        for method, value in keyed.items():
            better = sum(other < value for other in keyed.values())
            same = sum(other == value for other in keyed.values())
            result[method][metric] = better + (same + 1) / 2
    return result


def mean_ranks(table: Means) -> dict[str, float]:
    """Mean rank over the metrics that are ranked, for each method; over the others where these are all."""
    from mefcli.evaluation.metrics import METRICS

    found = {}
    for method, mine in ranks(table).items():
        counted = [rank for metric, rank in mine.items() if METRICS[metric].ranked] or list(mine.values())
        found[method] = sum(counted) / len(counted) if counted else math.nan
    return found


def published() -> dict[str, Any]:
    """The published means over the benchmark MEFB, as the tables of the papers print them, and a caution."""
    from mefcli.evaluation.published import systems, table_of

    methods: dict[str, dict[str, float]] = {}
    for spec in systems().values():
        table = table_of(spec)
        if table.pictures.startswith(BENCHMARK):
            for name, scores in {spec.title: table.row, **table.others}.items():
                methods.setdefault(name, {}).update(scores)
    return {"caution": CAUTION, "methods": methods}


def places(scores: Mapping[str, float]) -> dict[str, Place]:
    """For each metric that was published: the rank of these means among the published methods."""
    methods: dict[str, dict[str, float]] = published()["methods"]
    found = {}
    for metric, value in scores.items():
        others = [s[metric] for s in methods.values() if metric in s]
        if others and not math.isnan(value):
            better = sum(_key(metric, other) < _key(metric, value) for other in others)
            found[metric] = Place(better + 1, len(others) + 1)
    return found


def to_csv(rows: Sequence[Row]) -> str:
    """One line a result: scene, method, metrics."""
    metrics = list(dict.fromkeys(m for row in rows for m in row.scores))
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["scene", "method", *metrics])
    for row in rows:
        cells = [f"{row.scores[m]:.6f}" if m in row.scores else "" for m in metrics]
        writer.writerow([row.scene, row.method, *cells])
    return out.getvalue()


def to_object(rows: Sequence[Row]) -> dict[str, Any]:
    """Everything, for JSON; numbers that are none become null."""
    table = means(rows)
    result = {
        "scenes": [{"scene": r.scene, "method": r.method, "scores": dict(r.scores)} for r in rows],
        "means": table,
        "mean_rank": mean_ranks(table),
        "published_places": {m: {k: asdict(p) for k, p in places(s).items()} for m, s in table.items()},
    }
    return _finite(result)  # type: ignore[no-any-return]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
