"""Which release this is. pyproject.toml takes the number from here.

Asking the installed package costs 0.03 CPU-seconds: `importlib.metadata` loads the library for e-mail.
"""

from __future__ import annotations

VERSION = "0.1.0"


def version() -> str:
    return VERSION
