"""What a run is: a recipe, its ablation, where its data and files are, and how long it may take."""

from __future__ import annotations

import importlib
import importlib.util
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mefcli.errors import ModelError, UsageError, named

if TYPE_CHECKING:
    from mefcli.training.precision import Precision
    from mefnets.recipe import Data, Recipe
    from mefnets.spec import ModelSpec

SMOKE_STEPS = 6
# What a recipe is rather than how it is set, and what its loss asks for: variants change these as a whole.
NO_SETTINGS = {"model", "data", "objective", "stages", "options", "variants", "critic_lr"}
WITH_THE_LOSS = {"stack", "target", "clean", "fewer", "windows", "window_px", "disc_px", "as_recorded"}
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Settings:
    model: str
    data: Path  # a packed file, or the training folder
    runs: Path = Path("runs")
    variant: str = ""
    budget_s: float | None = None
    steps: int | None = None  # overrides the recipe's
    crop_px: int | None = None  # overrides the recipe's
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    precision: Precision = "auto"
    workers: int = 1
    batch_times: int = 1  # the recipe's pictures a step, so many times: a card has the memory
    smoke: bool = False
    fresh: bool = False  # start again even where a checkpoint exists
    start_from: Path | None = None  # weights to begin with (fine-tuning)
    features: Path | None = None  # MEF-CL's feature network; the shipped one by default
    teacher: Path | None = None  # weights of the network that taught recipes learn from; the default model
    vgg16: Path | None = None  # look through torchvision's VGG-16 instead, as the paper does
    save_every_s: float = 60.0
    validate_every_s: float = 240.0

    @property
    def folder(self) -> Path:
        crop = f"crop{self.crop_px}" if self.crop_px else ""
        parts = [self.model, self.variant, crop, f"seed{self.seed}", "smoke" if self.smoke else ""]
        return self.runs / "-".join(part for part in parts if part)


def parse_duration(text: str) -> float:
    """ "90m", "1h30m", "45s", or plain seconds."""
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    found = re.findall(r"(\d+(?:\.\d+)?)([smh])", text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise UsageError(f"{text!r} is not a duration.", "Write it like 90m, 1h30m or 45s.")
    return sum(float(number) * UNITS_S[unit] for number, unit in found)


def all_recipes() -> dict[str, Recipe]:
    """Every recipe of every package, by model name."""
    from mefnets import MODELS

    found: dict[str, Recipe] = {}
    for spec in MODELS.values():
        if has_recipe(spec):
            found.update(importlib.import_module(f"{spec.package}.recipe").RECIPES)
    return found


def has_recipe(spec: ModelSpec) -> bool:
    """Whether its package holds a recipe, which is what makes a model trainable. Imports no torch."""
    return importlib.util.find_spec(f"{spec.package}.recipe") is not None


def find_recipe(name: str, variant: str = "") -> Recipe:
    """`variant`: one of the recipe's; VARIANT.SETTING: the recipe with that one setting of the variant."""
    recipes = all_recipes()
    if name not in recipes:
        raise ModelError(f"There is no recipe for {name!r}.", f"Recipes: {', '.join(sorted(recipes))}.")
    recipe = recipes[name]
    if not variant:
        return recipe
    known, _, setting = variant.partition(".")
    if known not in recipe.variants:
        there = ", ".join(sorted(recipe.variants)) or "none"
        raise UsageError(f"{name} has no variant {known!r}.", f"Variants: {there}.")
    other = varied(recipe, recipe.variants[known])
    return varied(recipe, one_of(other, recipe, known, setting)) if setting else other


def by_setting(recipe: Recipe) -> dict[str, Any]:
    """What is set, by name: of the run, of its pictures, and of the network where the recipe sets it."""
    run = {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name not in NO_SETTINGS}
    seen = {f.name: getattr(recipe.data, f.name) for f in fields(recipe.data)}
    return {
        **run,
        **{name: value for name, value in seen.items() if name not in WITH_THE_LOSS},
        **recipe.options,
    }


def one_of(other: Recipe, recipe: Recipe, variant: str, setting: str) -> dict[str, object]:
    """The changes that give `recipe` this one setting of `other`, which is its `variant`."""
    theirs, ours = by_setting(other), by_setting(recipe)
    differ = sorted(name for name in theirs if name not in ours or ours[name] != theirs[name])
    if setting not in differ:
        raise UsageError(
            f"The variant {variant} has no {setting!r} that differs.", f"It differs in {', '.join(differ)}."
        )
    return {setting: theirs[setting]}


def varied(recipe: Recipe, changes: dict[str, object]) -> Recipe:
    """The recipe with an ablation's changes.

    A key is a field of Recipe ("steps", "objective"), a field of Data ("lopsided"), or else an option of the
    network's build(). "options" and "data" may also be given as dictionaries; they are merged.
    """
    from mefnets.recipe import Data, Recipe

    if isinstance(changes.get("data"), Data) or "crop_px" in changes:
        recipe = replace(recipe, stages=())  # pictures of its own throughout
    of_recipe = {f.name for f in fields(Recipe)} - {"options", "data"}
    of_data = {f.name for f in fields(Data)}
    direct: dict[str, object] = {}
    data: dict[str, object] = {}
    options = dict(recipe.options)
    for key, value in changes.items():
        if key == "options" and isinstance(value, dict):
            options.update(value)
        elif key == "data" and isinstance(value, dict):
            data.update(value)
        elif key == "data" and isinstance(value, Data):
            data.update({f.name: getattr(value, f.name) for f in fields(Data)})
        elif key in of_recipe:
            direct[key] = value
        elif key in of_data:
            data[key] = value
        else:
            options[key] = value
    return replace(recipe, data=replace(recipe.data, **data), options=options, **direct)  # type: ignore[arg-type]


def shortened(recipe: Recipe) -> Recipe:
    """The recipe for a smoke test: a few steps on small crops, everything else as it is."""
    data = replace(
        recipe.data,
        crop_px=min(recipe.data.crop_px, 64),
        batch=min(recipe.data.batch, 2),
        normals=min(recipe.data.normals, 2),
        extremes=min(recipe.data.extremes, 8),
    )
    data = replace(data, windows=min(data.windows, 1), window_px=min(data.window_px, 32))
    stages = tuple(
        replace(stage, data={**stage.data, "crop_px": data.crop_px, "batch": data.batch})
        for stage in recipe.stages
    )
    return replace(recipe, data=data, stages=stages, steps=SMOKE_STEPS, warmup_steps=2)


def enlarged(recipe: Recipe, times: int) -> Recipe:
    """The recipe with `times` as many pictures a step, in all its stages."""
    stages = tuple(
        replace(stage, data={**stage.data, "batch": data_in(recipe, stage.begins).batch * times})
        for stage in recipe.stages
    )
    return replace(recipe, data=replace(recipe.data, batch=recipe.data.batch * times), stages=stages)


def data_in(recipe: Recipe, progress: float) -> Data:
    """What the simulator should make at this point of the run."""
    found = recipe.data
    for stage in recipe.stages:
        if stage.begins <= progress:
            found = replace(recipe.data, **stage.data)  # type: ignore[arg-type]
    return found


def pictures(recipe: Recipe) -> str:
    """What a run sees of each bracket, stage by stage."""
    stages = [recipe.data, *(replace(recipe.data, **s.data) for s in recipe.stages)]  # type: ignore[arg-type]
    words = [
        f"{d.windows} x {d.window_px} px of {d.crop_px} px" if d.windows else f"{d.crop_px} px"
        for d in stages
    ]
    return ", then ".join(dict.fromkeys(words))


def check_length(recipe: Recipe, budget_s: float | None, steps: int | None) -> int | None:
    """How many steps end the run. A budget replaces the recipe's steps; given both, whichever ends first."""
    for value in (budget_s, steps):
        if value is not None and value <= 0:
            raise UsageError(
                "A run needs more than no time.", f"Give a positive {named('budget')} or {named('steps')}."
            )
    if steps is not None:
        return steps
    return None if budget_s else recipe.steps
