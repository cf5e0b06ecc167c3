"""`mef info`: what is in the files, before anything is fused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mefcli import api
from mefcli.batch.names import NAMES
from mefcli.cli import grouping as g
from mefcli.cli import options as o
from mefcli.cli import screen
from mefcli.cli.tables import Clipping, bracket_table, shots_table
from mefcli.errors import MefError, flag
from mefcli.formats.colours import HDR_NAME
from mefcli.pipeline.results import gain_map_object, plan_object
from mefcli.tasks import ABOUT, parse_task
from mefcli.values import Bracket, GainMapFacts, Shot
from mefnets.spec import Task

FEW = 12  # so many pictures are looked into without being asked; RAW only on request, it takes longer

Inputs = Annotated[
    list[Path], typer.Argument(metavar="FILES...", help="Pictures, or folders of them.", show_default=False)
]
Pixels = Annotated[
    bool | None,
    typer.Option(
        "--pixels/--no-pixels",
        help=f"Measure clipping in the pixels. Without it: for up to {FEW} pictures that are not RAW.",
        show_default=False,
    ),
]

Groups = Annotated[
    bool,
    typer.Option("--groups", help="Show the brackets among the pictures, folders opened with all below."),
]


@o.with_groups
def info(
    files: Inputs,
    pixels: Pixels = None,
    groups: Groups = False,
    task: g.Task = None,
    group: g.Group = "auto",
    gap: g.Gap = None,
    *,
    talk: o.Talk,
) -> None:
    """Show the exposures of files before fusing.

    Reads headers only, and small versions of the pictures where clipping is asked for. Files that form one
    bracket are shown dark to bright with their stops; * marks the frame whose metadata the result would keep.
    A focus stack is told as such, with the command that folds it.

    Examples:
    mef info *.jpg
    mef info card/ --json
    mef info CARD/ --groups   which brackets mef batch would fuse
    mef info CARD/ --groups --task focus   which focus stacks
    mef info *.NEF --pixels   also how much is clipped
    mef info beach.jpg        also what a JPEG's gain map adds, or that an AVIF is HDR
    """
    if groups:
        _show_groups(files, parse_task(task, NAMES) or "exposure", group, gap, json=talk.json)
        return
    bad: list[tuple[Path, MefError]] = []
    shots = api.shots(files, on_bad=lambda path, error: bad.append((path, error)))
    wanted = pixels if pixels is not None else len(shots) <= FEW and all(shot.kind != "raw" for shot in shots)
    clipping = _clippings(shots, bad) if wanted else {}
    bracket, why_not = _as_bracket(shots, measure=wanted)
    stack = _as_stack(shots, measure=wanted) if bracket is None else None
    maps = {shot.path: facts for shot in shots if (facts := api.gain_map(shot)) is not None}
    if talk.json:
        screen.put_json(_object(shots, clipping, maps, bracket, why_not, stack, bad))
    else:
        screen.stdout().print(bracket_table(bracket, clipping) if bracket else shots_table(shots, clipping))
        if wanted:
            _show_thumbnails(
                [shot for shot in (bracket.shots if bracket else shots) if shot.path in clipping]
            )
        for shot in shots:
            if shot.path in maps:
                screen.put(_told(shot.path, maps[shot.path]))
            elif shot.icc_name and HDR_NAME.search(shot.icc_name):
                screen.put(
                    f"{shot.path.name} holds light beyond white, in {shot.icc_name}; fused, it ends at white."
                )
        if stack is not None:
            screen.say(f"It looks like a focus stack of {len(stack.shots)} frames, {stack.why}: mef focus.")
        else:
            screen.say(f"One bracket, {bracket.why}." if bracket else f"Not one bracket: {why_not}")
    for _, error in bad:
        screen.show_error(*error.spelled(flag))
    if bad:
        raise typer.Exit(1)


def _show_groups(files: Sequence[Path], task: Task, how: str, gap: float | None, *, json: bool) -> None:
    from mefcli.batch.sources import Bad, find_pictures, read_all
    from mefcli.brackets.group import parse_mode
    from mefcli.brackets.stacks import sorted_for

    closed: list[Bad] = []
    shots, unreadable = read_all(find_pictures(files, bad=closed))
    bad = closed + unreadable
    found = sorted_for(task, shots, mode=parse_mode(how), gap_s=gap)
    if json:
        screen.put_json(g.grouping_object(found, bad=bad))
    else:
        screen.stdout().print(g.brackets_table(found))
        for line in g.leftover_lines(found):
            screen.put(f"left over: {line}")
        screen.say(f"{len(found.brackets)} {ABOUT[task].one}s, {len(found.leftovers)} shots left over.")
    for _, error in bad:
        screen.show_error(*error.spelled(flag))
    if bad:
        raise typer.Exit(1)


def _show_thumbnails(shots: Sequence[Shot]) -> None:
    """The pictures in a row, where the terminal can."""
    from mefcli.report.terminal import ability, thumbnail_row

    how = ability()
    if how == "none" or not shots:
        return
    from mefcli.formats import decode_reduced

    pictures = [decode_reduced(shot.path, 160).pixels for shot in shots]
    print(thumbnail_row(pictures, how=how, columns=screen.stdout().width), end="", flush=True)


def _as_bracket(shots: Sequence[Shot], *, measure: bool) -> tuple[Bracket | None, str | None]:
    """The shots as one bracket, if their headers say they are one, or their pixels may be looked at."""
    if not measure and any(shot.ev is None for shot in shots):
        return None, "some record no exposure time; mef fuse would measure their brightness (--pixels)."
    try:
        return api.bracket_of(shots), None
    except MefError as error:
        return None, error.spelled(flag)[0]


def _as_stack(shots: Sequence[Shot], *, measure: bool) -> Bracket | None:
    """The shots as a focus stack, if they look like one: equally bright, and sharp in different places."""
    try:
        return api.stack_of(shots, measure=measure)
    except MefError:
        return None


def _clippings(shots: Sequence[Shot], bad: list[tuple[Path, MefError]]) -> dict[Path, Clipping]:
    """A picture that cannot be decoded goes to `bad`; its header was told all the same."""
    found = {}
    for shot in shots:
        try:
            black, white = api.clipping(shot)
        except MefError as error:
            bad.append((shot.path, error))
        else:
            found[shot.path] = Clipping(round(black, 2), round(white, 2))
    return found


def _told(path: Path, facts: GainMapFacts) -> str:
    width, height = facts.size_px
    colours = "one for all colours" if facts.channels == 1 else "one for each colour"
    return (
        f"{path.name} holds light beyond white, up to {facts.stops:.1f} stops: "
        f"a gain map of {width}x{height}, {colours} ({' and '.join(facts.told)})."
    )


def _object(
    shots: Sequence[Shot],
    clipping: Mapping[Path, Clipping],
    maps: Mapping[Path, GainMapFacts],
    bracket: Bracket | None,
    why_not: str | None,
    stack: Bracket | None,
    bad: Sequence[tuple[Path, MefError]],
) -> dict[str, Any]:
    def plain(shot: Shot) -> dict[str, Any]:
        facts = asdict(shot)
        del facts["icc"]  # its name is told
        facts["path"] = str(shot.path)
        facts["taken_at"] = shot.taken_at.isoformat() if shot.taken_at else None
        facts["ev"] = None if shot.ev is None else round(shot.ev, 3)
        facts["clipping"] = asdict(clipping[shot.path]) if shot.path in clipping else None
        facts["gain_map"] = gain_map_object(maps.get(shot.path))
        return facts

    return {
        "shots": [plain(shot) for shot in shots],
        "bracket": plan_object(bracket) if bracket else None,
        "not_one_bracket": why_not,
        "focus_stack": plan_object(stack) if stack else None,
        "errors": g.error_objects(bad),
    }
