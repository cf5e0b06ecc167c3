"""Running a program to its end, and what it took: CPU seconds of all its children, wall, peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mefcli.errors import MefError


@dataclass(frozen=True)
class Cost:
    cpu_s: float
    wall_s: float
    peak_mb: float
    said: str = ""  # its stdout

    def plus(self, other: Cost) -> Cost:
        """Two programs, one after the other."""
        peak = max(self.peak_mb, other.peak_mb)
        return Cost(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s, peak, other.said)


def run(command: Sequence[str | Path], folder: Path) -> Cost:
    """Run a command in `folder`; its own report of the kernel's counters, so Unix only."""
    if not hasattr(os, "wait4"):
        raise MefError("mef bench reads the kernel's process counters, which this system does not have.")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as talk:
        began = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], cwd=folder, stdout=out, stderr=talk)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        talk.seek(0)
        said, complained = out.read().decode(errors="replace"), talk.read().decode(errors="replace")
    if process.returncode:
        last = (complained.strip() or said.strip() or "no word").splitlines()[-1]
        raise MefError(f"{Path(str(command[0])).name} ended with code {process.returncode}: {last}")
    kilobytes = used.ru_maxrss / 1024 if os.uname().sysname == "Darwin" else used.ru_maxrss
    return Cost(used.ru_utime + used.ru_stime, wall, kilobytes / 1024, said)


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(c.cpu_s for c in costs),
        statistics.median(c.wall_s for c in costs),
        statistics.median(c.peak_mb for c in costs),
        costs[-1].said,
    )
