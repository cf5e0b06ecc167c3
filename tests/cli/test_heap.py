"""The command line's heap: strips' planes are not given back to the kernel between two strips."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

STRIPS = """
import resource
import numpy as np
from mefcli.cli import memory

if {settled}:
    memory.settle()
for strip in range(100):
    planes = [np.ones(500_000, np.float32) for _ in range(5)]
    del planes
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_strip_s_planes_stay_for_the_next_strip() -> None:
    def faults(settled: bool) -> int:
        done = subprocess.run(
            [sys.executable, "-c", STRIPS.format(settled=settled)], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert faults(settled=True) < faults(settled=False) / 3
