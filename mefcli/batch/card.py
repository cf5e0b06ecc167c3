"""What `mef batch` is told beside the job, or files of settings hold: names, formats, how many at once."""

from __future__ import annotations

from dataclasses import dataclass

from mefcli.errors import UsageError
from mefcli.formats.table import WRITTEN, written
from mefcli.options import OUTPUT, RUNNING, checked, option


def known_format(text: str) -> str:
    """A format as it is written, or a refusal."""
    suffix = suffix_of(text)
    if suffix.lower() not in WRITTEN:
        raise UsageError(f"{suffix} is no format for pictures here.", f"Use one of: {', '.join(WRITTEN)}.")
    return text


def suffix_of(format: str) -> str:
    return format if format.startswith(".") else f".{format}"


def known_name(text: str) -> str:
    from mefcli.batch.names import check_name

    check_name(text)
    return text


@dataclass(frozen=True)
class Card:
    name: str | None = option(
        None,
        "Outputs' names, from {stem} (the reference), {first}, {last}, {date}, {model} and {ev}. "
        "Without it {stem}_fused, of focus stacks {stem}_focus, of pairs {stem}_infrared.",
        OUTPUT,
        read=known_name,
    )
    format: tuple[str, ...] = option(
        ("tif",), f"{written()}. Several are possible.", OUTPUT, read=known_format
    )
    jobs: int | None = option(
        None,
        "Brackets at a time, each in a process; without it, as many as processors and memory allow.",
        RUNNING,
        "-j",
        least=1,
    )

    def __post_init__(self) -> None:
        checked(self)
