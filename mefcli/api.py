"""The library behind the command line. Options have the same names and defaults in both.

picture = mefcli.fuse(["dark.jpg", "middle.jpg", "bright.jpg"])  # float32 (H, W, 3) in [0, 1]
for result in mefcli.fuse_folder("card/", "fused/", model="mertens"): ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mefcli import checkpoints, pipeline
from mefcli.job import Job, job_of
from mefcli.options import of_keywords, stops_of
from mefcli.pipeline.results import Done, Result
from mefcli.values import Bracket, Fused, GainMapFacts, OnStep, Shot, Stack, silent
from mefnets import DEFAULT_DEPTH_MODEL, DEFAULT_FOCUS_MODEL, DEFAULT_INFRARED_MODEL, DEFAULT_MODEL, ModelSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mefcli.pipeline.depth import Enlarged, Pair
    from mefcli.pipeline.light import Lit
    from mefnets.engine.fusion import Fusion

Paths = str | Path | Iterable[str | Path]  # one path is a pattern of several


@of_keywords(Job)
def load_settings(
    pictures: Paths = (),
    *,
    preset: str | None = None,
    settings: str | Path | None = None,
    **options: Any,
) -> Job:
    """The job that `mef.toml` describes: the person's own, the one beside the pictures, and a preset of it.

    The functions here read no such file by themselves: `fuse(paths, job=load_settings(paths))`. Options given
    beside win over what files say; `settings` names a file that is read instead of those
    that are found; "off" reads none.
    """
    from mefcli.settings import settings_for

    job_of(None, options)  # a slip in a name is told with its near ones
    return settings_for(_several(pictures), options, preset=preset, file=settings).job


@of_keywords(Job, written=False)
def fuse(
    paths: Paths,
    *,
    ev: str | Sequence[float] | None = None,
    fuser: Fusion | None = None,
    job: Job | None = None,
    on_step: OnStep = silent,
    **options: Any,
) -> NDArray[np.float32]:
    """Fuse the exposures of one scene: float32 (H, W, 3) in [0, 1], gamma encoded, in the frames' colours.

    `ev` gives exposure values in the order of `paths` where the files do not tell. A `fuser` from
    `load_fuser` takes the place of `model`, `weights`, `device` and `half`, and saves loading them again.
    Options are those of `mef fuse`; a `Job` holds several, and single ones beside it win. With `hdr` it is
    linear light with all that is beyond white: 1 at the picture's white, up to 2**headroom.
    """
    job = job_of(job, options)
    bracket = plan(paths, ev=ev, job=job)
    fused = pipeline.make(bracket, job, on_step, fuser, depth=32)
    if job.hdr:
        from mefcli.pipeline.beyond import brightened

        return brightened(fused)
    pixels: Any = fused.pixels
    return pixels  # type: ignore[no-any-return]


@of_keywords(Job, written=False)
def radiance(
    paths: Paths,
    *,
    ev: str | Sequence[float] | None = None,
    job: Job | None = None,
    on_step: OnStep = silent,
    **options: Any,
) -> NDArray[np.float32]:
    """The light of a bracket's scene: float32 (H, W, 3), linear, 1 at the white of the reference frame.

    Colours are in the primaries of the frames' profile, of RAW frames in those of `raw_space`. Takes the
    options of `mef hdr`. A `model` for moving scenes merges three frames; others have no effect.
    """
    from mefcli.pipeline import light

    job = job_of(job, options)
    return light.make(plan(paths, ev=ev, job=job), job, on_step).radiance.whole()


def check_light(job: Job) -> None:
    """Refuse a model that `light_files` has no use for, or that has no weights here."""
    from mefcli.pipeline.check import check_model

    check_model(job, "moving")


def light_files(
    bracket: Bracket, outputs: Sequence[str | Path], *, job: Job | None = None, on_step: OnStep = silent
) -> Lit:
    """The light of a bracket that `plan` has made, into one or more files: OpenEXR, Radiance, TIFF."""
    from mefcli.pipeline import light

    return light.run(bracket, _outputs(outputs, min(bracket.paths), ".exr", "light"), job or Job(), on_step)


@of_keywords(Job)
def fuse_files(
    paths: Paths,
    outputs: Sequence[str | Path],
    *,
    ev: str | Sequence[float] | None = None,
    fuser: Fusion | None = None,
    job: Job | None = None,
    on_step: OnStep = silent,
    **options: Any,
) -> Done:
    """Fuse the exposures of one scene into one or more files; takes the options of `fuse` and of writing."""
    job = job_of(job, options)
    bracket = plan(paths, ev=ev, job=job)
    return fuse_bracket(bracket, outputs, job=job, fuser=fuser, on_step=on_step)


def fuse_bracket(
    bracket: Bracket,
    outputs: Sequence[str | Path],
    *,
    job: Job | None = None,
    fuser: Fusion | None = None,
    on_step: OnStep = silent,
) -> Done:
    """Fuse a bracket that `plan` has made into one or more files."""
    job = job or Job()
    return pipeline.run(bracket, _outputs(outputs, min(bracket.paths), _suffix(job)), job, on_step, fuser)


@of_keywords(Job)
def fuse_folder(
    folder: str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    name: str | None = None,
    formats: Sequence[str] = ("tif",),
    group: str | int = "auto",
    gap: float | None = None,
    same_look: bool = False,
    jobs: int = 1,
    cluster: str | None = None,
    fuser: Fusion | None = None,
    job: Job | None = None,
    on_step: OnStep = silent,
    **options: Any,
) -> Iterator[Result]:
    """Fuse every bracket below a folder, or several, into the folder `output`, as you ask for the results.

    With a model for focus stacks (`model="focus"`) it folds the stacks instead. Without a `name` results are
    called `{stem}_fused`, of stacks `{stem}_focus`.

    It is `mef batch`: a journal in `output` remembers what was done, so another call goes on where this one
    ended; brackets finished before come back as a `Done` with `before` set. A bad file or bracket is a
    `Failed` and stops no other.
    """
    from mefcli.batch.folder import fuse_folder as run
    from mefcli.brackets.group import parse_mode

    yield from run(
        folder,
        output,
        job_of(job, options),
        name=name,
        formats=formats,
        mode=parse_mode(str(group)),
        gap_s=gap,
        same_look=same_look,
        jobs=jobs,
        cluster=cluster,
        fuser=fuser,
        on_step=on_step,
    )


def load_fuser(
    model: str = DEFAULT_MODEL, *, weights: str | None = None, device: str = "auto", half: bool = False
) -> Fusion:
    """A model with its weights, verified, ready to fuse bracket after bracket.

    `half`: in half precision, where the device is a graphics card and the model bears it.
    """
    from mefcli.pipeline.fuse import load_fuser as load

    job = Job(model=model, weights=weights, device=device, half=half)  # which checks each value
    return load(job.model, weights=job.weights, device=job.device, half=job.half)


def list_models() -> list[ModelSpec]:
    """Every model, the default first."""
    return sorted(checkpoints.known_models().values(), key=lambda spec: spec.name != DEFAULT_MODEL)


def plan(paths: Paths, *, ev: str | Sequence[float] | None = None, job: Job | None = None) -> Bracket:
    """What `fuse` would do with these files: their order, their exposures, the reference. Or a refusal."""
    from mefcli.brackets.discover import discover
    from mefcli.brackets.order import one_bracket

    job = job or Job()
    shots = discover(_several(paths), raw_or_jpeg=job.raw_or_jpeg)
    return one_bracket(shots, stops_of(ev), job.reference)


def check(bracket: Bracket, outputs: Sequence[str | Path], *, job: Job | None = None) -> None:
    """Refuse what `fuse_bracket` would, as far as that is known without decoding or writing anything."""
    from mefcli.pipeline.check import check as check_all

    job = job or Job()
    check_all(bracket, _outputs(outputs, min(bracket.paths), _suffix(job)), job)


def plan_focus(paths: Paths, *, job: Job | None = None) -> Bracket:
    """What `focus` would do with these files: their order, near focus first, and the reference."""
    from mefcli.brackets.discover import discover
    from mefcli.brackets.stack import one_stack

    job = job or Job()
    return one_stack(discover(_several(paths), raw_or_jpeg=job.raw_or_jpeg), job.reference)


def check_focus(stack: Bracket, outputs: Sequence[str | Path], *, job: Job) -> None:
    """Refuse what `focus_bracket` would, as far as that is known without decoding or writing anything."""
    from mefcli.pipeline.focus import check as check_all

    check_all(stack, _outputs(outputs, min(stack.paths), ending="focus"), job)


def focus_bracket(
    stack: Bracket,
    outputs: Sequence[str | Path],
    *,
    job: Job,
    fuser: Fusion | None = None,
    on_step: OnStep = silent,
) -> Done:
    """Fold a focus stack that `plan_focus` has made into one or more files."""
    from mefcli.pipeline.focus import run

    return run(stack, _outputs(outputs, min(stack.paths), ending="focus"), job, on_step, fuser)


@of_keywords(Job, written=False)
def focus(
    paths: Paths,
    *,
    fuser: Fusion | None = None,
    job: Job | None = None,
    on_step: OnStep = silent,
    **options: Any,
) -> NDArray[np.float32]:
    """Fold a focus stack: float32 (H, W, 3) in [0, 1], gamma encoded, in the frames' colours.

    Options are those of `mef focus`; the model is `focus` unless one is named.
    """
    from mefcli.pipeline.focus import make

    options.setdefault("model", DEFAULT_FOCUS_MODEL if job is None else job.model)
    job = job_of(job, options)
    pixels: Any = make(plan_focus(paths, job=job), job, on_step, fuser, depth=32).pixels
    return pixels  # type: ignore[no-any-return]


def plan_infrared(visible: str | Path, thermal: str | Path) -> Bracket:
    """The pair that `infrared` would fuse, or a refusal."""
    from mefcli.brackets.discover import read_shots
    from mefcli.brackets.pair import visible_and_thermal

    return visible_and_thermal(read_shots([visible, thermal]))


def check_infrared(pair: Bracket, outputs: Sequence[str | Path], *, job: Job) -> None:
    """Refuse what `infrared_pair` would, as far as that is known without decoding or writing anything."""
    from mefcli.pipeline.infrared import check as check_all

    check_all(pair, _outputs(outputs, pair.paths[0], ending="infrared"), job)


def infrared_pair(
    pair: Bracket,
    outputs: Sequence[str | Path],
    *,
    job: Job,
    fuser: Fusion | None = None,
    on_step: OnStep = silent,
) -> Done:
    """Fuse a pair that `plan_infrared` has made into one or more files."""
    from mefcli.pipeline.infrared import run

    return run(pair, _outputs(outputs, pair.paths[0], ending="infrared"), job, on_step, fuser)


@of_keywords(Job, written=False)
def infrared(
    visible: str | Path,
    thermal: str | Path,
    *,
    fuser: Fusion | None = None,
    job: Job | None = None,
    on_step: OnStep = silent,
    **options: Any,
) -> NDArray[np.float32]:
    """Fuse a visible and a thermal picture: float32 (H, W, 3) in [0, 1], in the visible one's colours.

    Options are those of `mef infrared`; the model is `infrared` unless one is named.
    """
    from mefcli.pipeline.infrared import make

    options.setdefault("model", DEFAULT_INFRARED_MODEL if job is None else job.model)
    job = job_of(job, options)
    pixels: Any = make(plan_infrared(visible, thermal), job, on_step, fuser, depth=32).pixels
    return pixels  # type: ignore[no-any-return]


def enlarge_depth(
    low: str | Path,
    colour: str | Path,
    *,
    model: str = DEFAULT_DEPTH_MODEL,
    weights: str | None = None,
    device: str = "auto",
    max_pixels: float = 400.0,
    on_step: OnStep = silent,
) -> NDArray[Any]:
    """A depth map at the size of a colour picture of the same view: (H, W), in the map's own numbers.

    As by `mef depth`: 16 bits stay 16 bits, floating point stays floating point, holes stay holes. `model` is
    one for depth, or "bicubic" or "guided".
    """
    from mefcli.pipeline.depth import make

    job = Job(model=model, weights=weights, device=device, max_pixels=max_pixels)  # which checks each value
    return make(plan_depth(low, colour, job=job), job, on_step).numbers


def plan_depth(low: str | Path, colour: str | Path, *, job: Job) -> Pair:
    """What `enlarge_depth` would do with these files, or a refusal."""
    from mefcli.pipeline.depth import plan

    return plan(Path(low), Path(colour), job)


def depth_files(pair: Pair, outputs: Sequence[str | Path], *, job: Job, on_step: OnStep = silent) -> Enlarged:
    """Enlarge a depth map that `plan_depth` has looked at into one or more files: TIFF, PNG, .npy."""
    from mefcli.pipeline.depth import run

    return run(pair, _outputs(outputs, pair.low, ending="depth"), job, on_step)


def prepare(bracket: Bracket, *, job: Job | None = None, on_step: OnStep = silent) -> Stack:
    """A bracket's frames as fusion wants them, dark to bright: read, aligned, without ghosts."""
    return pipeline.prepare(bracket, job or Job(), on_step)


def fuse_stack(
    stack: Stack, *, fuser: Fusion, job: Job | None = None, depth: int | None = None, on_step: OnStep = silent
) -> Fused:
    """The picture of a stack that `prepare` has made, at `depth` bits (8, 16, 32 for float)."""
    from mefcli.pipeline.fuse import fuse as fuse_frames

    return fuse_frames(stack, fuser, job or Job(), on_step, depth=depth)


def bracket_of(shots: Sequence[Shot]) -> Bracket:
    """The same for shots already read."""
    from mefcli.brackets.order import one_bracket

    return one_bracket(shots)


def stack_of(shots: Sequence[Shot], *, measure: bool = True) -> Bracket | None:
    """Shots already read as a focus stack, if they look like one; by headers alone without `measure`."""
    from mefcli.brackets.order import is_stack
    from mefcli.brackets.stack import one_stack

    if not measure and any(shot.ev is None for shot in shots):
        return None
    stack = one_stack(shots, measure=measure)
    return stack if is_stack(stack.shots, measure=measure) else None


def shots(paths: Paths, *, on_bad: Any = None) -> list[Shot]:
    """What files and folders hold, from their headers; RAW and JPEG of a pair are both listed."""
    from mefcli.brackets.discover import read_shots

    return read_shots(_several(paths), on_bad=on_bad)


def clipping(shot: Shot) -> tuple[float, float]:
    """Percent of the picture that is black and that is white in some channel, from a small version of it."""
    from mefcli.brackets.brightness import clipped_shares

    return clipped_shares(shot)


def gain_map(shot: Shot) -> GainMapFacts | None:
    """What a file says of its light beyond white; None where it holds none."""
    from mefcli.formats.gainmap_reader import read_gain_map

    return read_gain_map(shot.path) if shot.kind == "jpeg" else None


def _suffix(job: Job) -> str:
    return ".jpg" if job.hdr else ".tif"


def _outputs(
    outputs: Sequence[str | Path], first: Path, suffix: str = ".tif", ending: str = "fused"
) -> list[Path]:
    """Files; in a folder they name themselves after the first frame."""
    from mefcli.pipeline.write import output_named

    return [output_named(output, first, suffix, ending) for output in outputs]


def _several(paths: Paths) -> Iterable[str | Path]:
    return [paths] if isinstance(paths, str | Path) else paths
