"""Ways to get brackets fused: here, one after the other, the next one read ahead; or in several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from mefcli.batch.plan import Work
from mefcli.batch.share import processors
from mefcli.batch.work import failure, fuse_work, read_ahead
from mefcli.errors import MefError, named
from mefcli.pipeline.results import Result
from mefcli.values import OnStep, Stack, silent

if TYPE_CHECKING:
    from mefnets.engine.fusion import Fusion

Finished = tuple[Work, Result]
Runner = Callable[[Iterable[Work]], Iterator[Finished]]
OnStart = Callable[[Work], None]


def here(
    works: Iterable[Work],
    on_step: OnStep = silent,
    on_start: OnStart | None = None,
    fuser: Fusion | None = None,
) -> Iterator[Finished]:
    """One bracket is fused while the next, and no more than that, is read; with a limit of memory in turn."""
    reader = ThreadPoolExecutor(1, thread_name_prefix="read ahead")
    queue = iter(works)
    try:
        work = next(queue, None)
        ahead = _ahead(reader, work)
        while work is not None:
            stack = ahead.result() if ahead else None
            following = next(queue, None)
            ahead = _ahead(reader, following)
            if on_start:
                on_start(work)
            result = fuse_work(work, on_step, stack, fuser)
            del stack  # before the next bracket's pixels are needed
            yield work, result
            work = following
    finally:
        reader.shutdown(wait=True, cancel_futures=True)


def _ahead(reader: Executor, work: Work | None) -> Future[Stack | Exception | None] | None:
    return reader.submit(_read, work) if work and work.job.max_memory is None else None


def _read(work: Work) -> Stack | Exception | None:
    try:
        return read_ahead(work)
    except Exception as error:
        return error


def processes(works: Iterable[Work], jobs: int, on_start: OnStart | None = None) -> Iterator[Finished]:
    """`jobs` brackets at a time, each in a process of its own."""
    queue = iter(works)
    while True:
        with _pool(jobs, jobs) as pool:
            lost = yield from _until_broken(pool, jobs, queue, on_start)
        if not lost:
            return
        for work in lost:  # which of them broke it is unknown; each has its own chance
            with _pool(1, jobs) as pool:
                yield work, _alone(pool, work)


def _until_broken(
    pool: ProcessPoolExecutor, jobs: int, queue: Iterator[Work], on_start: OnStart | None
) -> Generator[Finished, None, list[Work]]:
    """Results until the queue is empty. Where a process died: all that was under way."""
    running: dict[Future[Result], Work] = {}
    while True:
        while len(running) < jobs and (work := next(queue, None)) is not None:
            if on_start:
                on_start(work)
            try:
                running[_submit(pool, work)] = work
            except BrokenProcessPool:
                return [work, *running.values()]
        if not running:
            return []
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            work = running.pop(future)
            try:
                result = future.result()
            except BrokenProcessPool:
                return [work, *running.values()]
            yield work, result


def _alone(pool: ProcessPoolExecutor, work: Work) -> Result:
    try:
        return _submit(pool, work).result()
    except BrokenProcessPool:
        hint = f"Use {named('jobs')} 1."
        return failure(work, MefError("Its process was killed, perhaps for want of memory.", hint))


@contextmanager
def _pool(workers: int, jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end when the block does: after their work, or at once if it ends by an exception."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_settle_in, initargs=(jobs,))
    try:
        yield pool
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, work: Work) -> Future[Result]:
    with signals_held():  # until they are settled in
        return pool.submit(_fuse_or_end, work)


@contextmanager
def signals_held() -> Iterator[None]:
    """Signals wait for the end of the block; threads and processes started within never hear them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # started within, Python up to 3.11 would let the signals through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---- in the processes -----------------------------------------------------------------------------------

STOPS = (signal.SIGINT, signal.SIGTERM)


def _settle_in(jobs: int) -> None:
    """Take a share of the cores. Ctrl-C, which all processes hear, is the first one's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2

    threads = max(1, processors() // jobs)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # the engine's, torch's too once it is loaded
    cv2.setNumThreads(threads)


def _fuse_or_end(work: Work) -> Result:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return fuse_work(work)
    except KeyboardInterrupt:  # its temporary files are gone by now
        os._exit(1)
    finally:
        signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: object) -> None:
    os._exit(1)


def _end_with_parent() -> None:
    """A process whose first one was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
