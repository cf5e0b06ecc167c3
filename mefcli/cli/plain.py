"""Values of the command line that need no conversion do not load the converter.

Recent releases of Typer hand every parameter to pydantic, also what nobody typed. Loading it takes 0.07
CPU-seconds, a tenth of what a small bracket costs. What is already what the command wants goes past it: what
was not typed, text, and plain paths. All else, and everything that is wrong, goes Typer's way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

Process = Callable[[Any, Any], Any]


def past_the_converter(parameters: Sequence[Any]) -> None:
    """Of a command, before it is parsed, where this release of Typer has a converter."""
    for parameter in parameters:
        if hasattr(parameter, "type_descriptor") and "process_value" not in vars(parameter):
            parameter.process_value = _quick(parameter, parameter.process_value)


def _quick(parameter: Any, slow: Process) -> Process:
    several = parameter.multiple or parameter.nargs != 1
    wanted = parameter.type_descriptor.annotation
    default, callback = parameter.default, parameter.callback

    def process(context: Any, value: Any) -> Any:
        if value is None and not several and not parameter.required:
            return value if callback is None else callback(context, parameter, value)
        if callback is not None or value is None:
            return slow(context, value)
        if value is default and type(value) is wanted:
            return value
        if isinstance(value, str) and (wanted is str or _is_choice(wanted, value)):
            return value
        if wanted == list[str] and value:
            return list(value)
        if wanted is Path and isinstance(value, str) and _is_plain(parameter, value):
            return Path(value)
        if wanted == list[Path] and value and all(_is_plain(parameter, one) for one in value):
            return [Path(one) for one in value]
        return slow(context, value)

    return process


def _is_choice(wanted: object, value: str) -> bool:
    return get_origin(wanted) is Literal and value in get_args(wanted)


def _is_plain(parameter: Any, path: object) -> bool:
    """Whether Typer would ask nothing of a path; whoever opens it says what is wrong with it."""
    info = parameter.type_descriptor.parameter_info
    asked = info.exists, info.resolve_path, info.readable, info.writable
    where = info.file_okay and info.dir_okay
    return isinstance(path, str) and where and not any((*asked, info.parser, info.path_type))
