"""Wide work in strips, one thread each, and how many threads: nothing waits inside a small operation.

Nothing here outlives its call, so a process may fork afterwards, and nothing is changed for anybody else.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def count() -> int:
    """Threads for strips: OMP_NUM_THREADS where it is set, else every processor that we may use.

    Strips wait for nobody, so where other programs are at work they take longer and cost the same.
    """
    return told() or processors()


def told() -> int:
    """OMP_NUM_THREADS, or 0."""
    number = os.environ.get("OMP_NUM_THREADS", "")
    return int(number) if number.isdecimal() else 0


def processors() -> int:
    """Those that this process may use."""
    total = os.cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total


def free_processors() -> int:
    """Those that other programs left alone in the last minute; one at least.

    For libraries whose threads wait for each other: one that has lost its processor lets the others spin.
    """
    try:
        busy = max(0.0, os.getloadavg()[0] - own_load()) / (os.cpu_count() or 1)
    except (OSError, AttributeError):  # no such figure on Windows
        busy = 0.0
    return max(1, round(processors() * (1 - min(1.0, busy))))


class _OwnLoad:
    """How many processors this process itself kept busy, since the last time somebody asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wall, self._cpu = time.monotonic(), time.process_time()
        self._last = 0.0

    def load(self) -> float:
        with self._lock:
            wall, cpu = time.monotonic(), time.process_time()
            if wall - self._wall > 1.0:
                self._last = (cpu - self._cpu) / (wall - self._wall)
                self._wall, self._cpu = wall, cpu
            return self._last


own_load = _OwnLoad().load


class Lent:
    """A library's number of threads, ours while somebody is at work, and as it was when the last is done.

    `settled`: for the length of a block, as many as processors are free, no more than it had or than `most`.
    In a forked child there is one, since those of its parent are not there to be waited for.
    """

    def __init__(self, read: Callable[[], int], write: Callable[[int], object]) -> None:
        self._read, self._write = read, write
        self._lock = threading.Lock()
        self._users, self._before = 0, 0

    @contextmanager
    def settled(self, most: int | None = None) -> Iterator[None]:
        with self._lock:
            now = self._read()
            if not self._users:
                self._before = now
                now = 1 if forked() else min(now, told() or free_processors())
            self._write(min(now, most or now))
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._write(self._before)


_PARENT = os.getpid()


def forked() -> bool:
    """Whether this process was forked from one that had loaded the engine."""
    return os.getpid() != _PARENT


def in_parallel(job: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Run `job` on every item, each on one thread from start to end."""
    for _ in each(job, items):
        pass


def each(job: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results of `job` in the items' order, a few computed ahead of whoever takes them."""
    todo = list(items)
    workers = min(count(), len(todo))
    if workers <= 1:
        yield from map(job, todo)
        return
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[Result]] = deque()
        try:
            for item in todo:
                ahead.append(pool.submit(job, item))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:  # an error, or nobody takes the rest
            for future in ahead:
                future.cancel()
