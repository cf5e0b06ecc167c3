"""All that a run must remember to go on as if it had never stopped: written whole or not at all."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mefcli import storage
from mefcli.errors import UnreadableError, named
from mefnets.recipe import Objective, Recipe

FORMAT = 1


@dataclass
class State:
    """The moving parts of a run. Batches need no state: they depend on the step number alone."""

    network: nn.Module
    average: nn.Module  # the exponential moving average, which is validated and shipped
    objective: Objective
    optimiser: torch.optim.Optimizer
    critic_optimiser: torch.optim.Optimizer | None
    step: int = 0
    elapsed_s: float = 0.0
    cpu_s: float = 0.0  # of this process, all threads
    brackets: int = 0  # seen
    best: float = float("-inf")


def new_state(recipe: Recipe, network: nn.Module, objective: Objective) -> State:
    average = copy.deepcopy(network).requires_grad_(False).eval()
    critic = [p for p in objective.parameters() if p.requires_grad]
    return State(
        network,
        average,
        objective,
        make_optimiser(recipe, network),
        torch.optim.Adam(critic, lr=recipe.critic_lr, betas=(0.5, 0.9)) if critic else None,
    )


def make_optimiser(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    parameters = [p for p in network.parameters() if p.requires_grad]
    if recipe.optimiser == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    return kind(parameters, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay)


@torch.no_grad()
def update_average(state: State, decay: float) -> None:
    """Early on the average forgets faster, else it would carry the random start for thousands of steps.

    A batch norm's statistics are averaged as weights are: those of the last few batches are other weights'.
    """
    decay = min(decay, (1 + state.step) / (10 + state.step)) if decay else 0.0
    state_now = state.network.state_dict()
    for name, kept in state.average.state_dict().items():
        if kept.is_floating_point():
            kept.lerp_(state_now[name], 1 - decay)
        else:
            kept.copy_(state_now[name])


def save(state: State, path: Path, extra: dict[str, Any]) -> None:
    everything: dict[str, Any] = {
        "format": FORMAT,
        "network": state.network.state_dict(),
        "average": state.average.state_dict(),
        "objective": state.objective.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "critic_optimiser": state.critic_optimiser.state_dict() if state.critic_optimiser else None,
        "step": state.step,
        "elapsed_s": state.elapsed_s,
        "cpu_s": state.cpu_s,
        "brackets": state.brackets,
        "best": state.best,
        "random": _random_states(),
        **extra,
    }
    with storage.written(path) as partial:
        torch.save(everything, partial)


def load(state: State, path: Path, device: torch.device) -> dict[str, Any]:
    """Fill `state` from a checkpoint; returns what `extra` held."""
    try:
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if kept.get("format") != FORMAT:
            raise ValueError("format")
        state.network.load_state_dict(kept["network"])
        state.average.load_state_dict(kept["average"])
        state.objective.load_state_dict(kept["objective"])
        state.optimiser.load_state_dict(kept["optimiser"])
        if state.critic_optimiser and kept["critic_optimiser"]:
            state.critic_optimiser.load_state_dict(kept["critic_optimiser"])
    except (KeyError, ValueError, RuntimeError, EOFError, OSError) as error:
        raise UnreadableError(
            f"The checkpoint {path} does not fit this recipe.", f"Start again with {named('fresh')}."
        ) from error
    state.step, state.elapsed_s, state.best = kept["step"], kept["elapsed_s"], kept["best"]
    state.cpu_s, state.brackets = kept.get("cpu_s", 0.0), kept.get("brackets", 0)
    _restore_random(kept["random"], device)
    return kept


def _random_states() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _restore_random(states: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
