"""The page of a batch, kept fresh beside its journal: `mef batch --report` and whoever else has results.

The journal keeps small pictures of every bracket, so that a batch that goes on needs not open them again, and
the contents of the pages that it wrote, so that it replaces no other file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mefcli.batch.journal import Journal
from mefcli.errors import MefError, UsageError
from mefcli.pipeline.results import Done, Result
from mefcli.report.gallery import MOST_FRAMES, Gallery, gallery_page
from mefcli.report.thumbs import FRAME_PX, RESULT_PX, Thumbs, thumb
from mefcli.storage import check_folder_to_be, check_replaceable, exists_already, write_bytes

SUFFIXES = (".html", ".htm")


def check_page(page: Path) -> None:
    """Refuse before the work: a wrong ending, a folder, a place that cannot be written into."""
    if page.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{page.name} should end in {' or '.join(SUFFIXES)}.")
    if page.is_dir():
        raise UsageError(f"{page} is no file.", f"Give a file's name, such as {page / 'index.html'}.")
    check_replaceable(page)
    target = Path(os.path.realpath(page))
    if target.suffix.lower() not in SUFFIXES:  # a link may lead to a picture, and sources are never touched
        raise UsageError(f"{page} is a link to {target}, which is no page.", "Give another name.")
    check_folder_to_be(page.absolute().parent)


def check_ours(page: Path, journal: Journal | None, *, overwrite: bool) -> None:
    """Refuse to replace a page that this batch did not write, or that somebody has changed since."""
    if (
        page.exists()
        and not overwrite
        and (journal is None or _print(page.read_bytes()) not in _ours(page, journal))
    ):
        raise exists_already(page)


def write_page(
    page: Path,
    results: Iterable[Result],
    journal: Journal,
    *,
    left_over: Sequence[tuple[Path, str]] = (),
    unreadable: Sequence[tuple[Path, MefError]] = (),
    overwrite: bool = False,
) -> None:
    """Write the page anew. Of results of the same bracket the last one counts."""
    latest = {_key(result): result for result in results}
    thumbs = {result.inputs[0]: _thumbs(result, journal) for result in latest.values() if result.inputs}
    gallery = Gallery(list(latest.values()), left_over, unreadable, thumbs)
    page.parent.mkdir(parents=True, exist_ok=True)
    data = gallery_page(gallery, page.absolute().parent).encode("utf-8")
    check_ours(page, journal, overwrite=overwrite)
    # Entered before it is there: a run that is killed in between knows its page again.
    contents = [_print(page.read_bytes())] if page.exists() else []
    contents.append(_print(data))
    journal.keep("page", page, json.dumps(contents).encode())
    write_bytes(page, data)


def _key(result: Result) -> Path:
    return result.outputs[0] if isinstance(result, Done) and result.outputs else result.inputs[0]


def _print(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _ours(page: Path, journal: Journal) -> list[str]:
    try:
        found = json.loads(journal.kept("page", page) or b"[]")
    except ValueError:
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _thumbs(result: Result, journal: Journal) -> Thumbs:
    """As the result brings them, as the journal kept them, else made anew from the files."""
    if not isinstance(result, Done):
        return (*_of_files(result.inputs, FRAME_PX), b"")
    thumbs = result.thumbs or _unpacked(journal.kept("thumbs", result.outputs[0]))
    if len(thumbs) != len(result.inputs) + 1:
        thumbs = (*_of_files(result.inputs, FRAME_PX), *_of_files(result.outputs[:1], RESULT_PX))
    journal.keep("thumbs", result.outputs[0], _packed(thumbs))
    return thumbs


def _of_files(paths: Sequence[Path], side_px: int) -> Thumbs:
    return tuple(_of_file(path, side_px) if index < MOST_FRAMES else b"" for index, path in enumerate(paths))


def _of_file(path: Path, side_px: int) -> bytes:
    from mefcli import formats

    try:
        picture = formats.decode_reduced(path, 2 * side_px)
        return thumb(picture.pixels, picture.icc, side_px)
    except Exception:  # the page tells of this bracket what went wrong; a picture is not owed
        return b""


def _packed(thumbs: Thumbs) -> bytes:
    return json.dumps([base64.b64encode(one).decode("ascii") for one in thumbs]).encode()


def _unpacked(data: bytes) -> Thumbs:
    try:
        return tuple(base64.b64decode(one, validate=True) for one in json.loads(data or b"[]"))
    except (ValueError, TypeError):
        return ()
