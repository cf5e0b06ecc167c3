"""What can be known to fail before the first pixel is decoded, told then: by a run, and by its dry run.

`check_engine` looks at what fuses (model, weights, device, precision, taste), `check_frames` at what is
fused, `mefcli.pipeline.write` at where it goes; `check` at all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mefcli.errors import ModelError
from mefcli.job import NETWORK, Job
from mefcli.looks import taste_of
from mefcli.storage import check_folder_to_be
from mefcli.tasks import other_task
from mefcli.values import Bracket, Pixels
from mefnets.spec import Task
from mefnets.taste import NATURAL, without_taste

if TYPE_CHECKING:
    from mefnets.engine.fusion import Fusion


def check(
    bracket: Bracket,
    outputs: Sequence[Path],
    job: Job,
    fuser: Fusion | None = None,
    task: Task = "exposure",
) -> Fusion | None:
    """Refuse a run that cannot end well. The engine, if it is given or had to be loaded to be sure of it."""
    from mefcli.pipeline.write import check_codecs, check_hdr, check_outputs, depth_of

    check_outputs(outputs, bracket.paths, overwrite=job.overwrite)
    check_hdr(outputs, job)
    check_codecs(outputs, job, next((shot.size_px for shot in bracket.shots if shot.size_px), None))
    check_frames(bracket, job)
    fuser = fuser or check_engine(job, task)
    check_memory(bracket, job, max(depth_of(output, job) for output in outputs), task)
    return fuser


def check_model(job: Job, task: Task = "exposure") -> None:
    """A slip in the model's name, weights that are not here, whether it takes a taste or half precision."""
    from mefcli.checkpoints import find_model, is_file, is_ready, missing

    spec = find_model(job.model)
    if spec.task != task:
        raise other_task(spec.name, spec.task)
    if job.weights is None and not is_file(job.model) and not is_ready(spec):
        raise missing(spec)
    if taste_of(job) != NATURAL and not spec.tastes:
        raise ModelError(*without_taste(spec))
    if job.half and not spec.half_safe:
        from mefnets.engine.fusion import refuse_half

        raise refuse_half(spec)


def check_engine(job: Job, task: Task = "exposure") -> Fusion | None:
    """The model, its weights and the device. Comes back loaded where only loading it tells: with weights
    that were not shipped, or on a device other than the processor."""
    from mefcli.engines import shipped_for
    from mefcli.pipeline.fuse import fuser_for

    check_model(job, task)
    if shipped_for(job.model, job.weights, job.device):
        return None
    return fuser_for(job.model, job.weights, job.device, job.half)


def check_frames(bracket: Bracket, job: Job) -> None:
    """Frames too large for the limits, or whose colours' light nobody knows where it is asked for, as far as
    headers tell; and the folder for what is looked at."""
    from mefcli.formats import too_large

    most = int(job.max_pixels * 1e6)
    for shot in bracket.shots:
        if shot.size_px is not None and shot.size_px[0] * shot.size_px[1] > most:
            raise too_large(shot.path, shot.size_px, most)
    if job.deghost == NETWORK:
        from mefcli.pipeline.moving import check as check_moving

        check_moving(bracket, job)
    if job.hdr:
        from mefcli.pipeline.beyond import matrix_for

        matrix_for(bracket.shots[bracket.reference].icc)
    if job.debug_dir is not None and job.deghost != "off":
        from mefcli.pipeline.findings import debug_paths
        from mefcli.pipeline.write import check_outputs

        folder = Path(job.debug_dir)
        check_folder_to_be(folder)
        if folder.is_dir():
            debug = [path for shot in bracket.shots for path in debug_paths(folder, shot.path.name)]
            check_outputs(list(dict.fromkeys(debug)), bracket.paths, overwrite=job.overwrite)


def check_memory(bracket: Bracket, job: Job, depth: int, task: Task = "exposure") -> None:
    """A limit of memory that frames and a result of `depth` bits exceed, as far as headers tell."""
    from mefcli.memory import held_mb, pictures_of, process_mb, refuse, stack_mb

    pictures = pictures_of(bracket)
    if job.max_memory is None or pictures is None:
        return
    held = stack_mb(pictures) if task == "focus" else held_mb(pictures, job, depth)
    if process_mb(job) + held > job.max_memory:
        raise refuse(process_mb(job) + held, pictures.count, job.max_memory)


def check_pixels(frame: Pixels, count: int, job: Job, depth: int = 8) -> None:
    """The same of so many frames like this one, which is decoded."""
    from mefcli.memory import Pictures, held_mb, process_mb, refuse

    if job.max_memory is None:
        return
    pictures = Pictures((frame.shape[1], frame.shape[0]), count, 8 * frame.itemsize)
    needed = process_mb(job) + held_mb(pictures, job, depth)
    if needed > job.max_memory:
        raise refuse(needed, count, job.max_memory)
