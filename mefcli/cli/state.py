"""How much the program says, for the whole run: set by options, read by the screen."""

from __future__ import annotations

import os

debug = bool(os.environ.get("MEF_DEBUG"))
quiet = False
verbose = False


def set_debug(wanted: bool) -> bool:
    global debug
    debug = debug or wanted
    return wanted


def set_talk(*, silent: bool, talkative: bool) -> None:
    global quiet, verbose
    quiet, verbose = silent, talkative and not silent
