"""Bracket -> Lit: the radiance of a scene, not a picture of it. read -> align -> deghost -> merge -> write.

RAW frames are merged from what the sensor counted; others through the camera's response, which the bracket
itself tells (`mefcli.hdr`). Linear, 1 at the white of the reference frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mefcli import storage
from mefcli.clock import Clock, peak_memory_mb
from mefcli.errors import MismatchError
from mefcli.job import Job
from mefcli.pipeline.results import alignment_objects, ghost_objects, plan_object
from mefcli.values import Alignment, Bracket, Ghosts, OnStep, Record, Shot, Stack, Step, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mefcli.formats.light import Light
    from mefcli.formats.primaries import Primaries
    from mefcli.formats.sensor import Sensor
    from mefcli.hdr.merge import Radiance
    from mefcli.hdr.places import Exact
    from mefcli.hdr.response import Response

RADIANCE = "radiance"  # the model of a record that was merged and not fused
# The luminance that saturates a sensor: 78 lx s over the ISO speed (ISO 12232), lenses passing 0.65 of it.
SATURATION_NITS = 78 / 0.65
GUESSED = (
    "These frames do not tell the camera's response: what stood still may have counted as moved, "
    "as its light seems to differ."
)
SHARE_TOLD = 0.0005  # of the picture, clipped or black in every frame


@dataclass(frozen=True)
class Lit:
    """The scene's light, made as it is asked for, and what it means."""

    bracket: Bracket
    radiance: Radiance
    primaries: Primaries
    response: str  # how the frames' numbers became light, in words
    told: bool  # by the sensor or by the frames themselves, and not by a profile alone
    evs: tuple[float, ...]  # exposures as exactly as they could be known
    white_nits: float | None  # the luminance of 1, about, by the reference's exposure
    clipped: float  # share of the picture that even the darkest frame clips
    black: float  # share that even the brightest shows black
    record: Record
    alignment: Alignment | None
    ghosts: Ghosts | None


def run(bracket: Bracket, outputs: Sequence[Path], job: Job, on_step: OnStep = silent) -> Lit:
    """One bracket from its files to files of light. Outputs are checked before the first pixel is decoded."""
    from mefcli.formats.table import LIGHT
    from mefcli.pipeline.write import check_outputs

    check_outputs(outputs, bracket.paths, overwrite=job.overwrite, formats=LIGHT)
    clock = Clock()
    lit = make(bracket, job, on_step, clock=clock)
    notes = list(lit.record.notes)
    with clock("write"):
        _write(lit, outputs, job, on_step, notes)
    record = replace(lit.record, seconds=clock.seconds, peak_memory_mb=peak_memory_mb(), notes=tuple(notes))
    return replace(lit, record=record)


def make(bracket: Bracket, job: Job, on_step: OnStep = silent, *, clock: Clock | None = None) -> Lit:
    """A bracket's light, ready to be taken row by row."""
    from mefcli.checkpoints import find_model
    from mefcli.pipeline import prepare
    from mefcli.pipeline.check import check_frames
    from mefcli.pipeline.moving import check_job as check_moving

    check_frames(bracket, job)
    moving = find_model(job.model).task == "moving"
    if moving:
        check_moving(bracket, job)
    clock = clock or Clock()
    raws = [shot for shot in bracket.shots if shot.kind == "raw"]
    if raws and len(raws) < len(bracket.shots):
        other = next(shot for shot in bracket.shots if shot.kind != "raw")
        raise MismatchError(
            f"{raws[0].path.name} is RAW, {other.path.name} is not: their numbers mean light differently.",
            "Give frames of one kind.",
        )
    sensor = None
    with clock("read"):
        if raws:
            sensor, stack = _read_sensor(bracket, job, on_step)
        else:
            stack = _read_pictures(bracket, job, on_step)
    stack = prepare(bracket, job, on_step, clock=clock, stack=stack)
    with clock("merge"):
        on_step(Step("merge", 0.0, "what the frames' numbers mean"))
        lit = _from_sensor(stack, sensor, job) if sensor else _from_pictures(stack, job)
        return _believed(lit, job, on_step) if moving else lit


def _believed(lit: Lit, job: Job, on_step: OnStep) -> Lit:
    """The same frames' light by the word of the job's network."""
    from mefcli.pipeline import moving

    on_step(Step("merge", 0.3, "network"))
    believer = moving.load(job.model, job.weights, job.device)
    notes = lit.record.notes if lit.told else (*lit.record.notes, GUESSED)
    record = replace(lit.record, model=believer.spec.name, weights_sha256=believer.sha256, notes=notes)
    return replace(lit, radiance=moving.believed(lit.radiance, believer), record=record)


def _read_sensor(bracket: Bracket, job: Job, on_step: OnStep) -> tuple[Sensor, Stack]:
    from mefcli import formats
    from mefcli.formats.sensor import sensor_of
    from mefcli.pipeline.read import read

    plan = formats.bracket_development(
        bracket.shots, wb=job.raw_wb, space=job.raw_space, highlights=job.raw_highlights
    )
    sensor = sensor_of(bracket.paths[bracket.reference], plan)
    stack = read(bracket, job, on_step, development=sensor.development)
    if job.raw_highlights != "clip":
        # Only what the darkest frame clips needs to be made up.
        darkest = formats.decode(
            bracket.paths[0],
            replace(sensor.development, highlights=job.raw_highlights),
            max_pixels=int(job.max_pixels * 1e6),
        )
        stack = replace(stack, frames=(darkest.pixels, *stack.frames[1:]))
    return sensor, stack


def _read_pictures(bracket: Bracket, job: Job, on_step: OnStep) -> Stack:
    """Frames whose profile has tables instead of primaries and a curve are converted to sRGB."""
    from mefcli.formats.icc import icc_profile
    from mefcli.formats.pixels import to_profile
    from mefcli.formats.primaries import primaries_of
    from mefcli.pipeline.read import read

    stack = read(bracket, job, on_step)
    if stack.icc is None or primaries_of(stack.icc) is not None:
        return stack
    frames = [to_profile(frame, stack.icc, icc_profile("srgb")) for frame in stack.frames]
    kept = tuple(frame for frame in frames if frame is not None)
    if len(kept) < len(frames):
        return replace(stack, icc=None)
    notes = (*stack.notes, "converted to sRGB: the frames' profile has tables instead of primaries")
    return replace(stack, frames=kept, icc=None, notes=notes)


def _from_sensor(stack: Stack, sensor: Sensor, job: Job) -> Lit:
    from mefcli.formats.icc import icc_profile
    from mefcli.formats.primaries import primaries_of
    from mefcli.formats.spaces import matrix_of
    from mefcli.hdr.curves import sensor_curves
    from mefcli.hdr.exposures import measured_evs, recorded_evs
    from mefcli.hdr.merge import Radiance, gains_of
    from mefcli.hdr.places import look

    stored = "srgb" if sensor.matrix is not None else job.raw_space
    curve = matrix_of(icc_profile(stored))
    assert curve is not None
    ends = sensor.ends
    curves = sensor_curves(lambda signal: np.asarray(curve.light(signal)[:, 1]), ends)
    evs = measured_evs(
        look(stack.frames),
        curve.light,
        recorded_evs(stack.bracket),
        stack.bracket.reference,
        near=not stack.bracket.measured,
    )
    primaries = primaries_of(icc_profile(job.raw_space))
    assert primaries is not None
    white = float(ends.min())
    radiance = Radiance(
        stack.frames,
        curves,
        tuple(evs.tolist()),
        gains_of([shot.iso for shot in stack.bracket.shots]),
        None if sensor.matrix is None else sensor.matrix.astype(np.float32),
        white if job.raw_highlights == "clip" else None,
        1 / white,
    )
    return _lit(stack, job, radiance, primaries, "linear sensor values", told=True)


def response_of(stack: Stack, icc: bytes, *, places: int | None = None) -> tuple[Response, Exact]:
    """What the frames' signals mean as light, and their exposures, looked up at so many places.

    `icc` is a matrix profile.
    """
    from mefcli.formats.spaces import matrix_of, space_name
    from mefcli.hdr.exposures import measured_evs, recorded_evs
    from mefcli.hdr.places import PLACES, look
    from mefcli.hdr.response import Response, recover

    matrix = matrix_of(icc)
    assert matrix is not None
    name = space_name(icc)
    seen, evs = look(stack.frames, places or PLACES), recorded_evs(stack.bracket)
    if stack.bracket.measured:
        evs = measured_evs(seen, matrix.light, evs, stack.bracket.reference, near=False)
        why = f"the curve of {name}: the files record no exposure that could tell another"
        return Response(matrix.light, False, why), evs
    return recover(seen, evs, matrix.light, name), evs


def _from_pictures(stack: Stack, job: Job) -> Lit:
    from mefcli.formats.icc import icc_profile
    from mefcli.formats.primaries import primaries_of
    from mefcli.hdr.curves import levels_of, picture_curves
    from mefcli.hdr.merge import Radiance, gains_of

    icc = stack.icc or icc_profile("srgb")
    primaries = primaries_of(icc)
    assert primaries is not None
    response, evs = response_of(stack, icc)
    curves = picture_curves(response.light, levels_of(stack.frames[0].dtype))
    gains = gains_of([shot.iso for shot in stack.bracket.shots])
    radiance = Radiance(stack.frames, curves, tuple(evs.tolist()), gains, None)
    return _lit(stack, job, radiance, primaries, response.why, told=response.recovered)


def _lit(
    stack: Stack, job: Job, radiance: Radiance, primaries: Primaries, response: str, *, told: bool
) -> Lit:
    clipped, black = radiance.shares()
    notes = list(stack.notes)
    names = [path.name for path in stack.bracket.paths]
    if clipped > SHARE_TOLD:
        notes.append(
            f"{100 * clipped:.1f} % of the picture is clipped even in {names[0]}: "
            "its light is at least as shown."
        )
    if black > SHARE_TOLD:
        notes.append(
            f"{100 * black:.1f} % of the picture is black even in {names[-1]}: its light is at most as shown."
        )
    record = Record(
        model=RADIANCE,
        weights_sha256=None,
        settings=job.settings,
        notes=tuple(notes),
        sources=tuple(names),
    )
    return Lit(
        stack.bracket,
        radiance,
        primaries,
        response,
        told,
        radiance.evs,
        _white_nits(stack.bracket.shots[stack.bracket.reference]),
        clipped,
        black,
        record,
        stack.alignment,
        stack.ghosts,
    )


def _white_nits(shot: Shot) -> float | None:
    if not (shot.exposure_s and shot.aperture and shot.iso):
        return None
    return SATURATION_NITS * shot.aperture**2 / (shot.exposure_s * shot.iso)


def _write(lit: Lit, outputs: Sequence[Path], job: Job, on_step: OnStep, notes: list[str]) -> None:
    """Every output beside its place, then all moved there; on any trouble none of them appears."""
    from mefcli import formats
    from mefcli.formats.light import encode_light, light_of

    shot = lit.bracket.shots[lit.bracket.reference]
    metadata = formats.read_metadata(shot.path)
    scale = f"1 is the white of {shot.path.name}"
    light: Light = light_of(lit.primaries, metadata, lit.white_nits, scale)
    options = formats.Encoding(bit_depth=job.bit_depth, compression=job.compression)
    with storage.written_together(outputs, overwrite=job.overwrite, on_note=notes.append) as temporaries:
        for index, (output, temporary) in enumerate(zip(outputs, temporaries, strict=True)):
            rows = Told(lit.radiance, on_step, index / len(outputs), 1 / len(outputs), output.name)
            with storage.words_for_trouble(output):
                told = encode_light(temporary, rows, light, metadata, options, lit.record, lit.radiance.most)
            notes += [f"{output.name}: {note}" for note in told]
    on_step(Step("write", 1.0))


class Told:
    """Rows that tell how far their reader is."""

    def __init__(self, radiance: Radiance, on_step: OnStep, begun: float, share: float, note: str) -> None:
        self.radiance, self.on_step, self.note = radiance, on_step, note
        self.begun, self.share, self.given = begun, share, 0
        on_step(Step("write", begun, note))

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.radiance.shape

    @property
    def dtype(self) -> np.dtype[np.float32]:
        return self.radiance.dtype

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        part = self.radiance[rows]
        self.given += len(part)
        done = min(1.0, self.given / self.shape[0])
        self.on_step(Step("write", self.begun + self.share * done, self.note))
        return part


def lit_object(lit: Lit, outputs: Sequence[Path]) -> dict[str, Any]:
    """For `--json`."""
    height, width, _ = lit.radiance.shape
    return {
        **plan_object(lit.bracket, outputs),
        "exact_evs": [round(ev, 4) for ev in lit.evs],
        "size_px": [width, height],
        "model": lit.record.model,
        "weights_sha256": lit.record.weights_sha256,
        "response": lit.response,
        "primaries": lit.primaries.name,
        "primaries_xy": [[round(number, 5) for number in xy] for xy in lit.primaries.all],
        "white_nits": None if lit.white_nits is None else round(lit.white_nits, 3),
        "clipped": round(lit.clipped, 5),
        "black": round(lit.black, 5),
        "settings": dict(lit.record.settings),
        "alignment": alignment_objects(lit.bracket, lit.alignment),
        "box_px": list(lit.alignment.box) if lit.alignment else None,
        "ghosts": ghost_objects(lit.bracket, lit.ghosts),
        "deghost_weights_sha256": lit.ghosts.weights_sha256 if lit.ghosts else None,
        "seconds": {stage: round(seconds, 3) for stage, seconds in lit.record.seconds.items()},
        "seconds_total": round(sum(lit.record.seconds.values()), 3),
        "peak_memory_mb": lit.record.peak_memory_mb,
        "warnings": list(lit.record.notes),
    }
