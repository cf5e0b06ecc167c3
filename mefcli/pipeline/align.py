"""Stack -> Stack: every frame moved onto the reference, or left exactly as it is.

The motion is measured on small exposure-free pictures (`mefcli.motion`), and each frame is moved once, from
its own depth. What was found is the stack's `alignment`; the small pictures go on with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mefcli.errors import AlignmentError, named
from mefcli.job import Crop, Job
from mefcli.motion.chain import place_all
from mefcli.motion.geometry import common_box, union_box
from mefcli.motion.reduced import reduce, seen_by, with_frames
from mefcli.values import Alignment, Box, OnStep, Pixels, Placed, Stack, Step, silent, to_change

SMALLEST_SIDE_PX = 12  # dense flow needs as much, and less holds nothing to measure motion by


def align(stack: Stack, job: Job, on_step: OnStep = silent, *, spend: bool = False) -> Stack:
    """Frames on the reference's geometry. A bracket that did not move comes back with the same arrays.

    `job.crop`: "common" keeps what every frame saw; "reference" keeps the reference's rectangle and fills
    what a frame missed from those that saw it, in that frame's brightness; "none" grows the canvas so that no
    frame loses anything, filled the same way. `spend` lets each frame go once it has been moved; the stack
    given is of no use then.
    """
    if job.align == "off" or len(stack.frames) < 2:
        on_step(Step("align", 1.0, "off" if job.align == "off" else "one frame"))
        return stack
    if min(stack.frames[0].shape[:2]) < SMALLEST_SIDE_PX:
        return _left_in_place(stack, job, on_step)
    reference = stack.bracket.reference
    count = len(stack.frames)
    names = [path.name for path in stack.bracket.paths]
    on_step(Step("align", 0.0, "measuring motion"))
    frames = to_change(stack, spend=spend)
    reduced = reduce(frames)
    placed = place_all(
        reduced,
        reference,
        "auto" if job.align == "flow" else job.align,
        lambda done: on_step(Step("align", 0.5 * done / (count - 1), "measuring motion")),
    )
    lost = [index for index, one in enumerate(placed) if not one.trusted]
    if lost and job.strict:
        raise AlignmentError(
            f"{_listed([names[index] for index in lost])} cannot be aligned with {names[reference]}: "
            "too little detail in common.",
            f"Leave out {named('strict')} to keep such frames where they are, or use {named('align')} off "
            "for a tripod.",
        )
    notes = [
        f"{names[index]}: not aligned, too little detail in common with its neighbours; kept in place."
        for index in lost
    ]
    size = reduced.size_px
    box = _box(placed, size, job.crop)
    if _move(frames, placed, box, on_step):
        del reduced
        seen = [None if one.kept_identity else seen_by(one.matrix, box, size) for one in placed]
        reduced = reduce(frames, seen)
    if job.crop != "common":
        from mefcli.motion.fill import fill_missing

        filled = fill_missing(frames, [one.matrix for one in placed], box, size, reduced)
        reduced = with_frames(reduced, {index: frames[index] for index in filled})
    if job.align == "flow":
        from mefcli.motion.flow import follow

        shares = follow(frames, reduced, reference, lambda done: on_step(Step("align", done, "local motion")))
        placed = tuple(replace(one, flow_share=share) for one, share in zip(placed, shares, strict=True))
        reduced = with_frames(reduced, {i: frames[i] for i, share in enumerate(shares) if share})
    if box != (0, 0, *size):
        notes.append(
            f"Aligned frames are {box[2] - box[0]} x {box[3] - box[1]} px (from {size[0]} x {size[1]})."
        )
    on_step(Step("align", 1.0, _summary(placed)))
    return replace(
        stack,
        frames=frames,
        notes=(*stack.notes, *notes),
        alignment=Alignment(placed, box),
        reduced=reduced,
    )


def _left_in_place(stack: Stack, job: Job, on_step: OnStep) -> Stack:
    height, width = stack.frames[0].shape[:2]
    trouble = f"Frames of {width} x {height} px are too small to align"
    if job.strict:
        raise AlignmentError(f"{trouble}.", f"Leave out {named('strict')} to keep them where they are.")
    on_step(Step("align", 1.0, "too small"))
    return replace(stack, notes=(*stack.notes, f"{trouble}; kept in place."))


def _box(placed: Sequence[Placed], size_px: tuple[int, int], crop: Crop) -> Box:
    whole = (0, 0, *size_px)
    matrices = [one.matrix for one in placed if not one.kept_identity]
    if not matrices or crop == "reference":
        return whole
    if crop == "none":
        box = union_box(matrices, size_px)
        return min(box[0], 0), min(box[1], 0), max(box[2], size_px[0]), max(box[3], size_px[1])
    return common_box(matrices, size_px)


def _move(frames: list[Pixels], placed: Sequence[Placed], box: Box, on_step: OnStep) -> bool:
    """Put moved frames into the places of those that moved, one by one; whether any did."""
    from mefcli.motion.warp import warp

    size = (frames[0].shape[1], frames[0].shape[0])
    moved = False
    for index, one in enumerate(placed):
        if not one.kept_identity or box[0] < 0 or box[1] < 0 or box[2] > size[0] or box[3] > size[1]:
            frames[index] = warp(frames[index], one.matrix, box)
            moved = True
        elif box != (0, 0, *size):
            frames[index] = frames[index][box[1] : box[3], box[0] : box[2]]
            moved = True
        on_step(Step("align", 0.5 + 0.4 * (index + 1) / len(frames), "moving frames"))
    return moved


def _summary(placed: Sequence[Placed]) -> str:
    moved = [one.moved_px for one in placed if not one.kept_identity]
    lost = sum(not one.trusted for one in placed)
    words = f"motion up to {max(moved):.1f} px" if moved else "no motion, frames untouched"
    return f"{words}, {lost} not aligned" if lost else words


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
