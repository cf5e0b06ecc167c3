"""`mef fuse`: one bracket in, one photograph out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mefcli import api
from mefcli.checkpoints import find_model
from mefcli.cli import options as o
from mefcli.cli import screen, state
from mefcli.errors import MefError
from mefcli.estimate import Estimate, estimate
from mefcli.job import Job
from mefcli.pipeline.results import Done, Failed, plan_object, result_object
from mefcli.pipeline.write import check_outputs, default_output
from mefcli.report.files import check_target
from mefcli.values import Bracket

_JOB = Job()


def fuse(
    files: o.Files,
    output: o.Output = None,
    model: o.Model = _JOB.model,
    weights: o.Weights = _JOB.weights,
    resolution: o.Resolution_ = _JOB.resolution,
    working_size: o.WorkingSize = _JOB.working_size,
    strategy: o.Strategy = _JOB.strategy,
    device: o.Device = _JOB.device,
    half: o.Half = _JOB.half,
    max_memory: o.MaxMemory = None,
    align: o.Align_ = _JOB.align,
    crop: o.Crop_ = _JOB.crop,
    deghost: o.Deghost = _JOB.deghost,
    debug_dir: o.DebugDir = _JOB.debug_dir,
    reference: o.Reference = _JOB.reference,
    ev: o.Ev = None,
    strict: o.Strict = _JOB.strict,
    max_pixels: o.MaxPixels = _JOB.max_pixels,
    raw_or_jpeg: o.RawOrJpeg_ = _JOB.raw_or_jpeg,
    raw_space: o.RawSpace_ = _JOB.raw_space,
    raw_wb: o.RawWb = _JOB.raw_wb,
    highlights: o.Highlights_ = _JOB.highlights,
    bit_depth: o.BitDepth = _JOB.bit_depth,
    compression: o.Compression_ = _JOB.compression,
    quality: o.Quality = _JOB.quality,
    overwrite: o.Overwrite = _JOB.overwrite,
    report: o.Report = None,
    dry_run: o.DryRun = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Fuse one bracket into one photograph.

    Takes RAW, JPEG, TIFF, PNG and HEIF. Frames are sorted by the exposure their EXIF records, else by their
    brightness; the order you name them in does not matter. Sources are never changed.

    Examples:
    mef fuse IMG_01.jpg IMG_02.jpg IMG_03.jpg        writes IMG_01_fused.tif
    mef fuse *.CR3 -o sunset.tif -o sunset.jpg       a 16-bit TIFF and a JPEG
    mef fuse a.png b.png c.png --ev -2,0,2 -o d.png  files that record no exposure
    mef fuse *.jpg --report fused.html               also a page to look closely
    mef fuse *.jpg --dry-run                         what would happen
    """
    state.set_talk(silent=quiet, talkative=verbose)
    inputs: Sequence[Path] = files
    try:
        job = Job(
            model=model,
            weights=weights,
            align=align,
            crop=crop,
            deghost=deghost,
            debug_dir=debug_dir,
            reference=reference,
            strict=strict,
            resolution=resolution,
            working_size=working_size,
            strategy=strategy,
            device=device,
            half=half,
            max_memory=o.parse_memory(max_memory),
            max_pixels=max_pixels,
            raw_or_jpeg=raw_or_jpeg,
            raw_space=raw_space,
            raw_wb=raw_wb,
            highlights=highlights,
            bit_depth=bit_depth,
            compression=compression,
            quality=quality,
            overwrite=overwrite,
        )
        bracket = api.plan(files, ev=o.parse_evs(ev), reference=reference, raw_or_jpeg=raw_or_jpeg)
        inputs = bracket.paths
        outputs = output or [default_output(_first_named(files, bracket))]
        check_outputs(outputs, inputs, overwrite=overwrite)
        check_target(report, (".html", ".htm"), [*inputs, *outputs], overwrite=overwrite)
        find_model(job.model)
        guess = estimate(bracket, outputs, job)
        if verbose or dry_run:
            _show_plan(bracket, outputs, job, guess, show_table=not json)
        if dry_run:
            if json:
                told = {"cpu_seconds": round(guess.total_s, 1), "memory_mb": round(guess.memory_mb)}
                screen.put_json({**plan_object(bracket, outputs), "estimate": told})
            return
        with screen.Progress(seconds=guess.seconds) as progress:
            result = api.fuse_bracket(bracket, outputs, job=job, on_step=progress)
        if report is not None:
            from mefcli.report.html import write_report

            write_report(report, result)
    except MefError as error:
        if json:
            screen.put_json(result_object(Failed(tuple(inputs), error)))
        raise
    _show_result(result, json=json)


def _first_named(files: Sequence[Path], bracket: Bracket) -> Path:
    """The first file that was typed, or the one that a pattern found for it."""
    return files[0] if files[0].exists() else min(bracket.paths)


def _show_plan(
    bracket: Bracket, outputs: Sequence[Path], job: Job, guess: Estimate, *, show_table: bool
) -> None:
    if show_table:
        from mefcli.cli.tables import bracket_table

        screen.console().print(bracket_table(bracket))
    screen.say(f"{len(bracket.shots)} frames, {bracket.why}; fused with {job.model}, alignment {job.align}.")
    for output in outputs:
        screen.say(f"Output: {output}")
    cpu, memory = screen.seconds(guess.total_s), max(0.1, guess.memory_mb / 1024)
    screen.say(f"Estimate: {cpu} of one processor core, {memory:.1f} GB of memory.")


def _show_result(result: Done, *, json: bool) -> None:
    for note in result.record.notes:
        screen.warn(note)
    if json:
        screen.put_json(result_object(result))
        return
    width, height = result.size_px
    took = screen.seconds(sum(result.record.seconds.values()))
    screen.say(f"Fused {len(result.bracket.shots)} frames into {width}x{height} pixels in {took}.")
    if state.verbose:
        parts = ", ".join(f"{stage} {screen.seconds(took)}" for stage, took in result.record.seconds.items())
        screen.say(f"Time: {parts}. Peak memory: {result.record.peak_memory_mb} MB.")
    for path in result.outputs:
        print(path)
