"""The page of a batch: every bracket's frames and result, its notes, and what was left over or failed.

One file that loads nothing and runs no script, of bounded size whatever the card holds.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from mefcli.errors import MefError, flag
from mefcli.pipeline.results import Done, Failed, Result
from mefcli.report.page import table, whole_page
from mefcli.report.thumbs import FRAME_PX, RESULT_PX, Thumbs, smaller
from mefcli.storage import write_text
from mefcli.version import version

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # and no script at all
MOST_BYTES = 20_000_000  # of all pictures; a page with more is slow to open, and to send
MOST_ROWS = 1000  # of files that were left over or cannot be read
MOST_FRAMES = 24  # shown of one bracket
MOST_NOTES = 12
# Sides of results and of frames, for few and for ever more brackets; at the end words alone.
SIZES = ((RESULT_PX, FRAME_PX), (400, 120), (320, 96), (240, 72), (160, 48), (120, 0), (0, 0))


@dataclass(frozen=True)
class Gallery:
    """What a batch did, in the order of its results."""

    results: Sequence[Result]
    left_over: Sequence[tuple[Path, str]] = ()  # and why
    unreadable: Sequence[tuple[Path, MefError]] = ()
    thumbs: Mapping[Path, Thumbs] = field(default_factory=dict)  # by the first input


def write_gallery(path: Path, gallery: Gallery) -> str:
    """The page, whole or not at all; returns what was written."""
    page = gallery_page(gallery, Path(path).absolute().parent)
    write_text(Path(path), page)
    return page


def gallery_page(gallery: Gallery, folder: Path) -> str:
    """The page as it will lie in `folder`, from where it points to the results."""
    assets = files("mefcli.report")
    style = "".join((assets / name).read_text(encoding="utf-8") for name in ("page.css", "gallery.css"))
    count = len(gallery.results)
    thumbs = _sized([_thumbs(gallery, result) for result in gallery.results])
    sections = [
        _bracket(number, result, pictures, folder)
        for number, (result, pictures) in enumerate(zip(gallery.results, thumbs, strict=True), 1)
    ]
    body = [_failures(gallery.results), *sections, *_rest(gallery)]
    return whole_page(
        title=f"Batch of {count} bracket{'' if count == 1 else 's'}",
        lead=escape(_lead(gallery)),
        style=style,
        body="\n".join(part for part in body if part),
        policy=POLICY,
    )


def _thumbs(gallery: Gallery, result: Result) -> Thumbs:
    return gallery.thumbs.get(result.inputs[0], ()) if result.inputs else ()


def _sized(thumbs: Sequence[Thumbs]) -> list[Thumbs]:
    """All pictures at the largest sizes that keep the page within its bounds."""
    thumbs = [(*one[:-1][:MOST_FRAMES], one[-1]) if one else () for one in thumbs]
    for result_px, frame_px in SIZES:
        if (result_px, frame_px) != (RESULT_PX, FRAME_PX):
            thumbs = [_smaller(one, frame_px, result_px) for one in thumbs]
        if sum(len(picture) for one in thumbs for picture in one) * 4 / 3 <= MOST_BYTES:
            break
    return list(thumbs)


def _smaller(thumbs: Thumbs, frame_px: int, result_px: int) -> Thumbs:
    if not thumbs:
        return ()
    return (*(smaller(frame, frame_px) for frame in thumbs[:-1]), smaller(thumbs[-1], result_px))


def _lead(gallery: Gallery) -> str:
    done = [one for one in gallery.results if isinstance(one, Done)]
    before = sum(one.before for one in done)
    bad, left = len(gallery.unreadable), len(gallery.left_over)
    counts = (
        (len(done) - before, "fused"),
        (before, "finished before"),
        (len(gallery.results) - len(done), "failed"),
        (bad, "file that cannot be read" if bad == 1 else "files that cannot be read"),
        (left, "shot left over" if left == 1 else "shots left over"),
    )
    words = ", ".join(f"{count} {what}" for count, what in counts if count) or "nothing to do"
    models = ", ".join(dict.fromkeys(one.record.model for one in done))
    return f"{words}.{f' Model: {models}.' if models else ''} mef {version()}."


def _failures(results: Sequence[Result]) -> str:
    failed = []
    for number, result in enumerate(results, 1):
        if isinstance(result, Failed):
            link = f'<a href="#bracket-{number}"><bdi>{escape(_name(result))}</bdi></a>'
            failed.append(f"<li>{link}: {escape(_cut(result.error.spelled(flag)[0]))}</li>")
    return f'<nav aria-label="Failed"><h2>Failed</h2><ul>{"".join(failed)}</ul></nav>' if failed else ""


def _name(result: Result) -> str:
    if isinstance(result, Done) and result.outputs:
        return result.outputs[0].name
    return result.inputs[0].name if result.inputs else "?"


def _place(result: Result, folder: Path) -> str:
    """Its name, with the folders below that of the page: names come again on every card."""
    if isinstance(result, Done) and result.outputs:
        place = result.outputs[0].absolute()
        if place.is_relative_to(folder):
            return place.relative_to(folder).as_posix()
    return _name(result)


def _bracket(number: int, result: Result, thumbs: Thumbs, folder: Path) -> str:
    state = "failed"
    if isinstance(result, Done):
        state = "finished before" if result.before else "fused"
    parts = [
        f'<section class="bracket{" failed" if state == "failed" else ""}" id="bracket-{number}">'
        f'<h2>{number}. <bdi>{escape(_place(result, folder))}</bdi> <span class="state">{state}</span></h2>',
        f'<p class="small">{escape(_facts(result))}</p>',
        f'<div class="pictures">{_frames(result, thumbs)}{_result(result, thumbs, folder)}</div>',
        _notes(result),
        "</section>",
    ]
    return "".join(parts)


def _facts(result: Result) -> str:
    bracket = result.bracket
    words = []
    if bracket is not None:
        words.append(f"{len(bracket.shots)} frames, {bracket.why}")
        taken = bracket.shots[bracket.reference].taken_at
        words += [taken.isoformat(" ", "seconds")] if taken is not None else []
    if isinstance(result, Done):
        words.append(f"{result.size_px[0]}×{result.size_px[1]} pixels")
        placed = result.alignment.placed if result.alignment else ()
        moved = [one.moved_px for one in placed if not one.kept_identity]
        if moved:
            words.append(f"moved up to {max(moved):.1f} px")
        words.append(f"{result.seconds:.1f} s")
    return "; ".join(words)


def _frames(result: Result, thumbs: Thumbs) -> str:
    if not any(thumbs[:-1]):
        names = ", ".join(path.name for path in result.inputs[:MOST_FRAMES])
        return f'<p class="small">{escape(names)}{_more(len(result.inputs))}</p>'
    evs = result.bracket.evs if result.bracket is not None else ()
    figures = []
    for index, (path, picture) in enumerate(zip(result.inputs, thumbs[:-1], strict=False)):
        words = path.name + (f" {evs[index]:+.1f} EV" if index < len(evs) else "")
        figures.append(_figure(picture, words))
    return f'<div class="frames">{"".join(figures)}{_more(len(result.inputs))}</div>'


def _more(count: int) -> str:
    return f'<p class="small">and {count - MOST_FRAMES} more</p>' if count > MOST_FRAMES else ""


def _figure(picture: bytes, words: str) -> str:
    return f"<figure>{_image(picture, words)}<figcaption><bdi>{escape(words)}</bdi></figcaption></figure>"


def _image(picture: bytes, words: str) -> str:
    if not picture:
        return '<span class="absent">no picture</span>'
    data = base64.b64encode(picture).decode("ascii")
    return f'<img loading="lazy" alt="{escape(words)}" src="data:image/jpeg;base64,{data}">'


def _result(result: Result, thumbs: Thumbs, folder: Path) -> str:
    if not isinstance(result, Done):
        return ""
    links = ", ".join(
        f'<a href="{escape(_address(output, folder))}"><bdi>{escape(output.name)}</bdi></a>'
        for output in result.outputs
    )
    image = _image(thumbs[-1], f"Fused: {_name(result)}") if thumbs and thumbs[-1] else ""
    return f'<figure class="result">{image}<figcaption>{links}</figcaption></figure>'


def _address(output: Path, folder: Path) -> str:
    """From the page to a result, so that both can be moved together. Never an address of another kind."""
    try:
        relative = os.path.relpath(output.absolute(), folder)
    except ValueError:  # another drive
        return output.absolute().as_uri()
    return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))


def _notes(result: Result) -> str:
    if isinstance(result, Failed):
        message, hint = result.error.spelled(flag)
        notes = [f"{message} {hint}".strip()]
    else:
        notes = list(result.record.notes)
    more = [f"and {len(notes) - MOST_NOTES} more"] if len(notes) > MOST_NOTES else []
    lines = "".join(f"<li>{escape(_cut(note))}</li>" for note in [*notes[:MOST_NOTES], *more])
    return f'<ul class="notes">{lines}</ul>' if lines else ""


def _cut(text: str) -> str:
    return text if len(text) <= 1000 else f"{text[:997]}..."


def _rest(gallery: Gallery) -> Iterable[str]:
    """Tables of what is in no bracket."""
    told = [(str(path), _cut(why)) for path, why in gallery.left_over]
    yield _section("Left over", ("file", "why"), told)
    bad = [(str(path), _cut(" ".join(error.spelled(flag)).strip())) for path, error in gallery.unreadable]
    yield _section("Cannot be read", ("file", "what and what to do"), bad)


def _section(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    more = [(f"and {len(rows) - MOST_ROWS} more", "")] if len(rows) > MOST_ROWS else []
    body = table(header, [*rows[:MOST_ROWS], *more], numbers=False)
    return f"<section><h2>{title}</h2>{body}</section>"
