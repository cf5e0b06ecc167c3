"""Without torch: exported graphs and classics give what torch gives, and nothing stale is run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from toolkit import Mef
from torch import nn

from mefcli import checkpoints, engines
from mefcli.checkpoints import build_with_weights, load_fuser_weights
from mefcli.errors import ModelError, TooLargeError
from mefnets import MODELS
from mefnets.engine import threads
from mefnets.engine.devices import THREADS
from mefnets.engine.frames import Frame
from mefnets.engine.fuser import Fuser
from mefnets.engine.graphs import GraphFuser
from mefnets.house import graph, pyramid


def bracket(height: int, width: int, count: int, dtype: type[np.generic] = np.uint8) -> list[Frame]:
    rng = np.random.default_rng(height * width + count)
    scene = cv2.resize(rng.random((7, 9, 3)).astype(np.float32), (width, height))
    scene = scene + rng.normal(0, 0.02, scene.shape)
    white = 1.0 if dtype == np.float32 else float(np.iinfo(dtype).max)
    gains = np.geomspace(0.2, 4.0, count)
    return [(np.clip(scene * gain, 0, 1) * white).astype(dtype) for gain in gains]


def with_torch(model: str) -> Fuser:
    spec, tensors, _, _ = load_fuser_weights(model)
    return Fuser(spec, build_with_weights(spec, tensors))


@pytest.mark.parametrize("model", ["house", "mertens", "average"])
def test_these_run_without_torch_until_a_card_or_weights_are_named(model: str) -> None:
    assert isinstance(engines.load(model)[0], GraphFuser)
    assert engines.runs_without_torch(model, None, "cpu")
    assert not engines.runs_without_torch(model, None, "cuda")
    assert not engines.runs_without_torch(model, "mine.safetensors")
    assert not engines.runs_without_torch("ffmef")


@pytest.mark.parametrize(
    ("size", "count"),
    [((2, 3), 2), ((1, 7), 3), ((5, 4), 3), ((7, 9), 2), ((16, 33), 9), ((45, 64), 5), ((151, 203), 4)],
)
@pytest.mark.parametrize("model", ["house", "mertens", "average"])
def test_graphs_give_the_picture_of_torch(model: str, size: tuple[int, int], count: int) -> None:
    frames = bracket(*size, count)
    light, heavy = engines.load(model)[0], with_torch(model)
    for depth, white in ((8, 255), (16, 65535), (32, 1)):
        difference = light.fuse(frames, depth=depth).astype(float) - heavy.fuse(frames, depth=depth)
        assert np.abs(difference).max() <= max(white / 1000, white > 1)
        assert light.notes == heavy.notes


@pytest.mark.parametrize("count", [2, 3, 9])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_carried_up_they_agree_too(count: int, dtype: type[np.generic]) -> None:
    frames = bracket(233, 311, count, dtype)
    light, heavy = engines.load("house")[0], with_torch("house")
    found, expected = (
        fuser.fuse(frames, depth=16, resolution="guided", working_size_mp=0.008) for fuser in (light, heavy)
    )
    assert np.abs(found.astype(int) - expected).max() <= 65
    assert light.notes == heavy.notes
    assert "judged the frames" in light.notes[0]


@pytest.mark.parametrize("size", [(2, 3), (3, 5), (45, 64), (151, 203)])
@pytest.mark.parametrize("reduced_by", [2, 4, 8])
def test_graphs_of_a_reduced_picture_agree_with_torch(size: tuple[int, int], reduced_by: int) -> None:
    planes = np.stack([f.transpose(2, 0, 1) for f in bracket(*size, 3, np.float32)])
    light, heavy = engines.load("house")[0].network, with_torch("house").network
    light.reduced_by = heavy.reduced_by = reduced_by
    with torch.no_grad():
        expected = heavy(torch.from_numpy(planes)[None])[0].numpy()
    assert np.abs(light(planes) - expected).max() < 1e-3


def test_a_pyramid_is_told_what_its_picture_is_reduced_by_and_only_then() -> None:
    fuser = engines.load("house")[0]
    network, told = fuser.network, []

    class Told:
        reduced_by = 1.0

        def __call__(self, frames: np.ndarray) -> np.ndarray:
            told.append((self.reduced_by, frames.shape[-2:]))
            if len(told) == 3:
                raise MemoryError
            result: np.ndarray = network(frames)
            return result

        held_bytes = staticmethod(network.held_bytes)

    fuser.network = Told()
    frames = bracket(240, 320, 2)
    fuser.fuse(frames, resolution="native")
    fuser.fuse(frames, resolution="guided", working_size_mp=0.005)
    with pytest.raises(TooLargeError):
        fuser.fuse(frames, resolution="guided", working_size_mp=0.005)
    assert told[:2] == [(1.0, (240, 320)), (4, (60, 80))]
    assert fuser.network.reduced_by == 1


def test_strips_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = bracket(97, 131, 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole = engines.load("house")[0].fuse(frames, depth=32)
    monkeypatch.setattr("mefnets.house.shape.STRIP_PIXELS", 3000)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    fuser = engines.load("house")[0]
    cut = fuser.fuse(frames, depth=32)
    assert np.abs(cut - whole).max() < 1e-4
    assert np.array_equal(cut, fuser.fuse(frames, depth=32))


@pytest.mark.parametrize("size", [(4, 5), (7, 130), (97, 64), (131, 203)])
def test_both_engines_reduce_to_the_last_bit(size: tuple[int, int]) -> None:
    """Cues of flat and clipped places are differences of rounding."""
    x = np.random.default_rng(2).random((2, 3, *size), dtype=np.float32)
    assert np.array_equal(graph.reduce(x), pyramid.reduce(torch.from_numpy(x)).numpy())


def copied(folder: Path) -> Path:
    weights = checkpoints.find_weights(MODELS["house"])
    assert weights is not None
    for file in (weights, *engines.graphs_of(MODELS["house"])):
        shutil.copy(file, folder)
    return folder / weights.name


def test_graphs_of_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file, save_file

    weights = copied(tmp_path)
    tensors = load_file(weights)
    save_file({name: tensor * 1.01 for name, tensor in tensors.items()}, weights)
    monkeypatch.setenv("MEF_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError, match="not exported from the weights beside it") as refusal:
        engines.load("house")
    assert "mef models export house" in refusal.value.hint


@pytest.mark.parametrize("damage", [b"\xff" * 64, b"\0" * 400], ids=["ones", "zeros"])
def test_a_damaged_graph_is_told(
    mef: Mef, jpegs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    copied(tmp_path)
    (tmp_path / checkpoints.HASHES).unlink(missing_ok=True)
    for file in tmp_path.glob("*.onnx"):
        data = file.read_bytes()
        file.write_bytes(data[:2000] + damage + data[2000 + len(damage) :])
    monkeypatch.setenv("MEF_WEIGHTS", str(tmp_path))
    done = mef("fuse", *jpegs, "--align", "off", "-o", tmp_path / "x.png", "--quiet")
    assert done.code == 1
    assert "is damaged" in done.err
    assert "mef models export house" in done.err
    assert "fault in mef" not in done.err


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_in_a_networks_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    """Also one in a corner: it would come out black, or white."""
    frames = bracket(40, 60, 3)

    def spoil(answer: Any) -> Any:
        answer[..., 39, 59] = value
        return answer

    in_torch, in_graphs = with_torch("house"), engines.load("house")[0]
    in_torch.network.register_forward_hook(lambda network, given, answer: spoil(answer))
    whole = graph.GraphBlend.__call__
    monkeypatch.setattr(graph.GraphBlend, "__call__", lambda self, planes: spoil(whole(self, planes)))
    for fuser in (in_torch, in_graphs):
        with pytest.raises(ModelError, match="not finite"):
            fuser.fuse(frames, resolution="native")


def test_a_folder_of_weights_without_graphs_runs_in_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = copied(tmp_path)
    for file in tmp_path.glob("*.onnx"):
        file.unlink()
    monkeypatch.setenv("MEF_WEIGHTS", str(tmp_path))
    assert weights.is_file()
    assert isinstance(engines.load("house")[0], Fuser)


def test_an_export_is_run_and_has_its_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mef: Mef
) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    from safetensors.torch import load_file, save_file

    weights = copied(tmp_path)
    tensors = {name: tensor * 1.01 for name, tensor in load_file(weights).items()}
    save_file(tensors, weights)
    monkeypatch.setenv("MEF_WEIGHTS", str(tmp_path))
    answer = mef("models", "export", "house")
    assert answer.code == 0, answer.err
    hashes = json.loads((tmp_path / checkpoints.HASHES).read_text())
    assert {Path(line).name for line in answer.out.split()} == set(hashes)
    frames = bracket(40, 60, 3)
    found, expected = engines.load("house")[0].fuse(frames), with_torch("house").fuse(frames)
    assert np.abs(found.astype(int) - expected).max() <= 65


def test_a_model_without_graphs_says_so(mef: Mef) -> None:
    answer = mef("models", "export", "ffmef")
    assert answer.code == 2
    assert "runs in torch" in answer.err


# ---- threads ---------------------------------------------------------------------------------------------


def test_the_library_takes_free_processors_and_gives_them_back(
    jpegs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four busy programs beside it, and torch's threads waiting for each other, made 54 CPU-s of 4."""
    import mefcli

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "free_processors", lambda: 1)
    seen: list[tuple[int, int]] = []
    run = nn.Module.__call__

    def watched(self: nn.Module, *given: object) -> object:
        seen.append((torch.get_num_threads(), cv2.getNumThreads()))
        return run(self, *given)

    before = torch.get_num_threads(), cv2.getNumThreads()
    try:
        torch.set_num_threads(3)
        cv2.setNumThreads(3)
        monkeypatch.setattr(nn.Module, "__call__", watched)
        mefcli.fuse(jpegs, model="ffmef", align="off")
        assert {torch_threads for torch_threads, _ in seen} == {1}
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (3, 3)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def test_two_at_a_time_give_back_what_the_first_found() -> None:
    torch_threads = torch.get_num_threads()
    with THREADS.settled():
        with THREADS.settled():
            pass
        assert torch.get_num_threads() <= torch_threads
    assert torch.get_num_threads() == torch_threads


def test_strips_come_in_order_and_errors_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert list(threads.each(lambda n: n * n, range(50))) == [n * n for n in range(50)]
    with pytest.raises(ZeroDivisionError):
        threads.in_parallel(lambda n: 1 // (n - 7), range(50))


FORK = """
import os, sys
import cv2, numpy
import mefcli
from mefnets.engine import threads
files = sys.argv[2:]
threads.free_processors = lambda: 2
cv2.setNumThreads(2)
def go(): return mefcli.fuse(files, model=sys.argv[1], ev=[-2, 0, 2])
expected = go()
cv2.GaussianBlur(numpy.zeros((2000, 2000), numpy.float32), (9, 9), 2)  # leaves threads that wait for more
child = os.fork()
if not child:
    os._exit(0 if abs(go() - expected).max() < 1e-3 else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system has no fork")
@pytest.mark.parametrize("model", ["house", "mertens", "ffmef"])
def test_a_child_forked_after_a_fuse_fuses_too(
    model: str, pngs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, model, *map(str, pngs)], timeout=300, check=False
    )
    assert done.returncode == 0
