"""`mef doctor`: what this installation consists of, and whether it is whole."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import typer

from mefcli.cli import options as o
from mefcli.cli import screen

LIBRARIES = (
    "torch", "onnxruntime", "numpy", "opencv-python-headless", "rawpy", "imagecodecs", "tifffile", "pillow",
    "exifread", "imageio", "safetensors", "typer", "rich",
)  # fmt: skip
EXTRAS = {"pillow-heif": "heif", "distributed": "cluster", "h5py": "matlab"}
WEIGHTS = "weights"  # the folders that hold them
TOOLS = ("exiftool", "enfuse")  # used by tests and measurements only
CODECS = {
    "JPEG": "JPEG8",
    "JPEG XL": "JPEGXL",
    "AVIF": "AVIF",
    "zstd": "ZSTD",
    "deflate": "ZLIB",
    "LZW": "LZW",
}


def doctor(json: o.Json = False) -> None:
    """Check this installation.

    Shows versions, devices, codecs, weights and optional parts. Ends with exit code 1 if something that mef
    needs is missing or broken.

    Examples:
    mef doctor
    mef doctor --json
    """
    checks = [
        check
        for section in (_system, _libraries, _devices, _codecs, _weights, _optional)
        for check in section()
    ]
    if json:
        screen.put_json([{"what": what, "found": found, "ok": ok} for what, found, ok in checks])
    else:
        for what, found, ok in checks:
            mark = {True: "ok     ", False: "MISSING", None: "-      "}[ok]
            print(f"{mark} {what:<24} {found}")
        from mefcli.quality import STARRED

        screen.say(STARRED)
    if wrong := [what for what, _, ok in checks if ok is False]:
        again = "" if wrong == [WEIGHTS] else " Install mef again: pip install --force-reinstall mef"
        screen.say(f"Something is missing or wrong.{again}")
        raise typer.Exit(1)


Check = tuple[str, str, "bool | None"]  # what, what was found, and whether that is good (None: optional)


def _system() -> Iterator[Check]:
    yield "mef", metadata.version("mef"), True
    yield "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", True
    yield "processors", str(os.cpu_count()), True


def _libraries() -> Iterator[Check]:
    for name in LIBRARIES:
        try:
            yield name, metadata.version(name), True
        except metadata.PackageNotFoundError:
            yield name, "not installed", False


def _devices() -> Iterator[Check]:
    torch = _imported("torch")
    if torch is None:
        yield "torch", "cannot be imported", False
        return
    yield "CPU threads", str(torch.get_num_threads()), True
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            yield f"cuda:{index}", f"{facts.name}, {facts.total_memory / 2**30:.0f} GB", True
    else:
        yield "CUDA", "no device", None
    yield "Apple GPU (mps)", "yes" if torch.backends.mps.is_available() else "no", None


def _codecs() -> Iterator[Check]:
    imagecodecs = _imported("imagecodecs")
    for name, constant in CODECS.items():
        there = imagecodecs is not None and bool(
            getattr(getattr(imagecodecs, constant, None), "available", False)
        )
        needed = name in ("JPEG", "deflate")
        yield f"codec {name}", "yes" if there else "no", there if needed else (there or None)
    rawpy = _imported("rawpy")
    yield (
        "LibRaw",
        ".".join(map(str, rawpy.libraw_version)) if rawpy else "cannot be imported",
        rawpy is not None,
    )


def _weights() -> Iterator[Check]:
    from mefcli import checkpoints
    from mefcli.cli.models import state_of
    from mefcli.engines import runs_without_torch
    from mefcli.errors import MefError, flag
    from mefcli.quality import words_of
    from mefnets import DEFAULT_MODEL

    try:
        list(checkpoints.weight_folders())
    except MefError as error:  # whatever it hides, the rest of this page is what helps
        yield WEIGHTS, " ".join(error.spelled(flag)), False
        return
    for spec in checkpoints.known_models().values():
        found = state_of(spec)
        if found == "ready" and spec.learned:
            path = checkpoints.find_weights(spec)
            try:
                sha256 = checkpoints.read_checked(path)[1] if path else ""
            except MefError as error:
                yield f"model {spec.name}", error.spelled(flag)[0], False
                continue
            engine = "runs without torch" if runs_without_torch(spec.name) else "runs in torch"
            good = words_of(spec)
            cost = f"{spec.cost.cpu_s:g} CPU-s a MP; " if spec.cost else ""
            yield f"model {spec.name}", f"ready: {good}; {cost}{engine}; weights {sha256[:12]}", True
        else:
            missing = False if spec.name == DEFAULT_MODEL else None
            yield f"model {spec.name}", found, found == "ready" or missing


def _optional() -> Iterator[Check]:
    for name, extra in EXTRAS.items():
        try:
            yield name, metadata.version(name), True
        except metadata.PackageNotFoundError:
            yield name, f"not installed; pip install 'mef[{extra}]'", None
    for tool in TOOLS:
        path = shutil.which(tool)
        yield tool, path or "not installed; only tests and measurements use it", True if path else None


def _imported(name: str) -> Any:
    load: Callable[[str], Any] = importlib.import_module
    try:
        return load(name)
    except ImportError:
        return None
