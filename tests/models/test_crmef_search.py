"""CRMEF's search: the relaxation, the latency term, and that choosing follows both."""

from __future__ import annotations

import json
from itertools import cycle

import pytest
import torch
from typer.testing import CliRunner

from mefnets.crmef import genotype as genotypes
from mefnets.crmef.genotype import SPACES
from mefnets.crmef.latency import Latency, candidate, layers, measure
from mefnets.crmef.network import build
from mefnets.crmef.search import Architecture, Mixture, Settings, search, supernet


def flat_table(places, size_px=64, **costs):
    """Every operator costs 1, but for those named like RC_7=5."""
    return {
        layer.key(name, size_px): costs.get(name.replace("-", "_"), 1.0)
        for layer in places
        for name in SPACES[layer.part]
    }


def pairs(seed=0, size=8):
    generator = torch.Generator().manual_seed(seed)
    while True:
        scene = torch.rand(1, 3, size // 4, size // 4, generator=generator)
        scene = scene.repeat_interleave(4, 2).repeat_interleave(4, 3)
        yield torch.stack((scene * 0.3, (scene * 2).clamp(max=1)), 1), scene


def test_a_mixture_is_the_weighted_sum_of_its_candidates():
    torch.manual_seed(0)
    alpha = torch.randn(len(SPACES["drm"]))
    mixture = Mixture("drm", 4, 4, lambda: alpha.softmax(0))
    x = torch.rand(1, 4, 9, 9)
    expected = sum(p * op(x) for p, op in zip(alpha.softmax(0), mixture.candidates, strict=True))
    torch.testing.assert_close(mixture(x), expected)


def test_alpha_belongs_to_the_architecture_and_not_to_the_network():
    architecture = Architecture(layers(4))
    network = supernet(architecture, 4)
    own = {id(p) for p in network.parameters()}
    assert not any(id(p) in own for p in architecture.parameters())
    network(next(pairs())[0]).mean().backward()
    assert all(p.grad is not None for p in architecture.parameters())


def test_the_aligning_supernet_searches_its_deformable_layers_too():
    places = layers(64, aligns=True)
    assert [x.place for x in places if x.part == "dasm"] == ["dasm0", "dasm1", "dasm2", "dasm3"]
    architecture = Architecture(places)
    assert architecture.genotype(64).dasm == ("DeC-3",) * 4
    with torch.no_grad():
        assert supernet(architecture, 64, aligns=True).eval()(torch.rand(1, 2, 3, 8, 8)).shape == (1, 3, 8, 8)


def test_latency_is_one_at_the_start_and_falls_towards_cheap_operators():
    places = layers(8)
    latency = Latency(places, flat_table(places, RC_7=9.0))
    architecture = Architecture(places).requires_grad_(False)
    assert float(latency(architecture.probabilities())) == pytest.approx(1.0)
    architecture.alpha["drm0"][SPACES["drm"].index("RC-7")] = 5.0
    dear = float(latency(architecture.probabilities()))
    architecture.alpha["drm0"][SPACES["drm"].index("RC-7")] = -5.0
    assert float(latency(architecture.probabilities())) < 1.0 < dear


def test_relighting_counts_four_times_because_four_modules_share_its_choice():
    assert {layer.times for layer in layers(8) if layer.part == "srsm"} == {4}


def test_an_incomplete_table_is_refused():
    places = layers(8)
    table = flat_table(places)
    table.popitem()
    with pytest.raises(ValueError, match="has no entry"):
        Latency(places, table)


def test_measured_times_cover_every_candidate():
    places = layers(8)
    table = measure(places, size_px=32, repeats=3)
    Latency(places, table, 32)  # complete
    assert all(ms > 0 for ms in table.values())
    assert table["C-7 64>64 32x32"] > table["C-3 64>64 32x32"]  # 5.4 times the work


@pytest.mark.parametrize("name", [n for part in ("srsm", "drm") for n in SPACES[part]])
def test_every_candidate_keeps_the_size_and_sees_its_radius(name):
    torch.manual_seed(0)
    operator = candidate(name, 4, 4).requires_grad_(False)
    x = torch.zeros(1, 4, 41, 41)
    still = operator(x)
    x[..., 20, 20] = 1.0
    seen = ((operator(x) - still).abs().amax((0, 1)) > 0).nonzero()
    assert still.shape == x.shape
    assert int((seen - 20).abs().max()) == genotypes.radius(name)


def test_a_strong_eta_drives_the_choice_to_the_cheapest_operators():
    places = layers(4)
    costs = {"C_1": 0.1, "RC_1": 0.1}
    settings = Settings(width=4, eta=50.0, steps=2, warmup_steps=0, lr_alpha=1.0)
    chosen = search(pairs(0), pairs(1), flat_table(places, **costs), settings)
    assert chosen.srsm == ("C-1",) * 3
    assert chosen.drm == ("RC-1",) * 4


def test_alpha_waits_for_the_warm_up():
    places = layers(4)
    ticks = []
    settings = Settings(width=4, steps=3, warmup_steps=2, lr_alpha=0.1)
    search(pairs(0), pairs(1), flat_table(places), settings, on_step=ticks.append)
    assert [tick.validation is None for tick in ticks] == [True, True, False]
    assert ticks[1].latency == pytest.approx(1.0)


def test_the_command_measures_a_table(tmp_path):
    from mefcli.cli.app import app

    out = tmp_path / "table.json"
    arguments = ["search", "crmef", "--measure-latency", "-o", str(out), "--width", "4", "--size", "8"]
    result = CliRunner().invoke(app, [*arguments, "--repeats", "1", "--batch", "1"])
    assert result.exit_code == 0, result.output
    Latency(layers(4), json.loads(out.read_text()), 8)


def test_the_command_needs_pictures_to_search(tmp_path):
    from mefcli.cli.app import app

    table = tmp_path / "table.json"
    table.write_text(json.dumps(flat_table(layers(4))))
    arguments = ["search", "crmef", "-o", str(tmp_path / "g.json"), "--latency", str(table), "--width", "4"]
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.slow
def test_a_short_real_search_learns_and_its_genotype_builds(tmp_path):
    places = layers(8)
    table = measure(places, size_px=32, repeats=5)
    ticks = []
    settings = Settings(width=8, eta=0.5, steps=60, warmup_steps=20, lr_weights=0.1, lr_alpha=0.05)
    scenes = [next(pairs(seed, 32)) for seed in range(2)]  # few, so that learning shows in few steps
    chosen = search(cycle(scenes), pairs(2, 32), table, settings, 32, on_step=ticks.append)
    assert sum(t.train for t in ticks[-10:]) < 0.9 * sum(t.train for t in ticks[:10])
    assert ticks[-1].latency < 0.95  # cheaper than undecided
    path = tmp_path / "found.json"
    genotypes.write(chosen, path)
    network = build("general", genotype=path).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 2, 3, 33, 47)).shape == (1, 3, 33, 47)
