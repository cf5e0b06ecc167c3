"""Bring weights from a training run or from a paper's authors into a .safetensors file of ours.

A `.pth` is read with PyTorch's safe loader, which runs no code. What it is, its keys tell: each package's
`importer.py` knows its authors' names, lays them out for our network and says what else that network needs
(padding, luminance range, build options), which is kept in the file. Names that are nobody's must be the
network's own. What does not fit is said, key by key.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mefcli import storage
from mefcli.checkpoints import build_with_weights, find_model
from mefcli.errors import ModelError, OutputError, named
from mefnets import MODELS, ModelSpec
from mefnets.published import Published, UnlikeError

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("state_dict", "model", "params", "net", "network", "ema")
SHOWN = 6  # keys named in an error


ANY = "auto"  # instead of a model's name: whatever the keys say
KNOWN = {  # SHA-256 of files that their authors publish
    "b394fbacaab3fe163cbe8096d4f4b25fa399e17620e76dc19ac8a784f83e4cf4": (
        "the exposure weights of FFMEF's authors (MIT)"
    ),
}


def import_checkpoint(
    model: str, path: Path, out: Path, *, zero_padding: bool = False, studio_luma: bool = False
) -> dict[str, str]:
    """Write the weights at `path` to `out` for `model`; return the metadata that was stored with them.

    What its authors' network needs is found out; for weights that nobody recognises, `zero_padding` and
    `studio_luma` say it. It is kept in the file, so that whoever loads it gets the same function.
    """
    given = None if model == ANY else find_model(model)
    if out.exists() and path.exists() and out.samefile(path):
        raise OutputError(f"{out} is the file to import.", "Give the output another name.")
    if out.suffix != ".safetensors":
        raise OutputError(f"{out} does not end in .safetensors.", "Give the output such a name.")
    theirs, sha256 = _read(path)
    spec, published = _recognised(given, theirs)
    options = {**(published.options if published else {}), **_options(spec, zero_padding)}
    luma_range = published.luma_range if published else spec.luma_range
    if studio_luma:
        luma_range = "studio"
        if spec.colour != "luma":
            raise ModelError(
                f"{spec.name} works on RGB: there is no luminance range.",
                f"Leave out {named('studio_luma')}.",
            )
    spec = replace(spec, options={**spec.options, **options}, luma_range=luma_range)
    ours = _fitted(spec, published.tensors if published else theirs)
    metadata = {
        "model": spec.name,
        "options": json.dumps(options, sort_keys=True),
        "luma_range": luma_range,
        "source": path.name,
        "source_sha256": sha256,
    }
    if published:
        metadata["recognised"] = KNOWN.get(sha256, published.what)
        metadata["colour_order"] = published.colour_order
        if published.left:
            metadata["left_out"] = f"{len(published.left)} idle tensors ({', '.join(published.left[:SHOWN])})"
    _save(ours, out, metadata)
    return metadata


def _recognised(named: ModelSpec | None, theirs: dict[str, Tensor]) -> tuple[ModelSpec, Published | None]:
    """Whose weights these are: a paper's authors', with their layers named as ours, or the named model's."""
    package = named.package if named else ""
    for name, importer in _importers().items():
        if not importer.knows(theirs):
            continue
        spec = named if named and name == package else _first_of(name)
        if named and name != package:
            raise ModelError(
                f"These weights are {spec.title}'s, not {named.title}'s.", f"Import them as {spec.name}."
            )
        try:
            published = importer.read(theirs)
        except UnlikeError as error:
            raise ModelError(
                f"The keys are those of {spec.title}'s authors, but {error}.", "Give another of their files."
            ) from error
        return _variant_of(spec, name, published), published
    if named is None:
        raise ModelError(
            f"Nobody's keys are like these: {', '.join(list(theirs)[:SHOWN])}.",
            "Name the model they are for.",
        )
    return named, None


def _importers() -> dict[str, Any]:
    """The importers of those packages that know their authors' files."""
    found = {}
    for spec in MODELS.values():
        with contextlib.suppress(ModuleNotFoundError):
            found[spec.package] = importlib.import_module(f"{spec.package}.importer")
    return found


def _first_of(package: str) -> ModelSpec:
    return next(spec for spec in MODELS.values() if spec.package == package)


def _variant_of(spec: ModelSpec, package: str, published: Published) -> ModelSpec:
    """The model of the package whose facts suit the file: pairs that move have one of their own."""
    aligns = str(published.options.get("variant", "")).startswith("align")
    if aligns == spec.aligns:
        return spec
    return next(other for other in MODELS.values() if other.package == package and other.aligns == aligns)


def _options(spec: ModelSpec, zero_padding: bool) -> dict[str, object]:
    if not zero_padding:
        return {}
    import inspect

    build = importlib.import_module(spec.module).build
    if "padding" not in inspect.signature(build).parameters:
        raise ModelError(f"{spec.name} has no choice of padding.", f"Leave out {named('zero_padding')}.")
    return {"padding": "zeros"}


def _read(path: Path) -> tuple[dict[str, Tensor], str]:
    """The state dict in a .pth or .safetensors file, out of its usual wrappers, and the file's SHA-256."""
    import pickle

    import torch

    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.", "Check the name.") from error
    content: Any
    try:
        if path.suffix == ".safetensors":
            import safetensors.torch

            content = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds more than tensors, or is damaged; loading it could run code.",
            "Ask for a plain state dict of it.",
        ) from error
    except Exception as error:  # many kinds of damage, many kinds of exception
        raise ModelError(f"{path} is not a readable checkpoint: {error}.", "Fetch it again.") from error
    while isinstance(content, Mapping):
        inner = next((content[k] for k in WRAPPERS if isinstance(content.get(k), Mapping)), None)
        if inner is None:
            break
        content = inner
    tensors = {
        str(key).removeprefix("module."): value
        for key, value in (content.items() if isinstance(content, Mapping) else ())
        if isinstance(value, torch.Tensor)
    }
    if not tensors:
        raise ModelError(f"{path} holds no tensors.", "A state dict is needed, as torch.save writes it.")
    return tensors, sha256


def _fitted(spec: ModelSpec, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    own = importlib.import_module(spec.module).build(**spec.options).state_dict()
    # Counters of batches were not kept by older versions of PyTorch; nothing is computed from them.
    tensors = {**{key: value for key, value in own.items() if key.endswith("num_batches_tracked")}, **tensors}
    complaints = [
        *_named("missing", [key for key in own if key not in tensors]),
        *_named("not the network's", [key for key in tensors if key not in own]),
        *_named(
            "of another shape",
            [
                f"{key} {tuple(tensors[key].shape)} instead of {tuple(own[key].shape)}"
                for key in own
                if key in tensors and tensors[key].shape != own[key].shape
            ],
        ),
    ]
    if complaints:
        raise ModelError(
            f"The weights do not fit {spec.name}: {'; '.join(complaints)}.",
            f"mef models show {spec.name} tells the network's size.",
        )
    build_with_weights(spec, tensors)
    return {key: tensors[key].detach().contiguous() for key in own}


def _named(what: str, keys: list[str]) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return [f"{len(keys)} {what} ({', '.join(keys[:SHOWN])}{more})"]


def _save(tensors: dict[str, Tensor], out: Path, metadata: dict[str, str]) -> None:
    import safetensors.torch

    storage.write_bytes(out, safetensors.torch.save(tensors, metadata=metadata))
