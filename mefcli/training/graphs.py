"""Exported graphs to ship: a network's parts as ONNX files beside the weights that they hold."""

from __future__ import annotations

import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from mefcli.checkpoints import build_with_weights, fitted, read_weights
from mefcli.errors import MissingExtraError, UsageError
from mefcli.training.export import record_hash, replace_file
from mefnets import ModelSpec


def can_export(spec: ModelSpec) -> bool:
    """Whether the network's package says how: where its graphs are slower than torch, none does."""
    return find_spec(f"{spec.package}.export") is not None


def export_graphs(spec: ModelSpec, weights: Path) -> list[Path]:
    """The graphs of a network with these weights, beside them, each with its line in hashes.json."""
    if not can_export(spec):
        raise UsageError(f"{spec.name} runs in torch; there is nothing to export.")
    if find_spec("onnx") is None:
        raise MissingExtraError("Exporting a network needs onnx.", "Install it: pip install onnx")
    import onnx

    tensors, sha256, metadata = read_weights(weights)
    spec = fitted(spec, metadata)
    network = build_with_weights(spec, tensors)
    parts = import_module(f"{spec.package}.export").export(network)
    written = []
    for part, data in sorted(parts.items()):
        graph = onnx.load_from_string(_folded(data))
        about = {"model": spec.name, "part": part, "weights_sha256": sha256, "licence": "MIT"}
        onnx.helper.set_model_props(graph, about)
        path = weights.with_name(f"{weights.stem}.{part}.onnx")
        record_hash(path, replace_file(path, graph.SerializeToString(deterministic=True)))
        written.append(path)
    return written


def _folded(data: bytes) -> bytes:
    """The graph with its constants computed, so that it is ready in half the time. Fit for any processor."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return Path(options.optimized_model_filepath).read_bytes()
