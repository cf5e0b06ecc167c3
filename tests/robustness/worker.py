"""A process that reads untrusted pictures as `mef info` and `mef fuse` do, and says what came of each.

One JSON request a line on stdin, one answer a line on stdout. Its memory is capped. Whoever asks measures the
time, and notices if the process dies.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import resource
import sys
import traceback
from pathlib import Path
from typing import Any

MEMORY_BYTES = 4 << 30
MAX_PIXELS = 30_000_000


def look(path: Path) -> dict[str, Any]:
    """Reads facts, metadata and pixels. `fault` is an exception that is none of ours."""
    from mefcli import formats
    from mefcli.errors import MefError

    answer: dict[str, Any] = {"refused": None, "fault": None, "pixels": None}
    for read in (formats.read_shot, formats.read_metadata, lambda p: formats.decode_reduced(p, 64), _pixels):
        try:
            found = read(path)
            if read is _pixels:
                answer["pixels"] = found
        except MefError as error:
            answer["refused"] = error.message
            if "\n" in error.message or not error.message.endswith("."):
                answer["fault"] = f"not one sentence: {error.message!r}"
        except Exception:
            answer["fault"] = traceback.format_exc()
            break
    return answer


def _pixels(path: Path) -> str:
    from mefcli import formats

    picture = formats.decode(path, max_pixels=MAX_PIXELS)
    return hashlib.sha256(picture.pixels.tobytes()).hexdigest() + repr(picture.pixels.shape)


def run(arguments: list[str]) -> dict[str, Any]:
    """The program itself, with its exit code and what it said."""
    from mefcli.cli import app, state

    state.debug = state.quiet = state.verbose = False
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = app.run(arguments)
    return {"code": code, "err": err.getvalue()}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        answer = look(Path(request["look"])) if "look" in request else run(request["run"])
        answer["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
