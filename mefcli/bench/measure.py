"""Running a program to its end, and what it took: CPU seconds of all its children, wall, peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mefcli.errors import MefError

# A process starts with its parent's peak memory as its own. Between this process, which may be large, and the
# measured one therefore stands a small one, which also keeps its own CPU time out of the figures.
LAUNCHER = """
import os, sys
pipe, command = int(sys.argv[1]), sys.argv[2:]
os.set_inheritable(pipe, False)
try:
    child = os.posix_spawnp(command[0], command, os.environ)
except OSError as reason:
    sys.exit(str(reason))
_, status, used = os.wait4(child, 0)
os.write(pipe, f"{used.ru_utime} {used.ru_stime} {used.ru_maxrss}".encode())
code = os.waitstatus_to_exitcode(status)
os._exit(code if code >= 0 else 128 - code)
"""


MOST_WARMED = 3 << 30  # bytes: about what the largest measured program takes


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
    warm_memory()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as talk:
        began = time.perf_counter()
        reading, writing = os.pipe()
        launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(writing), *(str(part) for part in command)]
        # An installed program does not compile itself at every start.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        process = subprocess.Popen(launch, cwd=folder, stdout=out, stderr=talk, pass_fds=(writing,), env=kept)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            counted = pipe.read().split()
        process.wait()
        wall = time.perf_counter() - began
        out.seek(0)
        talk.seek(0)
        said, complained = out.read().decode(errors="replace"), talk.read().decode(errors="replace")
    if len(counted) != 3 or process.returncode:
        last = (complained.strip() or said.strip() or "no word").splitlines()[-1]
        raise MefError(f"{Path(str(command[0])).name} ended with code {process.returncode}: {last}")
    cpu_s, maxrss = float(counted[0]) + float(counted[1]), float(counted[2])
    kilobytes = maxrss / 1024 if os.uname().sysname == "Darwin" else maxrss
    return Cost(cpu_s, wall, kilobytes / 1024, said)


def warm_memory() -> None:
    """Use half of the free memory, up to a bound, and give it back.

    A virtual machine hands memory that lies free for some seconds to its host. Whoever touches it next pays
    for the return, seen here 2.3 CPU-seconds a gigabyte, and that is the program that happens to come first
    after a pause, not the one that takes most.
    """
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    np.ones(min(MOST_WARMED, free // 2), np.uint8)


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(c.cpu_s for c in costs),
        statistics.median(c.wall_s for c in costs),
        statistics.median(c.peak_mb for c in costs),
        costs[-1].said,
    )
