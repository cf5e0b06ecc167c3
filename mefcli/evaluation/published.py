"""What each paper says: the claims of their packages, found by a system's name."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence

from mefcli.errors import UsageError, did_you_mean, named
from mefnets import MODELS, ModelSpec
from mefnets.claims import Said, Table


def systems() -> dict[str, ModelSpec]:
    """Those whose paper's claims are written down, one for each package."""
    found: dict[str, ModelSpec] = {}
    packages = set()
    for name, spec in MODELS.items():
        if spec.paper and spec.package not in packages and importlib.util.find_spec(f"{spec.package}.claims"):
            packages.add(spec.package)
            found[name] = spec
    return found


def system(name: str) -> ModelSpec:
    known = systems()
    if name not in known:
        raise UsageError(
            f"{name!r} is no system with a paper.", f"{did_you_mean(name, known)}Known: {', '.join(known)}."
        )
    return known[name]


def table_of(spec: ModelSpec) -> Table:
    found: Table = importlib.import_module(f"{spec.package}.claims").TABLE
    return found


def claims_of(spec: ModelSpec) -> tuple[Said, ...]:
    found: tuple[Said, ...] = importlib.import_module(f"{spec.package}.claims").CLAIMS
    return found


def chosen_claims(spec: ModelSpec, names: Sequence[str]) -> tuple[Said, ...]:
    """All, or those named."""
    known = {claim.name: claim for claim in claims_of(spec)}
    for name in names:
        if name not in known:
            raise UsageError(
                f"{spec.name} has no claim {name!r} for {named('claims')}.",
                f"{did_you_mean(name, known)}Known: {', '.join(known)}.",
            )
    return tuple(known[name] for name in names) if names else tuple(known.values())
