"""The engine without torch: graphs exported from the networks, run by ONNX Runtime, and the classics.

Importing torch takes longer than a photograph does here. A graph is run strip by strip, one thread each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from mefnets.engine.budget import PROCESS_MB, needed_bytes
from mefnets.engine.frames import Floats, Frame, as_floats, mirrored, store
from mefnets.engine.fusion import Fusion, FusionJob, Streams
from mefnets.spec import ModelSpec
from mefnets.trouble import ModelError, TooLargeError, named


class Run(Protocol):
    def __call__(self, given: Mapping[str, Floats], release: bool = False) -> list[Floats]: ...


class Graph(Protocol):
    """A network of graphs: all frames in, the fused picture out, never cut into tiles."""

    def __call__(self, frames: Floats) -> Floats: ...  # (N, 3, H, W) -> (3, H, W)

    def held_bytes(self, frames: int, pixels: int) -> int: ...


def build_graphs(spec: ModelSpec, read: Callable[[str], bytes]) -> Graph:
    """The network of a spec; `read` gives the ONNX file of each of its parts, when it is needed."""
    package = import_module(f"{spec.package}.graph")
    network: Graph = package.build(cache(lambda part: session(read(part), f"{spec.name}.{part}")))
    return network


def session(data: bytes, name: str) -> Run:
    """A graph ready to run on the thread that calls it, from as many threads as you like."""
    import onnxruntime

    _share_memory()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_env_allocators", "1")
    with _words(name):
        made = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    releasing = onnxruntime.RunOptions()
    releasing.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(given: Mapping[str, Floats], release: bool = False) -> list[Floats]:
        """`release`: what buffers are not in use afterwards go back to the system."""
        with _words(name):
            return made.run(None, dict(given), releasing if release else None)  # type: ignore[no-any-return]

    return run


@contextmanager
def _words(name: str) -> Iterator[None]:
    """What ONNX Runtime says of a damaged graph, in errors that have no kind in common."""
    try:
        yield
    except Exception as error:
        if "alloc" in str(error):
            raise MemoryError from error
        kind = type(error).__name__
        raise ModelError(
            f"The graph {name}.onnx is damaged ({kind}).",
            f"Make it again: mef models export {name.split('.')[0]}.",
        ) from error


@cache
def _share_memory() -> None:
    """One store of buffers for all graphs: with one each, three frames of 24 MP hold 80 MB more."""
    import onnxruntime as ort

    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    with suppress(RuntimeError):  # a program around us has one already
        ort.create_and_register_allocator(place, None)


class GraphFuser(Fusion):
    process_mb = PROCESS_MB

    def __init__(self, spec: ModelSpec, network: Graph | Streams, remark: str = "") -> None:
        super().__init__(spec, network, remark)

    @contextmanager
    def _settled(self) -> Iterator[None]:
        try:
            yield
        except MemoryError as error:
            hint = f"Use {named('max_memory')}, or {named('resolution')} guided."
            raise TooLargeError("This machine's memory does not suffice.", hint) from error

    def held_bytes(self, frames: int, pixels: int) -> float:
        return needed_bytes(self.network.held_bytes, frames, pixels)

    def _fuse_native(self, job: FusionJob, out: Frame) -> None:
        height, width, _ = out.shape
        h, w = (max(side, self.spec.tiling.min_size) for side in (height, width))
        beyond = np.ix_(mirrored(0, h, height), mirrored(0, w, width))
        planes = np.empty((len(job.frames), 3, h, w), np.float32)
        for plane, frame in zip(planes, job.frames, strict=True):
            plane[...] = as_floats(frame if (h, w) == (height, width) else frame[beyond]).transpose(2, 0, 1)
        fused = self._run(planes)[:, :height, :width]
        store(np.ascontiguousarray(fused.transpose(1, 2, 0)), out)
        job.on_step(1.0, "fusing")

    def _fuse_small(self, job: FusionJob, small: Floats) -> tuple[Floats, Floats]:
        h, w = small.shape[-2:]
        least = self.spec.tiling.min_size
        if min(h, w) < least:
            rows, columns = mirrored(0, max(h, least), h), mirrored(0, max(w, least), w)
            return small, self._run(small[..., rows, :][..., columns])[:, :h, :w]
        return small, self._run(small)

    def _run(self, planes: Floats) -> Floats:
        network: Any = self.network
        fused: Floats = network(planes)
        self._answered(float(fused.min()), float(fused.max()))
        np.clip(fused, 0.0, 1.0, out=fused)
        self._made(float(fused.min()), float(fused.max()))
        return fused
