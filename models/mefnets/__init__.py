"""Networks for exposure fusion: torch only, usable without the `mefcli` tool.

`MODELS` is the one answer to "what is supported?": a literal, one line a model. Specs import nothing
heavy; a network's code is imported when it is built.
"""

from __future__ import annotations

from mefnets import classic, crmef, ffmef, focus, house, infrared, lcndr, mefcl, mgdn
from mefnets.spec import Cost, ModelSpec, Paper, Task, Tiling

__all__ = [
    "DEFAULT_DEPTH_MODEL",
    "DEFAULT_FOCUS_MODEL",
    "DEFAULT_INFRARED_MODEL",
    "DEFAULT_MODEL",
    "DEFAULT_MODELS",
    "MODELS",
    "Cost",
    "ModelSpec",
    "Paper",
    "Task",
    "Tiling",
]

MODELS: dict[str, ModelSpec] = {
    "house": house.SPEC,
    "ffmef": ffmef.SPEC,
    "ffmef-focus": ffmef.FOCUS,
    "ffmef-infrared": ffmef.INFRARED,
    "crmef": crmef.GENERAL,
    "crmef-fast": crmef.FAST,
    "crmef-align": crmef.ALIGN,
    "mefcl": mefcl.SPEC,
    "lcndr": lcndr.SPEC,
    "mgdn": mgdn.SPEC,
    "mgdn-focus": mgdn.FOCUS,
    "mgdn-moving": mgdn.MOVING,
    "mgdn-depth": mgdn.DEPTH,
    "mertens": classic.MERTENS,
    "average": classic.AVERAGE,
    "focus": focus.SPEC,
    "infrared": infrared.SPEC,
}

# Chosen from the evidence in weights/README.md: the only one that beats Mertens on structure and on tone.
DEFAULT_MODEL = "house"
DEFAULT_FOCUS_MODEL = "focus"  # the evidence is in docs/focus.md
DEFAULT_INFRARED_MODEL = "infrared"  # likewise in docs/infrared.md
DEFAULT_DEPTH_MODEL = "mgdn-depth"  # likewise in docs/depth.md
DEFAULT_MODELS: dict[Task, str] = {
    "exposure": DEFAULT_MODEL,
    "focus": DEFAULT_FOCUS_MODEL,
    "infrared": DEFAULT_INFRARED_MODEL,
    "depth": DEFAULT_DEPTH_MODEL,
}
