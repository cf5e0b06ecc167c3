"""What a person keeps in `mef.toml`, beside the pictures or in a folder of their own: defaults and presets.

Every key is a field of `Job` or of `Card`, so nothing is listed here again. What counts, the later the more:
built in, the person's file, the one beside the pictures, the preset that is asked for, what is given by hand.

    quality = 92

    [presets.interiors]
    look = "bright"
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from mefcli.batch.card import Card
from mefcli.errors import UsageError, named
from mefcli.job import Job
from mefcli.options import Described, described, fitting

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = "mef.toml"
PRESETS = "presets"
MOST_BYTES = 1_000_000  # of a file of settings
OFF = "off"  # in place of a file: read none
OPTIONS = (*described(Job), *described(Card))
PATHS = ("model", "weights")  # may name a file, which lies beside the settings that name it

Scope = Literal["user", "pictures", "given"]
Source = Literal["built in", "file", "preset", "command line"]
Values = dict[str, Any]


@dataclass(frozen=True)
class File:
    """One file of settings, every value of it checked."""

    path: Path
    scope: Scope
    values: Values = field(default_factory=dict)
    presets: Mapping[str, Values] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    source: Source
    file: Path | None = None


@dataclass(frozen=True)
class Settings:
    """A job, what a batch is told beside it, and where each of their values comes from."""

    job: Job
    card: Card
    origins: Mapping[str, Origin]
    files: tuple[File, ...] = ()  # that were read, the person's first
    preset: str | None = None

    @property
    def presets(self) -> dict[str, Path]:
        """Every preset there is, and its file. Of two of one name that beside the pictures counts."""
        return {name: file.path for file in self.files for name in file.presets}

    def value(self, name: str) -> Any:
        return getattr(self.job if hasattr(self.job, name) else self.card, name)

    @property
    def read(self) -> dict[str, Origin]:
        """What files decided."""
        return {name: one for name, one in self.origins.items() if one.file is not None}


def settings_for(
    pictures: Iterable[str | Path] = (),
    given: Mapping[str, Any] | None = None,
    *,
    preset: str | None = None,
    file: str | Path | None = None,
    only: Sequence[str] | None = None,
) -> Settings:
    """The settings for these pictures. `file` is read instead of those that are found; "off" reads none.

    `only`: the options that are of concern; others in files are checked and left aside.
    """
    files = tuple(_files(pictures, file))
    values: Values = {}
    origins = {one.name: Origin("built in") for one in OPTIONS}
    layers: list[tuple[Source, Path | None, Mapping[str, Any]]] = [
        ("file", one.path, one.values) for one in files
    ]
    if preset is not None:
        home = _home_of(preset, files)
        layers.append(("preset", home.path, home.presets[preset]))
    layers.append(("command line", None, given or {}))
    for source, path, layer in layers:
        if "model" in layer:  # weights are those of the model that they were set with
            values.pop("weights", None)
            origins["weights"] = Origin("built in")
        for name, value in layer.items():
            if only is None or name in only:
                values[name] = value
                origins[name] = Origin(source, path)
    of_card = {one.name: values.pop(one.name) for one in described(Card) if one.name in values}
    return Settings(Job(**values), Card(**of_card), origins, files, preset)


def user_folder() -> Path | None:
    """Where this system keeps a person's settings for programs."""
    return user_folder_of(os.name)


def user_folder_of(system: str) -> Path | None:
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home
        return None
    if system == "nt":
        return Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming") / "mef"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "mef"
    chosen = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(chosen) if chosen.startswith("/") else home / ".config") / "mef"  # as XDG has it


# ---- files ----------------------------------------------------------------------------------------------


def _files(pictures: Iterable[str | Path], file: str | Path | None) -> Iterable[File]:
    if file is not None:
        if str(file) != OFF:
            yield read_file(Path(file), "given")
        return
    folder = user_folder()
    user = folder / NAME if folder is not None else None
    if user is not None and _there(user):
        yield read_file(user, "user")
    beside = [one for one in _beside(pictures) if user is None or not _same(one, user)]
    if len(beside) > 1:
        names = ", ".join(map(str, beside[:3])) + (", ..." if len(beside) > 3 else "")
        raise UsageError(
            f"These pictures lie beside {len(beside)} files of settings: {names}.",
            f"Take the folders one by one, or name a file with {named('settings')}.",
        )
    for one in beside:
        yield read_file(one, "pictures")


def _beside(pictures: Iterable[str | Path]) -> list[Path]:
    """The files of settings in the folders that are given or hold what is given, each once."""
    found: dict[Path, Path] = {}
    for given in map(Path, pictures):
        try:
            for one in _meant(given):
                place = (one if one.is_dir() else one.parent) / NAME
                if _there(place):
                    found.setdefault(_real(place), place)
        except (OSError, ValueError, RuntimeError):  # no name of a file; who reads the picture tells
            continue
    return list(found.values())


def _meant(given: Path) -> Iterable[Path]:
    """What a pattern finds, where a shell left it to us."""
    if given.exists():
        return [given]
    from mefcli.brackets.discover import pattern_matches

    return list(map(Path, pattern_matches(given))) or [given]


def _there(path: Path) -> bool:
    return os.path.lexists(path)


def _same(one: Path, other: Path) -> bool:
    return _real(one) == _real(other)


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a circle of links, which who reads it tells
        return path.absolute()


def read_file(path: Path, scope: Scope) -> File:
    """A file, or a refusal that names what is wrong in it."""
    table = _parsed(path)
    presets = table.pop(PRESETS, {})
    if not isinstance(presets, dict):
        raise UsageError(
            f"{path}: {PRESETS} is no table.", "Write [presets.interiors], and its values below."
        )
    checked: dict[str, Values] = {}
    for name, one in presets.items():
        if not isinstance(one, dict):
            raise UsageError(
                f"{path}: preset {_brief(name)!r} is no table.", "Write [presets.NAME], and its values below."
            )
        checked[name] = _values(one, path, scope, f"preset {_brief(name)!r}: ")
    return File(path, scope, _values(table, path, scope, ""), checked)


def _parsed(path: Path) -> dict[str, Any]:
    away = f"Take it away, or use {named('settings')} {OFF}."
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UsageError(f"{path} is not a regular file.", away)
        with path.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UsageError(f"{path} is too large for settings.", away)
        # Windows' editor writes a mark before the text.
        table: dict[str, Any] = tomllib.loads(data.decode("utf-8-sig"))
        return table
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", f"Check the name, or use {named('settings')} {OFF}."
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8.", "Save it as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else _brief(error)
        raise UsageError(
            f"{path} is not TOML: {reason}.", 'A line of it reads: quality = 92 or look = "bright".'
        ) from error


def _values(table: Mapping[str, Any], path: Path, scope: Scope, where: str) -> Values:
    options = {one.name: one for one in OPTIONS}
    also = {_name(flag): one.name for one in options.values() for flag in one.option.flags if flag[1] == "-"}
    values: Values = {}
    for key, value in table.items():
        name = also.get(_name(key), _name(key))
        if name not in options:
            hint = _near(key, options)
            if isinstance(value, dict) and not where and PRESETS not in hint:
                hint = f"A preset is written [{PRESETS}.{_brief(key)}]."
            raise UsageError(f"{path}: {where}there is no setting {_brief(key)!r}.", hint)
        if name in values:
            raise UsageError(f"{path}: {where}{name} is set twice.", "Keep one of them.")
        values[name] = _value(options[name], value, path, scope, where)
    return values


def _value(one: Described, value: Any, path: Path, scope: Scope, where: str) -> Any:
    if one.option.settable == "never":
        raise UsageError(
            f"{path}: {where}{one.name} cannot be kept in a file.",
            f"Give {named(one.name)} with the command it is for.",
        )
    if one.option.settable == "user" and scope == "pictures":
        raise UsageError(
            f"{path}: {where}{one.name} cannot be set beside pictures, which may be a stranger's.",
            f"Set it in your own file ({_own()}), or give {named(one.name)}.",
        )
    try:
        found = fitting(one, value)
        if one.name in PATHS and isinstance(found, str) and found.endswith(".safetensors"):
            return str(path.parent / _home(found))
    except UsageError as error:
        message, hint = error.spelled(str)
        raise UsageError(f"{path}: {where}{message}", hint) from error
    return found


def _home(text: str) -> Path:
    """~/weights/x.safetensors; where nobody knows that home, the words as they are."""
    with contextlib.suppress(RuntimeError):
        return Path(text).expanduser()
    return Path(text)


def _name(key: str) -> str:
    """Both spellings of an option: max-memory, as the command line has it, and max_memory."""
    return key.lstrip("-").replace("-", "_")


def _own() -> str:
    folder = user_folder()
    return str(folder / NAME) if folder is not None else NAME


def _near(key: str, options: Mapping[str, Described]) -> str:
    near = get_close_matches(_name(key).lower()[:60], [*options, PRESETS], n=2, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else "mef config shows every setting."


def _home_of(preset: str, files: Sequence[File]) -> File:
    """The file that holds a preset; that beside the pictures before the person's own."""
    for file in reversed(files):
        if preset in file.presets:
            return file
    known = sorted({name for file in files for name in file.presets})
    if not known:
        where = f" in {' or '.join(str(file.path) for file in files)}" if files else ""
        raise UsageError(
            f"There is no preset {_brief(preset)!r}: there are none{where}.",
            f"Write [presets.{_brief(preset)}] into a {NAME} beside the pictures, or into {_own()}.",
        )
    near = get_close_matches(preset, known, n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"There is no preset {_brief(preset)!r}.", f"{hint}Known: {', '.join(known[:20])}.")


def _brief(reason: object) -> str:
    text = " ".join(str(reason).split())
    return text if len(text) <= 120 else f"{text[:117]}..."
