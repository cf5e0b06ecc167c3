"""Ctrl-C and SIGTERM: at once while the program starts, tidily while a command is under way.

A signal that whoever started the program had it ignore (as scripts do with SIGINT after `&`) stays ignored.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTED = 130  # the exit code, for both signals
TIDY_S = 3.0
AGAIN_S = 0.01
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_at_once() -> None:
    """For the time before and after a command, when half-loaded modules would only make long tracebacks."""
    _handle(lambda number, frame: os._exit(INTERRUPTED))


@contextmanager
def stopping() -> Iterator[None]:
    """Within the block they raise `KeyboardInterrupt`; an impatient second one does not stop the tidying.

    Python drops what is raised in a callback of its own (of a weak reference, at the end of an import) and
    prints a traceback; such an interrupt is asked for again as soon as the callback is over.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last_s = float("-inf")
    under_way = True
    asked = signal.SIGINT

    def stop(number: int, frame: object) -> None:
        nonlocal last_s, asked
        now_s = time.monotonic()
        if under_way and now_s - last_s > TIDY_S:
            last_s, asked = now_s, signal.Signals(number)
            raise KeyboardInterrupt

    def ask_again() -> None:
        if under_way:
            signal.raise_signal(asked)

    def dropped(what: sys.UnraisableHookArgs) -> None:
        nonlocal last_s
        if not issubclass(what.exc_type, KeyboardInterrupt):
            tell(what)
            return
        last_s = float("-inf")
        timer = threading.Timer(AGAIN_S, ask_again)
        timer.daemon = True
        timer.start()

    tell = sys.unraisablehook
    sys.unraisablehook = dropped
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    _handle(stop)
    try:
        yield
    finally:
        under_way = False
        sys.unraisablehook = tell
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _handle(handler: Callable[[int, object], None]) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
