"""What test modules import from each other's neighbourhood; fixtures live in conftest.py.

A module of its own, because several folders have a conftest.py and only one can be imported by that name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

STOPS = (-2.0, 0.0, 2.0)  # EV of the three frames of the small brackets
MakeBracket = Callable[..., list[Path]]


class Outcome:
    """What the program answered: exit code, stdout, stderr."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Mef = Callable[..., Outcome]
