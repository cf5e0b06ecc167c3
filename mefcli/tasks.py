"""Which task a run is for, and what its job may say: a model belongs to one task, and so does a run.

Files of settings speak of exposures; what a stack has no use for is left aside where a file says it, and
refused where somebody typed it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mefcli.checkpoints import find_model
from mefcli.errors import UsageError, did_you_mean, named
from mefcli.job import Job
from mefcli.options import LOOK, described
from mefcli.settings import Settings
from mefnets import DEFAULT_MODELS
from mefnets.spec import Task

UNUSED = (
    "resolution",
    "working_size",
    "strategy",
    "crop",
    "deghost",
    "debug_dir",
    "hdr",
    "headroom",
)  # by a stack
STACK_ALIGNS = ("auto", "off")


def parse_task(text: str | None, known: Iterable[Task]) -> Task | None:
    """A task as typed, of those that a command knows; None where nothing was."""
    if text is None:
        return None
    choices = list(known)
    for task in choices:
        if text == task:
            return task
    hint = f"{did_you_mean(text, choices)}Choose {' or '.join(choices)}."
    raise UsageError(f"{named('task')} cannot be {text!r}.", hint)


def task_of(job: Job) -> Task:
    return find_model(job.model).task


def job_for(settings: Settings, task: Task | None) -> Job:
    """The job of a run for this task: its default model, unless one was typed.

    Without a task it is the model's.
    """
    job = settings.job
    if task is not None and _typed(settings, "model") and task_of(job) != task:
        raise UsageError(
            f"{job.model} is for {task_of(job)}, not for {task}.", f"Leave out {named('task')}, or the model."
        )
    if task is not None and not _typed(settings, "model") and task_of(job) != task:
        job = replace(job, model=DEFAULT_MODELS[task])
    return for_stack(job, settings) if (task or task_of(job)) == "focus" else job


def for_stack(job: Job, settings: Settings) -> Job:
    """Without what files of settings say of exposures."""
    plain = Job()
    looks = [one.name for one in described(Job) if one.option.panel == LOOK]
    names = [name for name in (*UNUSED, *looks) if not _typed(settings, name)]
    if job.align not in STACK_ALIGNS and not _typed(settings, "align"):
        names.append("align")
    return replace(job, **{name: getattr(plain, name) for name in names})


def _typed(settings: Settings, name: str) -> bool:
    return settings.origins[name].source == "command line"
