"""The house network as graphs that run without torch: one for a strip of each kind of level.

They are traced from `network.py` itself; `graph.py` runs them over strips and levels as `forward` does there.
What differs between levels of a kind comes in as `place` and `strength` (`shape.py`), and all sizes are free.
"""

from __future__ import annotations

import io
import warnings

import torch
from torch import Tensor, nn

from mefnets.house.network import PyramidBlend, _cues
from mefnets.house.shape import EDGES, HAS_BELOW, LEVEL

OPSET = 17


class Strip(nn.Module):
    """One strip of rows of one level, with its border of one pixel, as `PyramidBlend._level` cuts them."""

    def __init__(self, network: PyramidBlend, level: int) -> None:
        super().__init__()
        self.network, self.level = network, level

    def forward(
        self,
        padded: Tensor,
        place: Tensor,
        strength: Tensor,
        below: Tensor | None = None,
        state: Tensor | None = None,
        fused: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        picture, cues = _cues(padded, 1)
        out: tuple[Tensor, Tensor] = self.network._blend(
            picture, cues, below, state, fused, self.level, self.level, place, strength, 1
        )
        return out if self.level else out[:1]  # nobody asks for the finest level's state


def export(network: PyramidBlend) -> dict[str, bytes]:
    """ONNX graphs by kind of level."""
    return {kind: _traced(Strip(network, LEVEL[kind]), HAS_BELOW[kind]) for kind in LEVEL}


def _traced(strip: Strip, has_below: bool) -> bytes:
    channels, level = strip.network.channels, strip.level
    given = {"padded": torch.rand(3, 3, 14, 22), "place": torch.zeros(2 * EDGES), "strength": torch.ones(())}
    free = {"padded": {0: "frames", 2: "rows", 3: "columns"}}
    if has_below:
        given |= {
            "below": torch.rand(3, 3, 8, 12),
            "state": torch.rand(3, channels, 12, 20),
            "fused": torch.rand(1, 3, 8, 12),
        }
        free |= {
            "below": {0: "frames", 2: "rows_below", 3: "columns_below"},
            "state": {0: "frames", 2: "inner_rows", 3: "inner_columns"},
            "fused": {2: "rows_below", 3: "columns_below"},
        }
    outputs = ["out", "new_state"] if level else ["out"]
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter that replaces this one takes half a minute a graph, for larger graphs.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            strip.eval(),
            tuple(given.values()),
            file,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=list(given),
            output_names=outputs,
            dynamic_axes=free,
        )
    return file.getvalue()
