"""The training data as one small file: radiance maps, photographs and their licences.

The file is an uncompressed zip: `index.json`, one JPEG 2000 stream per radiance map (see radiance.py), one
JPEG per photograph. The same folder always gives the same bytes, so its SHA-256 names the data.
"""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from mefcli import storage
from mefcli.errors import InputError, MefError, UnreadableError
from mefcli.formats.table import suffixes_of
from mefcli.training.radiance import Radiance, from_aces, read_radiance, squeeze, unsqueeze

Part = Literal["train", "val"]
Kind = TypeVar("Kind", bound=np.generic)
ItemKind = Literal["panorama", "radiance", "photo", "normal"]

FORMAT = 1
PHOTO_QUALITY = 94
COLLECTIONS: dict[str, ItemKind] = {
    "hdr_panoramas": "panorama",
    "hdr_photographs": "radiance",
    "photos_kodak": "photo",
    "photos_free": "photo",
    "normal_light_crops": "normal",
}
IN_ACES = {"Carrots.hdr"}
PICTURES = {".hdr", *suffixes_of("png", "jpeg")}
HELD_OUT_PHOTOS = 0.12  # share of the photographs kept for validation, by a hash of the name


@dataclass(frozen=True)
class Item:
    name: str  # collection/file
    kind: ItemKind
    part: Part
    member: str  # within the zip
    width: int
    height: int


def content_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _parts(folder: Path) -> dict[str, Part]:
    table = folder / "split.csv"
    if not table.is_file():
        raise InputError(f"{folder} has no split.csv.", "Give the folder that holds the training data.")
    with table.open(newline="") as file:
        return {row["file"]: "val" if row["part"] == "val" else "train" for row in csv.DictReader(file)}


def _part(name: str, kind: ItemKind, parts: dict[str, Part]) -> Part:
    if kind in ("panorama", "radiance"):
        return parts.get(name, "train")
    if kind == "normal":  # made from a panorama: follows it
        scene = Path(name).stem.rpartition("_")[0]
        return parts.get(f"hdr_panoramas/{scene}.hdr", "train")
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    return "val" if share < HELD_OUT_PHOTOS else "train"


def _encoded(path: Path, kind: ItemKind) -> tuple[ItemKind, bytes, str, int, int]:
    """(kind, bytes, suffix, width, height)"""
    import cv2

    if path.suffix == ".hdr":
        radiance = read_radiance(path)
        if path.name in IN_ACES:
            radiance = from_aces(radiance)
        height, width = radiance.shape[:2]
        if "LatLong" in path.name:
            kind = "panorama"
        return kind, squeeze(radiance), ".j2k", width, height
    raw = path.read_bytes()
    picture = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise UnreadableError(f"{path.name} is not a readable picture.", "Copy the training data again.")
    height, width = picture.shape[:2]
    if path.suffix == ".png":
        _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, PHOTO_QUALITY])
        raw = coded.tobytes()
    return kind, raw, ".jpg", width, height


def pack(folder: Path, out: Path, on_item: Callable[[str, int, int], None] | None = None) -> list[Item]:
    """Pack the training folder into `out`. Replaces it only when complete."""
    parts = _parts(folder)
    sources = [
        (path, kind)
        for collection, kind in COLLECTIONS.items()
        for path in sorted((folder / collection).glob("*"))
        if path.suffix.lower() in PICTURES
    ]
    if not sources:
        raise InputError(f"{folder} holds no training pictures.", "Give the folder that holds split.csv.")
    licences = {
        collection: licence.read_text("utf-8", "replace")
        for collection in COLLECTIONS
        if (licence := folder / collection / "LICENCE.txt").is_file()
    }
    items: list[Item] = []
    out.parent.mkdir(parents=True, exist_ok=True)
    with storage.written(out) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for count, (path, wanted) in enumerate(sources):
            name = f"{path.parent.name}/{path.name}"
            kind, coded, suffix, width, height = _encoded(path, wanted)
            member = f"{path.parent.name}/{path.stem}{suffix}"
            archive.writestr(zip_entry(member), coded)
            items.append(Item(name, kind, _part(name, kind, parts), member, width, height))
            if on_item:
                on_item(name, count + 1, len(sources))
        index = {"format": FORMAT, "items": [asdict(item) for item in items], "licences": licences}
        archive.writestr(zip_entry("index.json"), json.dumps(index, indent=1, ensure_ascii=False))
    return items


def zip_entry(member: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(member, date_time=(2020, 1, 1, 0, 0, 0))  # a fixed date: same data, same bytes


@contextmanager
def damage_told(path: Path, what: str) -> Iterator[None]:
    """Whatever the lists and decoders of a damaged pack raise, in a sentence."""
    try:
        yield
    except (MefError, MemoryError):
        raise
    except Exception as error:  # zip, JSON and three codecs have errors of their own
        raise UnreadableError(
            f"{path} is damaged: {what} cannot be read.", "Make it again with mef train pack."
        ) from error


def check_format(path: Path, found: object, known: int) -> None:
    if found != known:
        raise UnreadableError(f"{path} was packed by another version.", "Run mef train pack again.")


def shaped(pixels: NDArray[Kind], width: int, height: int, channels: tuple[int, ...] = (3,)) -> NDArray[Kind]:
    """The picture, if it is what the list says."""
    if pixels.shape != (height, width, *channels):
        raise ValueError(f"a picture of {pixels.shape}")
    return pixels


def jpeg_in(archive: zipfile.ZipFile, member: str) -> NDArray[np.uint8]:  # (H, W, 3) RGB
    import cv2

    coded = np.frombuffer(archive.read(member), np.uint8)
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


def _item(row: dict[str, Any]) -> Item:
    item = Item(**row)
    words = (item.name, item.member)
    known = item.kind in get_args(ItemKind) and item.part in get_args(Part)
    if not known or not all(isinstance(word, str) for word in words) or not sides(item.width, item.height):
        raise ValueError(f"an item {row}")
    return item


def sides(*lengths: object) -> bool:
    return all(type(length) is int and length > 0 for length in lengths)


class Pack:
    """An opened pack: what it lists, and its pictures decoded on request."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
            index = json.loads(self._archive.read("index.json"))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise UnreadableError(
                f"{path} is not a packed training file.", "Make one with mef train pack."
            ) from error
        with damage_told(path, "its list of pictures"):
            check_format(path, index["format"], FORMAT)
            self.items = [_item(row) for row in index["items"]]
            self.licences: dict[str, str] = {str(key): str(words) for key, words in index["licences"].items()}
        if not self.items:
            raise UnreadableError(f"{path} holds no pictures.", "Make it again with mef train pack.")

    def of(self, *kinds: ItemKind) -> Iterator[Item]:
        return (item for item in self.items if item.kind in kinds)

    def radiance(self, item: Item) -> Radiance:
        with damage_told(self.path, item.name):
            return shaped(unsqueeze(self._archive.read(item.member)), item.width, item.height)

    def photo(self, item: Item) -> NDArray[np.uint8]:  # (H, W, 3) RGB
        with damage_told(self.path, item.name):
            return shaped(jpeg_in(self._archive, item.member), item.width, item.height)
