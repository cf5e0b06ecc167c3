"""What a paper says that can be checked: its table of results, and what its ablations show.

A paper's `claims.py` holds `TABLE`, where the paper has one that a person can measure, and `CLAIMS`;
`mef reproduce` measures both. Names of measures are those of `mef eval`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Table:
    """A paper's row of results, and those it prints beside it."""

    where: str  # in the paper
    pictures: str  # what they were measured on
    row: Scores
    others: Mapping[str, Scores] = field(default_factory=dict)
    jpeg_quality: int | None = None  # what results of scenes with JPEG frames went through first


@dataclass(frozen=True)
class Claim:
    """One ablation: what `without` has is worse than what `full` has, by `measure`.

    Both name a variant of the network's recipe. Where the paper shows pictures, or measures by what needs a
    reference that scenes may lack, `instead` is what we read in its place; it is called ours in the results.
    """

    name: str
    says: str  # in a sentence
    where: str
    without: str
    full: str = "paper"
    measure: str | None = None  # the paper's; None: it shows pictures
    published: tuple[float, float] | None = None  # without, full
    instead: str = "MEF_SSIM"
    model: str = ""  # whose recipe, where it is not the system's own
