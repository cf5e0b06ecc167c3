"""All views, decoded once: half floats in one memory-mapped file, at several sizes, ready to be cropped.

A sample is then a crop, a resize and a curve. The folder belongs beside the runs, never into the repository;
it is rebuilt whenever the pack or this code's format changes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli.training.pack import ItemKind, Pack, Part, content_hash
from mefcli.training.radiance import Radiance
from mefcli.training.views import View, views

FORMAT = 4
SMALLEST_LEVEL_PX = 140  # no level's short side is below this
THUMB_PX = 32
STALE_S = 24 * 3600


@dataclass(frozen=True)
class Level:
    offset: int  # in half floats
    height: int
    width: int


@dataclass(frozen=True)
class Entry:
    name: str
    kind: ItemKind
    part: Part
    levels: tuple[Level, ...]  # full size first, each half of the one before

    @property
    def scene(self) -> str:
        return self.name.partition("#")[0]


class Store:
    """Views of one pack. `open_store` builds or opens it."""

    words = "simulated from free pictures only (CC0, public domain, BSD, CC BY)"
    licence = "MIT"  # of weights that learned from them

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "views.json").read_text())
        self.folder = folder
        self.data_hash: str = index["data_hash"]
        self.entries = [
            Entry(e["name"], e["kind"], e["part"], tuple(Level(**level) for level in e["levels"]))
            for e in index["entries"]
        ]
        self.thumbs: NDArray[np.float32] = np.load(folder / "thumbs.npy")  # (n, THUMB_PX, THUMB_PX, 3)
        self._pixels = np.memmap(folder / "views.f16", np.float16, "r")

    def level(self, index: int, level: int = 0) -> NDArray[np.float16]:  # (H, W, 3)
        at = self.entries[index].levels[level]
        size = at.height * at.width * 3
        return self._pixels[at.offset : at.offset + size].reshape(at.height, at.width, 3)

    def level_for(self, index: int, short_side_px: float) -> int:
        """The smallest level whose short side is at least this, else full size."""
        levels = self.entries[index].levels
        fitting = [k for k, at in enumerate(levels) if min(at.height, at.width) >= short_side_px]
        return fitting[-1] if fitting else 0

    def indices(self, part: Part, *kinds: ItemKind) -> list[int]:
        return [i for i, e in enumerate(self.entries) if e.part == part and e.kind in kinds]


def halvings(pixels: Radiance) -> list[Radiance]:
    """The picture, then halves of it down to the smallest useful size."""
    import cv2

    levels = [pixels]
    while min(levels[-1].shape[:2]) // 2 >= SMALLEST_LEVEL_PX:
        height, width = (side // 2 for side in levels[-1].shape[:2])
        levels.append(np.asarray(cv2.resize(levels[-1], (width, height), interpolation=cv2.INTER_AREA)))
    return levels


def open_store(
    packed: Path, cache: Path, on_view: Callable[[str, int], None] | None = None, data_hash: str | None = None
) -> Store:
    """The store for this pack under `cache`, built first where it is missing (about a minute)."""
    data_hash = data_hash or content_hash(packed)
    folder = cache / f"views-{data_hash[:12]}-{FORMAT}"
    if not (folder / "views.json").is_file():
        _build(Pack(packed), data_hash, folder, on_view)
    return Store(folder)


def _build(pack: Pack, data_hash: str, folder: Path, on_view: Callable[[str, int], None] | None) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{folder.name}*.part"):  # by a build that was killed, about 1 GB
        if left.stat().st_mtime < time.time() - STALE_S:
            shutil.rmtree(left, ignore_errors=True)
    # A folder of its own: two trainings started together each build one, the first to end is kept.
    partial = Path(tempfile.mkdtemp(prefix=folder.name, suffix=".part", dir=folder.parent))
    try:
        _render(pack, data_hash, partial, on_view)
        put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def put_in_place(partial: Path, folder: Path, index: str = "views.json") -> None:
    """Let a folder that was built aside take its place, unless another, whole with its `index`, has it."""
    if (folder / index).is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    try:
        partial.rename(folder)
    except OSError:
        if not (folder / index).is_file():
            raise


def _render(pack: Pack, data_hash: str, partial: Path, on_view: Callable[[str, int], None] | None) -> None:
    entries, thumbs, offset = [], [], 0
    with (partial / "views.f16").open("wb") as file:
        for count, view in enumerate(views(pack)):
            entry, thumb, offset = _append(view, file.write, offset)
            entries.append(asdict(entry))
            thumbs.append(thumb)
            if on_view:
                on_view(view.name, count + 1)
    np.save(partial / "thumbs.npy", np.stack(thumbs))
    (partial / "views.json").write_text(json.dumps({"data_hash": data_hash, "entries": entries}))


def _append(view: View, write: Callable[[bytes], int], offset: int) -> tuple[Entry, NDArray[np.float32], int]:
    import cv2

    levels = []
    for pixels in halvings(view.pixels):
        half = pixels.astype(np.float16)
        write(half.tobytes())
        levels.append(Level(offset, half.shape[0], half.shape[1]))
        offset += half.size
    thumb = cv2.resize(view.pixels, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    entry = Entry(view.name, view.item.kind, view.item.part, tuple(levels))
    return entry, np.asarray(thumb, np.float32), offset
