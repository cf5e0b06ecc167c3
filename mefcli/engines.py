"""Which engine runs a model, decided here alone: exported graphs without torch where they are, else torch.

Graphs lie beside the weights they were exported from, `house.finest.onnx` beside `house.safetensors`, and
carry the SHA-256 of those weights. `mef models export` makes them.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mefcli.checkpoints import (
    find_model,
    find_weights,
    fitted,
    is_file,
    known_hashes,
    read_checked,
    read_header,
)
from mefcli.errors import ModelError
from mefnets import ModelSpec

if TYPE_CHECKING:
    from mefnets.engine.fusion import Fusion

WITHOUT_TORCH = ("auto", "cpu")
"""Devices. A photograph is done before torch would have found a graphics card; `cuda` by name takes it."""


def load(
    model: str, weights: str | None = None, device: str = "auto", half: bool = False
) -> tuple[Fusion, str | None]:
    """The engine with a model's weights, verified, on a device; and the SHA-256 of the weights."""
    if runs_without_torch(model, weights, device):
        fuser, sha256 = _load_graphs(find_model(model), half)
        # Graphs hold the network as it judges by itself.
        fuser.taster = cache(lambda: _load_torch(model, weights, device, half)[0])
        return fuser, sha256
    return _load_torch(model, weights, device, half)


def _load_torch(model: str, weights: str | None, device: str, half: bool) -> tuple[Fusion, str | None]:
    from mefcli.checkpoints import build_with_weights, load_fuser_weights
    from mefcli.tasks import refuse_light
    from mefnets.engine.fuser import Fuser

    spec, tensors, sha256, _ = load_fuser_weights(model, weights)
    refuse_light(spec.task, spec.name)
    return Fuser(spec, build_with_weights(spec, tensors, device), device, half=half), sha256


def runs_without_torch(model: str, weights: str | None = None, device: str = "auto") -> bool:
    if weights is not None or is_file(model) or device not in WITHOUT_TORCH:
        return False
    spec = find_model(model)
    return not spec.learned or (bool(graphs_of(spec)) and find_spec("onnxruntime") is not None)


def shipped_for(model: str, weights: str | None = None, device: str = "auto") -> bool:
    """Whether `load` is sure to succeed: the files are the shipped ones, and the processor will do.

    Raises where they are damaged. Hashing them takes a few milliseconds; loading them may take an import of
    torch, which is better done while files are read.
    """
    if weights is not None or is_file(model) or device not in WITHOUT_TORCH:
        return False
    spec = find_model(model)
    path = find_weights(spec)
    if path is None:
        return not spec.learned
    files = [path, *graphs_of(spec)]
    known = known_hashes(path.parent)
    for file in files:
        read_checked(file)
    return all(file.name in known for file in files)


def import_engine(model: str, weights: str | None = None, device: str = "auto") -> None:
    """Import what `load` needs, which takes longer than loading."""
    if not runs_without_torch(model, weights, device):
        import_module("mefnets.engine.fuser")
        return
    import_module("mefnets.engine.graphs")
    if find_model(model).learned:
        import_module("onnxruntime")


def graphs_of(spec: ModelSpec) -> list[Path]:
    """The exported graphs of a model, beside its weights."""
    weights = find_weights(spec)
    return sorted(weights.parent.glob(f"{weights.stem}.*.onnx")) if weights else []


def read_graph(path: Path, weights_sha256: str) -> bytes:
    """A graph's file; refuses one that was exported from other weights than those beside it."""
    data, _ = read_checked(path)
    if weights_sha256.encode() not in data:
        raise ModelError(
            f"{path} was not exported from the weights beside it.",
            f"Make it again: mef models export {path.name.partition('.')[0]}.",
        )
    return data


def _load_graphs(spec: ModelSpec, half: bool) -> tuple[Fusion, str | None]:
    from mefnets.engine.graphs import GraphFuser, build_graphs

    remark = "Half precision is for graphics cards; computed in full." if half else ""
    if half and not spec.half_safe:
        from mefnets.engine.fusion import refuse_half

        raise refuse_half(spec)
    path = find_weights(spec)
    if path is None:
        classic = import_module(spec.module).streams()
        return GraphFuser(spec, classic, remark), None
    data, sha256 = read_checked(path)
    files = {graph.name.split(".")[-2]: read_graph(graph, sha256) for graph in graphs_of(spec)}
    spec = fitted(spec, read_header(data))  # sound, as it was exported from
    return GraphFuser(spec, build_graphs(spec, files.__getitem__), remark), sha256
