"""The same works on a Dask cluster whose workers see the same files under the same paths.

Twice as many brackets as workers are handed out, no more. When a worker is lost the scheduler gives its
bracket to another; outputs appear whole or not at all, so a bracket fused twice does no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mefcli.batch.plan import Work
from mefcli.batch.runners import Finished, OnStart, signals_held
from mefcli.batch.work import failure, fuse_work
from mefcli.errors import MefError, MissingExtraError, UsageError, named
from mefcli.storage import remove_abandoned

HANDED_OUT = 2  # brackets per worker: one in work, one waiting
# Processes complain that others, whom they still talk to, have ended. Results tell what came of a bracket.
SILENT = {"distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical"}


def on_cluster(
    works: Iterable[Work], address: str, jobs: int | None = None, on_start: OnStart | None = None
) -> Iterator[Finished]:
    """`address` is a scheduler's, such as tcp://host:8786, or `local` for `jobs` workers on this machine."""
    check_dask()
    import distributed

    running: dict[Any, Work] = {}
    stack = ExitStack()
    try:
        if address == "local":
            stack.callback(_sweep, running)  # after the workers have ended
            address = _start_here(distributed, jobs or 2, stack)
        try:
            client = stack.enter_context(distributed.Client(address, timeout="10s", set_as_default=False))
        except (OSError, ValueError) as error:
            raise UsageError(
                f"No Dask scheduler answers at {address}.", "Start one with: dask scheduler."
            ) from error
        yield from _collect(client, distributed, iter(works), running, on_start)
    finally:
        with signals_held():  # a second Ctrl-C changes nothing
            stack.close()


def check_dask() -> None:
    if find_spec("distributed") is None:
        raise MissingExtraError(f"{named('cluster')} needs Dask.", "Install it: pip install 'mef[cluster]'.")


def _start_here(distributed: Any, jobs: int, stack: ExitStack) -> str:
    """The address of a scheduler with workers on this machine, which `stack` ends.

    The workers hear no Ctrl-C, which is the first process's business.
    """
    import dask

    with signals_held():
        stack.enter_context(dask.config.set(SILENT))
        cluster = distributed.LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
        stack.enter_context(cluster)
    address: str = cluster.scheduler_address
    return address


def _sweep(works: dict[Any, Work]) -> None:
    """Workers that were in the midst of a bracket were given some seconds, then killed."""
    for work in works.values():
        for output in work.outputs:
            remove_abandoned(output.resolve())


def _collect(
    client: Any,
    distributed: Any,
    queue: Iterator[Work],
    running: dict[Any, Work],
    on_start: OnStart | None,
) -> Iterator[Finished]:
    """Enters in `running` what is handed out."""
    futures = distributed.as_completed(loop=client.loop)  # not the default client's

    def hand_out() -> None:
        most = max(1, HANDED_OUT * len(client.scheduler_info(n_workers=-1)["workers"]))
        while len(running) < most and (work := next(queue, None)) is not None:
            if on_start:
                on_start(work)
            future = client.submit(fuse_work, _absolute(work), pure=False, retries=2)
            running[future] = work
            futures.add(future)

    hand_out()
    for future in futures:
        work = running.pop(future)
        if future.status == "finished":
            result = future.result()
        else:
            reason = MefError(f"The cluster gave it up: {future.exception()}", "Run the same command again.")
            result = failure(work, reason)
        future.release()
        hand_out()
        yield work, result


def _place(weights: str) -> str:
    """A file of weights by its whole path; anything else is a name."""
    return str(Path(weights).absolute()) if weights.endswith(".safetensors") else weights


def _absolute(work: Work) -> Work:
    """Workers have folders of their own to stand in."""
    shots = tuple(replace(shot, path=shot.path.absolute()) for shot in work.bracket.shots)
    weights = work.job.weights
    return replace(
        work,
        bracket=replace(work.bracket, shots=shots),
        outputs=tuple(output.absolute() for output in work.outputs),
        job=replace(work.job, model=_place(work.job.model), weights=weights and _place(weights)),
    )
