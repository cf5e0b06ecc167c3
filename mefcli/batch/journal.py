"""What has been done, in an SQLite file beside the outputs, so that a batch can go on where it was cut off.

A bracket is entered as begun before its work starts and as done, in one transaction, when all its outputs
are in place. It counts as done as long as settings, sources and outputs are what they were. An output that is
not in the journal, or was changed since, is somebody else's and never replaced without being asked to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mefcli.batch.plan import Work
from mefcli.errors import OutputError

NAME = ".mef-journal.sqlite"
BROKEN = (sqlite3.Error, UnicodeDecodeError)  # the latter where SQLite quotes a damaged file
COLUMNS = "output, state, settings, sources, outputs, result"
SCHEMA = """
CREATE TABLE IF NOT EXISTS brackets (
    output TEXT PRIMARY KEY,    -- the first output, relative to the journal's folder
    state TEXT NOT NULL,        -- begun, done, failed
    settings TEXT NOT NULL,     -- fingerprint of everything that was chosen
    sources TEXT NOT NULL,      -- [[path, bytes, mtime_ns, hash], ...]; without hash while begun
    outputs TEXT NOT NULL,      -- [[path, bytes, mtime_ns], ...]; null where not yet written
    result TEXT                 -- the JSON line
)
"""


@dataclass(frozen=True)
class _Row:
    state: str
    settings: str
    sources: list[list[Any]]
    outputs: list[list[Any]]
    result: dict[str, Any]

    @classmethod
    def read(cls, columns: Sequence[Any]) -> _Row:
        """Raises for anything that this program did not write."""
        _, state, settings, *texts = columns
        sources, outputs, result = (json.loads(text) for text in texts)
        for entry in (*sources, *outputs):
            if not isinstance(entry, list) or not isinstance(entry[0], str):
                raise ValueError
        if {len(entry) for entry in sources} - {4 if state == "done" else 3}:
            raise ValueError
        if {len(entry) for entry in outputs} - {3}:
            raise ValueError
        if not isinstance(result, dict | None):
            raise ValueError
        return cls(state, settings, sources, outputs, result or {})


class Journal:
    def __init__(self, folder: Path, *, weights: str = "") -> None:
        """`weights` is the fingerprint of the model's weights, a part of every bracket's settings."""
        self.folder = folder.resolve()
        self.weights = weights
        self.path = self.folder / NAME
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and not self.path.is_file():
                raise self._trouble("is no file")
            self.database = sqlite3.connect(
                self.path, timeout=2, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise OutputError(
                f"Cannot write into {folder}: {reason}.", "Give another folder with -o."
            ) from error
        try:
            self._open()
        except BROKEN as error:
            self.close()
            if "locked" in str(error):
                raise OutputError(
                    f"Another mef batch is writing into {folder}.", "Wait for it, or give another folder."
                ) from error
            raise self._trouble(error) from error

    def _open(self) -> None:
        # Held until the process ends, however it ends: two batches never share a folder.
        self.database.execute("PRAGMA locking_mode=EXCLUSIVE")
        self.database.execute("PRAGMA synchronous=FULL")
        self.database.execute("PRAGMA trusted_schema=OFF")
        self.database.execute("BEGIN EXCLUSIVE")
        self.database.execute(SCHEMA)
        self.database.execute("COMMIT")
        (verdict,) = self.database.execute("PRAGMA quick_check(1)").fetchone()
        kind = self.database.execute("SELECT type FROM sqlite_master WHERE name='brackets'").fetchone()
        if verdict != "ok" or kind != ("table",):
            raise sqlite3.DatabaseError(verdict if verdict != "ok" else "it is no journal of mef's")
        self.database.execute(f"SELECT {COLUMNS} FROM brackets LIMIT 1")
        self.file = _identity(self.path)

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.database.close()

    def finished(self, work: Work) -> dict[str, Any] | None:
        """The result of an earlier run, if everything is still as it was then."""
        row = self._row(work)
        if row is None or row.state != "done" or row.settings != self._settings(work):
            return None
        if not self._untouched(row, work) or not _same_sources(row.sources, work.bracket.paths):
            return None
        if not (row.result.get("inputs") and isinstance(row.result.get("outputs"), list)):
            raise self._trouble("is damaged: a result is missing")
        return row.result

    def check_free(self, work: Work) -> None:
        """Refuse to replace what this journal did not make."""
        row = self._row(work)
        ours = {entry[0]: entry for entry in row.outputs} if row is not None else {}
        for output in work.outputs:
            if not output.exists() or work.job.overwrite:
                continue
            entry = ours.get(self._key(output))
            if entry is None:
                raise OutputError(
                    f"{output} exists already.", "Use --overwrite to replace it, or another -o."
                )
            if row is not None and row.state != "begun" and entry[1:] != _size_and_time(output):
                raise OutputError(
                    f"{output} was changed since it was fused.",
                    "Use --overwrite to replace it, or another -o.",
                )

    def begin(self, work: Work) -> None:
        before = self._known_outputs(work)
        outputs = [before.get(key, [key, None, None]) for key in map(self._key, work.outputs)]
        try:
            sources = [[str(path), *_size_and_time(path)] for path in work.bracket.paths]
        except OSError:  # gone already; reading it will tell
            sources = []
        self._put(work, "begun", sources, outputs, None)

    def finish(self, work: Work, result: dict[str, Any]) -> dict[str, Any]:
        """Enter a bracket as done. The result comes back, with a warning where that was not possible."""
        row = self._row(work)
        try:
            sources = [[str(path), *_size_and_time(path), content_hash(path)] for path in work.bracket.paths]
        except OSError:
            sources = []
        if row is None or not sources or [entry[:3] for entry in sources] != row.sources:
            changed = "A source changed or vanished during the run; the next run fuses it again."
            return {**result, "warnings": [*result["warnings"], changed]}
        outputs = [[self._key(output), *_size_and_time(output)] for output in work.outputs]
        self._put(work, "done", sources, outputs, result)
        return result

    def fail(self, work: Work, result: dict[str, Any]) -> None:
        """What an earlier run made stays in the journal: it is still ours to replace."""
        self._put(work, "failed", [], list(self._known_outputs(work).values()), result)

    def _known_outputs(self, work: Work) -> dict[str, list[Any]]:
        row = self._row(work)
        return {entry[0]: entry for entry in row.outputs if entry[1] is not None} if row else {}

    def _row(self, work: Work) -> _Row | None:
        try:
            found = self.database.execute(
                f"SELECT {COLUMNS} FROM brackets WHERE output=?", [self._key(work.outputs[0])]
            ).fetchone()
            return _Row.read(found) if found else None
        except BROKEN as error:
            raise self._trouble(error) from error
        except (ValueError, TypeError, IndexError, RecursionError) as error:
            raise self._trouble("is damaged: an entry cannot be read") from error

    def _put(self, work: Work, state: str, sources: Any, outputs: Any, result: Any) -> None:
        if _identity(self.path) != self.file:  # SQLite would go on with the file that nobody sees any more
            raise OutputError(
                f"{self.path} vanished during the run.",
                "Pictures fused so far are whole. Run the same command again, with --overwrite.",
            )
        values = [self._key(work.outputs[0]), state, self._settings(work)]
        values += [json.dumps(sources), json.dumps(outputs), json.dumps(result)]
        try:
            self.database.execute("INSERT OR REPLACE INTO brackets VALUES (?,?,?,?,?,?)", values)
        except BROKEN as error:
            raise self._trouble(error) from error

    def _trouble(self, reason: object) -> OutputError:
        """One sentence about the file, which may be a stranger's and hold anything."""
        if isinstance(reason, sqlite3.OperationalError):
            reason = f"cannot be used: {reason}"
        elif isinstance(reason, sqlite3.Error):
            reason = f"is damaged: {reason}"
        elif isinstance(reason, UnicodeDecodeError):
            reason = "is damaged: it holds no text"
        words = "".join(c if c.isprintable() else "?" for c in " ".join(str(reason).split()))
        return OutputError(
            f"{self.path} {words[:200]}.", "Move it away, or give another folder with -o; sources are safe."
        )

    def _key(self, output: Path) -> str:
        place = output.resolve()
        key = str(place.relative_to(self.folder)) if place.is_relative_to(self.folder) else str(place)
        return key.encode(errors="backslashreplace").decode()  # names need not be text, the database's must

    def _untouched(self, row: _Row, work: Work) -> bool:
        known = {path: [size, when] for path, size, when in row.outputs}
        return all(
            output.exists() and known.get(self._key(output)) == _size_and_time(output)
            for output in work.outputs
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


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _size_and_time(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def content_hash(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
