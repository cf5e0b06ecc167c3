"""How many brackets at a time, where nobody said.

One bracket leaves cores idle while it is aligned and written; several, each in a process with its share of
the cores, keep all of them busy. That costs each process its start and a bracket's memory.
The load of the moment does not count: a card takes longer than most of what else may be running.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from mefcli.batch.plan import Work
from mefcli.estimate import estimate, estimate_pair, estimate_stack

WORTH_S = 12.0  # estimated work that pays for a process
OF_MEMORY = 0.5  # of what is free; estimates are rough, and files are kept in memory by the system too


def processors() -> int:
    """Those this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def jobs_for(works: Sequence[Work]) -> int:
    """Brackets at a time on this machine; one where a graphics card does the work, or memory has a limit."""
    if not works or processors() == 1 or works[0].job.max_memory is not None:
        return 1
    from mefcli.pipeline.check import check_model

    check_model(works[0].job, works[0].task)  # a slip in its name is told before anything is estimated
    cost = {"exposure": estimate, "focus": estimate_stack, "infrared": estimate_pair}[works[0].task]
    guesses = [cost(work.bracket, work.outputs, work.job) for work in works]
    worth = int(sum(guess.total_s - guess.start_s for guess in guesses) / WORTH_S)
    if min(worth, len(works)) < 2:
        return 1
    from mefcli.engines import runs_without_torch
    from mefnets.engine.budget import free_memory_bytes

    job = works[0].job
    if not runs_without_torch(job.model, job.weights, job.device):
        from mefnets.engine.devices import choose_device

        if choose_device(job.device).type != "cpu":
            return 1
    fitting = int(OF_MEMORY * free_memory_bytes() / 2**20 / max(guess.memory_mb for guess in guesses))
    return max(1, min(processors(), len(works), worth, fitting))
