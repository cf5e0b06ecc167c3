"""What the search chooses: one operator for every searched layer. Kept as small JSON files in genotypes/.

`srsm` names the operators m0, m1, m2 of scene relighting: three that all four modules share, or twelve, three
a module (under first and second, then over first and second). `drm` names f0 to f3 of detail repletion,
`width` its channels, and `dasm` the deformable convolutions of self-alignment: level 3, 2, 1 of the pyramid
and the cascade. An empty `dasm` is a model that does not align.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SRSM_SPACE = ("C-1", "C-3", "C-5", "C-7", "DC-3", "DC-5", "DC-7")  # a dilated 1x1 is a plain one
DRM_SPACE = ("RC-1", "RC-3", "RC-5", "RC-7", "RDC-3", "RDC-5", "RDC-7")
DASM_SPACE = ("DeC-3", "DeC-5", "DeC-7")
SPACES = {"srsm": SRSM_SPACE, "drm": DRM_SPACE, "dasm": DASM_SPACE}

FOLDER = Path(__file__).parent / "genotypes"

REACH_PX = 8.0  # bound of learnt offsets: a runaway cannot break training, and tiles have a known reach


@dataclass(frozen=True)
class Genotype:
    srsm: tuple[str, ...]
    drm: tuple[str, ...]
    width: int
    dasm: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part, lengths in (("srsm", (3, 12)), ("drm", (4,)), ("dasm", (0, 4))):
            names = getattr(self, part)
            strange = [name for name in names if name not in SPACES[part]]
            if strange:
                raise ValueError(f"{part} has no operator {strange[0]!r}; it has {', '.join(SPACES[part])}.")
            if len(names) not in lengths:
                needed = " or ".join(str(length) for length in lengths if length)
                raise ValueError(f"{part} needs {needed} operators; there are {len(names)}.")
        if self.width < 2 or self.width % 2:
            raise ValueError(f"The width must be an even number of channels, not {self.width}.")

    def relighting(self, module: int) -> tuple[str, ...]:
        """m0, m1, m2 of relighting module 0 to 3: under first and second, over first and second."""
        first = 3 * module % len(self.srsm)
        return self.srsm[first : first + 3]


def read(name_or_path: str | Path) -> Genotype:
    """A genotype by its name in genotypes/, or from a JSON file."""
    path = Path(name_or_path)
    if path.suffix != ".json":
        path = FOLDER / f"{name_or_path}.json"
    return from_table(json.loads(path.read_text(encoding="utf-8")))


def from_table(table: Mapping[str, object]) -> Genotype:
    """From plain JSON values."""
    fields = dict(table)
    for part in SPACES:
        value = fields.get(part, [])
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{part} must be a list of operator names.")
        fields[part] = tuple(str(name) for name in value)
    return Genotype(**fields)  # type: ignore[arg-type]


# ---- how far a model sees ---------------------------------------------------------------------------------


def parse(name: str) -> tuple[str, int]:
    kind, _, k = name.partition("-")
    return kind, int(k)


def radius(name: str) -> int:
    """How far the operator sees, in pixels of its own level (without learnt offsets)."""
    kind, k = parse(name)
    return (k // 2) * (2 if "DC" in kind else 1) + (1 if kind.startswith("R") else 0)


def reach(genotype: Genotype) -> int:
    """The receptive-field radius, in pixels, that tiles must see beyond what they answer for."""
    first, second, third, fourth = (_relighting_reach(genotype.relighting(module)) for module in range(4))
    relight = max(first + second, third + fourth)
    replete = sum(radius(name) for name in genotype.drm)
    if not genotype.dasm:
        return relight + replete + 2
    return relight + _alignment_reach(genotype) + 1 + replete


def _relighting_reach(operators: tuple[str, ...]) -> int:
    m0, m1, m2 = (radius(name) for name in operators)
    # Half-resolution layers count twice; pooling sees 1, the bilinear resize 1 at half resolution.
    return 1 + m0 + 1 + 2 * (m1 + m2 + 1) + 1


def _alignment_reach(genotype: Genotype) -> int:
    """How far pyramid and DASM see together, from bounded offsets, in pixels of the full resolution."""
    offset = int(REACH_PX)
    r3, r2, r1, rc = (radius(name) for name in genotype.dasm)
    p1, p2, p3 = 2, 2 + 1 + 2, 2 + 1 + 2 + 2 + 4  # features of the pyramid's levels
    o3 = p3 + 4 * 2
    a3 = max(p3 + 4 * (r3 + offset), o3 + 4 * r3)
    o2 = max(p2 + 2, o3 + 4) + 2 * 2  # o3 enters beside the first convolution's output
    a2 = max(p2 + 2 * (r2 + offset), o2 + 2 * r2, a3 + 4) + 2
    o1 = max(p1 + 1, o2 + 2) + 1 * 2
    a1 = max(p1 + r1 + offset, o1 + r1, a2 + 2) + 1
    o = a1 + 2
    return max(a1 + rc + offset, o + rc)
