"""What a batch will do, known before the first decode: each bracket, its settings and its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mefcli.batch.card import known_format, suffix_of
from mefcli.batch.names import NAMES, check_name, place_of
from mefcli.errors import UsageError, named
from mefcli.job import Job
from mefcli.naming import same_name, trouble_on_windows
from mefcli.values import Bracket
from mefnets.spec import Task

Curve = tuple[tuple[float, float], ...]  # luminance as fused -> luminance as the series has it


@dataclass(frozen=True)
class Work:
    """One bracket with all that is needed to fuse it anywhere."""

    bracket: Bracket
    outputs: tuple[Path, ...]
    job: Job
    curve: Curve | None = None
    ours: frozenset[str] = frozenset()  # contents of outputs that an earlier run made, and so may be replaced
    claim: Path | None = None  # where to note what is about to be put into place
    thumbs: bool = False  # whether the result brings small pictures along, for the batch's page
    task: Task = "exposure"  # of focus, the bracket is a stack; of infrared, a pair


def make_plan(
    brackets: Sequence[Bracket],
    folder: Path,
    job: Job,
    *,
    roots: Mapping[Path, Path],
    name: str | None = None,
    suffixes: Sequence[str] = (".tif",),
    task: Task = "exposure",
) -> list[Work]:
    """Outputs mirror the sources' folders. Two brackets for one file are refused, and so is a source."""
    name = NAMES[task] if name is None else name
    check_name(name)
    suffixes = suffixes_of(suffixes)
    stems = [_place(bracket, folder, job, roots, name) for bracket in brackets]
    taken = [same_name(stem) for stem in stems]
    if name == NAMES[task]:  # the same number as .CR3 and .JPG: let the suffix tell them apart
        stems = [
            stem if taken.count(key) == 1 else stem.with_name(f"{stem.name}_{_kind(bracket)}")
            for stem, key, bracket in zip(stems, taken, brackets, strict=True)
        ]
    works = [
        Work(bracket, tuple(stem.with_name(stem.name + suffix) for suffix in suffixes), job, task=task)
        for bracket, stem in zip(brackets, stems, strict=True)
    ]
    _refuse_collisions(works)
    return works


def suffixes_of(formats: Sequence[str]) -> list[str]:
    """Suffixes with their dots, or a refusal of one that is no format's."""
    return [suffix_of(known_format(format)) for format in formats]


def _place(bracket: Bracket, folder: Path, job: Job, roots: Mapping[Path, Path], name: str) -> Path:
    source = bracket.shots[bracket.reference].path
    root = roots.get(source, source.parent)
    return folder / source.parent.relative_to(root) / place_of(bracket, name, job)


def _kind(bracket: Bracket) -> str:
    return bracket.shots[bracket.reference].path.suffix.lstrip(".").lower()


def _refuse_collisions(works: Sequence[Work]) -> None:
    sources = {path.resolve() for work in works for path in work.bracket.paths}
    owners: dict[str, Work] = {}
    for work in works:
        for output in work.outputs:
            if trouble := trouble_on_windows(output):
                raise UsageError(f"{output} cannot be written: {trouble}.", f"Give another {named('name')}.")
            key = same_name(output.resolve())  # some disks ignore case
            if key in owners:
                one, two = (w.bracket.paths[w.bracket.reference] for w in (owners[key], work))
                telling = f"Let {named('name')} tell them apart, for example with {{stem}}."
                if one.stem == two.stem:  # as of two cards, whose cameras count alike
                    telling = (
                        "Give the brackets of each folder an output folder of their own, or let "
                        f"{named('name')} tell them apart, for example with {{date}}/{{stem}}."
                    )
                raise UsageError(f"{output} would be written for two brackets: {one} and {two}.", telling)
            if output.resolve() in sources:
                raise UsageError(f"{output} is a source.", "Sources are never touched: give another folder.")
            owners[key] = work
