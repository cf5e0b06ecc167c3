"""The other end of `worker.py`: asks, waits at most a while, and starts a new one where one has died.

A busy machine makes anything slow, so processor time counts, and the clock only as a far limit.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LIMIT_S = 20.0  # of processor time for one file
PATIENCE = 15  # times as long by the clock
HERE = Path(__file__).resolve().parent


class Worker:
    def __init__(self, log: Path) -> None:
        self.log = log
        self._start()

    def _start(self) -> None:
        paths = [str(HERE.parents[1]), str(HERE.parents[1] / "models")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", str(HERE / "worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            )

    def ask(self, request: dict[str, Any], limit_s: float = LIMIT_S) -> dict[str, Any]:
        """The answer; `{"died": code}` or `{"hung": seconds}` where there was none."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # one that died before is noticed below
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        spent_s, end_s = _processor_s(process.pid), time.monotonic() + PATIENCE * limit_s
        ready: list[Any] = []
        while not ready and time.monotonic() < end_s and _processor_s(process.pid) - spent_s < limit_s:
            ready, _, _ = select.select([process.stdout], [], [], limit_s / 4)
        line = process.stdout.readline() if ready else b""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        if not ready:
            process.kill()
        code = process.wait()
        self.close()
        self._start()
        return {"died": code} if ready else {"hung": limit_s}

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _processor_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
