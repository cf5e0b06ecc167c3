"""What an option is. Each is written once, on the field that holds it: type, default, limits, help, panel.

The command line (`mefcli/cli/options.py`), the Python functions (`mefcli/api.py`) and the documentation are
derived from these fields; `checked` holds every value to them, whoever gives it.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mefcli.errors import UsageError, flag, named

FUSION = "Fusion"
LOOK = "Look"
FRAMES = "Frames"
RAW = "RAW"
OUTPUT = "Output"
TALK = "Talk"
SETTINGS = "Settings"
RUNNING = "How it runs"

Settable = Literal["anywhere", "user", "never"]
METADATA = "option"
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Option:
    help: str
    panel: str
    flags: tuple[str, ...] = ()  # besides the field's own name
    metavar: str | None = None
    least: float | None = None
    most: float | None = None
    choices: tuple[object, ...] = ()  # where the type is no Literal
    read: Callable[[str], object] | None = None  # from words to the value
    completes: str = ""  # what the shell may fill in: "models"
    written: bool = False  # about files; a function that returns pixels has no use for it
    settable: Settable = "anywhere"  # in files of settings: not beside pictures, or in none


def option(default: Any, help: str, panel: str, *flags: str, **facts: Any) -> Any:
    """A dataclass field that is an option."""
    return field(default=default, metadata={METADATA: Option(help, panel, flags, **facts)})


@dataclass(frozen=True, eq=False)
class Described:
    """An option with what its field says of it."""

    name: str
    hint: Any
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        return flag(self.name)

    @property
    def words_hint(self) -> Any:
        """Its type on a command line, where a value may need reading."""
        if get_origin(self.hint) is tuple:
            return list[str]
        if self.option.read is None:
            return self.hint
        return str | None if self.default is None else str


def described(kind: type) -> tuple[Described, ...]:
    """The options of a class, in order."""
    hints = get_type_hints(kind)
    return tuple(
        Described(one.name, hints[one.name], one.default, one.metadata[METADATA])
        for one in fields(kind)
        if METADATA in one.metadata
    )


def checked(holder: Any) -> None:
    """Hold every option of a new value to its type and limits; call it from `__post_init__`."""
    for one in described(type(holder)):
        value = fitting(one, getattr(holder, one.name))
        object.__setattr__(holder, one.name, value)


def fitting(one: Described, value: Any) -> Any:
    """The value as the option holds it, or a refusal that names the option and what it takes."""
    kinds = [kind for kind in _kinds(one.hint) if kind is not NoneType]
    if value is None and NoneType in _kinds(one.hint):
        return None
    if get_origin(kinds[0]) is tuple:
        return _several(one, value)
    if one.option.read is not None and isinstance(value, str):
        value = one.option.read(value)
    if get_origin(kinds[0]) is Literal or one.option.choices:
        known = one.option.choices or get_args(kinds[0])
        if isinstance(value, Integral) and not isinstance(value, bool) and kinds == [str]:
            value = str(value)
        if value not in known or isinstance(value, bool):
            hint = f"{_meant(value, known)}Choose {_listed(known)}."
            raise UsageError(f"{named(one.name)} cannot be {_shown(value)}.", hint)
        return value
    return _of_kind(one, value, kinds[0])


def _several(one: Described, value: Any) -> tuple[str, ...]:
    """One word, or a list of them."""
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not words or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{named(one.name)} cannot be {_shown(value)}.", "Give a word, or a list of words.")
    if one.option.read is not None:
        for word in words:
            one.option.read(word)
    return tuple(words)


def stops_of(given: str | Iterable[float] | None) -> list[float] | None:
    """Exposure values as a person or a program gives them: "-2,0,2", or numbers."""
    if given is None:
        return None
    try:
        parts = given.replace(",", " ").split() if isinstance(given, str) else given
        return [float(part) for part in parts]
    except (TypeError, ValueError):
        raise UsageError(
            f"{named('ev')} takes numbers in stops with commas between; {_shown(given)} is not that.",
            f"For example {named('ev')} -2,0,2.",
        ) from None


def _of_kind(one: Described, value: Any, kind: Any) -> Any:
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if kind is str and isinstance(value, Integral) and not isinstance(value, bool):
        return str(value)
    if kind in (int, float) and isinstance(value, Real) and not isinstance(value, bool):
        return _within(one, value, kind)
    wanted = {bool: "True or False", str: "text", int: "a whole number", float: "a number"}[kind]
    raise UsageError(f"{named(one.name)} cannot be {_shown(value)}.", f"Give {wanted}.")


def _within(one: Described, value: Any, kind: type) -> Any:
    least, most = one.option.least, one.option.most
    try:
        fits = math.isfinite(value) and (kind is float or float(value).is_integer())
    except OverflowError:  # a whole number beyond every float
        fits = False
    if not fits or (least is not None and value < least) or (most is not None and value > most):
        what = "a number" if kind is float else "a whole number"
        limits = [f"{word} {limit:g}" for word, limit in (("from", least), ("to", most)) if limit is not None]
        raise UsageError(
            f"{named(one.name)} cannot be {_shown(value)}.", f"Give {' '.join([what, *limits])}."
        )
    return kind(value)


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python spells no number of thousands of digits
        return "so large a number"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _meant(value: Any, known: tuple[object, ...]) -> str:
    near = (
        get_close_matches(value.lower(), [str(one) for one in known], n=2) if isinstance(value, str) else []
    )
    return f"Did you mean {' or '.join(near)}? " if near and len(known) > 2 else ""


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _listed(choices: tuple[object, ...]) -> str:
    words = [str(choice) for choice in choices]
    if len(words) > 9:
        words = [*words[:3], "...", words[-1]]
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def of_keywords(kind: type, *, written: bool = True) -> Callable[[Function], Function]:
    """For a Python function with `**options`: its signature names every option of `kind`, with defaults."""

    def named(function: Function) -> Function:
        def parameters() -> Iterator[inspect.Parameter]:
            for parameter in inspect.signature(function).parameters.values():
                if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                    yield parameter
                    continue
                for one in described(kind):
                    if written or not one.option.written:
                        yield inspect.Parameter(
                            one.name,
                            inspect.Parameter.KEYWORD_ONLY,
                            default=one.default,
                            annotation=one.hint,
                        )

        own = inspect.signature(function)
        function.__signature__ = own.replace(parameters=list(parameters()))  # type: ignore[attr-defined]
        return function

    return named
