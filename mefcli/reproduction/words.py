"""What was found, as one object for programs and as Markdown for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mefcli.checkpoints import SET
from mefcli.evaluation.methods import trained_words
from mefcli.evaluation.metrics import METRICS
from mefcli.reproduction.ablations import Finding
from mefcli.reproduction.table import AVERAGE, Measured, order
from mefnets import ModelSpec
from mefnets.claims import Claim, Table, Told


def to_object(
    spec: ModelSpec, table: Table, measured: Measured | None, findings: Sequence[Finding]
) -> dict[str, Any]:
    assert spec.paper
    return {
        "system": spec.name,
        "paper": spec.paper.title,
        "table": {
            "where": table.where,
            "pictures": table.pictures,
            "jpeg_quality": table.jpeg_quality,
            "published": {"this paper": dict(table.row), **{k: dict(v) for k, v in table.others.items()}},
            "scenes": measured.scenes if measured else 0,
            "measured": {m: _finite(s) for m, s in measured.rows.items() if m != "paper"} if measured else {},
            "absent": list(measured.absent) if measured else ["no folder of scenes was given"],
            "trained_on": {row: list(names) for row, names in measured.trained_on.items()}
            if measured
            else {},
        },
        "claims": [_claim(one) for one in findings],
    }


def _claim(one: Finding) -> dict[str, Any]:
    claim = one.claim
    published = claim.published if isinstance(claim, Claim) else None
    return {
        "name": claim.name,
        "says": claim.says,
        "where": claim.where,
        "published": dict(zip(("without", "full"), published, strict=True)) if published else None,
        "published_measure": (claim.measure or claim.theirs or None) if isinstance(claim, Claim) else None,
        "published_words": claim.published if isinstance(claim, Told) else None,
        "verdict": one.verdict,
        "measure": one.measure or None,
        **_finite({"without": one.without, "full": one.full, "standard_error": one.error}),
        "note": one.note,
        "figures": _finite(one.figures) if one.figures else None,
    }


def _finite(scores: Any) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def to_markdown(spec: ModelSpec, table: Table, measured: Measured | None, findings: Sequence[Finding]) -> str:
    assert spec.paper
    names = list(table.row)
    lines = [
        f"# {spec.title}: what its paper says, and what is measured here",
        "",
        f"{spec.paper.authors}: *{spec.paper.title}*, {spec.paper.venue} {spec.paper.year}.",
        "",
        f"## {table.where[0].upper()}{table.where[1:]} ({table.pictures})",
        "",
        _row(["", *(f"{name} {METRICS[name].arrow}" for name in names)]),
        _row(["---"] * (len(names) + 1)),
    ]
    rows = {**{name: dict(scores) for name, scores in table.others.items()}, "paper": dict(table.row)}
    lines += [_scores(f"{name}, published", scores, names) for name, scores in rows.items()]
    if measured:
        mine = [name for name in order(list(measured.rows)) if name != "paper"]
        lines += [_scores(_shown(spec, name), measured.rows[name], names) for name in mine]
        words = f"Measured on {measured.scenes} scenes"
        if table.jpeg_quality:
            words += f"; results of scenes with JPEG frames went through JPEG quality {table.jpeg_quality}"
        lines += ["", f"{words}."]
        lines += [f"{words}: a table of these flatters it." for words in trained_words(measured.trained_on)]
        lines += [f"Not here: {'; '.join(measured.absent)}."] if measured.absent else []
    else:
        lines += ["", "Not measured: no folder of scenes was given."]
    lines += [
        "",
        "## Claims",
        "",
        "| claim | where | published (ablations: without, in full) | measured (without, in full) | verdict |",
    ]
    lines += [_row(["---"] * 5), *(_finding(one) for one in findings), ""]
    return "\n".join(lines)


def _shown(spec: ModelSpec, name: str) -> str:
    """A measured row, told apart."""
    ours = {spec.name: ", our best", f"{spec.name}{SET}paper": ", the paper's recipe trained by us"}
    return f"**{'mean of both frames' if name == AVERAGE else name}**{ours.get(name, '')}, measured"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _scores(name: str, scores: Any, names: Sequence[str]) -> str:
    return _row([name, *(_number(n, scores.get(n, math.nan)) for n in names)])


def _number(measure: str, value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.{METRICS[measure].decimals}f}"


def _finding(one: Finding) -> str:
    claim = one.claim
    printed = claim.published if isinstance(claim, Told) else "pictures"
    if isinstance(claim, Claim) and (claim.measure or claim.theirs):
        printed = "-"
        if claim.published:
            printed = f"{claim.measure or claim.theirs} {claim.published[0]:g}, {claim.published[1]:g}"
    here = "-"
    if one.measure:
        pair = f"{_number(one.measure, one.without)}, {_number(one.measure, one.full)}"
        here = f"{one.measure} {pair} (± {one.error:.2g})"
    note = f": {one.note}" if one.note else ""
    return _row([claim.says, claim.where, printed, here, f"**{one.verdict}**{note}"])
