"""A plan: several trainings in order within one length of time, so that a lent card never waits.

`plan.toml` names the data, a folder, how long all of it may take, and one `[[train]]` for each network. A
network has a budget of its own or a share of what is left when its turn comes, less what starting and ending
have cost so far; so the last one ends on time. `plan.json` in the folder remembers budgets and what is
finished: the same command goes on after any interruption, and time spent before counts.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mefcli import storage
from mefcli.errors import InputError, MefError, UsageError, named
from mefcli.training.settings import Settings, find_recipe, parse_duration

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from mefcli.training.loop import Outcome

JOURNAL = "plan.json"
LEAST_S = 5.0  # a network whose turn comes with less left is not begun


@dataclass(frozen=True)
class Task:
    """One training of a plan."""

    model: str
    variant: str = ""
    budget: str = ""  # like 8m; without it, a share of what is left
    share: float = 1.0
    steps: int | None = None
    crop: int | None = None
    seed: int = 0
    start_from: str = ""  # "from" in the file
    teacher: str = ""
    batch_times: int = 0  # 0: the plan's


@dataclass(frozen=True)
class Plan:
    data: Path
    folder: Path
    tasks: tuple[Task, ...]
    total_s: float | None = None
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    workers: int = 1
    batch_times: int = 1
    validate_every: str = "5m"
    export: bool = True

    def settings(self, task: Task, budget_s: float | None) -> Settings:
        return Settings(
            model=task.model,
            data=self.data,
            runs=self.folder,
            variant=task.variant,
            budget_s=budget_s,
            steps=task.steps,
            crop_px=task.crop,
            seed=task.seed,
            device=self.device,
            threads=self.threads,
            precision=self.precision,  # type: ignore[arg-type]  # checked where it is used
            workers=self.workers,
            batch_times=task.batch_times or self.batch_times,
            start_from=Path(task.start_from) if task.start_from else None,
            teacher=Path(task.teacher) if task.teacher else None,
            validate_every_s=parse_duration(self.validate_every),
        )


def read(path: Path) -> Plan:
    """The plan in a file. Paths in it are relative to where mef runs; whatever is wrong is said before the
    first training begins."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}.", f"Check the name given to {named('plan')}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not TOML: {error}.", "mefcli/training/README.md shows a plan."
        ) from error
    rows = table.pop("train", None)
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"{path} trains nothing.", 'It needs a [[train]] with model = "NAME".')
    tasks = tuple(_task(path, row) for row in rows)
    for key in ("data", "folder"):
        if key not in table:
            raise UsageError(f"{path} names no {key}.", f'Write {key} = "...".')
    total = table.pop("total", "")
    plan = Plan(
        **_fitting(path, Plan, {**table, "data": Path(table["data"]), "folder": Path(table["folder"])}),
        tasks=tasks,
        total_s=parse_duration(total) if total else None,
    )
    parse_duration(plan.validate_every)
    if not plan.data.exists():
        raise InputError(f"{plan.data} does not exist.", "Make it with mef train pack.")
    for task in tasks:
        if plan.total_s is None and not task.budget and not task.steps:
            raise UsageError(f"{task.model} has no end in {path}.", "Give it budget, or the plan total.")
    places = [plan.settings(task, None).folder for task in tasks]
    if len(set(places)) < len(places):
        raise UsageError(f"{path} trains one thing twice.", "Give the second one another seed.")
    return plan


def _task(path: Path, row: Mapping[str, Any]) -> Task:
    if "model" not in row:
        raise UsageError(f"A [[train]] of {path} names no model.", 'Write model = "NAME".')
    words = {"start_from" if key == "from" else key: value for key, value in row.items()}
    task = Task(**_fitting(path, Task, words))
    find_recipe(task.model, task.variant)
    if task.budget:
        parse_duration(task.budget)
    if task.share <= 0:
        raise UsageError(f"{task.model} has a share of {task.share:g}.", "Shares are above 0.")
    for weights in (task.start_from, task.teacher):
        if weights and not Path(weights).is_file():
            raise InputError(f"There is no {weights}.", f"{path} names it for {task.model}.")
    return task


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str,),
    "int": (int,),
    "int | None": (int,),
    "float": (int, float),
    "bool": (bool,),
    "Path": (Path,),
}


def _fitting(path: Path, kind: type, words: Mapping[str, Any]) -> dict[str, Any]:
    """The words, each known and of its type."""
    known = {f.name: str(f.type) for f in fields(kind) if f.name not in ("tasks", "total_s")}
    for key, value in words.items():
        if key not in known:
            raise UsageError(f"{path} has an unknown entry: {key}.", f"Known: {', '.join(known)}.")
        wanted = _KINDS[known[key]]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise UsageError(f"{key} in {path} is {value!r}.", f"It should be {wanted[0].__name__}.")
    return dict(words)


# ---- carrying it out -------------------------------------------------------------------------------------


@dataclass
class Entry:
    """What the journal knows of one task."""

    state: str = "waiting"  # "begun", "done", "failed"
    budget_s: float | None = None
    spent_s: float = 0.0  # with start and end, in all sittings
    step: int = 0
    weights: str = ""
    trouble: str = ""


@dataclass
class Journal:
    path: Path
    entries: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def at(cls, folder: Path) -> Journal:
        path = folder / JOURNAL
        if not path.is_file():
            return cls(path)
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, {name: Entry(**row) for name, row in rows.items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is damaged: {error}.", "Remove it, or use another folder.") from error

    def of(self, name: str) -> Entry:
        return self.entries.setdefault(name, Entry())

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows = {name: asdict(entry) for name, entry in self.entries.items()}
        storage.write_text(self.path, json.dumps(rows, indent=1) + "\n")

    def spent_s(self) -> float:
        return sum(entry.spent_s for entry in self.entries.values())

    def around_s(self) -> float:
        """What a start and an end have cost beside the training itself, at most."""
        done = [e for e in self.entries.values() if e.state == "done" and e.budget_s is not None]
        return max((e.spent_s - e.budget_s for e in done if e.budget_s is not None), default=0.0)


def budget_of(plan: Plan, journal: Journal, number: int) -> float | None:
    """How long task `number` may train, as things stand: its own budget, else its share of what is left.

    Budgets that later tasks have of their own are set aside first.
    """
    task = plan.tasks[number]
    left = None if plan.total_s is None else plan.total_s - journal.spent_s()
    if task.budget:
        own = parse_duration(task.budget)
        return own if left is None else min(own, left)
    if left is None:
        return None  # its steps end it
    later = [t for t in plan.tasks[number:] if journal.of(name_of(plan, t)).state in ("waiting", "begun")]
    left -= sum(parse_duration(t.budget) for t in later if t.budget)
    left -= journal.around_s() * len(later)
    shares = sum(t.share for t in later if not t.budget)
    return left * task.share / shares


def name_of(plan: Plan, task: Task) -> str:
    return plan.settings(task, None).folder.name


Train = Callable[[Settings], "Outcome"]
Say = Callable[[str], None]


def carry_out(plan: Plan, train: Train, say: Say) -> tuple[Journal, bool]:
    """Train all that is not finished; the journal, and whether it was interrupted.

    A network that fails is told and passed over: the time is not lost for the others.
    """
    journal = Journal.at(plan.folder)
    for number, task in enumerate(plan.tasks):
        name = name_of(plan, task)
        entry = journal.of(name)
        if entry.state in ("done", "failed"):
            continue
        budget = entry.budget_s if entry.state == "begun" else budget_of(plan, journal, number)
        if budget is not None and budget < LEAST_S:
            say(f"{name}: no time is left for it.")
            continue
        entry.state, entry.budget_s = "begun", budget
        journal.write()
        say(f"{name}: {f'{budget / 60:.1f} minutes' if budget else f'{task.steps} steps'}.")
        # A sitting that was killed wrote no journal, but its checkpoint knows how long it had trained.
        before = max(entry.spent_s, _trained_s(plan.settings(task, None).folder))
        started = time.monotonic()
        try:
            outcome = train(plan.settings(task, budget))
            entry.step = outcome.step
            entry.spent_s = before + time.monotonic() - started
            if outcome.why == "interrupted":
                journal.write()
                return journal, True
            if plan.export:
                entry.weights = str(_exported(plan, task))
            entry.state = "done"
        except (
            MefError,
            RuntimeError,
            ValueError,
        ) as error:  # no fault of one may cost the others their time
            entry.state, entry.trouble = "failed", str(error)
            say(f"{name} failed: {error}")
        entry.spent_s = before + time.monotonic() - started
        journal.write()
    return journal, False


def _exported(plan: Plan, task: Task) -> Path:
    from mefcli.training.export import export_run

    out = plan.folder / "weights"
    path, _, _ = export_run(task.model, plan.settings(task, None).folder, task.variant, "last", out)
    return path


def _trained_s(run: Path) -> float:
    if not (run / "last.pt").is_file():
        return 0.0
    import torch

    return float(torch.load(run / "last.pt", map_location="cpu", weights_only=True)["elapsed_s"])
