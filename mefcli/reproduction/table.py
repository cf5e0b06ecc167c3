"""A paper's table of results beside ours, on the scenes of a folder and by the paper's protocol.

Every method fuses the darkest and the brightest frame of a scene. Where the paper's results of scenes with
JPEG frames went through JPEG before they were measured, so do these.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.checkpoints import SET, find_weights, known_models
from mefcli.evaluation import methods, ranking
from mefcli.evaluation.methods import Frames, Maker
from mefcli.evaluation.scenes import Layout, Scene, find_scenes
from mefnets import ModelSpec
from mefnets.claims import Scores, Table

AVERAGE = "average"  # of the two frames: what every network must leave behind
AUTHORS, PAPER = "authors' weights", "paper"
JPEG = {".jpg", ".jpeg"}


@dataclass(frozen=True)
class Measured:
    """Means over the scenes, by method; the paper's own row is among them where it prints one."""

    scenes: int
    rows: dict[str, Scores]
    absent: tuple[str, ...]  # what could not be measured, in words
    trained_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by row, measures of this table


def measure(
    spec: ModelSpec,
    table: Table,
    folder: Path,
    layout: Layout,
    *,
    authors: Path | None = None,
    device: str = "auto",
    max_megapixels: float | None = None,
    on_row: Callable[[str, str], None] = lambda scene, method: None,
) -> Measured:
    scenes = find_scenes(folder, layout)
    names = tuple(table.row)
    absent: list[str] = []
    with tempfile.TemporaryDirectory(prefix="mef-") as place:
        wanted = _wanted(spec, authors, Path(place), absent)
        makers: dict[str, Maker] = {}
        for shown, model in wanted.items():
            (makers[shown],) = methods.from_models([model], device=device).values()
        asked = {
            shown: seen
            for shown, model in wanted.items()
            if (seen := methods.trained_on([model], names).get(model))
        }
        if table.jpeg_quality:
            makers = {name: _through_jpeg(make, table.jpeg_quality) for name, make in makers.items()}
        rows = []
        for row in methods.evaluate(scenes, makers, names=names, max_pixels=max_megapixels, ends=True):
            rows.append(row)
            on_row(row.scene, row.method)
    found: dict[str, Scores] = {PAPER: dict(table.row), **ranking.means(rows)}
    if any(scene.reference is None for scene in scenes) and any("_GT" in name for name in names):
        absent.append("scenes without a reference picture are left out of the measures that need one")
    return Measured(len(scenes), found, tuple(absent), asked)


def _wanted(spec: ModelSpec, authors: Path | None, place: Path, absent: list[str]) -> dict[str, str]:
    """Models or files by row: the average, then what there is of: their weights, ours of the literal recipe,
    our best."""
    wanted: dict[str, str] = {AVERAGE: AVERAGE}
    if authors:
        from mefcli.importing import import_checkpoint

        imported = place / "authors.safetensors"
        import_checkpoint(spec.name, authors, imported)
        wanted[AUTHORS] = str(imported)
    else:
        absent.append("the authors' weights were not given")
    literal = f"{spec.name}{SET}paper"
    if literal in known_models():
        wanted[literal] = literal
    else:
        absent.append(
            f"the paper's own recipe is not trained here (mef train {spec.name}, variant paper; mef train "
            f"export makes {literal} of it)"
        )
    if find_weights(spec):
        wanted[spec.name] = spec.name
    else:
        absent.append(f"{spec.name} has no weights here")
    return wanted


def _through_jpeg(make: Maker, quality: int) -> Maker:
    def made(scene: Scene, frames: Frames) -> NDArray[Any] | None:
        picture = make(scene, frames)
        if picture is None or not any(path.suffix.lower() in JPEG for path in scene.inputs):
            return picture
        return through_jpeg(picture, quality)

    return made


def through_jpeg(picture: NDArray[Any], quality: int) -> NDArray[Any]:
    """8-bit RGB as it comes back from a JPEG file."""
    import cv2

    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[..., ::-1])


def layout_of(folder: Path, chosen: Layout | None) -> Layout:
    """What was chosen; else the benchmark's where its folder `input` is there."""
    return chosen or ("mefb" if (folder / "input").is_dir() else "plain")


def order(rows: Sequence[str]) -> list[str]:
    """Methods as a reader compares them: theirs, ours, and what all must leave behind."""
    return sorted(rows, key=lambda name: (name == AVERAGE, name != PAPER, name != AUTHORS))
