"""Plans: several trainings in one length of time, resumable, and told what is wrong before they begin."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mefcli.cli.app import run
from mefcli.errors import InputError, MefError, ModelError, UsageError
from mefcli.training import plan as plans
from mefcli.training.loop import Outcome
from mefcli.training.plan import Journal, budget_of, carry_out, read
from mefcli.training.settings import Settings

WORDS = """
data = "{data}"
folder = "{folder}"
total = "30m"
workers = 4
batch_times = 2

[[train]]
model = "house"
budget = "6m"

[[train]]
model = "lcndr"
share = 2

[[train]]
model = "mgdn"
"""


@pytest.fixture
def written(packed: Path, tmp_path: Path) -> Path:
    return write(tmp_path, WORDS.format(data=packed, folder=tmp_path / "all"))


def write(folder: Path, words: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(words)
    return path


def quiet(words: str) -> None:
    pass


def outcome(settings: Settings, why: str = "budget") -> Outcome:
    return Outcome(why, 7, settings.budget_s or 0.0, 1.0, {}, settings.folder)  # type: ignore[arg-type]


def test_what_is_left_is_shared_after_own_budgets_are_set_aside(written: Path) -> None:
    plan = read(written)
    journal = Journal.at(plan.folder)
    assert budget_of(plan, journal, 0) == 360
    # The first took a minute longer than its budget, with its start and its end: so will each of the others.
    first, second = (journal.of(plans.name_of(plan, task)) for task in plan.tasks[:2])
    first.state, first.spent_s = "done", 420.0
    first.budget_s = 360.0
    assert budget_of(plan, journal, 1) == pytest.approx((1380 - 2 * 60) * 2 / 3)
    second.state, second.spent_s, second.budget_s = "done", 900.0, 840.0
    assert budget_of(plan, journal, 2) == pytest.approx(480 - 60)


def test_every_network_is_trained_in_order_with_the_plans_settings(written: Path) -> None:
    seen: list[Settings] = []

    def train(settings: Settings) -> Outcome:
        seen.append(settings)
        return outcome(settings)

    plan = replace(read(written), export=False)
    journal, interrupted = carry_out(plan, train, quiet)
    assert not interrupted
    assert [s.model for s in seen] == ["house", "lcndr", "mgdn"]
    assert {(s.workers, s.batch_times, s.runs) for s in seen} == {(4, 2, plan.folder)}
    assert all(entry.state == "done" for entry in journal.entries.values())
    carry_out(plan, train, quiet)
    assert len(seen) == 3, "what is done is not done again"


def test_an_interrupted_plan_goes_on_with_the_same_budget(written: Path) -> None:
    plan = replace(read(written), export=False)
    budgets: list[tuple[str, float | None]] = []

    def stopped(settings: Settings) -> Outcome:
        budgets.append((settings.model, settings.budget_s))
        return outcome(settings, "interrupted" if settings.model == "lcndr" else "budget")

    _, interrupted = carry_out(plan, stopped, quiet)
    assert interrupted
    assert json.loads((plan.folder / plans.JOURNAL).read_text())["lcndr-seed0"]["state"] == "begun"

    def on(settings: Settings) -> Outcome:
        budgets.append((settings.model, settings.budget_s))
        return outcome(settings)

    carry_out(plan, on, quiet)
    assert [name for name, _ in budgets] == ["house", "lcndr", "lcndr", "mgdn"]
    assert budgets[1] == budgets[2]


def test_a_network_that_fails_leaves_its_time_to_the_others(written: Path) -> None:
    plan = replace(read(written), export=False)

    def train(settings: Settings) -> Outcome:
        if settings.model == "house":
            raise MefError("The loss has not been finite.")
        return outcome(settings)

    journal, _ = carry_out(plan, train, quiet)
    states = {name: entry.state for name, entry in journal.entries.items()}
    assert states == {"house-seed0": "failed", "lcndr-seed0": "done", "mgdn-seed0": "done"}
    assert journal.of("lcndr-seed0").budget_s == pytest.approx(1200, abs=5)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (("share = 2", "shares = 2"), UsageError, "unknown entry: shares"),
        (("share = 2", 'share = "much"'), UsageError, "share in .* is 'much'"),
        (('model = "mgdn"', 'model = "gan"'), ModelError, "no recipe for 'gan'"),
        (('model = "mgdn"', 'model = "mgdn"\nvariant = "x"'), UsageError, "no variant 'x'"),
        (('model = "mgdn"', 'model = "lcndr"'), UsageError, "one thing twice"),
        (('total = "30m"', ""), UsageError, "lcndr has no end"),
        (('budget = "6m"', 'budget = "soon"'), UsageError, "not a duration"),
        (("share = 2", 'from = "lost.safetensors"'), InputError, "no lost.safetensors"),
        (("share = 2", "share = = 2"), InputError, "not TOML"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said_before_anything_begins(
    written: Path, change: tuple[str, str], kind: type[MefError], words: str
) -> None:
    written.write_text(written.read_text().replace(*change))
    with pytest.raises(kind, match=words):
        read(written)


def test_the_shipped_plan_is_a_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shipped = Path(plans.__file__).with_name("plan.toml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.mefdata").write_bytes(b"")
    for line in shipped.read_text().splitlines():
        if line.startswith(("from", "teacher")):
            weights = tmp_path / line.split('"')[1]
            weights.parent.mkdir(exist_ok=True)
            weights.write_bytes(b"")
    plan = read(shipped)
    assert plan.total_s == 30 * 60
    assert plan.device == "cuda"


def test_a_plan_of_two_networks_runs_through_the_command_line(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the CPU, a few steps each, exported; the same command again has nothing left to do."""
    words = f"""
data = "{packed}"
folder = "{tmp_path / "all"}"
threads = 1

[[train]]
model = "ffmef"
variant = "untaught"
steps = 2
crop = 48

[[train]]
model = "crmef-fast"
steps = 1
crop = 64
"""
    path = write(tmp_path, words)
    assert run(["train", "--plan", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "all")
    found = {
        str(p.relative_to(tmp_path / "all" / "weights")) for p in (tmp_path / "all").rglob("*.safetensors")
    }
    assert found == {"ffmef@untaught.safetensors", "crmef-fast.safetensors"}
    assert run(["train", "--plan", str(path)]) == 0
    assert "crmef-fast-crop64-seed0: done" in capsys.readouterr().err
