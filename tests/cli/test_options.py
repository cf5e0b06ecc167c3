"""Every option is written once, on a field of `Job`; commands and Python functions have it from there."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import mefcli
from mefcli.cli.align import align
from mefcli.cli.batch import batch
from mefcli.cli.compare import compare
from mefcli.cli.fuse import fuse
from mefcli.errors import MefError, UsageError
from mefcli.job import Job, job_of
from mefcli.options import described

PACKAGE = Path(mefcli.__file__).parent
ALL = {one.name: one for one in described(Job)}


def test_every_field_of_a_job_is_an_option_with_a_help_text() -> None:
    assert set(ALL) == set(vars(Job()))
    assert all(one.option.help.endswith((".", ":")) for one in ALL.values())


@pytest.mark.parametrize(("command", "without"), [(fuse, set()), (batch, {"reference", "debug_dir"})])
def test_fuse_and_batch_take_every_option_with_its_default(command: object, without: set[str]) -> None:
    parameters = inspect.signature(command).parameters  # type: ignore[arg-type]
    assert set(ALL) - without <= set(parameters)
    assert not without & set(parameters)
    for name in set(ALL) - without:
        assert parameters[name].default == getattr(Job(), name), name


def test_align_and_compare_take_what_concerns_frames() -> None:
    frames = {name for name, one in ALL.items() if one.option.panel in ("Frames", "RAW")}
    assert frames <= set(inspect.signature(align).parameters)
    assert frames - {"debug_dir"} <= set(inspect.signature(compare).parameters)


def test_python_has_the_options_and_defaults_of_the_command_line() -> None:
    pixels, files = (
        inspect.signature(mefcli.fuse).parameters,
        inspect.signature(mefcli.fuse_folder).parameters,
    )
    for name, one in ALL.items():
        assert files[name].default == one.default
        assert (name in pixels) is not one.option.written


def test_a_new_field_is_a_new_option_of_fuse_batch_and_python(jpegs: list[Path], tmp_path: Path) -> None:
    """One line in job.py, in a copy of the program, and nothing else."""
    shutil.copytree(PACKAGE, tmp_path / "mefcli", ignore=shutil.ignore_patterns("__pycache__", "weights"))
    place = tmp_path / "mefcli" / "job.py"
    line = '    strict: bool = option(False, "Fail where'
    text = place.read_text()
    assert text.count(line) == 1
    place.write_text(text.replace(line, f'    grain: int = option(0, "Film grain.", FUSION, most=9)\n{line}'))

    def mef(*words: object) -> subprocess.CompletedProcess[str]:
        models = str(PACKAGE.parent / "models")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), models]), "COLUMNS": "200"}
        command = [sys.executable, "-m", "mefcli", *map(str, words)]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
        )

    for command in ("fuse", "batch"):
        assert "Film grain." in mef(command, "--help").stdout, command
    assert mef("fuse", *jpegs, "--grain", "12", "--dry-run").returncode == 2
    done = mef("fuse", *jpegs, "--grain", "3", "-m", "average", "--align", "off", "--json")
    assert json.loads(done.stdout)["settings"] == {"align": "off", "grain": 3}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": 3.5}, "model cannot be 3.5"),
        ({"half": "yes"}, "True or False"),
        ({"quality": 101}, "from 1 to 100"),
        ({"quality": 90.5}, "a whole number"),
        ({"bit_depth": 12}, "8, 16 or 32"),
        ({"deghost": "11"}, "off, auto"),
        ({"align": "wobble"}, "auto, off, shift"),
        ({"working_size": float("nan")}, "working_size cannot be nan"),
        ({"max_memory": "lots"}, "such as 2G"),
        ({"max_memory": float("inf")}, "max_memory cannot be inf"),
        ({"max_pixels": True}, "max_pixels cannot be True"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_a_sentence(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(Job(), **options)  # type: ignore[arg-type]


def test_what_python_callers_write_is_understood() -> None:
    job = job_of(None, {"reference": 2, "max_memory": "2G", "deghost": 5, "weights": Path("a.safetensors")})
    assert (job.reference, job.max_memory, job.deghost, job.weights) == ("2", 2048.0, "5", "a.safetensors")


def test_exposure_values_may_be_text_and_a_fusers_arguments_are_checked(jpegs: list[Path]) -> None:
    assert mefcli.api.plan(jpegs, ev="-1, 0,1.5").evs == mefcli.api.plan(jpegs, ev=[-1, 0, 1.5]).evs
    for ev in ("a,b,c", 7, [None, 1, 2]):
        with pytest.raises(UsageError, match="takes numbers in stops"):
            mefcli.api.plan(jpegs, ev=ev)  # type: ignore[arg-type]
    with pytest.raises(MefError, match="no device called '0'"):
        mefcli.load_fuser("house", device=0)  # type: ignore[arg-type]
    for wrong in ({"model": None}, {"half": "yes"}, {"weights": 3.5}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))} cannot be"):
            mefcli.load_fuser(**wrong)  # type: ignore[arg-type]


def test_a_slip_in_an_options_name_names_the_near_one() -> None:
    with pytest.raises(TypeError, match="did you mean quality"):
        job_of(None, {"qualty": 3})


def test_one_path_may_be_a_pattern(jpegs: list[Path]) -> None:
    pattern = jpegs[0].parent / "*.jpg"
    one = mefcli.fuse(str(pattern), model="average", align="off")
    assert (one == mefcli.fuse(jpegs, model="average", align="off")).all()
