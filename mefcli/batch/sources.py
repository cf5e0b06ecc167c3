"""The pictures of a card or a tree of folders, and where each came from, so that outputs can mirror it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mefcli.brackets.discover import pattern_matches
from mefcli.errors import InputError, MefError
from mefcli.formats.table import PICTURES
from mefcli.values import Shot

Bad = tuple[Path, MefError]
Facts = tuple[str, int, int]  # path, bytes, mtime_ns


def find_pictures(
    inputs: Iterable[Path], without: Path | None = None, bad: list[Bad] | None = None
) -> dict[Path, Path]:
    """Every picture below the inputs and the folder it is to be mirrored from; `without` is not entered.

    `bad` takes the folders that cannot be opened.
    """
    barred = without.resolve() if without else None
    found: dict[Path, Path] = {}
    seen: set[Path] = set()
    for given in _opened(inputs):
        pairs = (
            ((path, given) for path in _below(given, barred, bad))
            if given.is_dir()
            else [(given, given.parent)]
        )
        for path, root in pairs:
            real = path.resolve()
            if real not in seen:
                seen.add(real)
                found[path] = root
    return found


def _opened(inputs: Iterable[Path]) -> Iterator[Path]:
    for given in inputs:
        matches = [] if given.exists() else pattern_matches(given)
        if not matches and not given.exists():
            raise InputError(f"{given} does not exist.", "Check the spelling.")
        yield from map(Path, matches) if matches else (given,)


def read_all(paths: Iterable[Path], known: dict[Facts, Shot] | None = None) -> tuple[list[Shot], list[Bad]]:
    """`known` keeps the shots for the next time; a file that has not changed is not read again."""
    from mefcli.formats import read_shot

    shots: list[Shot] = []
    bad: list[Bad] = []
    before = dict(known or {})
    if known is not None:
        known.clear()
    for path in paths:
        try:
            facts = _facts(path)
            shot = before.get(facts) or read_shot(path)
        except (MefError, OSError) as error:
            bad.append((path, _told(path, error)))
            continue
        shots.append(shot)
        if known is not None:
            known[facts] = shot
    return shots, bad


def _told(path: Path, error: MefError | OSError) -> MefError:
    if isinstance(error, MefError):
        return error
    return InputError(f"{path} cannot be opened: {error.strerror}.", "Check its permissions.")


def _facts(path: Path) -> Facts:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


class Settling:
    """Which pictures have been left alone for a while, as a tethered camera or a copy writes them.

    Cards hold local time and clocks are set, so a file's time may lie in the future: it is then enough that
    the file has not changed while we watched.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.since: dict[Facts, float] = {}  # when we first saw a file so, by a clock that never jumps

    def settled(self, shots: Sequence[Shot]) -> bool:
        """Whether nothing has been written to a bracket's files for long enough."""
        found, now_s = self.facts(shots), time.monotonic()
        watched = [now_s - self.since.setdefault(facts, now_s) for facts in found]
        age = [time.time() - facts[2] / 1e9 for facts in found]
        wait = [self.seconds + (shot.exposure_s or 0) for shot in shots]
        return len(found) == len(shots) and all(map(lambda w, a, s: max(w, a) > s, watched, age, wait))

    def facts(self, shots: Sequence[Shot]) -> tuple[Facts, ...]:
        """What tells a changed file from an unchanged one; nothing where one has vanished."""
        try:
            return tuple(_facts(shot.path) for shot in shots)
        except OSError:
            return ()


def _below(folder: Path, barred: Path | None, bad: list[Bad] | None) -> Iterator[Path]:
    def note(error: OSError, path: Path) -> None:
        reason = f"{path} cannot be opened: {error.strerror}."
        if bad is not None and path not in [known for known, _ in bad]:
            bad.append((path, InputError(reason, "Check the folder's permissions.")))

    for place, folders, files in os.walk(folder, onerror=lambda error: note(error, Path(error.filename))):
        here = Path(place)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and (here / name).resolve() != barred
        )
        for name in sorted(files):
            path = here / name
            if path.suffix.lower() not in PICTURES or name.startswith("."):
                continue
            try:
                path.stat()
            except PermissionError as error:  # a folder that may be listed and not entered is named once
                note(error, here)
                continue
            except OSError:  # a link to nothing
                continue
            if path.is_file():
                yield path
