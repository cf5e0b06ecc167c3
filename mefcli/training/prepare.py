"""From settings to everything a run needs: data at hand, network, objective, optimiser, held-out brackets."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mefcli.checkpoints import adapted
from mefcli.errors import InputError, ModelError, UsageError, named
from mefcli.training import (
    depth,
    focus,
    infrared,
    moving,
    precision,
    recorded_depth,
    recorded_moving,
    scenes,
)
from mefcli.training import pack as packing
from mefcli.training.lineage import Leg, legs_of, of_metadata
from mefcli.training.recorded import (
    RecordedBrackets,
    SceneStore,
    is_scene_pack,
    open_scenes,
)
from mefcli.training.recorded_pack import pack_scenes
from mefcli.training.settings import Settings, check_length, data_in, enlarged, find_recipe, shortened, varied
from mefcli.training.simulator import Simulator
from mefcli.training.state import State, new_state
from mefcli.training.store import Store, open_store
from mefcli.training.targets import TargetBook
from mefcli.training.validate import SHORT_SIDE_PX, Held, held_out
from mefnets import DEFAULT_MODEL, MODELS
from mefnets.engine.devices import choose_device
from mefnets.engine.fuser import build_network
from mefnets.recipe import Data, Objective, Recipe, StackKind
from mefnets.spec import ModelSpec

Say = Callable[[str], None]
SIMULATED = {
    "focus": focus.FocusSimulator,
    "infrared": infrared.InfraredSimulator,
    "moving": moving.MovingSimulator,
    "depth": depth.DepthSimulator,
}
RECORDED = {"moving": recorded_moving.RecordedMoving, "depth": recorded_depth.RecordedDepth}
HELD_MOVING = 12  # scenes that a run is judged by; an evaluation has more
FOLDED, FOLDED_EVERY = 5, 3  # frames of the longer brackets; of every third scene, since each is four fusions
WITHOUT_VGG16 = (
    "The paper compares through VGG-16; without its file this run does so through our own feature network."
)
SHORT = 12  # digits of a hash that name a file


@dataclass
class Run:
    settings: Settings
    recipe: Recipe
    spec: ModelSpec
    device: torch.device
    device_words: str
    store: Store | SceneStore
    simulator: Simulator
    held: list[Held]
    state: State
    steps: int | None
    earlier: tuple[Leg, ...] = ()  # what led to the weights it began with
    began: str = ""  # their SHA-256, shortened
    teacher: str = ""  # likewise, of the network it learns from

    def simulator_at(self, progress: float) -> Simulator:
        """The simulator of the stage that the run is in; the same object as long as the stage lasts."""
        data = data_in(self.recipe, progress)
        if data != self.simulator.data:
            self.simulator = self.simulator.with_data(data)
        return self.simulator


def _book(store: Store, data: Data) -> TargetBook | None:
    return TargetBook(store) if data.target and data.stack == "exposures" else None


def data_at(path: Path, cache: Path, say: Say = lambda words: None) -> Store:
    """The store for a packed file or for the training folder (which is packed first)."""
    if path.is_dir():
        packed = cache / "packed.mefdata"
        if not packed.is_file() or packed.stat().st_mtime < (path / "split.csv").stat().st_mtime:
            say("Packing the training data.")
            packing.pack(path, packed)
        path = packed
    if not path.is_file():
        raise InputError(
            f"{path} does not exist.", f"Give {named('data')} the training folder or a packed file."
        )
    if is_scene_pack(path):
        raise InputError(f"{path} holds scenes as they were photographed.", "This needs mef's free pictures.")
    say("Opening the views (rendered on first use, about a minute).")
    return open_store(path, cache)


def are_scenes(path: Path) -> bool:
    """Whether --data names scenes of one's own, packed or in a folder, instead of the free pictures."""
    if path.is_dir():
        return not (path / "split.csv").is_file()
    return path.is_file() and is_scene_pack(path)


def source_at(path: Path, cache: Path, say: Say = lambda words: None) -> Store | SceneStore:
    """What --data names: the free pictures, or scenes of one's own, packed or as they lie in a folder."""
    if path.is_dir() and are_scenes(path):
        found = scenes.find(path)
        say(found.words())
        packed = cache / f"{path.resolve().name}.mefdata"
        pack_scenes(found, packed)
        return open_scenes(packed, cache)
    if are_scenes(path):
        return open_scenes(path, cache)
    return data_at(path, cache, say)


def held_of(
    store: Store | SceneStore,
    frames: int,
    short_side_px: int = SHORT_SIDE_PX,
    stack: StackKind = "exposures",
) -> list[Held]:
    if isinstance(store, SceneStore):
        if stack == "moving":
            return recorded_moving.held_out(store, short_side_px, HELD_MOVING)
        if stack == "depth":
            return recorded_depth.held_out(store, depth.HELD_PX, depth.HELD)
        return store.held(frames, short_side_px, truth=stack == "focus")
    if stack == "focus":
        return focus.held_out(store, short_side_px, frames)
    if stack == "infrared":
        return infrared.held_out(store, short_side_px)
    if stack == "moving":
        return moving.held_out(store, short_side_px, HELD_MOVING)
    if stack == "depth":
        return depth.held_out(store, short_side_px)
    return held_out(store, frames, short_side_px)


def judged_by(
    store: Store | SceneStore, spec: ModelSpec, recipe: Recipe, short_side_px: int = SHORT_SIDE_PX
) -> list[Held]:
    """What a run's states are chosen by. A network of pairs that is shown longer brackets is judged by some
    of those, too: what it exaggerates it does again with every fusion."""
    frames = 2 if spec.max_frames == 2 else 3
    held = held_of(store, frames, short_side_px, recipe.data.stack)
    if recipe.data.stack == "exposures" and frames == 2 and recipe.data.frames[1] > 2:
        longer = held_of(store, FOLDED, short_side_px)[::FOLDED_EVERY]
        held += [replace(one, folded=True) for one in longer if len(one.frames) > 2]
    return held


def simulator_for(
    store: Store | SceneStore, data: Data, seed: int, part: packing.Part = "train"
) -> Simulator:
    """What hands out the frames that a recipe asks for."""
    if isinstance(store, SceneStore):
        store.check(data)
        return RECORDED.get(data.stack, RecordedBrackets)(store, data, seed=seed, part=part)
    if data.stack == "exposures":
        return Simulator(store, data, seed=seed, part=part, targets=_book(store, data))
    return SIMULATED[data.stack](store, data, seed=seed, part=part)


def device_words(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"


def prepare(settings: Settings, say: Say = lambda words: None) -> Run:
    recipe = find_recipe(settings.model, settings.variant)
    if settings.crop_px:
        recipe = varied(recipe, {"crop_px": settings.crop_px})
    if settings.batch_times > 1:
        recipe = enlarged(recipe, settings.batch_times)
    if settings.smoke:
        recipe = shortened(recipe)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    device = choose_device(settings.device)
    spec = adapted(MODELS[recipe.model], recipe.options)
    store = source_at(settings.data, settings.runs / "cache", say)
    simulator = simulator_for(store, recipe.data, settings.seed)
    network = build_network(spec, device=str(device)).requires_grad_(True)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    earlier, began = start(network, settings.start_from) if settings.start_from else ((), "")
    objective = recipe.objective().to(device)
    if give_features(objective, settings, device) and settings.variant.startswith("paper"):
        say(WITHOUT_VGG16)
    teacher = give_teacher(objective, settings, device)
    state = new_state(recipe, network, objective)
    dtype = precision.choose(settings.precision, recipe.wide, device)
    precision.compute_in(network, dtype, device)
    steps = check_length(recipe, settings.budget_s, settings.steps)
    if settings.smoke:
        steps = recipe.steps
    held = judged_by(store, spec, recipe, 96 if settings.smoke else SHORT_SIDE_PX)
    if not held:
        raise InputError(
            f"{settings.data} holds no scene to judge by: of light, some must be kept for validation.",
            "Mark them val in split.csv, or pack the whole training folder.",
        )
    held = [held[0], *held[1:][-1:]] if settings.smoke else held
    words = f"{device_words(device)}, {str(dtype).removeprefix('torch.')}"
    return Run(
        settings,
        recipe,
        spec,
        device,
        words,
        store,
        simulator,
        held,
        state,
        steps,
        earlier,
        began,
        teacher,
    )


def start(network: torch.nn.Module, weights: Path) -> tuple[tuple[Leg, ...], str]:
    """Begin from given weights, a safetensors file or a checkpoint of another run: their legs and hash."""
    if not weights.is_file():
        raise InputError(f"There is no {weights}.", f"Give {named('from')} weights or a checkpoint.")
    if weights.suffix == ".safetensors":
        from mefcli.checkpoints import read_weights

        state, sha256, metadata = read_weights(weights)
        legs = of_metadata(metadata)
    else:
        kept = torch.load(weights, map_location="cpu", weights_only=True)
        state, sha256 = kept["average"], hashlib.sha256(weights.read_bytes()).hexdigest()
        legs = legs_of(kept)
    try:
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except RuntimeError as error:
        raise ModelError(
            f"{weights.name} does not fit this network.", f"Start without {named('from')}."
        ) from error
    return legs, sha256[:SHORT]


def give_teacher(objective: Objective, settings: Settings, device: torch.device) -> str:
    """The network to learn from, for objectives that have one: the default model, or weights given for it.

    Returns the hash of its weights; nothing where there is none."""
    use = getattr(objective, "use_teacher", None)
    if use is None:
        if settings.teacher:
            raise UsageError(
                f"This recipe has no teacher: {named('teacher')} has no use here.",
                f"Leave it out, or leave out {named('variant')}.",
            )
        return ""
    from mefcli.checkpoints import build_with_weights, load_fuser_weights

    spec, tensors, sha256, _ = load_fuser_weights(DEFAULT_MODEL, settings.teacher)
    use(build_with_weights(spec, tensors, str(device)))
    return (sha256 or "")[:SHORT]


def give_features(objective: Objective, settings: Settings, device: torch.device) -> bool:
    """The frozen feature network, for objectives that compare by one; whether it is ours."""
    use = getattr(objective, "use_features", None)
    if use is None:
        if given := "vgg16" if settings.vgg16 else "features" if settings.features else "":
            raise UsageError(
                f"This recipe compares through no feature network: {named(given)} has no use here.",
                f"MEF-CL's variants untaught and paper do: name one with {named('variant')}.",
            )
        return False
    from mefcli.training.features import load_features, untrained_features

    if settings.vgg16:
        from mefnets.mefcl.features import load_vgg16

        try:
            use(load_vgg16(settings.vgg16).to(device))
        except (OSError, ValueError) as error:
            raise ModelError(str(error)) from error
        return False
    use((untrained_features() if settings.smoke else load_features(settings.features)).to(device))
    return True
