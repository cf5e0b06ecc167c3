"""The fuzz targets on a few hundred inputs each; the slow run lets coverage guide it, a minute for each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mefcli import demo
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
SLOW = ("raw_files", "journals")  # they write files
HEADS = [
    b"",
    b"\x50",
    b"\xb0done||[]|[]|",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"\xff\xd8\xff\xe1",
    b"\0\0\0\x18ftypcrx ",
]


@pytest.mark.parametrize("name", TARGETS)
def test_parsers_and_writers_meet_any_bytes(name: str) -> None:
    @settings(max_examples=10 if name in SLOW else 60, deadline=None, derandomize=True)
    @given(
        st.sampled_from(HEADS),
        st.binary(max_size=400),
    )
    def meet(head: bytes, data: bytes) -> None:
        TARGETS[name](head + data)

    meet()


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_parsers_and_writers_meet_what_coverage_leads_to(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed: NOTHING was fuzzed by coverage")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    if name in ("headers", "directories", "carried_tags"):
        light = demo.scene(96)
        for kind in ("jpeg", "png", "tiff", "raw"):
            demo.make_bracket(corpus, stops=(0.0,), kind=kind, light=light)
    command = [sys.executable, "-m", "tests.fuzz.fuzz", name, corpus, f"-max_total_time={SECONDS}"]
    command += ["-max_len=20000", f"-artifact_prefix={tmp_path}/"]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "models")])
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=10 * SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "DONE" in done.stderr
