"""From what was typed to shots: folders and patterns opened, doubles dropped, headers read, no pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from glob import escape, glob, has_magic
from pathlib import Path

from mefcli.errors import InputError, MefError
from mefcli.formats.table import PICTURES  # a folder of photographs holds other things too
from mefcli.job import RawOrJpeg
from mefcli.values import Shot

OnBad = Callable[[Path, MefError], None]


def discover(
    inputs: Iterable[str | Path],
    *,
    raw_or_jpeg: RawOrJpeg = "raw",
    on_bad: OnBad | None = None,
) -> list[Shot]:
    """The shots behind files, patterns and folders, in the order given, each file once.

    Of a RAW and a JPEG of the same name only the kind asked for is kept. A file that cannot be read raises,
    or goes to `on_bad`.
    """
    return one_of_each_pair(read_shots(inputs, on_bad=on_bad), raw_or_jpeg)


def read_shots(inputs: Iterable[str | Path], *, on_bad: OnBad | None = None) -> list[Shot]:
    """The same without regard to pairs."""
    from mefcli import formats

    shots = []
    for path in _without_doubles(_expand(inputs)):
        try:
            shots.append(formats.read_shot(path))
        except MefError as error:
            if on_bad is None:
                raise
            on_bad(path, error)
    return shots


def one_of_each_pair(shots: Sequence[Shot], keep: RawOrJpeg) -> list[Shot]:
    """Cameras that save RAW+JPEG save one exposure twice; drop the kind not wanted."""
    kinds: dict[Path, set[bool]] = {}
    for shot in shots:
        kinds.setdefault(_pair_key(shot), set()).add(shot.kind == "raw")
    return [
        shot for shot in shots if len(kinds[_pair_key(shot)]) < 2 or (shot.kind == "raw") == (keep == "raw")
    ]


def _pair_key(shot: Shot) -> Path:
    name = shot.path.stem.lower() if shot.kind in ("raw", "jpeg", "heif") else shot.path.name
    return shot.path.parent / name


def _expand(inputs: Iterable[str | Path]) -> Iterable[Path]:
    for given in inputs:
        path = Path(given)
        _check_reachable(path)
        if path.is_dir():
            names = [
                file
                for file in path.iterdir()
                if file.suffix.lower() in PICTURES and not file.name.startswith(".")
            ]
            try:
                for file in names:
                    file.lstat()
                files = sorted(file for file in names if file.is_file())
            except PermissionError as error:  # of a folder that may be listed and not entered
                raise InputError(
                    f"The pictures in {path} may not be read.", "Check the folder's permissions."
                ) from error
            if not files:
                raise InputError(f"{path} holds no pictures.", "Give a folder of pictures, or their names.")
            yield from files
        elif path.exists():
            if not path.is_file():
                raise InputError(f"{path} is not a regular file.", "Give pictures.")
            yield path
        elif matches := pattern_matches(path):
            yield from _expand(matches)
        else:
            raise InputError(f"{path} does not exist.", _near(path))


def _check_reachable(path: Path) -> None:
    """Links in a circle, names the system cannot take and folders that may not be entered, told as such."""
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        elif path.is_symlink() and not path.exists():
            raise InputError(f"{path} is a link that leads to no file.", "Give the file itself.")
    except OSError as error:
        hint = "Check its permissions." if isinstance(error, PermissionError) else "Check the name."
        raise InputError(f"{path} cannot be opened: {error.strerror}.", hint) from error
    except ValueError as error:  # a zero byte; Python's words for it say so
        raise InputError(f"{str(path)!r} is no file name: {error}.", "Check the name.") from error


def pattern_matches(path: Path) -> list[str]:
    """What a pattern finds: shells on Windows leave them to the program."""
    if not has_magic(str(path)):
        return []
    parent = str(path.parent)
    if path.parent.is_dir():  # "Trip [2026]/*.jpg": the folder's name may be no pattern
        parent = escape(parent)
    found = glob(str(path)) or glob(str(Path(parent) / path.name))  # noqa: PTH207 - Path takes no absolute ones
    return sorted(found or _in_any_case(glob(parent), path.name))  # noqa: PTH207


def _in_any_case(folders: Iterable[str], pattern: str) -> list[str]:
    """*.dng where the camera wrote .DNG, also on systems that tell them apart."""
    hidden = pattern.startswith(".")
    return [
        str(file)
        for folder in map(Path, folders)
        if folder.is_dir() and os.access(folder, os.R_OK)
        for file in folder.iterdir()
        if fnmatchcase(file.name.lower(), pattern.lower()) and file.name.startswith(".") == hidden
    ]


def _near(path: Path) -> str:
    """What the folder holds that is spelt nearly like that."""
    from difflib import get_close_matches

    if str(path).startswith("-"):
        return "What stands behind -- is a file; options come before it."
    if not path.parent.is_dir():
        return f"There is no folder {path.parent} either." if str(path.parent) != "." else ""
    near = get_close_matches(path.name, [other.name for other in path.parent.iterdir()], n=3, cutoff=0.7)
    return f"Did you mean {' or '.join(near)}?" if near else "Check the spelling."


def _without_doubles(paths: Iterable[Path]) -> Iterable[Path]:
    """One path for each file, also where links lead to it twice."""
    seen = set()
    for path in paths:
        try:
            facts = path.stat()
        except OSError as error:
            raise InputError(
                f"{path} cannot be opened: {error.strerror}.", "Check its permissions."
            ) from error
        identity = (facts.st_dev, facts.st_ino) if facts.st_ino else path.resolve()
        if identity not in seen:
            seen.add(identity)
            yield path
