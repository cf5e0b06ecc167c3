"""The program in a process of its own, killed, starved of disk, or robbed of its files at random moments."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mefcli import formats
from mefcli.batch.journal import NAME as JOURNAL

ROOT = Path(__file__).resolve().parents[2]

# Children forked off a parent that has everything imported: hundreds of runs, one start of torch.
SERVER = """
import ctypes, os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from mefcli.cli import interrupts
from mefcli.cli.app import run
import mefcli.api, mefcli.cli.batch, mefcli.cli.fuse, mefcli.pipeline.fuse
import mefcli.formats.decoding, mefcli.formats.encoding
import cv2, tifffile, imagecodecs, PIL.Image, exifread
cv2.setNumThreads(0)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore it
interrupts.end_at_once()  # as main() does

def obey_permissions():
    # Root may read and write anything by two capabilities (linux/capability.h); give them up.
    libc, header, held = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, held)
    held[0] &= ~0b110
    held[1] &= ~0b110
    assert libc.capset(header, held) == 0

for line in sys.stdin:
    arguments = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        log = os.open(arguments.pop(0), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if arguments.pop(0) == "meek":
            obey_permissions()
        os._exit(run(arguments))
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Runs:
    """Starts runs one after the other; `pid` of the one under way is known at once."""

    def __init__(self, log: Path) -> None:
        self.log = log
        paths = [str(ROOT), str(ROOT / "models")]
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        )

    def start(self, *arguments: object, meek: bool = False) -> int:
        """A `meek` run obeys permissions even where the tests run as root."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write("\t".join(map(str, (self.log, "meek" if meek else "", *arguments))) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def end(self) -> tuple[int, str]:
        """Exit code, and what the run said."""
        assert self.server.stdout is not None
        code = int(self.server.stdout.readline())
        return code, self.log.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        self.server.kill()
        self.server.wait()
        for stream in (self.server.stdin, self.server.stdout):
            if stream is not None:
                stream.close()


def hashes(paths: list[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def hidden(folder: Path) -> list[Path]:
    """Temporary files and other things nobody asked for; the journal of a batch is not one."""
    return [
        path for path in folder.rglob("*") if path.name.startswith(".") and not path.name.startswith(JOURNAL)
    ]


def outputs(folder: Path) -> dict[str, int]:
    """The pictures below a folder, and their sizes."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*.tif")
        if not path.name.startswith(".")
    }


def alive(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


CODES = {signal.SIGINT: 130, signal.SIGTERM: 130, signal.SIGKILL: -signal.SIGKILL}
ENDS = tuple(CODES)


def shoot(
    runs: Runs, arguments: Sequence[object], signals: tuple[signal.Signals, ...], times: int, out: Path
) -> dict[str, int]:
    """Runs a command `times` over, each ended by a signal at a random moment; what became of them.

    A run goes on with what the last one left, until all outputs are there; then `out` is emptied.
    """
    sources = sorted(path for path in out.parent.rglob("*.jpg"))
    before = hashes(sources)
    for again in ((), ("--overwrite",)):  # the first run warms up, the second is timed
        start = time.monotonic()
        runs.start(*arguments, *again)
        code, said = runs.end()
        assert code == 0, said
        whole_s = time.monotonic() - start
    whole = outputs(out)
    assert whole
    chance = random.Random(4)
    met = {"ended": 0, "done": 0}
    for number in range(times):
        if outputs(out) == whole:
            shutil.rmtree(out)
            out.mkdir()
        pid = runs.start(*arguments)
        time.sleep(chance.random() * whole_s * 0.9)
        kind = signals[number % len(signals)]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, kind)
        code, said = runs.end()
        assert code in (0, CODES[kind]), said
        assert "Traceback" not in said
        met["done" if code == 0 else "ended"] += 1
        assert hashes(sources) == before
        for name, size in outputs(out).items():
            assert size == whole[name], "an output that is not whole"
            formats.decode(out / name)
        if code == 0 or (len(signals) == 1 and kind != signal.SIGKILL):
            assert not hidden(out), said
    runs.start(*arguments, "--overwrite")
    assert runs.end()[0] == 0
    assert not hidden(out)
    assert outputs(out) == whole
    return met
