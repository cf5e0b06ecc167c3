"""What an authors' checkpoint turned out to be, once a package's `importer.py` has looked at its keys.

An importer has `knows(keys)`, whether names like these are its authors', and `read(tensors)`, which gives
them our names and says what else their network needs: build options, luminance range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class Published:
    what: str  # in words, for the reader and the file's metadata
    tensors: dict[str, Tensor]  # under our names
    options: dict[str, object] = field(default_factory=dict)  # for build(), beside the SPEC's own
    luma_range: Literal["full", "studio"] = "full"
    colour_order: str = "RGB"  # of pictures going in and coming out
    left: tuple[str, ...] = ()  # their tensors that no result depends on


class UnlikeError(ValueError):
    """The names are the authors', and yet this is no network that can be built here. Says why."""


def renamed(
    theirs: Mapping[str, Tensor], name: Callable[[str], str | None], idle: Callable[[str], bool]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """(tensors under our names, what was left aside as idle). An UnlikeError names keys without a place."""
    found: dict[str, Tensor] = {}
    left, strange = [], []
    for key, value in theirs.items():
        if idle(key):
            left.append(key)
        elif (ours := name(key)) is None:
            strange.append(key)
        else:
            found[ours] = value
    if strange:
        raise UnlikeError(f"{len(strange)} tensors have no place ({', '.join(strange[:6])})")
    return found, tuple(left)


def swapped(key: str, table: Mapping[str, str]) -> str | None:
    """`key` with its beginning exchanged as the table says: the longest one that fits a whole name."""
    for theirs in sorted(table, key=len, reverse=True):
        if key.startswith(theirs + "."):
            return table[theirs] + key[len(theirs) :]
    return None
