"""Ctrl-C reaches a command wherever it strikes."""

from __future__ import annotations

import signal
import time
import weakref
from collections.abc import Iterator

import pytest

from mefcli.cli.interrupts import stopping


class Kept:
    pass


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Tests started in a shell's background are told to ignore SIGINT, and so is what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_within_a_callback_of_python_s_own_is_not_lost(
    kind: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = [Kept()]
    reference = weakref.ref(kept[0], lambda _: signal.raise_signal(kind))

    def work() -> None:
        kept.clear()
        for _ in range(500):
            time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt), stopping():
        work()
    assert reference() is None
    assert "Traceback" not in capfd.readouterr().err
