"""Stack -> Stack: one person, one picture.

Each frame is compared with a reference exposure; where the scene moved, the reference as that frame would
have exposed it stands in. Everything else keeps its bits. What was found is the stack's `ghosts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mefcli.job import NETWORK, Job
from mefcli.motion.ghosts import AUTO_STRENGTH, find_movement, replace_moved
from mefcli.motion.mapping import floats
from mefcli.motion.reduced import reduce
from mefcli.motion.watch import moved_between
from mefcli.pipeline.findings import much_moved, write_debug
from mefcli.tasks import task_of
from mefcli.values import Ghost, Ghosts, OnStep, Pixels, Stack, Step, silent, to_change


def deghost(stack: Stack, job: Job, on_step: OnStep = silent, *, spend: bool = False) -> Stack:
    """Frames that agree with one reference about where everything is.

    Switched off, it looks all the same whether something moved in an aligned bracket, and says so. `spend`
    lets each frame go once another has taken its place; the stack given is of no use then.
    """
    count = len(stack.frames)
    if job.deghost == "off" or count < 2:
        on_step(Step("deghost", 1.0, "off" if job.deghost == "off" else "one frame"))
        # A network that merges moving scenes shows once what moved.
        told = () if task_of(job) == "moving" else _movement_told(stack)
        return replace(stack, notes=(*stack.notes, *told)) if told else stack
    if job.deghost == NETWORK:
        from mefcli.pipeline import moving

        return moving.deghost(stack, job, on_step, spend=spend)
    strength = AUTO_STRENGTH if job.deghost == "auto" else int(job.deghost)
    reduced = stack.reduced or reduce(stack.frames)
    reference = best_exposed(reduced.frames) if job.reference is None else stack.bracket.reference
    names = [path.name for path in stack.bracket.paths]
    frames = to_change(stack, spend=spend)
    found: list[Ghost] = []
    for index in range(count):
        on_step(Step("deghost", index / count, names[index]))
        if index == reference:
            found.append(Ghost())
            continue
        movement = find_movement(reduced, reference, index, strength)
        if job.debug_dir is not None:
            write_debug(Path(job.debug_dir), names[index], movement.mask, np.exp(-movement.score / 4))
        frames[index] = replace_moved(frames[reference], frames[index], movement)
        found.append(movement.ghost)
    on_step(Step("deghost", 1.0, f"{sum(len(one.boxes) for one in found)} regions"))
    return replace(
        stack,
        frames=frames,
        notes=(*stack.notes, *much_moved(found, names[reference])),
        ghosts=Ghosts(reference, tuple(found)),
        reduced=None,
    )


def _movement_told(stack: Stack) -> tuple[str, ...]:
    if stack.alignment is None or stack.reduced is None:
        return ()
    moved = moved_between(stack.reduced, [one.trusted for one in stack.alignment.placed])
    if not moved:
        return ()
    names = [path.name for path in stack.bracket.paths]
    first, second = names[moved[0]], names[moved[0] + 1]
    more = len(moved) - 1
    others = "" if not more else ", and once more" if more == 1 else f", and {more} more times"
    return (
        f"Something moved between {first} and {second}{others}; it may show twice. "
        "With deghost auto it shows once.",
    )


def best_exposed(small: Sequence[Pixels]) -> int:
    """The frame that shows the most: dark pixels carry less, and what is clipped nobody can map."""
    scores = []
    for frame in small:
        brightest = floats(frame[::4, ::4]).max(axis=2)
        clipped = float((brightest > 0.98).mean())
        scores.append(float(np.clip(brightest / 0.3, 0, 1).mean()) - 2 * clipped)
    return int(np.argmax(scores))
