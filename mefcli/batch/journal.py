"""What has been done, in an SQLite file beside the outputs, so that a batch can go on where it was cut off.

A bracket is entered as begun before its work starts and as done, in one transaction, when all its outputs
are in place. It counts as done as long as settings, sources and outputs are what they were. An output that is
not in the journal, or was changed since, is somebody else's and never replaced without being asked to.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mefcli.batch.plan import Work
from mefcli.errors import OutputError

NAME = ".mef-journal.sqlite"
ANOTHER = "Use --overwrite to replace it, or give another folder with -o."
SCHEMA = """
CREATE TABLE IF NOT EXISTS brackets (
    output TEXT PRIMARY KEY,    -- the first output, relative to the journal's folder
    state TEXT NOT NULL,        -- begun, done, failed
    settings TEXT NOT NULL,     -- fingerprint of everything that was chosen
    sources TEXT NOT NULL,      -- [[path, bytes, mtime_ns, hash], ...]
    outputs TEXT NOT NULL,      -- [[path, bytes, mtime_ns], ...]
    result TEXT                 -- the JSON line
)
"""


class Journal:
    def __init__(self, folder: Path, *, weights: str = "") -> None:
        """`weights` is the fingerprint of the model's weights, a part of every bracket's settings."""
        self.folder = folder.resolve()
        self.weights = weights
        self.path = self.folder / NAME
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.database = sqlite3.connect(
                self.path, timeout=2, isolation_level=None, check_same_thread=False
            )
            # Held until the process ends, however it ends: two batches never share a folder.
            self.database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self.database.execute("PRAGMA synchronous=FULL")
            self.database.execute("BEGIN EXCLUSIVE")
            self.database.execute(SCHEMA)
            self.database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise OutputError(
                    f"Another mef batch is writing into {folder}.", "Wait for it, or give another folder."
                ) from error
            raise OutputError(
                f"{self.path} cannot be used: {error}.", "Give another folder with -o."
            ) from error
        except sqlite3.DatabaseError as error:
            raise OutputError(
                f"{self.path} is damaged: {error}.", "Move it away; with --overwrite all is fused again."
            ) from error
        except OSError as error:
            raise OutputError(
                f"Cannot write into {folder}: {error.strerror}.", "Give another folder with -o."
            ) from error

    def close(self) -> None:
        self.database.close()

    def finished(self, work: Work) -> dict[str, Any] | None:
        """The result of an earlier run, if everything is still as it was then."""
        row = self._row(work)
        if row is None or row["state"] != "done" or row["settings"] != self._settings(work):
            return None
        if not self._untouched(row) or not _same_sources(json.loads(row["sources"]), work.bracket.paths):
            return None
        result: dict[str, Any] = json.loads(row["result"])
        return result

    def check_free(self, work: Work) -> None:
        """Refuse to replace what this journal did not make."""
        row = self._row(work)
        ours = {entry[0]: entry for entry in json.loads(row["outputs"])} if row is not None else {}
        for output in work.outputs:
            if not output.exists() or work.job.overwrite:
                continue
            entry = ours.get(self._key(output))
            if entry is None:
                raise OutputError(
                    f"{output} exists already.", "Use --overwrite to replace it, or another -o."
                )
            if row is not None and row["state"] == "done" and entry[1:] != _size_and_time(output):
                raise OutputError(
                    f"{output} was changed since it was fused.",
                    "Use --overwrite to replace it, or another -o.",
                )

    def begin(self, work: Work) -> None:
        outputs = [[self._key(output), None, None] for output in work.outputs]
        self._put(work, "begun", [], outputs, None)

    def finish(self, work: Work, result: dict[str, Any]) -> None:
        sources = [[str(path), *_size_and_time(path), content_hash(path)] for path in work.bracket.paths]
        outputs = [[self._key(output), *_size_and_time(output)] for output in work.outputs]
        self._put(work, "done", sources, outputs, result)

    def fail(self, work: Work, result: dict[str, Any]) -> None:
        self._put(work, "failed", [], [], result)

    def _row(self, work: Work) -> dict[str, Any] | None:
        cursor = self.database.execute("SELECT * FROM brackets WHERE output=?", [self._key(work.outputs[0])])
        row = cursor.fetchone()
        return dict(zip([part[0] for part in cursor.description], row, strict=True)) if row else None

    def _put(self, work: Work, state: str, sources: Any, outputs: Any, result: Any) -> None:
        values = [self._key(work.outputs[0]), state, self._settings(work)]
        values += [json.dumps(sources), json.dumps(outputs), json.dumps(result)]
        self.database.execute("INSERT OR REPLACE INTO brackets VALUES (?,?,?,?,?,?)", values)

    def _key(self, output: Path) -> str:
        place = output.resolve()
        return str(place.relative_to(self.folder)) if place.is_relative_to(self.folder) else str(place)

    def _untouched(self, row: dict[str, Any]) -> bool:
        return all(
            (self.folder / path).exists() and [size, when] == _size_and_time(self.folder / path)
            for path, size, when in json.loads(row["outputs"])
        )

    def _settings(self, work: Work) -> str:
        from mefcli import __version__

        chosen = {
            name: value for name, value in vars(work.job).items() if name not in ("overwrite", "max_memory")
        }
        evs, names = list(work.bracket.evs), [str(output.name) for output in work.outputs]
        told = [__version__, self.weights, chosen, evs, work.bracket.reference, names, work.curve]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _same_sources(before: Sequence[Sequence[Any]], paths: Sequence[Path]) -> bool:
    if [entry[0] for entry in before] != [str(path) for path in paths]:
        return False
    for path, (_, size, when, content) in zip(paths, before, strict=True):
        if not path.exists():
            return False
        now = _size_and_time(path)
        # A copied file has another time; only then is it read.
        if now != [size, when] and (now[0] != size or content_hash(path) != content):
            return False
    return True


def _size_and_time(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def content_hash(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
