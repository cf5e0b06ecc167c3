"""Movement is told where people walk, and never where nothing moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from walker import GAINS, Person, scene

from mefcli.bench.motion_cases import expose
from mefcli.job import Job
from mefcli.motion.reduced import reduce
from mefcli.motion.watch import moved_between
from mefcli.pipeline.align import align
from mefcli.pipeline.deghost import deghost
from mefcli.values import Bracket, Shot, Stack

SIZE = (420, 280)
SCALES = (60, 24, 9)
PERSON = Person(middle=160, half=(12, 30), head=122, radius=9)
BRACKETS = Path(__file__).resolve().parents[2].parent / "shared/data/dev/brackets"


def stack_of(places: tuple[int, int, int], quality: int = 90) -> Stack:
    """Three JPEGs of a person who walks."""
    import cv2

    rng = np.random.default_rng(9)
    frames = []
    for x, gain in zip(places, GAINS, strict=True):
        pixels = expose(PERSON.stands(scene(SIZE, SCALES), x), gain, rng)
        _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        frames.append(np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]))
    shots = tuple(Shot(Path(f"IMG_{i}.jpg"), "jpeg") for i in range(3))
    return Stack(Bracket(shots, (-2.0, 0.0, 2.0), 1, "made for a test"), tuple(frames), None)


def told(stack: Stack, **options: str) -> list[str]:
    job = Job(**options)  # type: ignore[arg-type]
    return [note for note in deghost(align(stack, job), job).notes if "moved" in note]


def test_a_walker_is_told_with_what_helps() -> None:
    (note,) = told(stack_of((100, 200, 300)))
    assert "IMG_0.jpg and IMG_1.jpg" in note
    assert "deghost auto" in note


def test_what_stood_still_is_not_mentioned() -> None:
    for quality in (60, 90):
        assert not told(stack_of((200, 200, 200), quality))


def test_a_bracket_that_was_asked_about_or_not_aligned_is_not_told() -> None:
    assert not told(stack_of((100, 200, 300)), deghost="auto")
    assert not told(stack_of((100, 200, 300)), align="off")


def test_a_colour_that_a_camera_bends_between_exposures_is_no_movement() -> None:
    stack = stack_of((200, 200, 200))
    bent = stack.frames[2].copy()
    red = bent[..., 0].astype(int) - bent[..., 2] > 60
    bent[red, 1] = np.minimum(bent[red, 1] + 50, 255)
    assert red.mean() > 0.01
    assert not moved_between(reduce([*stack.frames[:2], bent]), [True] * 3)


def test_a_frame_that_is_not_aligned_is_compared_with_none() -> None:
    frames = stack_of((100, 200, 300)).frames
    assert moved_between(reduce(frames), [True, True, True]) == [0, 1]
    assert moved_between(reduce(frames), [False, True, True]) == [1]


@pytest.mark.skipif(not BRACKETS.is_dir(), reason="NOT TESTED: the development brackets are not here")
@pytest.mark.parametrize(
    ("name", "moves"),
    [("airport_people_canon_t2i", True), ("merianos_OldHouse", False), ("sunroom_6", False)],
)
def test_photographs_with_people_are_told_and_still_ones_not(name: str, moves: bool) -> None:
    from mefcli import api

    files = sorted(path for path in (BRACKETS / name).iterdir() if path.suffix.lower() in (".jpg", ".png"))
    stack = api.prepare(api.plan(files), job=Job())
    assert any("Something moved" in note for note in stack.notes) is moves
