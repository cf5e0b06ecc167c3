"""CONTRIBUTING's six steps, followed to the letter: a network of its own, in a copy of the networks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
STEPS = re.split(
    r"^\d\. ", GUIDE.partition("## Add a network in six steps")[2].partition("\n## ")[0], flags=re.M
)
COMMANDS = """
import json, sys
from mefcli.cli.app import run
for words in json.loads(sys.argv[1]):
    code = run(words)
    print("ENDED", json.dumps([code, *words]), flush=True)
"""


def code_in(step: str) -> str:
    found = re.findall(r"^ *```\w+\n(.*?)^ *```", step, re.S | re.M)
    assert len(found) == 1, step
    return textwrap.dedent(found[0])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the networks with the package, the line and the import that the steps ask for."""
    assert len(STEPS) == 7
    networks = tmp_path / "models/mefnets"
    shutil.copytree(ROOT / "models/mefnets", networks, ignore=shutil.ignore_patterns("__pycache__"))
    package = networks / "toy"
    package.mkdir()
    (package / "README.md").write_text("# Toy\n", encoding="utf-8")
    for step in STEPS[2:5]:
        path = re.search(r"`(models/mefnets/toy/\w+\.py)`", step)
        assert path, step
        (tmp_path / path[1]).write_text(code_in(step), encoding="utf-8")
    registry = networks / "__init__.py"
    text = registry.read_text(encoding="utf-8")
    text = text.replace(", mgdn\n", ", mgdn, toy\n").replace(
        "MODELS: dict[str, ModelSpec] = {\n",
        "{}{}".format("MODELS: dict[str, ModelSpec] = {\n", textwrap.indent(code_in(STEPS[5]), "    ")),
    )
    assert text.count("toy") == 3
    registry.write_text(text, encoding="utf-8")
    (tmp_path / "weights").mkdir()
    return tmp_path


def environment(copy: Path) -> dict[str, str]:
    paths = os.pathsep.join(map(str, (copy / "models", ROOT, ROOT / "tests")))
    return os.environ | {"PYTHONPATH": paths, "MEF_WEIGHTS": str(copy / "weights"), "OMP_NUM_THREADS": "1"}


def test_a_network_of_ones_own_is_trained_fused_compared_and_measured(
    copy: Path, jpegs: list[Path], packed: Path
) -> None:
    files = [str(path) for path in jpegs]
    data = ["--data", str(packed), "--runs", str(copy / "runs")]
    commands = [
        ["models", "show", "toy"],
        ["train", "toy", "--smoke", *data],
        ["train", "toy", "--steps", "3", "--crop-px", "64", *data],
        [
            "train",
            "export",
            "toy",
            "--crop-px",
            "64",
            "--runs",
            str(copy / "runs"),
            "-o",
            str(copy / "weights"),
        ],
        ["models"],
        ["fuse", *files, "--model", "toy", "--dry-run"],
        ["fuse", *files, "--model", "toy", "-o", str(copy / "fused.tif")],
        ["compare", *files, "--models", "toy,average", "--megapixels", "0.01"],
        ["bench", "models", "--models", "toy", "--megapixels", "0.02", "--repeats", "1"],
        ["bench", "--models", "toy", "--megapixels", "0.05", "--frames", "2", "--repeats", "1", "--only-mef"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(commands)],
        env=environment(copy),
        capture_output=True,
        text=True,
        check=True,
    )
    ends = [
        json.loads(line.partition(" ")[2]) for line in done.stdout.splitlines() if line.startswith("ENDED")
    ]
    assert [code for code, *_ in ends] == [0] * len(commands), (ends, done.stdout, done.stderr)
    listed = next(line for line in done.stdout.splitlines() if line.startswith("toy "))
    assert "not measured" in listed, "ready, and nobody has scored it"
    assert (copy / "fused.tif").is_file()


def test_its_tests_are_there_already(copy: Path) -> None:
    """Every test of `test_all_models.py` that has a case for a network like it."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "toy"),
            *("-o", f"pythonpath={copy / 'models'}", str(ROOT / "tests/models/test_all_models.py")),
        ],
        env=environment(copy),
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) > 10, done.stdout
