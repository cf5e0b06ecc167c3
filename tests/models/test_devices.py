"""Graphics cards, on machines without one: everything but the card's own arithmetic (see `pretend_card`)."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from pretend_card import CARD, pretend_card
from test_all_models import NAMES, PICTURES, network, photographs

from mefcli import checkpoints
from mefcli.pipeline.fuse import load_fuser
from mefnets import MODELS
from mefnets.engine import memory
from mefnets.engine.devices import OF_CARD, choose_device
from mefnets.engine.fuser import Fuser
from mefnets.trouble import ModelError

HALF_SAFE = [name for name in NAMES if MODELS[name].half_safe and checkpoints.is_ready(MODELS[name])]
FULL_ONLY = [name for name in PICTURES if not MODELS[name].half_safe]


@pytest.fixture(autouse=True)
def a_small_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is measured on a small picture: pretending costs time."""
    monkeypatch.setattr(memory, "SMALL_PX", 40)


def on_cpu(name: str) -> Fuser:
    return Fuser(MODELS[name], deepcopy(network(name)))


def on_card(name: str, *, half: bool = False) -> Fuser:
    return Fuser(MODELS[name], deepcopy(network(name)), device="cuda", half=half)


@pytest.mark.parametrize("name", PICTURES)
def test_a_card_gives_the_same_picture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = photographs(40, 48)
    expected = on_cpu(name).fuse(frames, depth=32, resolution="native")
    with pretend_card(monkeypatch):
        found = on_card(name).fuse(frames, depth=32, resolution="native")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1 / 255)


@pytest.mark.parametrize("name", ["house", "ffmef", "crmef-fast", "mertens"])
def test_a_card_in_guided_mode(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = photographs(112, 136, 3)
    options = {"depth": 32, "resolution": "guided", "working_size_mp": 0.004}
    expected = on_cpu(name).fuse(frames, **options)
    with pretend_card(monkeypatch):
        found = on_card(name).fuse(frames, **options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1 / 255)


@pytest.mark.parametrize("name", ["ffmef", "crmef-fast"])
def test_tiles_on_a_card(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = photographs(120, 136)
    expected = on_cpu(name).fuse(frames, depth=32, resolution="native", tile_px=80)
    with pretend_card(monkeypatch):
        found = on_card(name).fuse(frames, depth=32, resolution="native", tile_px=80)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1 / 255)


def test_tiles_fit_the_memory_of_the_card_not_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = photographs(700, 700)
    sides = []
    with pretend_card(monkeypatch, free=1 << 30):
        roomy = on_card("crmef-fast")
        monkeypatch.setattr(roomy, "_run_tiled", lambda *args: sides.append(args[-1]))
        roomy.fuse(frames, depth=8, resolution="native", max_memory_mb=400)
    with pretend_card(monkeypatch, free=100 << 20):
        tight = on_card("crmef-fast")
        monkeypatch.setattr(tight, "_run_tiled", lambda *args: sides.append(args[-1]))
        tight.fuse(frames, depth=8, resolution="native", max_memory_mb=8000)
    whole, tile = sides
    assert whole is None
    assert tile is not None
    per_pixel = 100e6 * OF_CARD / (tile + 2 * 28) ** 2
    assert 50 < per_pixel < 5000


def test_a_pretended_card_refuses_what_a_card_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretend_card(monkeypatch):
        there = torch.zeros(3, device=CARD)
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(3)
        assert (there + 1).device == CARD
        assert torch.equal((there + 1).cpu(), torch.ones(3))


def test_a_card_without_a_number_is_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretend_card(monkeypatch):
        assert choose_device("cuda") == choose_device("auto") == CARD


@pytest.mark.parametrize("name", HALF_SAFE)
def test_half_precision_keeps_the_picture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the shipped weights; a processor rounds half floats as a card does."""
    frames = photographs(40, 48)
    expected = load_fuser(name).fuse(frames, depth=32, resolution="native")
    with pretend_card(monkeypatch):
        found = load_fuser(name, device="cuda", half=True).fuse(frames, depth=32, resolution="native")
    assert not np.array_equal(found, expected)  # it was computed in another precision
    np.testing.assert_allclose(found, expected, rtol=0, atol=1 / 255)


@pytest.mark.parametrize("name", FULL_ONLY)
def test_half_precision_is_refused_where_it_shows(name: str) -> None:
    with pytest.raises(ModelError, match="half"):
        Fuser(MODELS[name], deepcopy(network(name)), half=True)


def test_half_precision_on_a_processor_is_full_and_says_so() -> None:
    fuser = Fuser(MODELS["ffmef"], deepcopy(network("ffmef")), half=True)
    found = fuser.fuse(photographs(40, 48), depth=32)
    assert "graphics cards" in fuser.notes[0]
    np.testing.assert_array_equal(found, on_cpu("ffmef").fuse(photographs(40, 48), depth=32))
