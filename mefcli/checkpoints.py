"""Find, verify and load weights: safetensors only, each shipped file checked against its SHA-256.

Looked for in this order: an explicit path, the folder MEF_WEIGHTS names, the installed package, the checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING

from mefcli.errors import MefError, ModelError, UnknownModelError, did_you_mean, named
from mefnets import MODELS, ModelSpec
from mefnets.spec import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

SET = "@"  # between a model's name and that of one of its sets of weights
HASHES = "hashes.json"  # {file name: SHA-256 of every shipped file}
Weights = tuple[ModelSpec, "dict[str, Tensor] | None", "str | None", "dict[str, str]"]


def known_models(task: Task | None = None) -> dict[str, ModelSpec]:
    """Every model by name (of a task, if one is given), and every other set of weights beside a model's own.

    `ffmef@paper` is the network of `ffmef` with the weights in ffmef@paper.safetensors: another training of
    the same system. A set exists where its file does; the registry names systems, not files.
    """
    found = dict(MODELS)
    for folder in weight_folders():
        for path in sorted(folder.glob(f"*{SET}*.safetensors")):
            name, _, kind = path.stem.partition(SET)
            if name in MODELS:
                spec = MODELS[name]
                words = f"{spec.summary}; weights of recipe {kind}"
                another = replace(
                    spec, name=path.stem, title=f"{spec.title} ({kind})", weights=path.name, summary=words
                )
                found.setdefault(path.stem, another)
    return {name: spec for name, spec in found.items() if task in (None, spec.task)}


def find_model(name: str) -> ModelSpec:
    """The model of that name, or of that file of weights; or a refusal that lists the near names."""
    if is_file(name):
        return _of_file(Path(name))
    if name in MODELS:
        return MODELS[name]
    known = known_models()
    if name in known:
        return known[name]
    hint = did_you_mean(name, known)
    raise UnknownModelError(f"There is no model called {name!r}.", f"{hint}Known: {', '.join(known)}.")


def is_file(name: str) -> bool:
    """Whether a model is named by a file of weights."""
    return name.endswith(".safetensors")


def _of_file(path: Path) -> ModelSpec:
    data, _ = read_checked(path)
    try:
        metadata = read_header(data)
    except ValueError as error:
        raise ModelError(f"{path} is damaged: {error}.", "Install it again.") from error
    if "model" not in metadata:
        raise ModelError(
            f"{path} does not say which model it belongs to.",
            f"Name the model with {named('model')}, and the file with {named('weights')}.",
        )
    return fitted(find_model(metadata["model"]), metadata)


def weight_folders() -> Iterator[Path]:
    if chosen := os.environ.get("MEF_WEIGHTS"):
        if not Path(chosen).is_dir():  # the shipped weights in its stead would pass for what was asked for
            raise ModelError(f"MEF_WEIGHTS names {chosen}, which is no folder.", "Correct it, or unset it.")
        yield Path(chosen)
    shipped = resources.files("mefcli") / "weights"
    if isinstance(shipped, Path) and shipped.is_dir():
        yield shipped
    checkout = Path(__file__).resolve().parents[1] / "weights"
    if checkout.is_dir():
        yield checkout


def find_weights(spec: ModelSpec) -> Path | None:
    """Where the weights of a model are on this machine; None where they are not, or none are needed."""
    if spec.weights:
        for folder in weight_folders():
            if (folder / spec.weights).is_file():
                return folder / spec.weights
    return None


def weights_of(name: str) -> Path | None:
    """The file that a model's name stands for here, or that it is."""
    return Path(name) if is_file(name) else find_weights(find_model(name))


def is_ready(spec: ModelSpec) -> bool:
    """Whether `mef fuse --model` can run it on this machine."""
    return not spec.learned or find_weights(spec) is not None


def load_fuser_weights(name_or_path: str, weights: str | Path | None = None) -> Weights:
    """A model's spec, tensors, SHA-256 and metadata. Tensors and hash are None where nothing is learned.

    Takes a model's name, with `weights` naming a file to use instead of the shipped one, or the path of a
    .safetensors file whose metadata names its model.
    """
    spec = find_model(name_or_path)
    if weights is None and is_file(name_or_path):
        tensors, sha256, metadata = read_weights(Path(name_or_path))
        return spec, tensors, sha256, metadata
    if weights is not None:
        tensors, sha256, metadata = read_weights(Path(weights))
        return fitted(spec, metadata), tensors, sha256, metadata
    if spec.weights is None:
        return spec, None, None, {}
    path = find_weights(spec)
    if path is None:
        raise missing(spec)
    tensors, sha256, metadata = read_weights(path)
    return fitted(spec, metadata), tensors, sha256, metadata


def fitted(spec: ModelSpec, metadata: Mapping[str, str]) -> ModelSpec:
    """The spec as these weights need it: build options and luminance range that their file declares."""
    try:
        options = json.loads(metadata.get("options") or "{}")
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict):
        raise ModelError("The weights' metadata is damaged: options is no table.", "Install them again.")
    luma_range = "studio" if metadata.get("luma_range") == "studio" else spec.luma_range
    return adapted(replace(spec, luma_range=luma_range), options)


def adapted(spec: ModelSpec, options: Mapping[str, object]) -> ModelSpec:
    """The spec with build options of its own, and what follows from them where its package knows."""
    if not options:
        return spec
    spec = replace(spec, options={**spec.options, **options})
    adapt = getattr(import_module(spec.package), "adapt", None)
    found: ModelSpec = adapt(spec) if adapt else spec
    return found


def missing(spec: ModelSpec) -> ModelError:
    ready = ", ".join(name for name, other in MODELS.items() if is_ready(other))
    return ModelError(
        f"{spec.name} has no trained weights on this machine.",
        f"Train it with mef train {spec.name}, name a file with {named('weights')}, or choose a model "
        f"that is ready: {ready}.",
    )


def read_weights(path: Path) -> tuple[dict[str, Tensor], str, dict[str, str]]:
    """Tensors, SHA-256 and metadata of one file, read once, so that what was checked is what is used."""
    import safetensors
    import safetensors.torch

    if path.suffix != ".safetensors":
        raise ModelError(
            f"{path} is not a .safetensors file; other formats can run code when loaded.",
            "Convert it first: mef models import.",
        )
    data, sha256 = read_checked(path)
    try:
        return safetensors.torch.load(data), sha256, read_header(data)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{path} is damaged: {error}.", "Install it again.") from error


def read_checked(path: Path) -> tuple[bytes, str]:
    """A file's bytes and SHA-256; refuses a shipped file that is not the one that was shipped."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device never ends
            raise ModelError(f"{path} is not a regular file.", "Check the name given as weights.")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # the latter of a zero byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"{path} cannot be read: {reason}.", "Check the name given as weights.") from error
    sha256 = hashlib.sha256(data).hexdigest()
    expected = known_hashes(path.parent).get(path.name)
    if expected is not None and expected != sha256:
        raise ModelError(
            f"{path} is not the file that was shipped: its SHA-256 differs from {HASHES}.",
            "Install mef again.",
        )
    return data, sha256


def known_hashes(folder: Path) -> dict[str, str]:
    table = folder / HASHES
    try:
        if table.exists() and not table.is_file():  # a pipe would be waited for
            raise ValueError("it is not a regular file")
        hashes = json.loads(table.read_text(encoding="utf-8"))
        if not isinstance(hashes, dict):
            raise ValueError("it is no table")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{table} cannot be read: {error}.", "Install mef again.") from error
    return hashes


def read_header(data: bytes) -> dict[str, str]:
    """The string metadata in front of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
    except RecursionError as error:
        raise ValueError("its header is nested without end") from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else ""
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or not all(isinstance(words, str) for words in metadata.values()):
        raise ValueError("its metadata is no table of words")
    return metadata


def build_with_weights(
    spec: ModelSpec, tensors: Mapping[str, Tensor] | None, device: str = "cpu"
) -> nn.Module:
    """The network of a spec with these tensors; refuses to run a network that has learned nothing."""
    from mefnets.engine.fuser import build_network

    _check_numbers(spec, tensors or {})
    try:
        network = build_network(spec, tensors, device)
    except MefError:
        raise
    except (RuntimeError, TypeError, ValueError) as error:  # shapes; options that the network does not take
        raise ModelError(
            f"These weights do not fit {spec.name}: {str(error).splitlines()[-1].strip()}",
            f"mef models show {spec.name} tells which file belongs to it.",
        ) from error
    if tensors is None and next(network.parameters(), None) is not None:
        raise missing(spec)
    _check_types(spec, tensors or {}, network)
    return network


def _check_numbers(spec: ModelSpec, tensors: Mapping[str, Tensor]) -> None:
    """One number that is none spreads through the whole picture, which comes out black."""
    for name, tensor in tensors.items():
        if tensor.is_complex() or (tensor.is_floating_point() and not bool(tensor.float().isfinite().all())):
            raise ModelError(
                f"These weights of {spec.name} are damaged: {name} holds numbers that are not finite.",
                "Install them again, or train again: such a training has failed.",
            )


def _check_types(spec: ModelSpec, tensors: Mapping[str, Tensor], network: nn.Module) -> None:
    """Whole numbers in place of fractions load without a word, and fuse to nothing."""
    wanted = network.state_dict()
    for name, tensor in tensors.items():
        if tensor.is_floating_point() != wanted[name].is_floating_point():
            raise ModelError(
                f"These weights do not fit {spec.name}: {name} holds {str(tensor.dtype).rpartition('.')[2]} "
                f"where {str(wanted[name].dtype).rpartition('.')[2]} belongs.",
                f"mef models show {spec.name} tells which file belongs to it.",
            )
