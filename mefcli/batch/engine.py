"""A batch: what the journal has is passed over, the rest goes to a runner, and every result is entered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mefcli.batch.claims import content_hash
from mefcli.batch.journal import Journal
from mefcli.batch.plan import Work
from mefcli.batch.runners import Finished, Runner
from mefcli.batch.work import failure
from mefcli.errors import MefError, OutputError
from mefcli.job import Job
from mefcli.pipeline.results import Done

AGAIN = "Run the same command again."


def run_batch(works: Sequence[Work], journal: Journal, runner: Runner) -> Iterator[Finished]:
    """Results as they come. Brackets finished by an earlier run come first."""
    todo: list[Work] = []
    for work in works:
        before = journal.finished(work)
        if before is not None and not work.job.overwrite:
            yield work, before
            continue
        try:
            journal.check_free(work)
        except MefError as error:
            yield work, failure(work, error)
            continue
        todo.append(work)
    if not todo:
        return
    for work, result in runner(_begun(todo, journal)):
        lost = [output for output in work.outputs if not output.exists()]
        if isinstance(result, Done) and lost:
            result = failure(work, OutputError(f"{lost[0]} vanished after it was written.", AGAIN))
        trouble = None
        try:
            if isinstance(result, Done):
                result = journal.finish(work, result)
            else:
                journal.fail(work, result)
        except MefError as error:  # the journal's own; first tell what became of this bracket
            trouble = error
        yield work, result
        if trouble is not None:
            raise trouble


def _begun(works: Iterable[Work], journal: Journal) -> Iterator[Work]:
    for work in works:
        yield journal.begin(work)


def weights_print(job: Job) -> str:
    """What tells one file of weights from another; empty for models that need none."""
    from mefcli.checkpoints import find_model, find_weights, is_file

    named = job.weights or (job.model if is_file(job.model) else None)
    path = Path(named) if named else find_weights(find_model(job.model))
    if path is None or not path.is_file():
        return hashlib.sha256(str(named).encode()).hexdigest() if named else ""
    return content_hash(path)
