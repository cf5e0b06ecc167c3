"""How many processors a command takes, settled before the engine is loaded.

The engine's strips wait for nobody; networks that run in PyTorch do. By default its threads wait for each
other by spinning, one for every processor. That is fast while each has a processor to itself. Where other
programs are at work, a thread that has lost its processor lets the others spin: a fusion of 0.1 MP on two
processors with ten programs in line took 13 s of CPU and a minute of waiting, with patient threads 0.6 s and
5 s, on as many threads as processors were free 0.2 s and 1.6 s.
"""

from __future__ import annotations

import os

from mefnets.engine.threads import free_processors

STEADY = ("train", "search")  # hours long: the load when they begin says little


def settle(command: str | None) -> None:
    """Let threads sleep while they wait, and take the processors that are free; your OMP_* settings win."""
    if command in STEADY:
        return
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OMP_NUM_THREADS", str(free_processors()))
