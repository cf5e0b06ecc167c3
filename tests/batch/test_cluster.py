"""The batch on a Dask cluster: a real scheduler and two workers on loopback, one killed in mid-run."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from test_batch import FAST, make_card, pictures


@pytest.mark.slow
def test_a_killed_workers_bracket_is_fused_by_the_other(tmp_path: Path, light: NDArray[np.float32]) -> None:
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    card = make_card(tmp_path / "card", light, 10)
    mef = [sys.executable, "-m", "mefcli", "batch", str(card), "--quiet", *FAST, "-o"]
    subprocess.run([*mef, str(tmp_path / "alone")], check=True, timeout=120)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1"]
    quiet = {"stdout": -3, "stderr": -3, "cwd": tmp_path}
    started = [
        subprocess.Popen(
            [*dask, "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
            **quiet,  # type: ignore[call-overload]
        )
    ]
    try:
        time.sleep(4)
        for _ in range(2):
            started.append(subprocess.Popen([*worker, "--no-dashboard"], **quiet))  # type: ignore[call-overload]
        time.sleep(6)
        batch = subprocess.Popen([*mef, str(tmp_path / "cluster"), "--cluster", address], stdout=-3)
        end = time.monotonic() + 90
        while not list((tmp_path / "cluster").rglob("*.tif")) and time.monotonic() < end:
            time.sleep(0.02)
        started[1].kill()
        assert len(list((tmp_path / "cluster").rglob("*_fused.tif"))) < 10  # it struck in mid-run
        assert batch.wait(timeout=120) == 0
        assert pictures(tmp_path / "cluster") == pictures(tmp_path / "alone")
    finally:
        for process in started:
            process.kill()
            process.wait()
