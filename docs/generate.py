"""Renews what our pages repeat from the code: `python docs/generate.py`. A test fails where a page is stale.

In a page, what stands between `<!-- NAME -->` and `<!-- /NAME -->` is written by the function of that name;
`docs/commands.md` is written as a whole.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer

from mefcli.cli.app import COMMANDS
from mefcli.cli.lazy import Entry, build, help_and_examples
from mefcli.estimate import fusion_s
from mefcli.formats.table import readme_table
from mefcli.quality import cells, quality_of, trained_on, words_of
from mefcli.tasks import ABOUT, About
from mefcli.training.differences import rows
from mefcli.training.settings import find_recipe
from mefnets import DEFAULT_MODEL, DEFAULT_MODELS, MODELS, ModelSpec, Task
from mefnets.engine.sizes import WORKING_SIZE_MP, mode_for

ROOT = Path(__file__).resolve().parents[1]
USED_MP = 24.0  # the size of photograph that "as used" is said of


def table(headings: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in line)}|" for line in lines)


# ---- parts of pages --------------------------------------------------------------------------------------


def models() -> str:
    """README: the models, and what each costs."""
    headings = (
        "model",
        "what it does",
        "from",
        "frames",
        "structure ↑",
        "tone ↓",
        "lost ↓",
        "CPU-s a megapixel, native",
        f"at {USED_MP:g} MP, as used",
    )
    return table(headings, (_model_row(spec) for spec in MODELS.values() if spec.task == "exposure"))


def tasks() -> str:
    """README: every task, its command, its models, how good and how dear the default is."""
    return table(
        ("task", "command", "models", "quality of the default", "its CPU-s a megapixel"),
        (_task_row(task, about) for task, about in ABOUT.items()),
    )


def _task_row(task: Task, about: About) -> list[str]:
    of_task = [spec for spec in MODELS.values() if spec.task == task]
    default = MODELS[DEFAULT_MODELS[task]] if task in DEFAULT_MODELS else of_task[0]
    others = [spec for spec in of_task if spec is not default]
    named = [
        f"**`{default.name}`**{_untrained(default)}",
        *(f"`{one.name}`{_untrained(one)}" for one in others),
    ]
    page = f" ([{about.page}]({about.page}))" if about.page else ""
    cost = f"{default.cost.cpu_s:g}" if default.cost else "–"
    return [about.what, f"`{about.command}`{page}", ", ".join(named), words_of(default), cost]


def _untrained(spec: ModelSpec) -> str:
    absent = spec.weights is not None and not (ROOT / "weights" / spec.weights).is_file()
    return " (to be trained)" if absent else ""


def _model_row(spec: ModelSpec) -> list[str]:
    name = f"**`{spec.name}`** (default)" if spec.name == DEFAULT_MODEL else f"`{spec.name}`"
    card = Path("models", *spec.package.split("."), "README.md")
    linked = f" ([card]({card.as_posix()}))" if (ROOT / card).is_file() else ""
    native = as_used = "–"
    if spec.cost:
        guided = mode_for(spec, "auto", int(USED_MP * 1e6)) == "guided"
        seen, carried = (WORKING_SIZE_MP, USED_MP) if guided else (USED_MP, 0.0)
        native, as_used = f"{spec.cost.cpu_s:g}", f"{fusion_s(spec, 2, seen, carried) / USED_MP:.2f}"
    frames = "any number" if spec.max_frames is None else "pairs"
    words = f"{spec.title}: {spec.summary}{linked}"
    return [name, words, _paper(spec), frames, *_quality(spec), native, as_used]


def _quality(spec: ModelSpec) -> list[str]:
    found = quality_of(spec)
    if found is None:
        return ["–"] * 3
    return [cell.replace("*", r"\*") for cell in cells(found, trained_on(spec))]


def _paper(spec: ModelSpec) -> str:
    if spec.paper is None:
        return "ours" if spec.learned else "–"
    words = f"{spec.paper.venue} {spec.paper.year}"
    return f"[{words}]({spec.paper.link})" if spec.paper.link else words


def commands() -> str:
    """README: the commands, in the words of `mef --help`."""
    return table(("command", "what it does"), ((f"`mef {one.name}`", one.summary) for one in COMMANDS))


def costs() -> str:
    """docs/engine.md: what whole programs cost, as docs/costs.py measured it."""
    rows = json.loads((ROOT / "docs/costs.json").read_text(encoding="utf-8"))
    return table(
        ("bracket", "program", "CPU-s", "to enfuse -d 16", "wall s", "peak MB"),
        (
            [
                row["bracket"],
                row["program"],
                f"{row['cpu_s']:g}",
                f"{row['ratio']:.2f}" if "ratio" in row else "",
                f"{row['wall_s']:g}",
                f"{row['peak_mb']}",
            ]
            for row in rows
        ),
    )


# ---- cards -----------------------------------------------------------------------------------------------


def recipes(*names: str) -> str:
    """A card: the settings in which the paper's recipe and ours differ, and what one of them does alone."""
    recipes = {name: (find_recipe(name, "paper"), find_recipe(name)) for name in names}
    every = _trainings()
    trained = next((every[name] for name in names if name in every), {})
    measured = trained.get("scores", {})
    lines = [
        [f"{row.title} (`{row.setting}`)", row.paper, row.ours, row.why, _alone(row.setting, measured)]
        for row in rows(recipes)
    ]
    theirs, _ = recipes[names[0]]
    lines += [
        [f"`{name}`", f"`{value}`", f"`{_preset(names[0], name)}`", "above", _alone(name, measured)]
        for name, value in theirs.options.items()
        if name in measured
    ]
    shown = table(("setting", "paper or code", "we do", "why", "theirs alone, measured"), iter(lines))
    if not measured:
        return shown
    ours, other = measured["ours"], _alone("another seed", measured)
    as_it_is = f"{ours['mef_ssim']:.4f} and {ours['q_cv']:.0f}"
    return (
        f"{shown}\n\n{trained['steps']} steps at {trained['crop_px']} px; ours as it is {as_it_is}, "
        f"with another seed {other}: what moves less says nothing."
    )


def parts(name: str) -> str:
    """A card: our recipe without a teacher, and the same without what the paper's ablations take away."""
    trained = _trainings()[f"{name}, parts"]
    shown = table(
        ("variant", "MEF-SSIM", "Q_ABF", "Q_W", "Q_CV", "mean luma"),
        (
            [
                label if label == "another seed" else f"`{label}`",
                *(f"{row[key]:.4f}" for key in ("mef_ssim", "q_abf", "q_w")),
                f"{row['q_cv']:.0f}",
                f"{row['luma']:.2f}",
            ]
            for label, row in trained["scores"].items()
        ),
    )
    steps, side = trained["steps"], trained["crop_px"]
    return f"{shown}\n\n{steps} steps at {side} px, seed 0; another seed shows what chance does."


def _trainings() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "docs/trainings.json").read_text(encoding="utf-8"))
    return found


def _alone(setting: str, measured: dict[str, dict[str, float]]) -> str:
    """What the paper's setting alone changes: MEF-SSIM and Q_CV, less ours."""
    if setting not in measured:
        return ""
    if not measured[setting]:
        return "diverges"
    gains = {key: measured[setting][key] - measured["ours"][key] for key in ("mef_ssim", "q_cv")}
    return f"{gains['mef_ssim']:+.4f}, {gains['q_cv']:+.0f}"


def _preset(name: str, option: str) -> object:
    """What an option of a network is where nobody sets it."""
    spec = MODELS[name]
    if option in spec.options:
        return spec.options[option]
    module = importlib.import_module(spec.module)
    own = [one for one in vars(module).values() if getattr(one, "__module__", "") == spec.module]
    for one in [module.build, *(one for one in own if inspect.isclass(one))]:
        takes = inspect.signature(one).parameters
        if option in takes and takes[option].default is not inspect.Parameter.empty:
            return takes[option].default
    raise KeyError(option)


PARTS: dict[str, Callable[[], str]] = {
    "models": models,
    "commands": commands,
    "formats": readme_table,
    "tasks": tasks,
    "costs": costs,
    "ffmef": partial(recipes, "ffmef"),
    "ffmef_tasks": partial(recipes, "ffmef-focus", "ffmef-infrared"),
    "crmef": partial(recipes, "crmef-fast", "crmef", "crmef-align"),
    "mefcl": partial(recipes, "mefcl"),
    "lcndr": partial(recipes, "lcndr"),
    "mgdn": partial(recipes, "mgdn"),
    "ffmef_parts": partial(parts, "ffmef"),
    "crmef_parts": partial(parts, "crmef-fast"),
    "lcndr_parts": partial(parts, "lcndr"),
    "mgdn_parts": partial(parts, "mgdn"),
    "mgdn_tasks": partial(recipes, "mgdn-focus", "mgdn-moving", "mgdn-depth"),
}
CARDS = tuple(f"models/mefnets/{name}/README.md" for name in ("ffmef", "crmef", "mefcl", "lcndr", "mgdn"))
PAGES = ("README.md", "docs/engine.md", *CARDS)


# ---- the command reference -------------------------------------------------------------------------------


def reference() -> str:
    """docs/commands.md: what `--help` says of every command."""
    pages = ["# Commands", "", "What `mef COMMAND --help` says. Every command also takes `--debug`."]
    for entry in COMMANDS:
        pages += _pages(entry, "mef", 2)
    return "\n".join(pages) + "\n"


def _pages(entry: Entry, prefix: str, level: int) -> list[str]:
    name, target = f"{prefix} {entry.name}", entry.load()
    lines = ["", f"{'#' * level} {name}", ""]
    if callable(target) and not isinstance(target, typer.Typer):
        page, examples = help_and_examples(target)
        shown = ["", "```", *(line[2:] for line in examples.splitlines()), "```"] if examples else []
        return [
            *lines,
            page,
            *shown,
            "",
            table(("option", "takes", "default", "what it does"), _options(entry)),
        ]
    lines.append(entry.summary + (f" Without a command: `{name} {entry.alone}`." if entry.alone else ""))
    alike: dict[str, list[Entry]] = {}  # the networks of `mef train` share a page
    for one in target if isinstance(target, tuple) else type(build(entry)).entries:
        alike.setdefault(one.target, []).append(one)
    for first, *others in alike.values():
        lines += _pages(first, name, level + 1)
        if others:
            lines += ["", f"Likewise {', '.join(f'`{name} {one.name}`' for one in others)}."]
    return lines


def _options(entry: Entry) -> Iterator[Sequence[str]]:
    command = entry.load()
    flags = {one.name: [*one.opts, *one.secondary_opts] for one in build(entry).params}
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        if hints[parameter.name] is typer.Context:
            continue
        kind, *facts = get_args(hints[parameter.name])
        facts = facts or [parameter.default]  # `x: int = typer.Option(...)`
        about = next(one for one in facts if hasattr(one, "param_decls"))
        help_ = " ".join((about.help or "").split())
        if isinstance(about, typer.models.ArgumentInfo):
            yield f"`{about.metavar or parameter.name.upper()}`", "", "", help_
            continue
        told = ", ".join(f"`{flag}`" for flag in flags[parameter.name])
        yield told, _taken(kind, about), _default(parameter.default), help_


def _default(value: Any) -> str:
    if value in (None, False, "", inspect.Parameter.empty):
        return ""
    return (
        ", ".join(value)
        if isinstance(value, list | tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _taken(kind: Any, about: Any) -> str:
    """What follows the flag."""
    kinds = [one for one in (get_args(kind) or (kind,)) if one is not NoneType]
    if kinds == [bool]:
        return ""
    if get_origin(kind) is Literal:
        return ", ".join(map(str, kinds))
    word = about.metavar or {int: "NUMBER", float: "NUMBER", Path: "PATH"}.get(kinds[0], "TEXT")
    limits = [
        f"{word} {limit:g}" for word, limit in (("from", about.min), ("to", about.max)) if limit is not None
    ]
    return " ".join([str(word), *limits])


# ---- pages -----------------------------------------------------------------------------------------------


def renewed(text: str) -> str:
    """A page with its marked parts as they ought to be."""

    def part(found: re.Match[str]) -> str:
        return f"<!-- {found[1]} -->\n{PARTS[found[1]]()}\n<!-- /{found[1]} -->"

    return re.sub(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", part, text, flags=re.S)


def pages() -> Iterator[tuple[Path, str]]:
    """Every page that repeats the code, with what it ought to be."""
    for name in PAGES:
        yield ROOT / name, renewed((ROOT / name).read_text(encoding="utf-8"))
    yield ROOT / "docs/commands.md", reference()


if __name__ == "__main__":
    for path, text in pages():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")
