"""Which task a run is for, and what its job may say: a model belongs to one task, and so does a run.

Files of settings speak of exposures; what another task has no use for is left aside where a file says it, and
refused where somebody typed it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mefcli.checkpoints import find_model
from mefcli.errors import ModelError, UsageError, did_you_mean, named
from mefcli.job import Job
from mefcli.options import LOOK, described
from mefcli.settings import Settings
from mefnets import DEFAULT_MODELS
from mefnets.spec import Task


@dataclass(frozen=True)
class About:
    """A task in words."""

    what: str
    one: str  # of what a card holds for it
    does: str  # a model of it
    command: str
    page: str = ""  # of the documentation


ABOUT: dict[Task, About] = {
    "exposure": About("exposures", "bracket", "fuses exposures", "mef fuse"),
    "focus": About("focus stacks", "focus stack", "folds focus stacks", "mef focus", "docs/focus.md"),
    "infrared": About(
        "visible and infrared",
        "visible and infrared pair",
        "fuses visible with infrared",
        "mef infrared",
        "docs/infrared.md",
    ),
    "moving": About(
        "moving scenes", "moving scene", "finds the light of moving scenes", "mef hdr", "docs/hdr.md"
    ),
    "depth": About("depth maps", "depth map", "enlarges depth maps", "mef depth", "docs/depth.md"),
}
OF_EXPOSURES = ("strategy", "crop", "deghost", "debug_dir", "hdr", "headroom")
UNUSED: dict[Task, tuple[str, ...]] = {
    "exposure": (),
    "focus": (*OF_EXPOSURES, "resolution", "working_size"),
    "infrared": (*OF_EXPOSURES, "reference", "strict", "raw_or_jpeg"),
    "moving": (),
    "depth": (),
}
OTHER_ALIGNS = ("auto", "off")  # what is to say of stacks and pairs


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
    return for_task(task or task_of(job), job, settings)


def for_task(task: Task, job: Job, settings: Settings) -> Job:
    """Without what files of settings say of exposures, where the task is another."""
    if task == "exposure":
        return job
    refuse_light(task, job.model)
    plain = Job()
    looks = [one.name for one in described(Job) if one.option.panel == LOOK]
    names = [name for name in (*UNUSED[task], *looks) if not _typed(settings, name)]
    if job.align not in OTHER_ALIGNS and not _typed(settings, "align"):
        names.append("align")
    return replace(job, **{name: getattr(plain, name) for name in names})


def refuse_light(task: Task, model: str) -> None:
    """Where pictures are made, a model that makes light or depth."""
    if task in ("moving", "depth"):
        raise other_task(model, task)


def other_task(model: str, task: Task) -> ModelError:
    """A model for other pictures than those given."""
    about = ABOUT[task]
    return ModelError(f"{model} {about.does}.", f"Use {about.command}, or choose another {named('model')}.")


def check_task(task: Task, job: Job) -> None:
    """What the task has no use for, told early."""
    refuse_light(task, job.model)
    plain = Job()
    for name in UNUSED[task]:
        if getattr(job, name) != getattr(plain, name):
            raise UsageError(f"{named(name)} is of no use for {ABOUT[task].what}.", "Leave it out.")
    if task != "exposure" and job.align not in OTHER_ALIGNS:
        how = "shifted, turned and scaled" if task == "focus" else "shifted and scaled"
        raise UsageError(
            f"{named('align')} cannot be {job.align!r} for a {ABOUT[task].one}.",
            f"Frames are {how}: choose auto or off.",
        )


def _typed(settings: Settings, name: str) -> bool:
    return settings.origins[name].source == "command line"
