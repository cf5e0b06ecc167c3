"""Ship `weights/` inside the wheel as `mefcli/weights/`.

An editable install reads the checkout's own folder, so there nothing is added: a copy would go stale.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WeightsHook(BuildHookInterface):  # type: ignore[misc]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"]["weights"] = "mefcli/weights"
