"""The batch on a Dask cluster: a worker killed in mid-run, and clusters that end with their batch."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from test_batch import FAST, make_card, pictures

from tests.robustness.faults import alive


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


@pytest.mark.slow
def test_a_cluster_of_its_own_ends_with_the_batch(tmp_path: Path, light: NDArray[np.float32]) -> None:
    """20 interruptions, of the first process alone or of all as a terminal does it."""
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    card, out = make_card(tmp_path / "card", light, 6), tmp_path / "out"
    mef = [sys.executable, "-m", "mefcli", "batch", str(card), "--quiet", *FAST, "-o", str(out)]
    local = [*mef, "--cluster", "local"]
    start = time.monotonic()
    subprocess.run(local, check=True, timeout=300)
    whole, whole_s = pictures(out), time.monotonic() - start
    chance = random.Random(7)
    for number in range(20):
        if pictures(out) == whole:
            shutil.rmtree(out)
        batch = subprocess.Popen(
            local,
            stdout=-3,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        time.sleep(whole_s * chance.uniform(0.05, 0.8))
        kind = signal.SIGTERM if number % 5 == 4 else signal.SIGINT
        os.killpg(batch.pid, kind) if number % 2 else batch.send_signal(kind)
        said = batch.communicate(timeout=120)[1].decode()
        assert batch.returncode in (0, 130, -kind), said  # -kind: while Python itself starts or ends
        assert batch.returncode == 0 or said.splitlines()[1:] == [], said
        end = time.monotonic() + 20
        while time.monotonic() < end and alive(batch.pid):
            time.sleep(0.1)
        assert not alive(batch.pid), "a worker outlived its batch"
        assert not out.exists() or pictures(out).items() <= whole.items(), "a picture that is not whole"
    subprocess.run(mef, check=True, timeout=300)
    assert pictures(out) == whole
