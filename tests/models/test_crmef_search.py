"""CRMEF's search: the relaxation, the latency term, and that choosing follows both."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mefnets.crmef import genotype as genotypes
from mefnets.crmef.genotype import SPACES
from mefnets.crmef.latency import Latency, Table, candidate, layers, measure, table_from
from mefnets.crmef.network import build
from mefnets.crmef.search import Architecture, Mixture, Settings, search, supernet


def table_of(ms, sizes=(64,)):
    return Table(ms, sizes, 1, 1, "cpu", 1, "processor time", "a test", "0")


def flat_table(places, size_px=64, **costs):
    """Every operator costs 1, but for those named like RC_7=5."""
    return table_of(
        {
            layer.key(name, size_px): costs.get(name.replace("-", "_"), 1.0)
            for layer in places
            for name in SPACES[layer.part]
        },
        (size_px,),
    )


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


def test_joined_convolutions_are_the_weighted_sum_of_all():
    """One call a dilation instead of one a candidate: the same values, the same gradients."""
    torch.manual_seed(0)
    logits = torch.randn(len(SPACES["srsm"]), requires_grad=True)
    mixture = Mixture("srsm", 5, 4, lambda: logits.softmax(0))
    x = torch.rand(2, 5, 15, 17)
    parameters = [logits, *mixture.parameters()]
    joined = mixture(x)
    expected = sum(p * op(x) for p, op in zip(logits.softmax(0), mixture.candidates, strict=True))
    torch.testing.assert_close(joined, expected)
    weights = torch.rand_like(joined)
    got = torch.autograd.grad((joined * weights).sum(), parameters)
    wanted = torch.autograd.grad((expected * weights).sum(), parameters)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


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


def test_each_of_the_four_relighting_modules_has_an_alpha_of_its_own():
    places = layers(4)
    assert [x.place for x in places if x.part == "srsm"] == [f"srsm{i}" for i in range(12)]
    architecture = Architecture(places).requires_grad_(False)
    architecture.alpha["srsm4"][SPACES["srsm"].index("DC-5")] = 1.0  # m1 of the under exposure's second
    found = architecture.genotype(4)
    assert found.relighting(1) == ("C-1", "DC-5", "C-1")
    assert found.relighting(0) == found.relighting(2) == found.relighting(3) == ("C-1",) * 3
    network = supernet(architecture, 4)
    assert float(network.under[1].m1.probabilities().max()) > 0.2
    assert float(network.under[0].m1.probabilities().max()) == pytest.approx(1 / 7)


@pytest.mark.parametrize("aligns", [False, True])
def test_the_supernet_works_in_planes(aligns):
    """In channels_last, without AVX-512, one backward pass of DC-7 took 4.6 s instead of 0.05."""
    width = 64 if aligns else 8
    network = supernet(Architecture(layers(width, aligns)), width, aligns).train()
    seen = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            assert module.weight.is_contiguous()
            module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].is_contiguous()))
    network(torch.rand(1, 2, 3, 16, 16))
    assert seen
    assert all(seen)


def test_every_size_of_a_table_has_the_same_say():
    places = layers(4)
    small, large = flat_table(places, 16, RC_7=9.0), flat_table(places, 64)
    slow = {key: 100 * ms for key, ms in large.ms.items()}
    latency = Latency(places, table_of({**small.ms, **slow}, (16, 64)))
    architecture = Architecture(places).requires_grad_(False)
    assert float(latency(architecture.probabilities())) == pytest.approx(1.0)
    architecture.alpha["drm0"][SPACES["drm"].index("RC-7")] = -50.0
    alone = Latency(places, small)(architecture.probabilities())
    both = latency(architecture.probabilities())
    assert float(both) - 1 == pytest.approx((float(alone) - 1) / 2, rel=1e-3)


def test_a_table_says_how_it_was_measured_and_comes_back_from_its_file():
    table = measure(layers(4), sizes_px=(8, 16), batch=2, repeats=3)
    written = json.loads(json.dumps(table.to_json()))
    assert (written["sizes_px"], written["batch"], written["repeats"]) == ([8, 16], 2, 3)
    assert written["clock"] == "processor time"
    assert table_from(written) == table
    Latency(layers(4), table)  # complete at both sizes
    with pytest.raises(ValueError, match="how it was measured"):
        table_from({"ms": {}, "sizes_px": [8]})


def test_weights_and_alpha_never_meet_on_a_scene():
    from types import SimpleNamespace

    from mefcli.cli.search import half_of

    class Store:
        entries = tuple(
            SimpleNamespace(scene=f"{k // 3}", part="val" if k > 17 else "train") for k in range(21)
        )

        def indices(self, part, *kinds):
            return [i for i, entry in enumerate(self.entries) if entry.part == part]

    halves = [half_of(Store(), half).indices("train") for half in (0, 1)]
    scenes = [{Store.entries[i].scene for i in views} for views in halves]
    assert len(scenes[0]) == len(scenes[1]) == 3
    assert not scenes[0] & scenes[1]
    assert sorted(halves[0] + halves[1]) == Store().indices("train")


def test_an_incomplete_table_is_refused():
    places = layers(8)
    table = flat_table(places)
    table.ms.popitem()
    with pytest.raises(ValueError, match="has no entry"):
        Latency(places, table)


def test_measured_times_cover_every_candidate():
    places = layers(8)
    table = measure(places, (32,), batch=1, repeats=1)
    Latency(places, table)  # complete
    assert all(ms > 0 for ms in table.ms.values())


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
    assert chosen.srsm == ("C-1",) * 12
    assert chosen.drm == ("RC-1",) * 4


@pytest.mark.parametrize("settings", [{"bfloat16": True}, {"optimiser": "adam"}])
def test_in_bfloat16_and_with_adam_it_searches_as_well(settings):
    places = layers(4)
    ticks = []
    settings = Settings(width=4, steps=2, warmup_steps=0, lr_alpha=0.1, **settings)
    search(pairs(0), pairs(1), flat_table(places, C_1=0.1), settings, on_step=ticks.append)
    assert 0 < ticks[0].train < 1
    assert ticks[1].latency < 1


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
    arguments = ["search", "crmef", "--measure-latency", "-o", str(out), "--channels", "4", "--side", "8"]
    result = CliRunner().invoke(app, [*arguments, "--repeats", "1", "--timing-batch", "1"])
    assert result.exit_code == 0, result.output
    Latency(layers(4), table_from(json.loads(out.read_text())))


def test_the_command_needs_pictures_to_search(tmp_path):
    from mefcli.cli.app import app

    table = tmp_path / "table.json"
    table.write_text(json.dumps(flat_table(layers(4)).to_json()))
    arguments = [
        "search",
        "crmef",
        "-o",
        str(tmp_path / "g.json"),
        "--latency",
        str(table),
        "--channels",
        "4",
    ]
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.slow
def test_a_short_real_search_learns_and_its_genotype_builds(tmp_path):
    places = layers(8)
    table = measure(places, (32,), batch=1, repeats=5)
    ticks = []
    settings = Settings(width=8, eta=20.0, steps=60, warmup_steps=20, lr_weights=0.1, lr_alpha=0.05)
    scenes = [next(pairs(seed, 32)) for seed in range(2)]  # few, so that learning shows in few steps
    chosen = search(cycle(scenes), pairs(2, 32), table, settings, on_step=ticks.append)
    assert sum(t.train for t in ticks[-10:]) < 0.9 * sum(t.train for t in ticks[:10])
    assert ticks[-1].latency < 0.95  # cheaper than undecided
    path = tmp_path / "found.json"
    path.write_text(json.dumps(asdict(chosen)))
    network = build("general", genotype=path).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 2, 3, 33, 47)).shape == (1, 3, 33, 47)


# ---- the search that is shipped ------------------------------------------------------------------------

SEARCHES = Path(genotypes.__file__).parent / "searches"


@pytest.mark.parametrize(("name", "eta"), [("searched", 0.5), ("searched-fast", 1.0)])
def test_a_shipped_genotype_is_what_its_log_ends_with(name: str, eta: float) -> None:
    first, *steps = map(json.loads, (SEARCHES / f"eta-{eta:g}.jsonl").read_text().splitlines())
    assert first["settings"]["eta"] == eta
    assert steps[-1]["step"] == first["settings"]["steps"] == 1500
    chosen = {"srsm": [], "drm": []}
    for place, row in steps[-1]["alpha"].items():
        part = place.rstrip("0123456789")
        chosen[part].append(SPACES[part][row.index(max(row))])
    found = genotypes.read(name)
    assert (list(found.srsm), list(found.drm)) == (chosen["srsm"], chosen["drm"])


def test_at_the_papers_eta_neither_speed_nor_error_decides_alone() -> None:
    """The cheapest operators everywhere cost 0.105 of the undecided ones; more weight on speed costs less."""
    latency = Latency(layers(32), table_from(json.loads((SEARCHES / "latency.json").read_text())))
    names = ("searched", "fast", "searched-fast")
    costs = [cost_of(latency, genotypes.read(name)) for name in names]
    assert costs == pytest.approx([0.446, 0.423, 0.289], abs=0.001)  # as README.md says


def cost_of(latency, genotype):
    """R of a decided architecture."""
    names = {"srsm": genotype.srsm * (12 // len(genotype.srsm)), "drm": genotype.drm}
    return sum(
        float(latency.costs[f"{part}{index}"][SPACES[part].index(name)])
        for part, of in names.items()
        for index, name in enumerate(of)
    )
