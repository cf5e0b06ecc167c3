"""One tree of errors: the engine's and the tool's, shown in Python's words or as flags."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

from toolkit import Mef

from mefcli.errors import DeviceError, MefError, UnknownModelError, UsageError, flag, named
from mefnets import trouble

DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef
FLAG = re.compile(r"(^|\s)(--[a-z]\w+|-[ojmqv]\b)")
ROOT = Path(__file__).resolve().parents[1]


def test_a_parameter_is_spelled_by_whoever_shows_it() -> None:
    error = MefError("{stem}.jpg is large.", f"Give more with {named('max_memory')}.")
    assert str(error) == "{stem}.jpg is large. Give more with max_memory."
    assert error.spelled(flag) == ("{stem}.jpg is large.", "Give more with --max-memory.")


def test_an_error_crosses_processes_whole() -> None:
    error = pickle.loads(pickle.dumps(DeviceError("None.", f"Use {named('device')} cpu.")))
    assert isinstance(error, DeviceError)
    assert error.spelled(flag)[1] == "Use --device cpu."


def test_the_engines_troubles_are_the_tools() -> None:
    own = [one for one in vars(trouble).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert len(own) > 4
    assert all(issubclass(one, MefError) for one in own)
    assert issubclass(UnknownModelError, UsageError)  # a slip on the command line ends with 2


def test_only_the_command_line_spells_flags() -> None:
    """A sentence outside it names a parameter; words that are handed to another program hold no spaces."""
    for path in [*(ROOT / "mefcli").rglob("*.py"), *(ROOT / "models/mefnets").rglob("*.py")]:
        if path.is_relative_to(ROOT / "mefcli/cli"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        pages = {ast.get_docstring(one, clean=False) for one in ast.walk(tree) if isinstance(one, DOCUMENTED)}
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)} - pages
        sentences = [text for text in texts if isinstance(text, str) and " " in text.strip()]
        assert not [text for text in sentences if FLAG.search(text)], path


def test_a_device_that_is_not_there_is_told_with_its_flag(
    mef: Mef, jpegs: list[Path], tmp_path: Path
) -> None:
    import torch

    device = "mps" if torch.cuda.is_available() else "cuda"
    done = mef("fuse", *jpegs, "--device", device, "-o", tmp_path / "x.tif")
    assert done.code == 1
    assert "Use --device cpu, or auto." in done.err


def test_a_scripts_error_speaks_in_flags(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    done = mef("fuse", *jpegs, "--half", "--model", "mertens", "-o", tmp_path / "x.tif", "--json")
    assert done.code == 1
    assert "--half" in done.out
