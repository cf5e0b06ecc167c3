"""The program in a process of its own, killed, starved of disk, or robbed of its files at random moments."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Children forked off a parent that has everything imported: hundreds of runs, one start of torch.
SERVER = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from mefcli.cli.app import run
import mefcli.api, mefcli.cli.fuse, mefcli.formats.decoding, mefcli.formats.encoding, mefcli.pipeline.fuse
import cv2, tifffile, imagecodecs, PIL.Image, exifread
cv2.setNumThreads(0)
for line in sys.stdin:
    arguments = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        log = os.open(arguments.pop(0), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
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

    def start(self, *arguments: object) -> int:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write("\t".join(map(str, (self.log, *arguments))) + "\n")
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
    """Temporary files and other things nobody asked for."""
    return [path for path in folder.rglob("*") if path.name.startswith(".")]
