"""What the search chooses: one operator for every searched layer. Kept as small JSON files in genotypes/.

`srsm` names the operators m0, m1, m2 of scene relighting, `drm` f0 to f3 of detail repletion, `width` the
channels of detail repletion, and `dasm` the deformable convolutions of self-alignment: level 3, 2, 1 of the
pyramid and the cascade. An empty `dasm` is a model that does not align.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

SRSM_SPACE = ("C-1", "C-3", "C-5", "C-7", "DC-3", "DC-5", "DC-7")  # a dilated 1x1 is a plain one
DRM_SPACE = ("RC-1", "RC-3", "RC-5", "RC-7", "RDC-3", "RDC-5", "RDC-7")
DASM_SPACE = ("DeC-3", "DeC-5", "DeC-7")
SPACES = {"srsm": SRSM_SPACE, "drm": DRM_SPACE, "dasm": DASM_SPACE}

FOLDER = Path(__file__).parent / "genotypes"


@dataclass(frozen=True)
class Genotype:
    srsm: tuple[str, ...]
    drm: tuple[str, ...]
    width: int
    dasm: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part, lengths in (("srsm", (3,)), ("drm", (4,)), ("dasm", (0, 4))):
            names = getattr(self, part)
            strange = [name for name in names if name not in SPACES[part]]
            if strange:
                raise ValueError(f"{part} has no operator {strange[0]!r}; it has {', '.join(SPACES[part])}.")
            if len(names) not in lengths:
                raise ValueError(f"{part} needs {lengths[-1]} operators; there are {len(names)}.")
        if self.width < 2 or self.width % 2:
            raise ValueError(f"The width must be an even number of channels, not {self.width}.")


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


def write(genotype: Genotype, path: Path) -> None:
    path.write_text(json.dumps(asdict(genotype), indent=1) + "\n", encoding="utf-8")
