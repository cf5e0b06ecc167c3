"""Small brackets with known exposures, photographed in the demo's rendered room."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lines
import numpy as np
import pytest
from numpy.typing import NDArray
from toolkit import STOPS, MakeBracket, Mef, Outcome

from mefcli import demo
from mefcli.cli import app, state
from mefcli.demo import DemoKind

WIDTH = 144
INSTALLABLE = ("is not installed", "are not installed")  # so every skip for want of a tool says


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-tools", action="store_true", help="fail where a test is skipped for want of a package or tool"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--all-tools"):
        for reason in _wants(terminalreporter):
            terminalreporter.write_line(f"--all-tools: {reason}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--all-tools") and reporter and _wants(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _wants(reporter: pytest.TerminalReporter) -> list[str]:
    reasons = {str(report.longrepr[2]) for report in reporter.stats.get("skipped", [])}
    return sorted(reason for reason in reasons if any(words in reason for words in INSTALLABLE))


@pytest.fixture(scope="session")
def light() -> NDArray[np.float32]:
    """The room's light, float32 (96, 144, 3), for brackets of one's own."""
    return demo.scene(WIDTH)


@pytest.fixture(scope="session")
def bracket_store(
    tmp_path_factory: pytest.TempPathFactory, light: NDArray[np.float32]
) -> dict[str, list[Path]]:
    """Each kind of bracket, made once; use the fixtures below, which copy."""
    kinds: tuple[DemoKind, ...] = ("jpeg", "png", "tiff")
    store = {}
    for kind in kinds:
        folder = tmp_path_factory.mktemp(kind)
        store[kind] = demo.make_bracket(folder, stops=STOPS, kind=kind, light=light)
    return store


@pytest.fixture
def copy_bracket(bracket_store: dict[str, list[Path]], tmp_path: Path) -> MakeBracket:
    """Copies a kind of bracket into a folder of the test: `copy_bracket("jpeg", "name")`."""

    def copy(kind: str = "jpeg", name: str = "") -> list[Path]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return [Path(shutil.copy(path, folder)) for path in bracket_store[kind]]

    return copy


@pytest.fixture
def jpegs(copy_bracket: MakeBracket) -> list[Path]:
    """Three 144x96 JPEGs at -2, 0 and +2 EV, dark to bright, alone in a folder."""
    return copy_bracket("jpeg")


@pytest.fixture
def pngs(copy_bracket: MakeBracket) -> list[Path]:
    return copy_bracket("png")


@pytest.fixture
def tiffs(copy_bracket: MakeBracket) -> list[Path]:
    """The same at 16 bits."""
    return copy_bracket("tiff")


@pytest.fixture
def mef(capfd: pytest.CaptureFixture[str]) -> Mef:
    """Runs the program in this process: `mef("fuse", a, b, "-o", c)`; --json is held to the schema."""

    def run(*arguments: object) -> Outcome:
        state.debug = state.quiet = state.verbose = False
        capfd.readouterr()
        code = app.run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        if "--json" in arguments:
            lines.check([str(argument) for argument in arguments], out)
        return Outcome(code, out, err)

    return run


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pixel may be decoded in this test."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a pixel was decoded")

    for place in ("read._decode", "align.align"):
        monkeypatch.setattr(f"mefcli.pipeline.{place}", refuse)


@pytest.fixture(autouse=True)
def no_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for a person's own settings: an empty one, whoever runs the tests."""
    folder = tmp_path_factory.getbasetemp() / "settings"
    monkeypatch.setattr("mefcli.settings.user_folder", lambda: folder)
    return folder


@pytest.fixture(scope="session")
def doubting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the network for moving scenes as its training begins: it doubts what differs."""
    import torch
    from safetensors.torch import save_file

    from mefnets import MODELS
    from mefnets.engine.fuser import build_network

    torch.manual_seed(0)
    state = build_network(MODELS["mgdn-moving"]).state_dict()
    path = tmp_path_factory.mktemp("doubting") / "mgdn-moving.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, path, {"model": "mgdn-moving"})
    return path
