"""What a batch will do, known before the first decode: each bracket, its settings and its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from mefcli.brackets.frames import Frame, in_order
from mefcli.errors import UsageError
from mefcli.formats.table import WRITTEN
from mefcli.job import Job
from mefcli.values import Bracket, Shot

NAME = "{stem}_fused"
FIELDS = ("stem", "first", "last", "date", "model", "ev")
Curve = tuple[tuple[float, float], ...]  # luminance as fused -> luminance as the series has it


@dataclass(frozen=True)
class Work:
    """One bracket with all that is needed to fuse it anywhere."""

    bracket: Bracket
    outputs: tuple[Path, ...]
    job: Job
    curve: Curve | None = None


def make_plan(
    brackets: Sequence[Bracket],
    folder: Path,
    job: Job,
    *,
    roots: Mapping[Path, Path],
    name: str = NAME,
    suffixes: Sequence[str] = (".tif",),
) -> list[Work]:
    """Outputs mirror the sources' folders. Two brackets for one file are refused, and so is a source."""
    check_name(name)
    suffixes = [suffix if suffix.startswith(".") else f".{suffix}" for suffix in suffixes]
    for suffix in suffixes:
        if suffix.lower() not in WRITTEN:
            raise UsageError(
                f"{suffix} is no format for pictures here.", f"Use one of: {', '.join(WRITTEN)}."
            )
    stems = [_place(bracket, folder, job, roots, name) for bracket in brackets]
    taken = [str(stem).lower() for stem in stems]
    if name == NAME:  # the same number as .CR3 and .JPG: let the suffix tell them apart
        stems = [
            stem if taken.count(key) == 1 else stem.with_name(f"{stem.name}_{_kind(bracket)}")
            for stem, key, bracket in zip(stems, taken, brackets, strict=True)
        ]
    works = [
        Work(bracket, tuple(stem.with_name(stem.name + suffix) for suffix in suffixes), job)
        for bracket, stem in zip(brackets, stems, strict=True)
    ]
    _refuse_collisions(works)
    return works


def check_name(name: str) -> None:
    try:
        fields = [field for _, field, _, _ in Formatter().parse(name) if field is not None]
    except ValueError as error:
        raise UsageError(f"--name {name!r} cannot be read: {error}.", "Write {stem}_fused.") from None
    unknown = [field for field in fields if field not in FIELDS]
    if unknown:
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise UsageError(f"--name knows no {{{unknown[0]}}}.", f"Use {known}.")
    if Path(name).is_absolute() or ".." in Path(name).parts or not name.strip() or name.endswith("/"):
        raise UsageError(
            f"--name {name!r} leads out of the output folder.", "Give a name such as {stem}_fused."
        )


def _place(bracket: Bracket, folder: Path, job: Job, roots: Mapping[Path, Path], name: str) -> Path:
    reference = bracket.shots[bracket.reference]
    taken = in_time(bracket)
    values = {
        "stem": reference.path.stem,
        "first": taken[0].path.stem,
        "last": taken[-1].path.stem,
        "date": f"{reference.taken_at:%Y-%m-%d}" if reference.taken_at else "undated",
        "model": Path(job.model).stem,
        "ev": "".join(f"{ev:+g}" for ev in (round(ev, 1) + 0.0 for ev in bracket.evs)),
    }
    root = roots.get(reference.path, reference.path.parent)
    return folder / reference.path.parent.relative_to(root) / name.format(**values)


def in_time(bracket: Bracket) -> list[Shot]:
    return [frame.shot for frame in in_order([Frame(shot, shot.ev) for shot in bracket.shots])]


def _kind(bracket: Bracket) -> str:
    return bracket.shots[bracket.reference].path.suffix.lstrip(".").lower()


def _refuse_collisions(works: Sequence[Work]) -> None:
    sources = {path.resolve() for work in works for path in work.bracket.paths}
    owners: dict[str, Work] = {}
    for work in works:
        for output in work.outputs:
            key = str(output.resolve()).lower()  # some disks ignore case
            if key in owners:
                one, two = (w.bracket.paths[w.bracket.reference] for w in (owners[key], work))
                raise UsageError(
                    f"{output} would be written for two brackets: {one} and {two}.",
                    "Let --name tell them apart, for example with {stem}.",
                )
            if output.resolve() in sources:
                raise UsageError(f"{output} is a source.", "Sources are never touched: give another folder.")
            owners[key] = work
