"""How many brackets at a time a batch takes on by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import mefnets.engine.budget
import mefnets.engine.devices
from mefcli.batch import share
from mefcli.batch.plan import Work
from mefcli.brackets.row import make_bracket
from mefcli.errors import MefError
from mefcli.job import Job
from mefcli.values import Shot


def works(count: int, size_px: tuple[int, int] = (6000, 4000), job: Job | None = None) -> list[Work]:
    shots = [Shot(Path(f"{n}.jpg"), "jpeg", size_px, exposure_s=2.0**n) for n in (-8, -6, -4)]
    bracket = make_bracket(shots, [-2.0, 0.0, 2.0], None, "")
    return [Work(bracket, (Path(f"{n}.tif"),), job or Job(device="cpu")) for n in range(count)]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores and plenty of memory."""
    monkeypatch.setattr(share, "processors", lambda: 8)
    monkeypatch.setattr(mefnets.engine.budget, "free_memory_bytes", lambda: 256 << 30)


def test_a_card_takes_all_cores_a_bracket_to_each() -> None:
    assert share.jobs_for(works(60)) == 8


def test_little_work_stays_in_one_process() -> None:
    small = Job(align="off", model="average", device="cpu")
    assert share.jobs_for(works(60, size_px=(96, 64), job=small)) == 1
    assert share.jobs_for(works(1)) == 1
    assert share.jobs_for([]) == 1
    assert 1 < share.jobs_for(works(6)) < 6


def test_memory_limits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mefnets.engine.budget, "free_memory_bytes", lambda: 4 << 30)
    assert 1 < share.jobs_for(works(60)) < 6
    monkeypatch.setattr(mefnets.engine.budget, "free_memory_bytes", lambda: 1 << 30)
    assert share.jobs_for(works(60)) == 1


def test_a_graphics_card_takes_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(mefnets.engine.devices, "choose_device", lambda name: torch.device("cuda"))
    assert share.jobs_for(works(60, job=Job(device="cuda"))) == 1


def test_a_model_nobody_knows_is_told_at_once() -> None:
    with pytest.raises(MefError, match="hause"):
        share.jobs_for([replace(work, job=Job(model="hause")) for work in works(2)])
