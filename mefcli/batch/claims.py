"""What a bracket is about to put into place, noted beside the journal just before, by content.

Whoever fuses may be killed between the move and the journal's entry, in a process or on a machine that cannot
reach the journal. The next run knows by this note which file it made; whatever else lies there is somebody
else's.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from mefcli import storage
from mefcli.batch.plan import Work

MOST_BYTES = 1 << 20  # a note holds a hash or a few


def content_hash(path: Path) -> str:
    """An OSError for what is no file: a pipe would be waited for, a device never ends."""
    if not path.is_file():
        path.stat()
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def claim(work: Work, moves: Sequence[tuple[Path, Path]]) -> None:
    """Note what is about to be moved to the outputs, beside what an earlier try may have moved there."""
    check_ours(work)
    if work.claim is not None:
        contents = claimed(work.claim) | {content_hash(temporary) for _, temporary in moves}
        storage.write_text(work.claim, json.dumps(sorted(contents)))


def check_ours(work: Work) -> None:
    """Refuse to replace a file that no earlier run made."""
    if work.job.overwrite:
        return
    known = work.ours | (claimed(work.claim) if work.claim else frozenset())
    for output in work.outputs:
        if output.exists() and not (output.is_file() and content_hash(output) in known):
            raise storage.exists_already(output)


def claimed(note: Path) -> frozenset[str]:
    """The contents in a note; none where there is no note, or a damaged one, or something else."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if not note.is_file() or note.stat().st_size > MOST_BYTES:
            return frozenset()
        contents = json.loads(note.read_text("utf-8"))
        if isinstance(contents, list):
            return frozenset(content for content in contents if isinstance(content, str))
    return frozenset()
