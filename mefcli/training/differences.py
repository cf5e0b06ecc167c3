"""How two recipes of a network differ, setting by setting, in words: the tables of the cards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mefcli.training.settings import by_setting, pictures

if TYPE_CHECKING:
    from mefnets.recipe import Recipe


@dataclass(frozen=True)
class Row:
    """A setting in which the paper's recipe and ours differ."""

    setting: str
    title: str
    paper: str
    ours: str
    why: str


def _range(value: tuple[float, float]) -> str:
    low, high = value
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _schedule(value: object) -> str:
    words = str(value.__doc__).rstrip(".") if callable(value) else str(value)
    return words[0].lower() + words[1:]


def _number(value: float | None) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if value else "none"


def _views(value: str) -> str:
    return {"patches": "patches near native scale", "whole": "whole views, reduced"}[value]


def _average(value: float) -> str:
    return f"averaged, {value:g}" if value else "the last"


def _rest(value: float) -> str:
    return "never" if value >= 1 else f"from {value:g} of the run on"


def _wide(value: bool) -> str:
    return "bfloat16 where the processor has units for it" if value else "float32"


# Title, the value in words, and why ours differs from the papers'.
WORDS: dict[str, tuple[str, Callable[[Any], str], str]] = {
    "views": ("pictures", _views, "what the network sees in use are whole pictures"),
    "crop_px": ("their side", str, "what a step costs"),
    "turns": ("turns of a patch", _number, ""),
    "batch": ("batch", _number, "what a step costs"),
    "frames": ("frames of a bracket", _range, "longer brackets are folded: it is shown its own results"),
    "spread_ev": ("their spread, stops (simulated)", _range, "real brackets reach further"),
    "lopsided": (
        "share of pairs all dark or all bright",
        _number,
        "a third of such teaches that white is grey",
    ),
    "misaligned": ("share that moved", _number, "pairs from the hand as well as from a tripod"),
    "fisheye": ("share seen through a fisheye", _number, "its black border must stay black"),
    "normals": ("well exposed patches a step", _number, "none where there is no contrast"),
    "extremes": ("badly exposed patches a step", _number, "none where there is no contrast"),
    "optimiser": ("optimiser", str, "steadier in short runs"),
    "betas": ("its betas", str, ""),
    "weight_decay": ("weight decay", _number, ""),
    "steps": ("steps, where no budget is given", _number, "a budget of minutes ends most runs"),
    "lr": ("rate", _number, "few steps"),
    "schedule": ("schedule", _schedule, "a budget ends at rest, wherever it ends"),
    "warmup_steps": ("steps of warm-up", _number, "a network that begins as a blend is not thrown off it"),
    "clip_norm": ("norm of the gradient cut at", _number, "one odd bracket cannot undo a run"),
    "clip_value": ("gradients cut each at", _number, "cut by their norm instead"),
    "ema": ("weights that are kept", _average, "calmer than any single step's"),
    "norms_rest": (
        "batch norms at rest",
        _rest,
        "a photograph is fused with the statistics kept, not a batch's",
    ),
    "wide": ("arithmetic", _wide, "up to twice the steps; kept where losses stayed finite"),
}


def rows(recipes: Mapping[str, tuple[Recipe, Recipe]]) -> Iterator[Row]:
    """By network: the paper's and ours. Of the second network on only what differs from the first is told.

    Options of the network itself are not here: they need words of their own.
    """
    for setting, (title, _, why) in WORDS.items():
        papers, ours = (
            {name: _cell(setting, pair[which]) for name, pair in recipes.items()} for which in (0, 1)
        )
        if papers != ours:
            yield Row(setting, title, _joined(papers), _joined(ours), why)


def _cell(setting: str, recipe: Recipe) -> str:
    if setting == "crop_px":
        return pictures(recipe)
    return WORDS[setting][1](by_setting(recipe)[setting])


def _joined(cells: Mapping[str, str]) -> str:
    (_, first), *others = cells.items()
    told: dict[str, list[str]] = {}
    for name, cell in others:
        if cell != first:
            told.setdefault(cell, []).append(f"`{name}`")
    return "; ".join([first, *(f"{', '.join(names)}: {cell}" for cell, names in told.items())])
