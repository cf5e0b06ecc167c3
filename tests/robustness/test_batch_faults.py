"""A batch whose disk, folders, files, processes or clock fail: nothing is lost, every trouble is named."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from toolkit import Mef

from mefcli import demo
from mefcli.batch import engine, plan, sources
from mefcli.batch.journal import NAME as JOURNAL
from mefcli.batch.journal import Journal
from mefcli.batch.work import fuse_work
from mefcli.brackets.group import group
from mefcli.errors import OutputError
from mefcli.job import Job
from mefcli.pipeline.results import Done, Result, result_object
from tests.robustness.faults import ENDS, ROOT, Runs, alive, hashes, hidden, outputs, shoot

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and forks are for Unix")
FAST = ("--model", "average", "--align", "off")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    runs = Runs(tmp_path_factory.mktemp("log") / "log")
    yield runs
    runs.close()


@pytest.fixture
def room(tmp_path: Path, light: NDArray[np.float32]) -> Path:
    """A card of three brackets, and a place for results."""
    for number in range(3):
        folder = tmp_path / "card" / str(number)
        folder.mkdir(parents=True)
        demo.make_bracket(folder, stops=(-2.0, 0.0, 2.0), light=light * np.float32(1 - 0.1 * number))
    (tmp_path / "out").mkdir()
    return tmp_path


def named(code: int, said: str, *words: str) -> None:
    """Either it went well, or every trouble is a sentence with these words."""
    assert code in (0, 1), said
    assert "Traceback" not in said
    assert "fault in mef" not in said
    assert "Unexpected" not in said
    if code:
        assert any(word in said for word in words), said


@pytest.mark.parametrize(
    ("kinds", "times", "model"),
    [
        (ENDS, 6, "average"),
        pytest.param((signal.SIGINT,), 100, "average", marks=pytest.mark.slow),
        pytest.param((signal.SIGTERM,), 100, "average", marks=pytest.mark.slow),
        pytest.param((signal.SIGKILL,), 100, "average", marks=pytest.mark.slow),
        pytest.param(ENDS, 30, "house", marks=pytest.mark.slow),
    ],
    ids=["all", "interrupted", "terminated", "killed", "default model"],
)
def test_a_batch_ended_at_any_moment_loses_nothing(
    runs: Runs, room: Path, kinds: tuple[signal.Signals, ...], times: int, model: str
) -> None:
    out = room / "out"
    met = shoot(runs, ["batch", room / "card", "-o", out, "--model", model], kinds, times, out)
    assert met["ended"] > times // 4, "too few signals met a running batch to prove anything"


@pytest.mark.slow
def test_the_processes_of_a_batch_end_with_it(room: Path) -> None:
    """`--jobs 2`: the first process killed, or all of them stopped as a terminal does it."""
    out = room / "out"
    command = [sys.executable, "-m", "mefcli", "batch", str(room / "card"), "-o", str(out), *FAST]
    before = hashes(sorted(room.rglob("*.jpg")))
    start = time.monotonic()
    subprocess.run([*command, "--jobs", "2"], check=True, capture_output=True, cwd=ROOT)
    whole, whole_s = outputs(out), time.monotonic() - start
    chance = random.Random(5)
    for number in range(21):
        shutil.rmtree(out, ignore_errors=True)
        process = subprocess.Popen(
            [*command, "--jobs", "2"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        time.sleep((0.1 + 0.9 * chance.random()) * whole_s)
        kind, everyone = ENDS[number % 3], number % 2 == 0
        os.killpg(process.pid, kind) if everyone else process.send_signal(kind)
        said = process.communicate()[1].decode()
        assert process.returncode in (0, 130, -kind), said
        assert "Traceback" not in said, said
        assert process.returncode != 0 or outputs(out) == whole
        for _ in range(100):  # they may be at their last write
            if not alive(process.pid):
                break
            time.sleep(0.1)
        assert not alive(process.pid), "a process outlived its batch"
        assert outputs(out).items() <= whole.items()
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert outputs(out) == whole, done.stderr
    assert not hidden(out)
    assert hashes(sorted(room.rglob("*.jpg"))) == before


@pytest.mark.slow
def test_a_process_that_is_killed_costs_no_bracket(room: Path) -> None:
    """As the system does it when memory runs out."""
    out = room / "out"
    command = [sys.executable, "-m", "mefcli", "batch", str(room / "card"), "-o", str(out), *FAST]
    chance = random.Random(6)
    for _ in range(5):
        shutil.rmtree(out, ignore_errors=True)
        process = subprocess.Popen(
            [*command, "--jobs", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
        )
        time.sleep(2 + 4 * chance.random())
        found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
        workers = [int(word) for word in found.stdout.split()]
        if workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(workers[-1], signal.SIGKILL)
        _, error = process.communicate()
        said = error.decode()
        named(process.returncode, said, "was killed")
        assert len(outputs(out)) >= 2, said


@pytest.mark.parametrize("limit", [2000, 9000, 30_000])
def test_a_full_disk_during_a_batch_leaves_whole_pictures_only(mef: Mef, room: Path, limit: int) -> None:
    """A limit on the size of files stands for the end of the disk; the journal meets it too."""
    resource = pytest.importorskip("resource")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, usual[1]))
    try:
        done = mef("batch", room / "card", "-o", room / "out", *FAST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert done.code == 1
    named(done.code, done.err, "disk is full", "cannot be used", "Cannot write")
    assert not outputs(room / "out")
    assert not hidden(room / "out")
    assert mef("batch", room / "card", "-o", room / "out", *FAST).code == 0
    assert len(outputs(room / "out")) == 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Any]:
    """Makes the folder `disk` a disk of some KB."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(kilobytes: int) -> Path:
        subprocess.run(["umount", disk], capture_output=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", disk], capture_output=True
        )
        if done.returncode:
            pytest.skip("mounting a small disk needs root: NO disk was filled")
        return disk

    yield mount
    subprocess.run(["umount", disk], capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fuse", "batch"])
def test_a_disk_that_ends_anywhere_leaves_whole_pictures_only(
    runs: Runs, room: Path, small_disk: Any, command: str
) -> None:
    """A real disk, of 0 to 260 KB, so that it is full at every write in turn."""
    whole: dict[str, int] = {}
    codes = set()
    for kilobytes in (4000, *range(4, 264, 4)):
        disk = small_disk(kilobytes)
        if command == "batch":
            runs.start("batch", room / "card", "-o", disk, *FAST)
        else:
            frames = sorted((room / "card" / "0").iterdir())
            page = disk / "page.html"
            runs.start("fuse", *frames, *FAST, "-o", disk / "a.tif", "-o", disk / "b.jpg", "--report", page)
        code, said = runs.end()
        named(code, said, "disk is full", "cannot be used", "Cannot write", "be written")
        codes.add(code)
        whole = whole or outputs(disk)
        assert outputs(disk).items() <= whole.items()
        assert code or outputs(disk) == whole
        assert not hidden(disk)
    assert codes == {0, 1}


def test_a_folder_that_may_not_be_written_into_is_named(runs: Runs, room: Path) -> None:
    (room / "out").chmod(0o555)
    for output in (room / "out", room / "out" / "new"):
        runs.start("batch", room / "card", "-o", output, *FAST, meek=True)
        code, said = runs.end()
        assert code == 1
        named(code, said, f"{room / 'out'}")  # the folder that refuses
        assert "Error" in said
        assert len(said.splitlines()) == 1, said


def test_folders_and_files_that_may_not_be_read_are_named_and_the_others_fused(
    runs: Runs, room: Path
) -> None:
    (room / "card" / "0").chmod(0)
    (room / "card" / "nx").mkdir()
    shutil.copy(room / "card" / "2" / "room_1.jpg", room / "card" / "nx")
    (room / "card" / "nx").chmod(0o600)  # may be listed, not entered
    closed = room / "card" / "1" / "room_2.jpg"
    closed.chmod(0)
    try:
        runs.start("batch", room / "card", "-o", room / "out", *FAST, meek=True)
        code, said = runs.end()
    finally:
        for name in ("0", "nx"):
            (room / "card" / name).chmod(0o755)
    assert code == 1
    named(code, said, f"{room / 'card' / '0'} cannot be opened")
    assert f"{room / 'card' / 'nx'} cannot be opened" in said
    assert "room_2.jpg" in said
    assert "2/room_2_fused.tif" in outputs(room / "out")


def test_permission_lost_during_a_batch_is_named(runs: Runs, room: Path) -> None:
    for moment in (0.05, 0.15, 0.25, 0.4):
        runs.start("batch", room / "card", "-o", room / "out", *FAST, "--overwrite", meek=True)
        time.sleep(moment)
        for folder in (room / "out", *(path for path in (room / "out").iterdir() if path.is_dir())):
            folder.chmod(0o555)
        code, said = runs.end()
        named(code, said, "ermission denied", "cannot be used", "Cannot write", "readonly")
        for folder in (room / "out", *(path for path in (room / "out").iterdir() if path.is_dir())):
            folder.chmod(0o777)
    runs.start("batch", room / "card", "-o", room / "out", *FAST, "--overwrite", meek=True)
    assert runs.end()[0] == 0
    assert not hidden(room / "out")


def test_a_source_that_vanishes_during_a_batch_stops_no_other_bracket(runs: Runs, room: Path) -> None:
    source = room / "card" / "1" / "room_1.jpg"
    for moment in (0.0, 0.2):
        shutil.rmtree(room / "out")
        runs.start("batch", room / "card", "-o", room / "out", *FAST)
        time.sleep(moment)
        away = source.rename(room / "away")
        code, said = runs.end()
        away.rename(source)
        named(code, said, source.name)
        assert {"0/room_2_fused.tif", "2/room_2_fused.tif"} <= set(outputs(room / "out"))
        runs.start("batch", room / "card", "-o", room / "out", *FAST)
        assert runs.end()[0] == 0
        assert len(outputs(room / "out")) == 3


def test_an_output_folder_deleted_during_a_batch_is_named(runs: Runs, room: Path) -> None:
    for moment in (0.05, 0.15, 0.3):
        (room / "out").mkdir(exist_ok=True)
        runs.start("batch", room / "card", "-o", room / "out", *FAST)
        time.sleep(moment)
        shutil.rmtree(room / "out", ignore_errors=True)
        code, said = runs.end()
        named(code, said, "vanished", "could not be written", "Cannot write", "There is no folder", "cannot")
        if (room / "out").exists():
            assert not hidden(room / "out")
            shutil.rmtree(room / "out")


def works_of(room: Path) -> list[plan.Work]:
    found = sources.find_pictures([room / "card"])
    shots, _ = sources.read_all(found)
    return plan.make_plan(group(shots).brackets, room / "out", Job(model="average", align="off"), roots=found)


def test_a_source_changed_while_it_is_fused_is_fused_again(room: Path) -> None:
    changed = [room / "card" / "1" / "room_1.jpg"]

    def runner(todo: Iterable[plan.Work]) -> Iterator[tuple[plan.Work, Result]]:
        for work in todo:
            result = fuse_work(work)
            if changed and changed[0] in work.bracket.paths:
                shutil.copy(room / "card" / "2" / "room_1.jpg", changed.pop())
            yield work, result

    told = []
    for _ in range(3):
        journal = Journal(room / "out")
        for work, result in engine.run_batch(works_of(room), journal, runner):
            line = result_object(result)
            told.append((work.bracket.paths[0].parent.name, line["status"], len(line["warnings"])))
        journal.close()
    before = [(name, "finished before", 0) for name in "012"]
    assert told[:3] == [("0", "done", 0), ("1", "done", 1), ("2", "done", 0)]
    assert told[3:] == [before[0], before[2], ("1", "done", 0), *before]


def test_what_an_earlier_run_made_may_be_replaced_after_a_failed_one(mef: Mef, room: Path) -> None:
    command = ("batch", room / "card" / "0", "-o", room / "out", *FAST)
    source = room / "card" / "0" / "room_2.jpg"
    assert mef(*command).code == 0
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 2])
    assert mef(*command).code == 1
    assert len(outputs(room / "out")) == 1
    source.write_bytes(whole[:-2] + b"\xff\xd9")
    assert mef(*command).code == 0


def test_a_journal_that_vanished_is_noticed(room: Path) -> None:
    works = works_of(room)
    journal = Journal(room / "out")

    def runner(todo: Iterable[plan.Work]) -> Iterator[tuple[plan.Work, Result]]:
        for work in todo:
            journal.path.unlink(missing_ok=True)
            yield work, fuse_work(work)

    told = []
    with pytest.raises(OutputError, match="vanished during the run"):
        told.extend(result for _, result in engine.run_batch(works, journal, runner))
    journal.close()
    assert [type(result) for result in told] == [Done]
    assert len(outputs(room / "out")) == 1


def test_clocks_that_jump_confuse_no_journal(mef: Mef, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes back ten years in the middle of a run, and sources' times with a copy of the card."""
    real, calls = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() - (3e8 if next(calls) % 2 else 0))
    command = ("batch", room / "card", "-o", room / "out", *FAST, "--json")
    told = mef(*command)
    assert told.code == 0, told.err
    for number, path in enumerate(sorted((room / "card").rglob("*.jpg"))):
        os.utime(path, (number * 1e9 / 4, number * 1e9 / 4))
    again = mef(*command)
    assert [json.loads(line)["status"] for line in again.out.splitlines()] == ["finished before"] * 3


def test_watching_fuses_files_from_the_future(mef: Mef, room: Path) -> None:
    """A card holds local time, and its camera's clock may be anything."""
    for path in (room / "card").rglob("*.jpg"):
        os.utime(path, (4e9, 4e9))
    watch = ("--watch", "--watch-idle", "3", "--gap", "0.6")
    done = mef("batch", room / "card", "-o", room / "out", *FAST, *watch, "--json")
    assert done.code == 0, done.err
    assert len(outputs(room / "out")) == 3


def test_settling_starts_again_with_every_change(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: 0.0)  # every file is from the future
    settling = sources.Settling(4.0)
    shots = [replace(shot, exposure_s=1.0) for shot in works_of(room)[0].bracket.shots]
    assert not settling.settled(shots)
    now[0] += 4.5
    assert not settling.settled(shots), "an exposure may still be under way"
    with shots[0].path.open("ab") as file:
        file.write(b"more")
    now[0] += 1.0
    assert not settling.settled(shots)
    now[0] += 5.5
    assert settling.settled(shots)
    shots[1].path.unlink()
    assert not settling.settled(shots)


def test_names_that_are_no_text_are_fused_once(mef: Mef, room: Path) -> None:
    odd = (room / "card" / "0").rename(room / "card" / os.fsdecode(b"\xff\xfe"))
    for path in list(odd.iterdir()):
        path.rename(odd / (os.fsdecode(b"\xfc") + path.name))
    for expected in ("done", "finished before"):
        done = mef("batch", room / "card", "-o", room / "out", *FAST, "--json")
        assert done.code == 0, done.err
        assert [json.loads(line)["status"] for line in done.out.splitlines()] == [expected] * 3


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.one_of(
        st.binary(max_size=300).map(lambda data: lambda journal: data),
        st.floats(0, 1).map(lambda share: lambda journal: journal[: int(share * len(journal))]),
        st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=60).map(
            lambda changes: lambda journal: changed(journal, changes)
        ),
    )
)
def test_any_file_in_the_journals_place_costs_no_picture(
    mef: Mef, room: Path, damage: Callable[[bytes], bytes]
) -> None:
    """One sentence and exit code 1, or the batch goes on; what was made before stays, byte by byte."""
    out = room / "out"
    command = ("batch", room / "card" / "0", "-o", out, *FAST)
    assert mef(*command, "--overwrite").code == 0
    journal = out / JOURNAL
    whole, before = journal.read_bytes(), hashes(sorted(out.rglob("*.tif")))
    journal.write_bytes(damage(whole))
    done = mef(*command, "--quiet")
    named(done.code, done.err, "Error:")
    assert len([line for line in done.err.splitlines() if line.startswith("Error:")]) == done.code
    assert hashes(sorted(out.rglob("*.tif"))) == before
    journal.unlink()


def changed(data: bytes, changes: list[tuple[float, int]]) -> bytes:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    return bytes(damaged)


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "other database", "view"])
def test_things_that_are_no_journal_are_refused(mef: Mef, room: Path, kind: str) -> None:
    journal = room / "out" / JOURNAL
    if kind == "folder":
        journal.mkdir()
    elif kind == "pipe":
        os.mkfifo(journal)
    elif kind == "link":
        journal.symlink_to(journal)
    else:
        with contextlib.closing(sqlite3.connect(journal)) as database:
            what = "TABLE brackets (x)" if kind == "other database" else "VIEW brackets AS SELECT 1 AS x"
            database.execute(f"CREATE {what}")
    done = mef("batch", room / "card" / "0", "-o", room / "out", *FAST, "--quiet")
    assert done.code == 1
    named(done.code, done.err, "Move it away", "Cannot write")
    assert len(done.err.splitlines()) == 1, done.err
    assert not outputs(room / "out")
