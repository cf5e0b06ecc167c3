"""What a paper says that can be checked: its table of results, and what its ablations show.

A paper's `claims.py` holds `TABLE`, where the paper has one that a person can measure, and `CLAIMS`: what
its ablations show, what it says its network can do, and what else it reports. `mef reproduce` measures all of
it but the last. Names of measures
are those of `mef eval`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
    theirs: str = ""  # what `published` are figures of, where it is no measure of ours
    model: str = ""  # whose recipe, where it is not the system's own
    moved: bool = False  # it is about pairs that are not aligned


Pictures = Literal["two-under", "two-over", "ratios", "sequence", "moved"]


@dataclass(frozen=True)
class Skill:
    """What a network is said to do with pictures of a kind: seen with the weights that are there, untrained.

    Two under-exposed frames must become a picture brighter than both, two over-exposed ones a darker one;
    pairs of any two exposures one with more structure than the mean of both; three frames, one after another,
    one that tells more than the two ends alone. Of pairs that moved, `model` must come nearer to the
    reference than `against`.
    """

    name: str
    says: str
    where: str
    pictures: Pictures
    model: str = ""  # whose weights, where they are not the system's own
    against: str = ""


@dataclass(frozen=True)
class Told:
    """What a paper reports and `mef reproduce` does not measure, and where ours is told, or why nowhere."""

    name: str
    says: str
    where: str
    published: str  # its figures, in words
    here: str


Said = Claim | Skill | Told
