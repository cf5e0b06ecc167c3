"""What file names mean elsewhere: which Windows cannot hold, and which are one where case is ignored."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

WINDOWS = os.name == "nt"
DEVICES = frozenset(
    ("con", "prn", "aux", "nul", "conin$", "conout$")
    + tuple(f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³")
)
FORBIDDEN = '<>:"|?*'
LONGEST = 259  # characters of a path, where longer ones are not switched on


def same_name(path: Path) -> str:
    """Alike for paths that are one file where case, or the way accents are written, is ignored."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def trouble_on_windows(path: Path) -> str | None:
    """Why Windows would not write this file, or would write another; None elsewhere and of any other name."""
    if not WINDOWS:
        return None
    for part in path.parts:
        if part in (path.anchor, ".", ".."):
            continue
        if part.split(".")[0].rstrip(" ").lower() in DEVICES:
            return f"{part} is the name of a device"
        if part != part.rstrip(" ."):
            return f"{part!r} ends in a space or a dot, which Windows drops"
        if any(letter in FORBIDDEN or ord(letter) < 32 for letter in part):
            return f"{part!r} holds one of {' '.join(FORBIDDEN)}"
    return None


def too_long_told(path: Path) -> str:
    """A word more where a path is longer than Windows takes unless that is switched on."""
    length = len(os.path.abspath(path))  # noqa: PTH100 - no link is followed
    if not WINDOWS or length <= LONGEST:
        return ""
    return f" The path has {length} characters, {LONGEST} are possible: shorten it, or switch on long paths."
