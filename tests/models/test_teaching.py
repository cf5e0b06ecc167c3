"""Taught recipes: the objective, its teacher, and what a network keeps of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from mefnets.colour import luminance
from mefnets.recipe import Batch, Data, Objective, Recipe, Stage
from mefnets.teaching import LATE, TaughtObjective, beyond, cut, folded, lost, share_at, stronger, taught


class Mean(nn.Module):
    """Teacher and student at once: what one asks, the other gives."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, frames: Tensor) -> Tensor:
        return frames.mean(1) + self.bias


def bracket(size: int = 48) -> Tensor:
    torch.manual_seed(3)
    scene = torch.nn.functional.interpolate(torch.rand(2, 3, 8, 8), size=(size, size), mode="bilinear")
    return torch.stack((0.3 * scene, 0.4 + 0.6 * scene), 1)  # (B, N, 3, H, W)


def batch_of(frames: Tensor, windows: Tensor | None = None) -> Batch:
    return Batch(frames, torch.zeros(frames.shape[:2]), clean=frames, windows=windows)


@pytest.mark.parametrize("sees", ["rgb", "luma"])
def test_a_student_that_gives_the_teachers_picture_has_nothing_to_learn_at_first(sees: str) -> None:
    objective = TaughtObjective(sees, rising=(0.5, 1.0))  # type: ignore[arg-type]
    objective.use_teacher(Mean())
    loss, terms = objective(Mean(), batch_of(bracket()), 0.0)
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-5)
    assert "mef_ssim" not in terms


def test_the_measures_count_more_and_more() -> None:
    objective = TaughtObjective("rgb", rising=(0.5, 0.75))
    assert [share_at(p, objective.rising) for p in (0.0, 0.5, 0.625, 0.75, 1.0)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    objective.use_teacher(Mean())
    losses = [float(objective(Mean(), batch_of(bracket(96)), p)[0].detach()) for p in (0.5, 0.625, 0.75)]
    assert losses == sorted(losses)
    assert losses[0] < losses[1] < losses[2]


def test_the_teacher_is_no_part_of_a_checkpoint_and_learns_nothing() -> None:
    teacher = Mean()
    objective = TaughtObjective("rgb")
    objective.use_teacher(teacher)
    assert not list(objective.parameters())
    assert set(objective.state_dict()) == {"calls"}
    loss, _ = objective(Mean(), batch_of(bracket()), 1.0)
    loss.backward()
    assert teacher.bias.grad is None


def test_without_a_teacher_or_clean_frames_the_objective_says_what_is_missing() -> None:
    frames = bracket()
    with pytest.raises(ValueError, match="no teacher"):
        TaughtObjective("rgb")(Mean(), batch_of(frames), 0.0)
    objective = TaughtObjective("rgb")
    objective.use_teacher(Mean())
    with pytest.raises(ValueError, match="clean"):
        objective(Mean(), Batch(frames, torch.zeros(2, 2)), 0.0)


def long_bracket(count: int) -> Tensor:
    torch.manual_seed(4)
    return torch.rand(2, 1, 3, 24, 24) * torch.linspace(0.1, 1.0, count).view(1, -1, 1, 1, 1)


class Squares(nn.Module):
    """Weighs the brighter frame by a learned share; its norm knows whether it learns."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.share = nn.BatchNorm2d(3), nn.Parameter(torch.tensor(0.75))

    def forward(self, frames: Tensor) -> Tensor:
        mixed = frames[:, 0] * (1 - self.share) + frames[:, 1] ** 2 * self.share
        return self.norm(mixed) if self.training else mixed


def test_of_a_long_bracket_a_student_is_shown_what_it_will_be_shown_when_it_folds() -> None:
    """Four frames: (0, 1) and (2, 3), fused as the network at rest fuses them, no gradient through them."""
    network, frames = Squares(), long_bracket(4)
    network.norm.eval()  # rests, as norms do from some point of a run on
    pair = folded(network, frames)
    assert network.training
    assert network.share.requires_grad
    assert not network.norm.training
    assert not pair.requires_grad
    resting = network.eval()
    for place, (under, over) in enumerate([(0, 1), (2, 3)]):
        expected = resting(frames[:, [under, over]])
        assert torch.allclose(pair[:, place], expected)
    assert torch.equal(
        folded(network, long_bracket(3))[:, 1], long_bracket(3)[:, 2]
    )  # the odd one, carried up


def test_of_a_long_bracket_the_teacher_sees_all_frames_or_the_two_neighbours_that_are_shown() -> None:
    seen: list[Tensor] = []

    class Noted(Mean):
        def forward(self, frames: Tensor) -> Tensor:
            seen.append(frames)
            return super().forward(frames)

    frames = long_bracket(5)
    for share, shown in ((0.0, 5), (1.0, 2)):
        objective = TaughtObjective("rgb", neighbours=share, rising=(0.5, 1.0))
        objective.use_teacher(Noted())
        objective(Mean(), batch_of(frames), 0.0)
        assert seen[-1].shape[1] == shown
    first = next(place for place in range(4) if torch.equal(seen[-1], frames[:, place : place + 2]))
    assert 0 <= first <= 3


def test_windows_are_cut_from_frames_and_pictures_at_the_same_place() -> None:
    frames = bracket()
    windows = torch.tensor([[1, 5, 9, 16], [0, 32, 0, 16]])
    small, mean = cut(batch_of(frames, windows), frames, frames.mean(1))
    assert small.shape == (2, 2, 3, 16, 16)
    assert torch.equal(small[0], frames[1, :, :, 5:21, 9:25])
    assert torch.equal(small.mean(1), mean)


def test_crushed_and_blown_pixels_are_felt_and_a_plain_mean_is_not() -> None:
    frames = torch.full((1, 2, 1, 20, 20), 0.3)
    frames[:, 1] = 0.8
    wanted = {0.55: False, 0.02: True, 0.99: True}
    for value, felt in wanted.items():
        assert (float(lost(frames, torch.full((1, 1, 20, 20), value))) > 0) == felt
    unseen = torch.zeros(1, 2, 1, 20, 20)  # black in all frames: nothing was shown that could be lost
    assert float(lost(unseen, torch.zeros(1, 1, 20, 20))) == 0


def test_colours_stronger_than_the_teachers_are_felt_and_weaker_ones_or_another_light_are_not() -> None:
    target = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(2))
    grey = luminance(target).unsqueeze(-3)
    gaudy, pale, light = (grey + strength * (target - grey) for strength in (1.5, 0.7, 1.0))
    assert float(stronger(gaudy, target)) > 0.01
    assert float(stronger(pale, target)) == 0
    assert float(stronger(light + 0.2, target)) == pytest.approx(0, abs=1e-6)


def test_rims_that_neither_frame_nor_teacher_shows_are_felt() -> None:
    edge = torch.full((1, 1, 20, 20), 0.2)
    edge[..., 10:] = 0.6
    frames = torch.stack((0.5 * edge, edge), 1)
    rimmed, lighter = edge.clone(), edge.clone()
    rimmed[..., 12:14] = 0.7
    lighter[:] = 0.9
    assert float(beyond(frames, edge, edge)) == 0
    assert float(beyond(frames, edge, rimmed)) == pytest.approx(0.1 * 2 / 20, rel=1e-4)
    assert float(beyond(frames, lighter, lighter)) == 0  # two dark frames of which a lighter picture is asked


def test_a_rooms_own_recipe_and_its_ablations_stay_what_they_were() -> None:
    from mefcli.training.settings import varied

    own = Recipe(
        model="lcndr",
        data=Data(crop_px=80, batch=5),
        objective=Objective,
        steps=11,
        lr=0.1,
        ema=0.5,
        variants={"far": {"data": {"spread_ev": (6.0, 9.0)}}, "wide": {"width": 7, "lr": 0.2}},
    )
    ours = taught(own, "luma", Data(clean=True), stages=(Stage(0.5, {"batch": 1}),), steps=99, lr=0.3)
    assert isinstance(ours.objective(), TaughtObjective)
    for name in ("untaught", *own.variants):
        was = replace(own, variants={})
        expected = varied(was, own.variants[name]) if name in own.variants else was
        assert replace(varied(ours, ours.variants[name]), variants={}) == expected, name


def test_a_late_leg_looks_at_the_last_pictures_and_at_the_measures() -> None:
    from mefcli.training.settings import find_recipe

    for name in ("crmef", "mefcl", "ffmef"):
        ours, late = find_recipe(name), find_recipe(name, "late")
        usual, weighing = ours.objective(), late.objective()
        assert isinstance(usual, TaughtObjective)
        assert isinstance(weighing, TaughtObjective)
        assert weighing.measures == LATE * usual.measures
        assert (weighing.tone, weighing.swap, weighing.sees) == (usual.tone, usual.swap, usual.sees)
        assert late.data == replace(ours.data, **ours.stages[-1].data)
        assert late.stages == ()
        assert share_at(1e-6, weighing.rising) == 1
