"""A depth map and a colour picture of one view, from files to a depth map of the picture's size.

Pixels without depth stay without: they are filled from the nearest depth while the map is enlarged, so that
nothing of them spreads, and every pixel that lies in one of them has none in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mefcli import storage
from mefcli.clock import Clock, peak_memory_mb
from mefcli.depth.files import DepthMap, Numbers
from mefcli.errors import MismatchError, UnreadableError, UsageError, did_you_mean, named
from mefcli.job import Job
from mefcli.values import OnStep, Pixels, Record, Shot, Step, silent

if TYPE_CHECKING:
    from mefcli.depth.guided import Guide

Ready = tuple["Guide | None", "str | None"]  # a network, and its weights' SHA-256
CLASSIC = ("bicubic", "guided")  # ways that need no network
LEAST_FACTOR, MOST_FACTOR = 2, 16
LEAST_PX = 4  # of a map's shorter side
# By how much the shapes of map and picture may differ: both sides are rounded, of the smaller one to a pixel.
ROUNDING_PX = 1.0


@dataclass(frozen=True)
class Pair:
    """What `mef depth` is given."""

    low: Path
    low_size: tuple[int, int]  # (height, width)
    colour: Shot

    @property
    def size(self) -> tuple[int, int]:
        """Of the result, (height, width)."""
        assert self.colour.size_px is not None
        return self.colour.size_px[1], self.colour.size_px[0]

    @property
    def factor(self) -> float:
        return float(np.sqrt(np.prod(self.size) / np.prod(self.low_size)))


@dataclass(frozen=True)
class Enlarged:
    pair: Pair
    numbers: Numbers
    holes: float  # share of the result's pixels without depth
    record: Record


def plan(low: Path, colour: Path, job: Job) -> Pair:
    """The pair, or a refusal; from headers alone."""
    from mefcli.depth.files import size_of
    from mefcli.formats.shot import read_shot
    from mefcli.formats.tiff import too_large

    most = int(job.max_pixels * 1e6)
    size, shot = size_of(low, most), read_shot(colour)
    if shot.size_px is None:  # only decoding tells
        shot = _measured(shot, job)
    assert shot.size_px is not None
    if shot.size_px[0] * shot.size_px[1] > most:
        raise too_large(colour, shot.size_px, most)
    pair = Pair(low, size, shot)
    _check_sizes(pair)
    return pair


def _measured(shot: Shot, job: Job) -> Shot:
    from dataclasses import replace

    height, width = _decoded(shot, job).shape[:2]
    return replace(shot, size_px=(width, height))


def _check_sizes(pair: Pair) -> None:
    (h, w), (height, width) = pair.low_size, pair.size
    low, colour = f"{pair.low.name} ({w}x{h})", f"{pair.colour.path.name} ({width}x{height})"
    if min(h, w) < LEAST_PX:
        raise MismatchError(f"{low} has less than {LEAST_PX} pixels along a side.", "Give a larger map.")
    down, right = height / h, width / w
    # A map's side may be rounded either way.
    if abs(down * w - width) > down * ROUNDING_PX and abs(right * h - height) > right * ROUNDING_PX:
        raise MismatchError(
            f"{low} and {colour} are of different shapes.",
            "Both must show the same view: crop one as the other is.",
        )
    if not LEAST_FACTOR - 0.05 <= pair.factor <= MOST_FACTOR + 0.5:
        raise MismatchError(
            f"{colour} is {pair.factor:.3g} times as wide as {low}.",
            f"mef depth enlarges {LEAST_FACTOR} to {MOST_FACTOR} times: reduce the one or the other.",
        )


def check_model(job: Job) -> None:
    """Refuse a model that has no use for depth, or that has no weights here."""
    from mefcli.checkpoints import is_file, known_models
    from mefcli.pipeline.check import check_model as check

    if job.model in CLASSIC:
        if job.weights is not None:
            raise UsageError(f"{job.model} has nothing learned.", f"Leave out {named('weights')}.")
        return
    if not is_file(job.model) and job.model not in known_models():
        known = [*known_models("depth"), *CLASSIC]
        hint = did_you_mean(job.model, known)
        raise UsageError(
            f"There is no model called {job.model!r} for depth.", f"{hint}Known: {', '.join(known)}."
        )
    check(job, "depth")


def run(pair: Pair, outputs: Sequence[Path], job: Job, on_step: OnStep = silent) -> Enlarged:
    """From files to files. Outputs, model and device are checked before the first pixel is decoded."""
    from mefcli.depth import files
    from mefcli.formats.table import DEPTH
    from mefcli.pipeline.write import check_outputs

    check_outputs(outputs, (pair.low, pair.colour.path), overwrite=job.overwrite, formats=DEPTH)
    clock = Clock()
    guide = ready(job, clock)
    with clock("read"):
        on_step(Step("read", 0.0, pair.low.name))
        low = files.read(pair.low, int(job.max_pixels * 1e6))
        files.check_kind(list(outputs), low.numbers)
    found = make(pair, job, on_step, low=low, guide=guide, clock=clock)
    notes = list(found.record.notes)
    with clock("write"):
        on_step(Step("write", 0.0))
        together = storage.written_together(outputs, overwrite=job.overwrite, on_note=notes.append)
        with together as temporaries:
            for output, temporary in zip(outputs, temporaries, strict=True):
                with storage.words_for_trouble(output):
                    files.encode(temporary, found.numbers, output.suffix.lower())
    on_step(Step("write", 1.0))
    record = _record(job, found.record, clock, notes)
    return Enlarged(pair, found.numbers, found.holes, record)


def make(
    pair: Pair,
    job: Job,
    on_step: OnStep = silent,
    *,
    low: DepthMap | None = None,
    guide: Ready | None = None,
    clock: Clock | None = None,
) -> Enlarged:
    """The enlarged map, in memory."""
    from mefcli.depth import files

    clock = clock or Clock()
    network, sha256 = guide or ready(job, clock)
    with clock("read"):
        low = low or files.read(pair.low, int(job.max_pixels * 1e6))
        on_step(Step("read", 0.5, pair.colour.path.name))
        colour = _decoded(pair.colour, job)
    if colour.shape[:2] != pair.size:
        raise UnreadableError(
            f"{pair.colour.path} is damaged: its picture has another size than it says.", "Export it again."
        )
    holes = low.holes
    if holes.all():
        raise UnreadableError(
            f"{pair.low} holds no depth: all its pixels are 0 or no numbers.", "Give another map."
        )

    def told(done: float) -> None:
        on_step(Step("fuse", done))

    told(0.0)
    with clock("fuse"):
        found = _enlarged(filled(low.numbers, holes), colour, job, network, told)
        numbers = stored(found, low.numbers, holes)
    notes = list(low.notes)
    if holes.any():
        notes.append(
            f"{pair.low.name}: {100 * holes.mean():.2g} % of its pixels have no depth (0, or no number), "
            "and stay so."
        )
    start = Record(job.model, sha256, job.settings, {}, None, (), (pair.low.name, pair.colour.path.name))
    share = float(holes.mean())
    return Enlarged(pair, numbers, share, _record(job, start, clock, notes))


def _record(job: Job, record: Record, clock: Clock, notes: Sequence[str]) -> Record:
    from dataclasses import replace

    return replace(record, seconds=clock.seconds, peak_memory_mb=peak_memory_mb(), notes=tuple(notes))


def ready(job: Job, clock: Clock) -> Ready:
    """The job's network, none where it needs none; or a refusal."""
    check_model(job)
    with clock("load"):
        return (None, None) if job.model in CLASSIC else load(job)


def load(job: Job) -> tuple[Guide, str | None]:
    """The job's network with its weights, and their SHA-256."""
    from mefcli.checkpoints import build_with_weights, load_fuser_weights
    from mefcli.depth.guided import Guide

    spec, tensors, sha256, _ = load_fuser_weights(job.model, job.weights)
    return Guide(build_with_weights(spec, tensors, job.device), job.device), sha256


def _enlarged(low: NDArray[np.float32], colour: Pixels, job: Job, guide: Guide | None, told: Any) -> Any:
    from mefcli.depth.enlarge import resized
    from mefcli.depth.guided import filtered

    if guide is not None:
        return guide.enlarged(low, colour, told)
    if job.model == "guided":
        return filtered(low, colour)
    return resized(low, (colour.shape[0], colour.shape[1]))


def _decoded(shot: Shot, job: Job) -> Pixels:
    from mefcli import formats

    plan = formats.bracket_development([shot]) if shot.kind == "raw" else None
    return formats.decode(shot.path, plan, max_pixels=int(job.max_pixels * 1e6)).pixels


def filled(numbers: Numbers, holes: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Holes with the depth that lies nearest."""
    if not holes.any():
        return numbers.astype(np.float32)
    import cv2

    _, labels = cv2.distanceTransformWithLabels(
        holes.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    known = ~holes
    of_label = np.zeros(int(labels.max()) + 1, np.float32)
    of_label[labels[known]] = numbers[known]
    return np.where(holes, of_label[labels], numbers).astype(np.float32)


def stored(found: NDArray[np.float32], low: Numbers, holes: NDArray[np.bool_]) -> Numbers:
    """In the map's own kind of numbers, with its holes."""
    from mefcli.depth.enlarge import nearest

    if low.dtype.kind == "f":
        numbers = found
    else:
        numbers = np.clip(np.rint(found), 1, np.iinfo(low.dtype).max).astype(low.dtype)  # 0 would be a hole
    if holes.any():
        height, width = found.shape
        rows, cols = nearest(height, low.shape[0]), nearest(width, low.shape[1])
        for top in range(0, height, 256):  # strips keep the copies small
            place = np.ix_(rows[top : top + 256], cols)
            part = numbers[top : top + 256]
            np.copyto(part, low[place], where=holes[place])
    return numbers


def enlarged_object(found: Enlarged, outputs: Sequence[Path]) -> dict[str, Any]:
    """For `--json`."""
    (height, width), record = found.pair.size, found.record
    return {
        "inputs": [str(found.pair.low), str(found.pair.colour.path)],
        "outputs": [str(path) for path in outputs],
        "size_px": [width, height],
        "factor": round(found.pair.factor, 3),
        "dtype": str(found.numbers.dtype),
        "holes": round(found.holes, 5),
        "model": record.model,
        "weights_sha256": record.weights_sha256,
        "seconds": {stage: round(seconds, 3) for stage, seconds in record.seconds.items()},
        "seconds_total": round(sum(record.seconds.values()), 3),
        "peak_memory_mb": record.peak_memory_mb,
        "warnings": list(record.notes),
    }
