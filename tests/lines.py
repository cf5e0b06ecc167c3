"""Lines of `--json` against the schema that is shipped, in the few words of JSON Schema that it needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SCHEMA = json.loads((Path(__file__).resolve().parents[1] / "mefcli/json.schema.json").read_text())
KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
WORDS = {
    "$ref",
    "additionalProperties",
    "anyOf",
    "description",
    "enum",
    "items",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "type",
}


def definition(arguments: Sequence[str]) -> str:
    """Which definition a command's lines follow."""
    command, words = arguments[0], set(arguments)
    if command in ("fuse", "focus", "infrared", "batch", "demo"):
        dry = {"fuse": "plan", "focus": "plan", "infrared": "plan", "batch": "grouping"}
        return dry[command] if "--dry-run" in words else "result"
    if command == "info":
        return "grouping" if "--groups" in words else "info"
    if command == "models":
        ways = {"show": "model", "verify": "verified", "import": "imported"}
        return next((ways[word] for word in arguments if word in ways), "models")
    if command == "bench":
        ways = {
            "--stages": "profile",
            "alignment": "displacement",
            "radiance": "light_error",
            "moving": "ghosts_left",
            "focus": "focus_error",
            "depth": "depth_error",
            "models": "model_cost",
        }
        return next((ways[word] for word in arguments if word in ways), "cost")
    of_commands = {
        "align": "aligned",
        "hdr": "radiance",
        "depth": "depth",
        "compare": "comparison",
        "eval": "evaluation",
        "reproduce": "reproduction",
        "doctor": "checks",
        "config": "settings",
    }
    return of_commands[command]


def check(arguments: Sequence[str], out: str) -> None:
    """Every line is JSON as the schema says."""
    for line in out.splitlines():
        told = json.loads(line, parse_constant=_refuse)
        name = definition(arguments)
        if name == "plan" and told.get("status") == "failed":
            name = "result"  # a plan that could not be made
        wrong = list(faults(told, SCHEMA["$defs"][name], name))
        assert not wrong, "\n".join(wrong)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def faults(value: Any, schema: dict[str, Any], at: str) -> Iterator[str]:
    assert set(schema) <= WORDS, set(schema) - WORDS
    if "$ref" in schema:
        yield from faults(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], at)
    if "anyOf" in schema:
        ways = [list(faults(value, one, at)) for one in schema["anyOf"]]
        if all(ways):
            yield from min(ways, key=len)
    kinds = schema.get("type", [])
    allowed = [kind for name in ([kinds] if isinstance(kinds, str) else kinds) for kind in KINDS[name]]
    fits = bool in allowed if isinstance(value, bool) else isinstance(value, tuple(allowed))
    if allowed and not fits:
        yield f"{at} is {value!r}, not {kinds}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at} is {value!r}, none of {schema['enum']}"
    if isinstance(value, dict):
        known = schema.get("properties", {})
        yield from (f"{at} lacks {key}" for key in schema.get("required", []) if key not in value)
        for key, one in value.items():
            rest = schema.get("additionalProperties", True)
            if key in known or isinstance(rest, dict):
                yield from faults(one, known.get(key, rest), f"{at}.{key}")
            elif not rest:
                yield f"{at} has {key}, which the schema does not know"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{at} has {len(value)} items"
        for number, one in enumerate(value):
            yield from faults(one, schema.get("items", {}), f"{at}[{number}]")
