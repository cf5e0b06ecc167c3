"""Rules of the project that no single file can keep."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mefcli.cli.app import COMMANDS
from mefcli.cli.lazy import Entry, build, help_and_examples
from mefnets import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "cv2", "rawpy", "imagecodecs", "tifffile", "PIL")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


def loaded_by(code: str) -> set[str]:
    """Top-level modules in memory after running some code in a fresh interpreter."""
    program = f"import sys\n{code}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_networks_use_torch_and_numpy_only_and_never_the_tool() -> None:
    """What runs without torch has OpenCV and ONNX Runtime instead: engine, classics, graph.py."""
    allowed = {"torch", "numpy", "mefnets"} | set(sys.stdlib_module_names)
    for path in (ROOT / "models/mefnets").rglob("*.py"):
        light = path.parent.name in ("engine", "classic", "focus", "infrared") or path.name == "graph.py"
        assert imported(path) <= allowed | ({"cv2", "onnxruntime"} if light else set()), path


@pytest.mark.parametrize("model", ["house", "mertens"])
def test_a_photograph_on_a_cpu_needs_no_torch(model: str, pngs: list[Path], tmp_path: Path) -> None:
    words = ["fuse", *map(str, pngs), "--ev", "-2,0,2", "-m", model, "-o", str(tmp_path / "fused.tif")]
    if model == DEFAULT_MODEL:
        words = words[:-4] + words[-2:]  # without saying so
    loaded = loaded_by(f"from mefcli.cli.app import run\nassert run({words!r}) == 0")
    assert "torch" not in loaded
    assert (tmp_path / "fused.tif").is_file()
    code = f"import mefcli\nmefcli.fuse({list(map(str, pngs))!r}, ev=[-2, 0, 2], model={model!r})"
    assert "torch" not in loaded_by(code)


def test_importing_mefcli_loads_nothing_heavy() -> None:
    assert not loaded_by("import mefcli; mefcli.MefError; dir(mefcli)") & {*HEAVY, "numpy", "rich", "typer"}


@pytest.mark.parametrize(
    "arguments", ["['--help']", "['--version']", "['models', 'list']", "['fuse', '--help']"]
)
def test_help_and_lists_load_no_torch(arguments: str) -> None:
    assert not loaded_by(f"from mefcli.cli.app import run; run({arguments})") & set(HEAVY)


@pytest.mark.parametrize("name", ["mefcli", "mefnets"])
def test_all_lists_exactly_what_can_be_had(name: str) -> None:
    module = importlib.import_module(name)
    for public in module.__all__:
        assert getattr(module, public) is not None
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    with pytest.raises(AttributeError):
        module.nothing_of_the_kind  # noqa: B018


def commands(entries: tuple[Entry, ...] = COMMANDS, prefix: str = "mef") -> Iterator[tuple[str, Entry]]:
    for entry in entries:
        target: Any = entry.load()
        if isinstance(target, tuple):
            yield from commands(target, f"{prefix} {entry.name}")
        elif not hasattr(target, "registered_commands"):
            yield f"{prefix} {entry.name}", entry


@pytest.mark.parametrize(
    ("name", "entry"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_explains_itself_and_ends_with_examples(name: str, entry: Entry) -> None:
    page, examples = help_and_examples(entry.load())
    assert page
    assert entry.summary.endswith(".")
    assert examples.strip().startswith(name), "the first example calls the command itself"
    for option in build(entry).params:
        assert getattr(option, "help", None) or option.param_type_name == "argument", option.name


def test_an_option_takes_one_thing_in_every_command() -> None:
    """By the list of commands; lists of numbers (--frames 3,9) are words where one is taken elsewhere."""
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    taken: dict[str, set[str]] = {}
    for names, takes in re.findall(r"^\| (`--.+?) \| (.*?) \|", page, re.M):
        kind = re.sub("^(PATH|FILE|FOLDER|DIR)$", "a place", takes.partition(" from ")[0].strip())
        for name in re.findall("`(-.+?)`", names):
            taken.setdefault(name, set()).add(kind)
    assert len(taken) > 80
    lists = {"--frames", "--layout", "--megapixels"}
    assert not {name: kinds for name, kinds in taken.items() if len(kinds) > 1 and name not in lists}


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in {" ".join(name.split()[:2]) for name, _ in commands()} if name not in readme]
    assert not missing


def test_the_map_in_contributing_fits_the_code() -> None:
    """Every package and every file that stands alone in mefcli is on it, and nothing that is not there."""
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## The map")[2]
    rows = re.findall(r"^\| (`.+?) \|", guide.partition("\n## ")[0], re.M)
    told = {name for row in rows for name in re.findall(r"`(.+?)`", row)}
    packages = {
        init.parent for top in ("mefcli", "models/mefnets") for init in (ROOT / top).rglob("__init__.py")
    }
    alone = {path for path in (ROOT / "mefcli").glob("*.py") if not path.name.startswith("__")}
    there = {path.relative_to(ROOT).as_posix() for path in packages | alone} - {"mefcli"}
    assert told == there | {"weights", "docs", "tests"}


def test_no_machine_path_is_committed() -> None:
    marks = ["/" + "work/", "/" + "opt/", "/" + "root/"]
    for path in [
        *(ROOT / "mefcli").rglob("*.py"),
        *(ROOT / "models").rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
    ]:
        text = path.read_text(encoding="utf-8")
        assert not [mark for mark in marks if mark in text], path


def test_ci_runs_every_test_that_wants_a_tool_where_its_absence_fails() -> None:
    """Or it would be skipped there, always."""
    script = ROOT / ".ci" / "run"
    if not script.is_file():
        pytest.skip("this copy of the tests has no .ci/run beside it")
    lines = [line for line in script.read_text().splitlines() if "--all-tools" in line]
    judged = [ROOT / word for line in lines for word in line.split() if word.startswith("tests/")]
    assert judged
    for path in (ROOT / "tests").rglob("*.py"):
        wants = re.search("(is|are) not installed", path.read_text(encoding="utf-8"))
        if (
            wants and path != Path(__file__) and path.parent.name not in ("fuzz", "tests")
        ):  # the former is slow
            assert any(path == place or place in path.parents for place in judged), path
