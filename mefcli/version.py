"""Which release this is, as it was installed."""

from __future__ import annotations


def version() -> str:
    from importlib.metadata import version as installed

    return installed("mef")
