"""Stack -> Stack: one person, one picture.

Each frame is compared with a reference exposure; where the scene moved, the reference as that frame would
have exposed it stands in. Everything else keeps its bits. Findings are left in `extras["ghosts"]`, and the
edges of the regions, for drawings, in `extras["ghost_outlines"]`, a list for each frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mefcli.errors import OutputError, UsageError
from mefcli.motion.fill import small_rgb, small_size
from mefcli.motion.ghosts import AUTO_STRENGTH, Ghosts, Outline, find_ghosts, replace_ghosts
from mefcli.values import OnStep, Pixels, Stack, Step, silent


@dataclass(frozen=True)
class DeghostSettings:
    """`strength` is "off", "auto" (5) or 1..10; `reference` counts frames from 1, dark to bright."""

    strength: Literal["off", "auto"] | int = "off"
    reference: Literal["auto"] | int = "auto"
    debug_dir: Path | None = None


def deghost(stack: Stack, settings: DeghostSettings | None = None, on_step: OnStep = silent) -> Stack:
    """Frames that agree with one reference about where everything is."""
    settings = settings or DeghostSettings()
    count = len(stack.frames)
    if settings.strength == "off" or count < 2:
        on_step(Step("deghost", 1.0, "off" if settings.strength == "off" else "one frame"))
        return stack
    strength = _strength(settings.strength)
    reference = _reference(stack, settings.reference)
    names = [path.name for path in stack.bracket.paths]
    frames: list[Pixels] = []
    found: list[dict[str, Any]] = []
    outlines: list[tuple[Outline, ...]] = []
    for index, frame in enumerate(stack.frames):
        on_step(Step("deghost", index / count, names[index]))
        if index == reference:
            frames.append(frame)
            outlines.append(())
            found.append({"frame": names[index], "reference": True, "share": 0.0, "boxes": []})
            continue
        ghosts = find_ghosts(stack.frames[reference], frame, strength)
        if settings.debug_dir is not None:
            _write_debug(settings.debug_dir, names[index], ghosts)
        frames.append(replace_ghosts(stack.frames[reference], frame, ghosts))
        outlines.append(ghosts.outlines)
        boxes = [list(box) for box in ghosts.boxes]
        found.append(
            {"frame": names[index], "reference": False, "share": round(ghosts.share, 5), "boxes": boxes}
        )
    most = max(one["share"] for one in found)
    notes = list(stack.notes)
    if most > 0.4:
        notes.append(
            f"{100 * most:.0f} % of a frame disagrees with {names[reference]}: "
            "the scene changed as a whole, or the frames are not aligned."
        )
    on_step(Step("deghost", 1.0, f"{sum(len(one['boxes']) for one in found)} regions"))
    extras = {**stack.extras, "ghosts": found, "ghost_outlines": outlines}
    return replace(stack, frames=tuple(frames), notes=tuple(notes), extras=extras)


def _strength(wanted: str | int) -> int:
    if wanted == "auto":
        return AUTO_STRENGTH
    if isinstance(wanted, int) and 1 <= wanted <= 10:
        return wanted
    raise UsageError(f"--deghost takes off, auto or a number from 1 to 10, not {wanted}.")


def _reference(stack: Stack, wanted: str | int) -> int:
    count = len(stack.frames)
    if wanted == "auto":
        return best_exposed(stack.frames)
    if isinstance(wanted, int) and 1 <= wanted <= count:
        return wanted - 1
    raise UsageError(f"--reference takes auto or a frame from 1 to {count} (dark to bright), not {wanted}.")


def best_exposed(frames: Sequence[Pixels]) -> int:
    """The frame that shows the most: dark pixels carry less, and what is clipped nobody can map."""
    scores = []
    for frame in frames:
        small = small_rgb(frame, small_size(frame, 0.1))
        brightest = small.max(axis=2)
        clipped = float((brightest > 0.98).mean())
        scores.append(float(np.clip(brightest / 0.3, 0, 1).mean()) - 2 * clipped)
    return int(np.argmax(scores))


def _write_debug(folder: Path, name: str, ghosts: Ghosts) -> None:
    """`<frame>.ghosts.png` (white: replaced) and `<frame>.confidence.png` (white: agrees)."""
    import cv2

    agree = 255 * np.exp(-ghosts.score / 4)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, picture in (("ghosts", 255.0 * ghosts.mask), ("confidence", agree)):
            _, data = cv2.imencode(".png", picture.astype(np.uint8))
            (folder / f"{Path(name).stem}.{kind}.png").write_bytes(data.tobytes())
    except OSError as error:
        raise OutputError(
            f"{folder} cannot take pictures: {error.strerror}.", "Name another folder with --debug-dir."
        ) from error
