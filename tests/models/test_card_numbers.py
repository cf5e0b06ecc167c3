"""The numbers of the cards and of the weights' page: of what is built, and of the files that are shipped."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from imageio.v3 import imread
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mefcli.checkpoints import known_hashes, read_header
from mefcli.quality import SCORES
from mefnets import MODELS
from mefnets.colour import rgb_to_ycbcr
from mefnets.engine.fuser import build_network
from mefnets.ffmef.loss import PRINTED, saturation_weights
from mefnets.mgdn import network as mgdn

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "weights"
PAGE = (WEIGHTS / "README.md").read_text(encoding="utf-8")


def card(name: str) -> str:
    return (ROOT / "models" / "mefnets" / name / "README.md").read_text(encoding="utf-8")


def network(name: str, **options: Any) -> nn.Module:
    spec = MODELS[name]
    return build_network(replace(spec, options={**spec.options, **options}))


def size(built: nn.Module) -> str:
    return f"{sum(p.numel() for p in built.parameters()):,}"


def multiply_adds(built: nn.Module, colours: int, side: int = 96) -> float:
    """Of convolutions and matrix products, in thousands a pixel, which is in 10^9 a megapixel."""
    with FlopCounterMode(display=False) as counter:
        built.requires_grad_(False)(torch.rand(1, 2, colours, side, side))  # with gradients on: no strips
    return float(counter.get_total_flops() / 2 / side**2 / 1000)


# ---- cards -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("room", "name", "words"),
    [
        ("ffmef", "ffmef", "{} parameters, 14.5 G multiply-adds"),
        ("mefcl", "mefcl", "{} parameters; 21 x 21 pixels"),
        ("lcndr", "lcndr", "{} parameters."),
        ("crmef", "crmef", "| `crmef` | general | {} (1,879,330) | 32 px |"),
        ("crmef", "crmef-fast", "| `crmef-fast` | fast | {} (684,450) | 28 px |"),
        ("crmef", "crmef-align", "| `crmef-align` | align | {} (2,634,526) | 104 px |"),
        ("mgdn", "mgdn", "| `exposure` | two RGB | 908,311 | {} |"),
    ],
)
def test_a_card_counts_the_parameters_that_are_built(room: str, name: str, words: str) -> None:
    assert words.format(size(network(name))) in card(room)


@pytest.mark.parametrize(
    ("name", "reach"), [("crmef", 32), ("crmef-fast", 28), ("crmef-align", 104), ("mefcl", 10)]
)
def test_a_card_says_how_far_its_network_sees(name: str, reach: int) -> None:
    assert MODELS[name].tiling.reach == reach  # measured in test_all_models and test_crmef


@pytest.mark.parametrize("task", ["exposure", "focus", "deghosting", "depth", "depth16", "moving"])
def test_mgdns_card_counts_the_parameters_of_every_task(task: str) -> None:
    row = next(line for line in card("mgdn").splitlines() if line.startswith(f"| `{task}` |"))
    built = mgdn.build(task=task)  # type: ignore[arg-type]
    assert row.split("|")[4].strip() == size(built)


@pytest.mark.parametrize(
    ("name", "options", "stated"),
    [
        ("ffmef", {"padding": "zeros"}, 14.5),
        ("mefcl", {}, 661),
        ("crmef", {"padding": "zeros", "unused": True}, 1531),
        ("crmef-fast", {"padding": "zeros", "unused": True}, 340),
    ],
)
def test_multiply_adds_are_those_of_the_card(name: str, options: dict[str, Any], stated: float) -> None:
    colours = 1 if MODELS[name].colour == "luma" else 3
    assert multiply_adds(network(name, **options), colours) == pytest.approx(stated, rel=0.03)


def test_nearly_half_of_mefcls_multiply_adds_are_in_one_layer() -> None:
    layer = 264 * 128 * 9 / 1000
    assert 0.4 < layer / multiply_adds(network("mefcl"), 3) < 0.5


BRACKETS = ROOT.parent / "shared/data/dev/brackets"


@pytest.mark.skipif(not BRACKETS.is_dir(), reason="real brackets are not beside the repository: NOT measured")
def test_equation_9_on_real_brackets_is_what_the_card_says() -> None:
    """How far the weights of the darkest and the brightest shot are from one half, at 0.25 MP; means."""
    off: dict[float, list[float]] = {1.0: [], PRINTED: []}
    for place in sorted(path for path in BRACKETS.iterdir() if path.is_dir()):
        shots = sorted(path for path in place.iterdir() if path.suffix.lower() in (".jpg", ".png"))
        ends = [
            torch.from_numpy(imread(path)[..., :3].copy()).movedim(-1, 0) / 255
            for path in (shots[0], shots[-1])
        ]
        pair = torch.stack(ends)[None]
        scale = min(1.0, (250_000 / (pair.shape[-2] * pair.shape[-1])) ** 0.5)
        pair = F.interpolate(pair[0], scale_factor=scale, mode="area")[None]
        chroma = rgb_to_ycbcr(pair)[:, :, 1:] - 0.5
        for temperature, found in off.items():
            found.append(float((saturation_weights(chroma, temperature)[:, 0] - 0.5).abs().mean()))
    told = card("ffmef")
    found, printed = (mean(off[temperature]) for temperature in (1.0, PRINTED))
    assert f"within {found:.3f} of one half" in told
    assert f"first and last shots of {len(off[1.0])} real brackets (printed: {printed:.3f};" in told


# ---- the page of the weights -----------------------------------------------------------------------------


def rows(after: str) -> dict[str, list[str]]:
    """The table that follows these words, by its first column."""
    lines = PAGE.partition(after)[2].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    found = {}
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found[name.strip("*`")] = cells
    return found


def test_the_scores_at_a_quarter_of_a_megapixel_are_those_of_the_shipped_weights() -> None:
    scores = json.loads((WEIGHTS / SCORES).read_text())["models"]
    told = rows("<!-- scores.json -->")
    names = [name for name in told if name in scores]
    assert set(names) == set(scores)
    for name in names:
        row = scores[name]
        wanted = [f"{row[key]:.4f}" for key in ("MEF_SSIM", "Q_ABF", "Q_W")]
        wanted += [f"{row['Q_CV']:.1f}"]
        wanted += [f"{100 * row[key]:.1f} %" for key in ("crushed", "blown")]
        assert told[name] == [*wanted, f"{row['colour']:.2f}"], name


def test_the_validation_scores_are_those_in_the_files() -> None:
    told = rows("The eight validation scenes, simulated pairs")
    for name, cells in told.items():
        path = WEIGHTS / f"{name}.safetensors"
        if not path.is_file():
            continue  # average, Mertens; of the house an earlier leg
        found = json.loads(read_header(path.read_bytes())["validation"])
        wanted = [f"{found[key]:.4f}" for key in ("mef_ssim", "q_abf", "q_w")]
        wanted += [f"{found['q_cv']:.1f}", f"{found['residual']:.1f}", f"{found['luma']:.2f}"]
        assert cells == wanted, name


def test_every_file_of_weights_has_a_line_and_a_size_that_is_true() -> None:
    files = {name for name in rows("## Files") if name.endswith(".safetensors")}
    assert files == {name for name in known_hashes(WEIGHTS) if name.endswith(".safetensors")}
    megabytes = re.search(r"`features.safetensors` \((\d\.\d\d) MB", PAGE)
    assert megabytes
    assert float(megabytes[1]) == pytest.approx(
        (WEIGHTS / "features.safetensors").stat().st_size / 1e6, abs=0.005
    )
