"""What the whole run of the program needs to know: whether tracebacks are wanted."""

from __future__ import annotations

import os

debug = bool(os.environ.get("MEF_DEBUG"))


def set_debug(wanted: bool) -> bool:
    global debug
    debug = debug or wanted
    return wanted
