"""Turns exposure brackets into one well-exposed photograph.

    import mefcli
    picture = mefcli.fuse(["dark.jpg", "middle.jpg", "bright.jpg"])  # float32 (H, W, 3) in [0, 1]

The names below are loaded on first use, so that importing `mefcli` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mefcli.api import (
        enlarge_depth,
        focus,
        fuse,
        fuse_folder,
        infrared,
        list_models,
        load_fuser,
        load_settings,
        radiance,
    )
    from mefcli.errors import MefError

__all__ = [
    "MefError",
    "__version__",
    "enlarge_depth",
    "focus",
    "fuse",
    "fuse_folder",
    "infrared",
    "list_models",
    "load_fuser",
    "load_settings",
    "radiance",
]

_HOMES = {"MefError": "mefcli.errors"} | {
    name: "mefcli.api" for name in __all__ if name not in ("MefError", "__version__")
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from mefcli.version import version

        return version()
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
