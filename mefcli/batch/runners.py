"""Ways to get brackets fused: here, one after the other, the next one read ahead; or in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from mefcli.batch.plan import Work
from mefcli.batch.work import failure, fuse_work, read_stack
from mefcli.errors import MefError
from mefcli.pipeline.types import OnStep, Stack, silent

Finished = tuple[Work, dict[str, Any]]
Runner = Callable[[Iterable[Work]], Iterator[Finished]]
OnStart = Callable[[Work], None]


def here(
    works: Iterable[Work], on_step: OnStep = silent, on_start: OnStart | None = None
) -> Iterator[Finished]:
    """One bracket is fused while the next, and no more than that, is read."""
    reader = ThreadPoolExecutor(1, thread_name_prefix="read ahead")
    queue = iter(works)
    try:
        work = next(queue, None)
        ahead = reader.submit(_read, work) if work else None
        while work is not None and ahead is not None:
            stack = ahead.result()
            following = next(queue, None)
            ahead = reader.submit(_read, following) if following else None
            if on_start:
                on_start(work)
            result = fuse_work(work, on_step, stack)
            del stack  # before the next bracket's pixels are needed
            yield work, result
            work = following
    finally:
        reader.shutdown(wait=True, cancel_futures=True)


def _read(work: Work) -> Stack | Exception:
    try:
        return read_stack(work)
    except Exception as error:
        return error


def processes(works: Iterable[Work], jobs: int, on_start: OnStart | None = None) -> Iterator[Finished]:
    """`jobs` brackets at a time, each in a process of its own."""
    import multiprocessing

    queue = iter(works)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_share_cores, initargs=(jobs,))
    running: dict[Future[dict[str, Any]], Work] = {}
    try:
        while True:
            while len(running) < jobs and (work := next(queue, None)) is not None:
                if on_start:
                    on_start(work)
                running[pool.submit(fuse_work, work)] = work
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                work = running.pop(future)
                try:
                    yield work, future.result()
                except BrokenProcessPool:
                    # Which bracket broke it is unknown; each has its own chance with the next pool.
                    lost = [work, *running.values()]
                    running.clear()
                    pool.shutdown(wait=False, cancel_futures=True)
                    pool = ProcessPoolExecutor(
                        jobs, mp_context=context, initializer=_share_cores, initargs=(jobs,)
                    )
                    for one in lost:
                        yield one, _alone(one, context, jobs)
                    break
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _alone(work: Work, context: Any, jobs: int) -> dict[str, Any]:
    with ProcessPoolExecutor(1, mp_context=context, initializer=_share_cores, initargs=(jobs,)) as pool:
        try:
            return pool.submit(fuse_work, work).result()
        except BrokenProcessPool:
            return failure(
                work, MefError("Its process was killed, perhaps for want of memory.", "Use --jobs 1.")
            )


def _share_cores(jobs: int) -> None:
    import os

    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // jobs))
