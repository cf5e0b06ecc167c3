"""The journal knows what it made by content, wherever it lies and however its path is typed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from toolkit import Mef

import mefcli
from mefcli import demo, storage
from mefcli.batch import claims, engine, folder
from mefcli.batch.journal import Journal
from mefcli.batch.plan import Work
from mefcli.batch.work import fuse_work
from mefcli.job import Job
from mefcli.pipeline.results import Done, Failed, Result, done_before, result_object

JOB = Job(model="average", align="off")
FAST = ("--model", "average", "--align", "off")
OUTPUT = "room_2_fused.tif"


class Killed(BaseException):
    """What kill -9 leaves: nothing more is done."""


@pytest.fixture
def card(tmp_path: Path, light: NDArray[np.float32]) -> Path:
    place = tmp_path / "card"
    place.mkdir()
    demo.make_bracket(place, stops=(-2.0, 0.0, 2.0), light=light)
    return place


def works_of(card: Path, job: Job = JOB) -> tuple[Work, ...]:
    return folder.look_over([card], card.parent / "out", job).works


def run(card: Path, job: Job = JOB, fuse: Callable[[Work], Result] = fuse_work) -> Result:
    def runner(todo: Iterable[Work]) -> Iterator[tuple[Work, Result]]:
        for work in todo:
            yield work, fuse(work)

    journal = Journal(card.parent / "out")
    try:
        ((_, result),) = engine.run_batch(works_of(card, job), journal, runner)
        return result
    finally:
        journal.close()


def killed(card: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """A run that ends before or after its output is moved into place; the journal says `begun`."""
    put = storage.put

    def end(temporary: Path, target: Path, *, overwrite: bool) -> str:
        if moment == "after the move" and target.suffix == ".tif":
            put(temporary, target, overwrite=overwrite)
        elif target.suffix != ".tif":  # the note of what will be moved
            return put(temporary, target, overwrite=overwrite)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(storage, "put", end)
        with pytest.raises(Killed):
            run(card)


@pytest.mark.parametrize("moment", ["before the move", "after the move"])
def test_after_a_kill_a_strangers_file_is_kept(
    card: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    killed(card, monkeypatch, moment)
    output = card.parent / "out" / OUTPUT
    output.write_bytes(b"a stranger's")
    result = run(card)
    assert isinstance(result, Failed)
    assert "exists already" in result.error.message
    assert output.read_bytes() == b"a stranger's"
    assert isinstance(run(card, replace(JOB, overwrite=True)), Done)
    assert output.read_bytes() != b"a stranger's"


@pytest.mark.parametrize("moment", ["before the move", "after the move"])
@pytest.mark.parametrize("quality", [95, 60], ids=["same settings", "other settings"])
def test_after_a_kill_what_it_made_itself_is_replaced(
    card: Path, monkeypatch: pytest.MonkeyPatch, moment: str, quality: int
) -> None:
    killed(card, monkeypatch, moment)
    assert (card.parent / "out" / OUTPUT).exists() == (moment == "after the move")
    result = run(card, replace(JOB, quality=quality))
    assert isinstance(result, Done)
    assert not result.before
    assert [path.name for path in (card.parent / "out").iterdir() if path.name.startswith(".")] == [
        ".mef-journal.sqlite"
    ]


def test_a_second_kill_forgets_nothing_of_the_first(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(card, monkeypatch, "after the move")
    killed(card, monkeypatch, "before the move")
    assert isinstance(run(card), Done)


def test_a_kill_right_after_the_entry_leaves_no_note_for_ever(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(journal: Journal, work: Work) -> None:
        if work.claim is not None and work.claim.exists():
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_forget_claim", end)
        with pytest.raises(Killed):
            run(card)
    result = run(card)
    assert isinstance(result, Done)
    assert result.before
    assert [path.name for path in (card.parent / "out").glob(".*")] == [".mef-journal.sqlite"]


def test_a_strangers_file_that_appears_while_a_bracket_is_fused_is_kept(card: Path) -> None:
    output = card.parent / "out" / OUTPUT

    def slow(work: Work) -> Result:
        output.write_bytes(b"a stranger's")
        return fuse_work(work)

    assert isinstance(run(card, fuse=slow), Failed)
    assert output.read_bytes() == b"a stranger's"


def test_a_bracket_fused_again_because_its_worker_was_lost_is_done(card: Path) -> None:
    """The worker had moved its output, and nobody was told."""
    assert isinstance(run(card, fuse=lambda work: (fuse_work(work), fuse_work(work))[1]), Done)


def test_what_was_touched_or_copied_back_is_still_ours_and_what_was_edited_is_not(card: Path) -> None:
    output = card.parent / "out" / OUTPUT
    assert isinstance(run(card), Done)
    os.utime(output, (1e9, 1e9))
    again = run(card)
    assert isinstance(again, Done)
    assert again.before
    edited = output.read_bytes()[:-1] + b"x"
    output.write_bytes(edited)
    refused = run(card)
    assert isinstance(refused, Failed)
    assert "was changed since it was fused" in refused.error.message
    assert output.read_bytes() == edited


def test_a_folder_that_cannot_be_synced_does_not_stop_a_batch_for_ever(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails once the file is in its place, the next run knows it as ours."""
    put = storage.put

    def fails_late(temporary: Path, target: Path, *, overwrite: bool) -> str:
        note = put(temporary, target, overwrite=overwrite)
        if target.suffix == ".tif":
            raise PermissionError(13, "Permission denied")
        return note

    with monkeypatch.context() as patch:
        patch.setattr(storage, "put", fails_late)
        assert isinstance(run(card), Failed)
    assert isinstance(run(card), Done)


def test_a_batch_goes_on_however_its_paths_are_typed(
    mef: Mef, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(card.parent)
    (card.parent / "link").symlink_to("card")
    before = None
    for source, output in (
        ("card", "out"),
        ("card/", "./out/"),
        ("./card", card.parent / "out"),
        (card, "card/../out"),
        ("link", "out"),
    ):
        done = mef("batch", source, "-o", output, *FAST, "--format", "jpg", "--json")
        assert done.code == 0, done.err
        status = (card.parent / "out" / "room_2_fused.jpg").stat()
        assert before in (None, status.st_mtime_ns), f"fused again as {source}"
        assert ("finished before" in done.out) == (before is not None)
        before = status.st_mtime_ns
    shutil.move(card, card.parent / "moved")
    done = mef("batch", "moved", "-o", "out", *FAST, "--format", "jpg", "--json")
    assert "finished before" in done.out


def test_the_path_of_weights_may_be_typed_in_other_ways(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(run(card, replace(JOB, weights="a/../w.safetensors"), fuse=plain), Done)
    again = run(card, replace(JOB, weights="w.safetensors"), fuse=plain)
    assert isinstance(again, Done)
    assert again.before


def test_weights_named_in_the_models_place_are_known_by_content(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"weights")
    told = engine.weights_print(Job(model=str(path)))
    assert told == engine.weights_print(Job(weights=str(path))) == claims.content_hash(path)
    path.write_bytes(b"others")
    assert engine.weights_print(Job(model=str(path))) != told


def plain(work: Work) -> Result:
    return fuse_work(replace(work, job=replace(work.job, weights=None)))


def test_a_result_told_as_json_comes_back_as_the_same_value(jpegs: list[Path]) -> None:
    job = Job(model="average", align="homography", deghost="auto")
    (done,) = folder.fuse_folder(jpegs[0].parent, jpegs[0].parent / "out", job)
    assert isinstance(done, Done)
    assert done.alignment is not None
    assert done.ghosts is not None
    told = result_object(done)
    back = done_before(done.bracket, done.outputs, told)
    assert result_object(back) == {**told, "status": "finished before"}
    assert back.alignment is not None
    assert back.alignment.box == done.alignment.box


def test_a_folder_from_python_is_a_batch(card: Path, tmp_path: Path) -> None:
    """A journal, resume, and a bad file that stops nothing."""
    (card / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    first = list(mefcli.fuse_folder(card, tmp_path / "out", job=JOB))
    assert [type(one) for one in first] == [Failed, Done]
    assert first[0].inputs == (card / "broken.jpg",)
    again = list(mefcli.fuse_folder(str(card), str(tmp_path / "out"), job=JOB))
    assert isinstance(again[1], Done)
    assert again[1].before
    assert isinstance(first[1], Done)
    assert replace(again[1].record, seconds={}) == replace(first[1].record, seconds={})
    other = tmp_path / "other"
    fuser = mefcli.load_fuser("mertens")
    fused, once_more = (
        [one for one in folder.fuse_folder(card, other, JOB, fuser=fuser) if isinstance(one, Done)]
        for _ in range(2)
    )
    assert not fused[0].before
    assert once_more[0].before


def test_a_note_that_is_damaged_claims_nothing(tmp_path: Path) -> None:
    for text in ("", "{", "1", '{"a": 1}', "[1, null]", "\udcff"):
        (tmp_path / "note").write_bytes(text.encode(errors="surrogateescape"))
        assert claims.claimed(tmp_path / "note") == frozenset()
    assert claims.claimed(tmp_path / "none") == frozenset()
    (tmp_path / "deep").write_text("[" * 200_000)
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("deep", "endless"):
        assert claims.claimed(tmp_path / name) == frozenset()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are for Unix")
def test_a_pipe_in_the_place_of_an_output_or_a_note_holds_nothing_up(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(card, monkeypatch, "after the move")
    output = card.parent / "out" / OUTPUT
    output.unlink()
    os.mkfifo(output)
    (note,) = output.parent.glob(".mef-journal.sqlite.*")
    for job in (JOB, replace(JOB, overwrite=True)):
        result = run(card, job)
        assert isinstance(result, Failed)
        assert output.is_fifo()
    output.unlink()
    assert not note.exists()
    os.mkfifo(note)
    assert isinstance(run(card), Done)


@pytest.mark.parametrize("fails", [False, True])
def test_where_no_file_can_be_synced_a_batch_still_has_its_journal(
    mef: Mef, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """SQLite gives up at the first file that it cannot sync, as on some network shares."""

    def fsync(handle: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    if fails:
        monkeypatch.setattr(os, "fsync", fsync)
    journal = Journal(tmp_path / "out")
    assert journal.database.execute("PRAGMA synchronous").fetchone() == ((0,) if fails else (2,))
    journal.close()
    for _ in range(2):
        done = mef("batch", card, "-o", tmp_path / "out", *FAST)
        assert done.code == 0, done.err
        assert done.out.splitlines() == [str(tmp_path / "out" / OUTPUT)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".mef-journal.sqlite", OUTPUT]
