"""Learning from another network: the objective of our own recipes, whatever the paper's network is.

The teacher fuses the frames as they were before noise, compression and motion; the student sees what a camera
stored of them. The student is held to the teacher's picture (L1, gradients, SSIM, colour), to colours no
stronger than its, to losing none of what the frames show, and to rims no darker or lighter than anything
nearby; the measures of a fusion count more and more:

    L = L1 + g |grad| + s (1 - SSIM) + c (|colour| + stronger) + k (crushed + blown) + b beyond
        + r(t) [m (3 (1 - MEF-SSIM) + (1 - Q_ABF) + 2 (1 - Q_W)) + tone Q_CV]

r rises from 0 to 1 over a part of the run. All measures are taken against the clean frames: against noisy
ones they would ask for the noise. The architecture stays the paper's to the last layer; only what it is
trained for differs, and the cards say so ("ours").

Networks of two frames fold longer brackets by a tree of pairs (`mefnets/engine/strategies.py`), so what they
see there are results of their own, and neighbours that are both dark or both bright. Recipes with brackets of
more than two frames (`Data.frames`) show them both; without that, each fusion exaggerates the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.colour import luminance
from mefnets.engine.strategies import pairwise
from mefnets.measures import cast, mef_ssim, q_abf, q_cv, q_w, ssim
from mefnets.recipe import Batch, Data, Objective, Recipe, Stage

Teach = Callable[[Tensor], Tensor]  # (B, N, 3, H, W) -> (B, 3, H, W)

BRACKETS = Data(  # what taught networks of two frames are shown; recipes say where they differ
    frames=(2, 7),
    fewer=5.0,
    crop_px=192,
    batch=4,
    windows=2,
    window_px=64,
    spread_ev=(2.0, 12.0),
    fisheye=0.1,
    clean=True,
)
SHOWN = (0.15, 0.85)  # a pixel counts as shown where a frame's mean around it lies between these
DARKEST, BRIGHTEST = 0.09, 0.93  # of a shown pixel, before it counts as crushed or blown; a little early
NEIGHBOURS_PX = 7
RANGE_PX = 5  # what lies within a window of it in some frame is no rim
CELL_PX = 4  # colours are compared over cells, so that noise has none
MEASURES = 0.05  # what they weigh
LATE = 4.0  # how much more the measures weigh in a late leg
Q_CV_CEILING = 2000.0  # one hopeless pair must not steer a step
LEAST_TONE_PX = 96  # Q_CV compares large shapes; smaller pictures have none


def gradient_loss(fused: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the differences between neighbours."""
    d = fused - target
    across, down = d[..., :, 1:] - d[..., :, :-1], d[..., 1:, :] - d[..., :-1, :]
    return across.abs().mean() + down.abs().mean()


def lost(frames: Tensor, fused: Tensor) -> Tensor:
    """How far shown pixels of the result fall below the darkest or rise above the brightest they may have.

    frames (B, N, 1, H, W), fused (B, 1, H, W), luminance; the mean over the shown pixels.
    """
    size = min(NEIGHBOURS_PX, *fused.shape[-2:])
    with torch.no_grad():
        seen = F.avg_pool2d(frames.flatten(0, 1), size, 1).view(*frames.shape[:3], *_inner(fused, size))
        shown = ((seen > SHOWN[0]) & (seen < SHOWN[1])).any(1).to(fused.dtype)  # (B, 1, h, w)
    around = F.avg_pool2d(fused, size, 1)
    excess = F.relu(DARKEST - around) + F.relu(around - BRIGHTEST)
    return (excess * shown).sum() / shown.sum().clamp_min(1.0)


def beyond(frames: Tensor, target: Tensor, fused: Tensor) -> Tensor:
    """How far the result lies below or above all that the frames and the target show around a pixel, as rims
    along edges do. frames (B, N, 1, H, W), target and fused (B, 1, H, W), luminance; the mean over pixels."""
    shown = torch.cat((frames.flatten(1, 2), target), 1)
    most = F.max_pool2d(shown.amax(1, keepdim=True), RANGE_PX, 1, RANGE_PX // 2)
    least = -F.max_pool2d(-shown.amin(1, keepdim=True), RANGE_PX, 1, RANGE_PX // 2)
    return (F.relu(least - fused) + F.relu(fused - most)).mean()


def stronger(fused: Tensor, target: Tensor) -> Tensor:
    """How much stronger colours are than the target's, both (B, 3, H, W); the mean over cells. The measures,
    which look at one colour in two of three steps, ask for contrast in each: in the end for gaudy colours."""
    ours, theirs = (
        torch.linalg.vector_norm(F.avg_pool2d(x - luminance(x).unsqueeze(-3), CELL_PX), dim=1)
        for x in (fused, target)
    )
    return F.relu(ours - theirs).mean()


def _inner(picture: Tensor, size: int) -> tuple[int, int]:
    return picture.shape[-2] - size + 1, picture.shape[-1] - size + 1


def cut(batch: Batch, *stacks: Tensor) -> list[Tensor]:
    """The windows of the batch out of each stack (B, ..., H, W); the stacks as they are where it has none."""
    if batch.windows is None:
        return list(stacks)
    places = batch.windows.tolist()
    return [
        torch.stack([x[item, ..., top : top + side, left : left + side] for item, top, left, side in places])
        for x in stacks
    ]


@torch.no_grad()
def folded(network: nn.Module, frames: Tensor) -> Tensor:
    """(B, N, C, H, W) -> (B, 2, C, H, W): all fusions of the bracket's tree but the last, whose two pictures
    these are, as the network at rest makes them."""
    learning = [module for module in network.modules() if module.training]
    network.eval()
    pictures = list(frames.unbind(1))
    *steps, last = pairwise(len(pictures))
    for pair in steps:
        fused = network(torch.stack([pictures[place] for place in pair], 1))
        pictures.append(fused.clamp(0, 1).to(frames.dtype))
    for module in learning:  # norms that rest stay at rest
        module.training = True
    return torch.stack([pictures[place] for place in last], 1)


def in_either_order(pairs: Tensor) -> Tensor:
    """(B, 2, C, H, W), each pair as it is or turned around, by chance."""
    turned = torch.rand(pairs.shape[0], device=pairs.device) < 0.5
    return torch.where(turned.view(-1, 1, 1, 1, 1), pairs.flip(1), pairs)


def share_at(progress: float, rising: tuple[float, float]) -> float:
    """r(t): from 0 to 1 between the two points of a run."""
    first, full = rising
    return min(1.0, max(0.0, (progress - first) / max(full - first, 1e-9)))


class TaughtObjective(Objective):
    """Needs clean frames (`Data.clean`) and, before the first step, a teacher."""

    def __init__(
        self,
        sees: Literal["luma", "rgb"],
        *,
        gradient: float = 1.0,
        structure: float = 0.3,
        measures: float = MEASURES,
        tone: float = 0.0,
        kept: float = 5.0,
        rims: float = 10.0,
        colour: float = 2.0,
        rising: tuple[float, float] = (0.0, 0.1),
        swap: bool = False,
        neighbours: float = 0.3,
    ) -> None:
        """`sees`: what the network is fed. `rising`: where in the run the measures begin to count and where
        they count in full. `swap`: show pairs in either order. `neighbours`: of brackets of more than two
        frames, the share of which two neighbours are shown, and not the last pair of the tree."""
        super().__init__()
        self.sees = sees
        self.gradient, self.structure = gradient, structure
        self.measures, self.tone, self.colour = measures, tone, colour
        self.kept, self.rims = kept, rims
        self.rising, self.swap, self.neighbours = rising, swap, neighbours
        self.teach: Teach | None = None
        self.calls: Tensor
        # A buffer, so that a continued run goes on with the same plane.
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def use_teacher(self, teacher: nn.Module) -> None:
        """Take the network to learn from. It is no part of this module: checkpoints do not carry it."""
        teacher.eval().requires_grad_(False)
        self.teach = teacher.__call__

    def asks(self) -> tuple[str, ...]:
        measures = ("MEF_SSIM", "Q_ABF", "Q_W") if self.measures else ()
        tone = ("Q_CV",) if self.tone else ()
        return (*measures, *tone, *(("crushed", "blown") if self.kept else ()))

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        if self.teach is None:
            raise ValueError("This objective has no teacher. Call use_teacher() first.")
        if batch.clean is None:
            raise ValueError("A taught network needs clean frames: its recipe must set Data.clean.")
        stored, clean = self._chosen(batch.frames, batch.clean)
        with torch.no_grad():
            target = self.teach(clean).clamp(0, 1)  # (B, 3, H, W)
        stored, clean, target = cut(batch, stored, clean, target)
        if self.sees == "luma":
            stored, clean, target = (luminance(x).unsqueeze(-3) for x in (stored, clean, target))
        if stored.shape[1] > 2:
            stored = folded(network, stored)
        if self.swap:
            stored = in_either_order(stored)
        fused = network(stored)
        absolute = F.l1_loss(fused, target)
        edges = gradient_loss(fused, target)
        structure = 1 - ssim(fused, target).mean()
        loss = absolute + self.gradient * edges + self.structure * structure
        terms = {"l1": absolute.item(), "edges": edges.item(), "ssim": structure.item()}
        if self.colour and self.sees == "rgb":
            tint, gaudy = cast(fused, target).mean(), stronger(fused, target)
            loss = loss + self.colour * (tint + gaudy)
            terms |= {"cast": tint.item(), "stronger": gaudy.item()}
        grey, grey_fused, grey_target = clean, fused, target
        if self.sees == "rgb":
            grey, grey_fused, grey_target = (luminance(x).unsqueeze(-3) for x in (clean, fused, target))
        missing, rims = lost(grey, grey_fused), beyond(grey, grey_target, grey_fused)
        loss = loss + self.kept * missing + self.rims * rims
        terms |= {"lost": missing.item(), "beyond": rims.item()}
        if share := share_at(progress, self.rising):
            measured, more = self.measured(clean, fused, grey, grey_fused)
            loss = loss + share * measured
            terms |= more
        return loss, terms

    def _chosen(self, stored: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        """The frames, or two neighbours of them."""
        count = stored.shape[1]
        if count == 2 or not self.neighbours or float(torch.rand(())) >= self.neighbours:
            return stored, clean
        first = int(torch.randint(count - 1, ()))
        return stored[:, first : first + 2], clean[:, first : first + 2]

    def measured(
        self, frames: Tensor, fused: Tensor, grey: Tensor, grey_fused: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """The measures on luminance, and of RGB networks on one colour in two of three steps."""
        plane, plane_fused = grey, grey_fused
        self.calls += 1
        turn = int(self.calls)
        if self.sees == "rgb" and turn % 3:
            k = turn // 3 % 3
            plane, plane_fused = frames[:, :, k : k + 1], fused[:, k : k + 1]
        structure = mef_ssim(plane, plane_fused).mean()
        edges, shape = q_abf(plane, plane_fused).mean(), q_w(plane, plane_fused).mean()
        asked = 3 * (1 - structure) + (1 - edges) + 2 * (1 - shape)
        loss = self.measures * asked
        terms = {"mef_ssim": structure.item(), "q_abf": edges.item(), "q_w": shape.item()}
        if self.tone and min(fused.shape[-2:]) >= LEAST_TONE_PX:
            tone = q_cv(plane, plane_fused, border=0.5).clamp_max(Q_CV_CEILING).mean()
            loss = loss + self.tone * tone
            terms["q_cv"] = tone.item()
        return loss, terms


def taught(
    recipe: Recipe,
    sees: Literal["luma", "rgb"],
    data: Data,
    *,
    stages: tuple[Stage, ...],
    steps: int,
    lr: float,
    ema: float = 0.995,
    norms_rest: float = 0.3,
    **options: Any,
) -> Recipe:
    """Our recipe for a network: `recipe`, its loss replaced by a teacher (`options` are TaughtObjective's).

    `recipe` itself stays as the variant "untaught", and all its other variants stay what they were; "late" is
    a last leg (`--from` weights that are taught).
    `norms_rest`: 1 for networks without batch norms.
    """
    own: dict[str, object] = {
        "objective": recipe.objective,
        "data": recipe.data,
        "stages": recipe.stages,
        "steps": recipe.steps,
        "lr": recipe.lr,
        "ema": recipe.ema,
        "norms_rest": recipe.norms_rest,
    }
    variants = {"untaught": own}
    for name, changes in recipe.variants.items():
        changed = changes.get("data", {})
        whole = changed if isinstance(changed, Data) else replace(recipe.data, **changed)  # type: ignore[arg-type]
        variants[name] = {**own, **changes, "data": whole}
    # For weights that have learned what the teacher does: its last stage's pictures, and the measures first.
    measures = LATE * float(options.get("measures", MEASURES))
    variants["late"] = {
        "objective": partial(
            TaughtObjective, sees, **{**options, "measures": measures, "rising": (0.0, 0.0)}
        ),
        "data": replace(data, **stages[-1].data),  # type: ignore[arg-type]
        "lr": lr / 2,
    }
    return replace(
        recipe,
        data=data,
        objective=partial(TaughtObjective, sees, **options),
        stages=stages,
        steps=steps,
        lr=lr,
        ema=ema,
        norms_rest=norms_rest,
        variants=variants,
    )
