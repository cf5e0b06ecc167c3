"""The pictures of a card or a tree of folders, and where each came from, so that outputs can mirror it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mefcli.errors import InputError, MefError
from mefcli.pipeline.discover import PICTURES
from mefcli.pipeline.types import Shot

Bad = tuple[Path, MefError]


def find_pictures(inputs: Iterable[Path], without: Path | None = None) -> dict[Path, Path]:
    """Every picture below the inputs and the folder it is to be mirrored from; `without` is not entered."""
    barred = without.resolve() if without else None
    found: dict[Path, Path] = {}
    seen: set[Path] = set()
    for given in inputs:
        if not given.exists():
            raise InputError(f"{given} does not exist.", "Check the spelling.")
        pairs = (
            ((path, given) for path in _below(given, barred)) if given.is_dir() else [(given, given.parent)]
        )
        for path, root in pairs:
            real = path.resolve()
            if real not in seen:
                seen.add(real)
                found[path] = root
    return found


def read_all(paths: Iterable[Path]) -> tuple[list[Shot], list[Bad]]:
    from mefcli.formats import read_shot

    shots: list[Shot] = []
    bad: list[Bad] = []
    for path in paths:
        try:
            shots.append(read_shot(path))
        except MefError as error:
            bad.append((path, error))
    return shots, bad


def _below(folder: Path, barred: Path | None) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and (here / name).resolve() != barred
        )
        for name in sorted(files):
            path = here / name
            if path.suffix.lower() in PICTURES and not name.startswith(".") and path.is_file():
                yield path
