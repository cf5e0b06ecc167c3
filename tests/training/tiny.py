"""A tiny network with everything that a resumed run must restore: batch norm, dropout, a critic.

Run as a program it trains until it is killed: `python tiny.py STORE_FOLDER RUNS STEPS`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from mefcli.training.loop import Tick, Trainer
from mefcli.training.prepare import Run
from mefcli.training.settings import Settings
from mefcli.training.simulator import Simulator
from mefcli.training.state import new_state
from mefcli.training.store import Store
from mefcli.training.validate import held_out
from mefnets.recipe import Batch, Data, Objective, Recipe, Stage
from mefnets.spec import ModelSpec, Tiling

SPEC = ModelSpec(name="tiny", title="Tiny", module="tiny", colour="rgb", tiling=Tiling(sees=1))


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.2), nn.Conv2d(8, 3, 1)
        )

    def forward(self, frames: Tensor) -> Tensor:  # (B, 2, 3, H, W) -> (B, 3, H, W)
        out: Tensor = frames.mean(1) + 0.1 * self.layers(frames.flatten(1, 2))
        return out


class TinyObjective(Objective):
    def __init__(self) -> None:
        super().__init__()
        self.critic = nn.Conv2d(3, 1, 3)

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        fused = network(batch.frames)
        loss = (fused - 0.5).square().mean() - 0.01 * self.critic(fused).mean()
        return loss, {"luma": float(fused.detach().mean())}

    def critic_loss(self, network: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            fused = network(batch.frames)
        scores: Tensor = self.critic(fused).mean() - self.critic(batch.frames[:, 0]).mean()
        return scores


RECIPE = Recipe(
    model="tiny",
    data=Data(crop_px=32, batch=2),
    objective=TinyObjective,
    steps=100,
    lr=1e-2,
    warmup_steps=3,
    ema=0.9,
    stages=(Stage(0.35, {"crop_px": 40, "batch": 3}),),  # resumed runs begin before it and after it
)


def make_run(store: Store, runs: Path, steps: int | None, **changes: object) -> Run:
    settings = Settings(model="tiny", data=Path(), runs=runs, workers=1, **changes)  # type: ignore[arg-type]
    torch.manual_seed(settings.seed)
    state = new_state(RECIPE, Tiny(), TinyObjective())
    device = torch.device("cpu")
    simulator = Simulator(store, RECIPE.data, seed=settings.seed)
    return Run(settings, RECIPE, SPEC, device, "CPU", store, simulator, held_out(store), state, steps)


def say(tick: Tick) -> None:
    sys.stdout.write(f"{tick.step}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    torch.set_num_threads(1)
    endless = make_run(Store(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]), save_every_s=0.0)
    Trainer(endless, say).train()
