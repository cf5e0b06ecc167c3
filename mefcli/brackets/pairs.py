"""Visible and infrared pictures of one view on a card: each finds its other by name.

`street_vis.jpg` and `street_ir.tif`, `street.jpg` and `street_ir.tif`, `visible/street.jpg` and
`thermal/street.tif`, or a folder for each pair with `VI.jpg` and `IR.jpg` in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mefcli.brackets.discover import one_of_each_pair
from mefcli.brackets.group import Grouping, Leftover
from mefcli.brackets.pair import visible_and_thermal
from mefcli.errors import MismatchError
from mefcli.job import RawOrJpeg
from mefcli.values import Bracket, Shot

VISIBLE = frozenset(("vi", "vis", "visible", "visual", "rgb", "colour", "color"))
INFRARED = frozenset(("ir", "infrared", "thermal", "lwir", "mwir", "swir", "nir"))
BETWEEN = re.compile(r"[^0-9a-z]+")  # words of a name
Key = tuple[Path, str]  # what both pictures of a pair have in common


def pairs_of(shots: Sequence[Shot], raw_or_jpeg: RawOrJpeg = "raw") -> Grouping:
    """The pairs by their names, and what has no other. Names without a word for it are visible ones."""
    kept = one_of_each_pair([shot for shot in shots if not shot.fused], raw_or_jpeg)
    chosen = {id(shot) for shot in kept}
    left: list[Leftover] = [(shot, _passed_over(shot)) for shot in shots if id(shot) not in chosen]
    seen: dict[Key, tuple[list[Shot], list[Shot]]] = {}
    for shot in kept:
        key, is_thermal = _placed(shot.path)
        seen.setdefault(key, ([], []))[is_thermal].append(shot)
    pairs: list[Bracket] = []
    for visible, thermal in seen.values():
        why = _why_none(visible, thermal)
        if not why:
            try:
                pairs.append(visible_and_thermal((visible[0], thermal[0])))
            except MismatchError as error:
                why = str(error)
        if why:
            left += [(shot, why) for shot in (*visible, *thermal)]
    return Grouping(tuple(sorted(pairs, key=lambda pair: pair.paths)), tuple(left), "infrared")


def _placed(path: Path) -> tuple[Key, bool]:
    """What a picture has in common with its other, and whether it is the infrared one."""
    words = [word for word in BETWEEN.split(path.stem.lower()) if word]
    told = [index for index, word in enumerate(words) if word in VISIBLE | INFRARED]
    if told:
        word = words.pop(told[-1])
        return (path.parent, "_".join(words)), word in INFRARED
    folder = path.parent.name.lower()
    if folder in VISIBLE | INFRARED:
        return (path.parent.parent, "_".join(words)), folder in INFRARED
    return (path.parent, "_".join(words)), False


def _why_none(visible: Sequence[Shot], thermal: Sequence[Shot]) -> str:
    if not thermal:
        return "no infrared picture has its name"
    if not visible:
        return "no visible picture has its name"
    if len(visible) + len(thermal) > 2:
        return f"{len(visible)} visible and {len(thermal)} infrared pictures have its name"
    return ""


def _passed_over(shot: Shot) -> str:
    return "it is a fused picture itself" if shot.fused else "another file of the same name is used"
