"""What has been done, in an SQLite file beside the outputs, so that a batch can go on where it was cut off.

A bracket is entered as begun before its work starts and as done, in one transaction, when all its outputs
are in place. It counts as done as long as settings, sources and outputs are what they were, wherever they lie
and however their paths are typed. An output is known by its content: what is not in the journal, nor in the
note of a run that was cut off (see claims), is somebody else's and never replaced without being asked to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mefcli.batch.claims import claimed as read_claim
from mefcli.batch.claims import content_hash
from mefcli.batch.plan import Work
from mefcli.errors import OutputError, named
from mefcli.pipeline.results import Done, Failed, done_before, result_object
from mefcli.storage import syncs

NAME = ".mef-journal.sqlite"
BROKEN = (sqlite3.Error, UnicodeDecodeError)  # the latter where SQLite quotes a damaged file
# What changes no pixel; weights are told by their content.
UNSEEN = ("overwrite", "max_memory", "weights", "debug_dir")
COLUMNS = "output, state, settings, sources, outputs, result"
SCHEMA = """
CREATE TABLE IF NOT EXISTS brackets (
    output TEXT PRIMARY KEY,    -- the first output, relative to the journal's folder
    state TEXT NOT NULL,        -- begun, done, failed
    settings TEXT NOT NULL,     -- fingerprint of everything that was chosen
    sources TEXT NOT NULL,      -- [[path, bytes, mtime_ns, hash], ...]; without hash while begun
    outputs TEXT NOT NULL,      -- [[path, bytes, mtime_ns, hash], ...]; null where not yet written
    result TEXT                 -- the JSON line
)
"""

KEPT = """
CREATE TABLE IF NOT EXISTS kept (
    name TEXT PRIMARY KEY,      -- thumbs:OUTPUT or page:PATH
    value BLOB NOT NULL
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
        outputs = [[*entry, None] if len(entry) == 3 else entry for entry in outputs]  # of older journals
        if {len(entry) for entry in outputs} - {4}:
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
            self.level = "FULL" if syncs(self.path) else "OFF"  # SQLite gives up where it cannot sync
            self.database = sqlite3.connect(
                self.path, timeout=2, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise OutputError(
                f"Cannot write into {folder}: {reason}.", "Give another folder for the results."
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
        self.database.execute(f"PRAGMA synchronous={self.level}")
        self.database.execute("PRAGMA trusted_schema=OFF")
        self.database.execute("BEGIN EXCLUSIVE")
        self.database.execute(SCHEMA)
        self.database.execute(KEPT)
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

    def keep(self, kind: str, path: Path, value: bytes) -> None:
        """Something for the next run that no result depends on; nothing takes it away again."""
        name = self._kept(kind, path)
        try:
            if value:
                self.database.execute("INSERT OR REPLACE INTO kept VALUES (?,?)", [name, value])
            else:
                self.database.execute("DELETE FROM kept WHERE name=?", [name])
        except BROKEN as error:
            raise self._trouble(error) from error

    def kept(self, kind: str, path: Path) -> bytes:
        try:
            query = "SELECT value FROM kept WHERE name=?"
            found = self.database.execute(query, [self._kept(kind, path)]).fetchone()
        except BROKEN as error:
            raise self._trouble(error) from error
        return found[0] if found and isinstance(found[0], bytes) else b""

    def _kept(self, kind: str, path: Path) -> str:
        return f"{kind}:{self._key(path)}"

    def finished(self, work: Work) -> Done | None:
        """The result of an earlier run, if everything is still as it was then."""
        row = self._row(work)
        if row is None or row.state != "done" or row.settings != self._settings(work):
            return None
        if len(self._ours(work, row)) < len(work.outputs):
            return None
        self._forget_claim(work)  # a run may have been killed between the entry and this
        if not _same_sources(row.sources, work.bracket.paths):
            return None
        try:
            return done_before(work.bracket, work.outputs, row.result)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._trouble("is damaged: a result cannot be read") from error

    def check_free(self, work: Work) -> None:
        """Refuse to replace what this journal did not make."""
        if work.job.overwrite:
            return
        row = self._row(work)
        ours = self._ours(work, row)
        known = {entry[0] for entry in row.outputs if entry[1] is not None} if row else set()
        for output in work.outputs:
            if output.exists() and output not in ours:
                what = "was changed since it was fused" if self._key(output) in known else "exists already"
                raise OutputError(
                    f"{output} {what}.", f"Use {named('overwrite')} to replace it, or give another folder."
                )

    def begin(self, work: Work) -> Work:
        """The work as it is handed out: it knows what it may replace, and where to note what it writes."""
        ours = self._ours(work, self._row(work))
        try:
            sources = [[_name(path), *_size_and_time(path)] for path in work.bracket.paths]
        except OSError:  # gone already; reading it will tell
            sources = []
        self._put(work, "begun", sources, self._entries(work, ours), None)
        self.keep("thumbs", work.outputs[0], b"")  # of what was there before
        self._forget_claim(work)  # its contents are in the entry
        contents = frozenset(content for _, _, content in ours.values())
        return replace(work, ours=contents, claim=self._claim(work))

    def finish(self, work: Work, result: Done) -> Done:
        """Enter a bracket as done. The result comes back, with a warning where that was not possible."""
        row = self._row(work)
        try:
            sources = [
                [_name(path), *_size_and_time(path), content_hash(path)] for path in work.bracket.paths
            ]
        except OSError:
            sources = []
        if row is None or not sources or [entry[:3] for entry in sources] != row.sources:
            changed = "A source changed or vanished during the run; the next run fuses it again."
            notes = (*result.record.notes, changed)
            return replace(result, record=replace(result.record, notes=notes))
        entries = self._entries(work, self._ours(work, row))
        self._put(work, "done", sources, entries, result_object(result))
        self._forget_claim(work)
        return result

    def fail(self, work: Work, result: Failed) -> None:
        """What this or an earlier run made stays in the journal: it is still ours to replace."""
        entries = self._entries(work, self._ours(work, self._row(work)))
        self._put(work, "failed", [], entries, result_object(result))
        self._forget_claim(work)

    def _ours(self, work: Work, row: _Row | None) -> dict[Path, list[Any]]:
        """Size, time and content of the outputs that are there and were made by this batch."""
        known = {entry[0]: entry[1:] for entry in row.outputs} if row else {}
        claimed = read_claim(self._claim(work))
        ours = {}
        for output in work.outputs:
            with contextlib.suppress(OSError):  # none is there, or it vanished this moment
                now = _size_and_time(output)
                size, when, content = known.get(self._key(output), (None, None, None))
                if now == [size, when]:
                    ours[output] = [*now, content or content_hash(output)]
                elif (content is not None and size == now[0]) or claimed:
                    found = content_hash(output)  # copied, touched, or moved there just before the end
                    if found == content or found in claimed:
                        ours[output] = [*now, found]
        return ours

    def _entries(self, work: Work, ours: Mapping[Path, list[Any]]) -> list[list[Any]]:
        return [[self._key(output), *ours.get(output, (None, None, None))] for output in work.outputs]

    def _claim(self, work: Work) -> Path:
        key = hashlib.sha256(self._key(work.outputs[0]).encode()).hexdigest()[:16]
        return self.path.with_name(f"{NAME}.{key}")

    def _forget_claim(self, work: Work) -> None:
        with contextlib.suppress(OSError):
            self._claim(work).unlink(missing_ok=True)

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
                f"Pictures fused so far are whole. Run the same again, with {named('overwrite')}.",
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
            f"{self.path} {words[:200]}.",
            "Move it away, or give another folder for the results; sources are safe.",
        )

    def _key(self, output: Path) -> str:
        place = output.resolve()
        key = str(place.relative_to(self.folder)) if place.is_relative_to(self.folder) else str(place)
        return key.encode(errors="backslashreplace").decode()  # names need not be text, the database's must

    def _settings(self, work: Work) -> str:
        from mefcli.version import version

        chosen = {name: value for name, value in vars(work.job).items() if name not in UNSEEN}
        chosen["model"] = Path(work.job.model).name  # it may be a file, which its content tells
        evs, names = list(work.bracket.evs), [str(output.name) for output in work.outputs]
        told = [version(), self.weights, chosen, evs, work.bracket.reference, names, work.curve]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _same_sources(before: Sequence[Sequence[Any]], paths: Sequence[Path]) -> bool:
    if len(before) != len(paths):
        return False
    for path, (name, size, when, content) in zip(paths, before, strict=True):
        if not path.exists():
            return False
        now = _size_and_time(path)
        # A copied or moved file is read; only one that has its place and its time is believed.
        if [_name(path), *now] != [name, size, when] and (now[0] != size or content_hash(path) != content):
            return False
    return True


def _name(path: Path) -> str:
    """One name for one file, as text, which names need not be."""
    return str(path.resolve()).encode(errors="backslashreplace").decode()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _size_and_time(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
