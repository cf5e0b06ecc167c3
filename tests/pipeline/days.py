"""Days of photographers, each with its habits of bracketing, and the truth about their brackets.

A day is one of KINDS: from one habit all day, which is most days, to a card of everything. What a camera
tells (sub-seconds, compensation, that it brackets, the place within the bracket, who chose the exposure) is
drawn for each day.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pipeline.cards import CAMERA, COUNTING_CAMERA, ORDERS, Card

from mefcli.values import Drive, Shot

Span = tuple[float, float]
SHUTTER_S = [
    *(1 / n for n in (8000, 6400, 5000, 4000, 3200, 2500, 2000, 1600, 1250, 1000, 800, 640, 500, 400, 320)),
    *(1 / n for n in (250, 200, 160, 125, 100, 80, 60, 50, 40, 30, 25, 20, 15, 13, 10, 8, 6, 5, 4)),
    *(
        0.3,
        0.4,
        0.5,
        0.6,
        0.8,
        1.0,
        1.3,
        1.6,
        2.0,
        2.5,
        3.2,
        4.0,
        5.0,
        6.0,
        8.0,
        10.0,
        13.0,
        15.0,
        20.0,
        25.0,
    ),
    30.0,
]  # as cameras write them
STEPS = {  # frames: steps of exposure bracketing in stops, and how often each is set
    3: {2.0: 8, 1.0: 5, 4 / 3: 1, 5 / 3: 1, 2 / 3: 1, 1 / 3: 0.5, 3.0: 1},
    5: {1.0: 4, 2.0: 4, 2 / 3: 1, 4 / 3: 1},
    7: {1.0: 4, 2 / 3: 1, 2.0: 0.5},
    9: {1.0: 4, 2 / 3: 1},
}
LENGTHS = {3: 6, 5: 4, 7: 2, 9: 2}
PACES: dict[Span, int] = {(0.05, 0.4): 6, (0.6, 2.2): 2, (2.0, 2.3): 1}  # continuous, pressed, self-timer
HAND_STEPS = [1.0, 4 / 3, 5 / 3, 2.0, 2.0, 3.0]


@dataclass(frozen=True)
class Habit:
    """Compensations in the order of shooting, and the pauses between the frames."""

    stops: tuple[float, ...]
    pauses: Span
    by_hand: bool = False  # in manual mode: no compensation, no word of bracketing


def chosen(rng: random.Random, weights: dict[object, float]) -> object:
    return rng.choices(list(weights), list(weights.values()))[0]


def camera_habit(rng: random.Random, pauses: Span | None = None) -> Habit:
    count = chosen(rng, LENGTHS)
    step = chosen(rng, STEPS[count])
    order = ORDERS[rng.choice(list(ORDERS))](count)
    return Habit(tuple(place * step for place in order), pauses or chosen(rng, PACES))


def hand_habit(rng: random.Random, *, even: bool = False) -> Habit:
    """Turned on a tripod, mostly from one end to the other, in the same or in varied steps."""
    count = rng.choice([3, 3, 4, 5, 5, 7])
    step = rng.choice([1.0, 2.0])
    steps = [step if even else rng.choice(HAND_STEPS) for _ in range(count - 1)]
    while sum(steps) > 14:
        steps = [one / 2 if one > 1 else one for one in steps]
    stops = [0.0]
    for one in steps:
        stops.append(stops[-1] + one)
    middle = stops[count // 2]
    stops = [one - middle for one in stops]
    return Habit(tuple(rng.choice([stops, stops[::-1]])), rng.choice([(2, 3.5), (3, 6), (5, 12)]), True)


def thirds(stops: float) -> float:
    """The time of so many stops, as a camera rounds it."""
    return 2.0 ** (round(3 * stops) / 3)


@dataclass
class Day:
    card: Card
    marks: bool  # the camera says of each frame whether it brackets, without its place
    compensation: float  # that the photographer has dialled in, all day
    tells_mode: bool  # who chose the exposure
    aborted: list[frozenset[Path]] = field(default_factory=list)  # whatever becomes of these is right

    def light(self, habit: Habit | None = None) -> float:
        """A metered time, by thirds of a stop; the bracket fits between the ends of the shutter's range."""
        stops = habit.stops if habit else (0.0,)
        low, high = -13 - min(stops), 4.9 - max(stops)
        return thirds(min(max(self.card.random.uniform(-10, -4), low), high))

    def drive(self, place: int | None) -> Drive:
        if self.card.tells_drive:
            return Drive(place is not None, place)
        return Drive(place is not None if self.marks else None)

    def bracket(self, habit: Habit, middle_s: float, only: int | None = None) -> None:
        """`only` so many frames of it, if it is aborted."""
        card, paths = self.card, []
        card.manual = habit.by_hand if self.tells_mode else None
        for place, stops in enumerate(habit.stops[:only]):
            if place:
                card.pause(*habit.pauses)
            exposure_s = middle_s * 2.0**stops
            bias = 0.0 if habit.by_hand else stops + self.compensation
            paths.append(
                card.shoot(exposure_s, round(bias, 2), self.drive(None if habit.by_hand else place + 1))
            )
            if exposure_s >= 1:  # the camera takes its dark frame
                card.now += timedelta(seconds=exposure_s)
        card.manual = False if self.tells_mode else None
        (card.truth if only is None else self.aborted).append(frozenset(paths))

    def snapshots(self, most: int = 5) -> None:
        card, light = self.card, self.light()
        for _ in range(card.random.randint(1, most)):
            card.shoot(light * 2 ** (card.random.randint(-4, 4) / 3), self.compensation, self.drive(None))
            card.pause(*card.random.choice([(1, 4), (3, 60)]))
        card.pause(8, 100)

    def burst(self) -> None:
        card, light = self.card, self.light()
        for _ in range(card.random.randint(4, 12)):
            card.shoot(
                light * 2 ** (card.random.choice([0, 0, 0, 1]) / 3), self.compensation, self.drive(None)
            )
            card.pause(0.05, 0.15)
        card.pause(8, 100)

    def scene(self, habit: Habit, times: int, between: Span) -> None:
        """The same bracket so many times; the light changes a little, or is set by hand and stays."""
        rng, light = self.card.random, self.light(habit)
        fixed = habit.by_hand or rng.random() < 0.5
        for _ in range(times):
            self.bracket(habit, light * 2 ** (0 if fixed else rng.randint(-1, 1) / 3))
            self.card.pause(*between)
        self.card.pause(8, 200)

    def aborted_scene(self, habit: Habit) -> None:
        light = self.light(habit)
        self.bracket(habit, light, self.card.random.randint(1, len(habit.stops) - 1))
        self.card.pause(1, 10)
        self.bracket(habit, light)
        self.card.pause(8, 200)


def one_habit(day: Day) -> None:
    habit = camera_habit(day.card.random)
    for _ in range(25):
        day.scene(habit, 1, (1, 2))


def repeated(day: Day) -> None:
    habit = camera_habit(day.card.random)
    for _ in range(12):
        day.scene(habit, day.card.random.randint(1, 3), day.card.random.choice([(3, 10), (6, 30)]))


def singles_between(day: Day) -> None:
    habit = camera_habit(day.card.random)
    for _ in range(20):
        day.scene(habit, 1, (1, 2))
        day.card.random.choice([day.snapshots, day.snapshots, day.burst])()


def two_habits(day: Day) -> None:
    rng = day.card.random
    habits = [camera_habit(rng), camera_habit(rng)]
    for number in range(24):
        day.scene(habits[number // 12] if rng.random() < 0.7 else rng.choice(habits), 1, (1, 2))


def many_habits(day: Day) -> None:
    for _ in range(30):
        day.scene(camera_habit(day.card.random), 1, (1, 2))


def many_untold(day: Day) -> None:
    """Nothing is known but exposures and times."""
    day.card.tells_bias = day.card.tells_drive = day.marks = False
    many_habits(day)


def back_to_back(day: Day) -> None:
    rng = day.card.random
    habits = [camera_habit(rng, (0.05, 0.4)) for _ in range(rng.randint(1, 2))]
    for _ in range(8):
        day.scene(rng.choice(habits), rng.randint(2, 5), (0.3, 1.5))


def given_up(day: Day) -> None:
    rng = day.card.random
    habits = [camera_habit(rng) for _ in range(rng.randint(1, 2))]
    for _ in range(20):
        habit = rng.choice(habits)
        if rng.random() < 0.4:
            day.aborted_scene(habit)
        else:
            day.scene(habit, 1, (1, 2))


def by_hand(day: Day) -> None:
    habit = hand_habit(day.card.random, even=True)
    for _ in range(15):
        day.scene(habit, day.card.random.randint(1, 2), (15, 40))
        if day.card.random.random() < 0.3:
            day.snapshots()


def by_hand_varied(day: Day) -> None:
    for _ in range(20):
        day.scene(hand_habit(day.card.random), 1, (10, 20))


def no_brackets(day: Day) -> None:
    """Single shots of somebody who sets the exposure by hand, and now and then changes it."""
    card, stops = day.card, -6.0
    card.manual = True if day.tells_mode else None
    for _ in range(150):
        if card.random.random() < 0.4:
            stops = min(max(stops + card.random.choice([-3, -2, -1, -1, 1, 1, 2, 3]) / 3, -12.0), 0.0)
        card.shoot(thirds(stops), drive=day.drive(None))
        card.pause(*card.random.choice([(0.3, 2), (2, 10), (5, 100)]))


def night(day: Day) -> None:
    rng = day.card.random
    habit = camera_habit(rng)
    room = 4.9 - max(habit.stops)
    for _ in range(15):
        day.bracket(habit, thirds(min(room, rng.uniform(-3, 3))))
        day.card.pause(8, 60)


def everything(day: Day) -> None:
    rng = day.card.random
    for _ in range(30):
        habit = hand_habit(rng) if rng.random() < 0.15 else camera_habit(rng)
        what = rng.random()
        if what < 0.1 and not habit.by_hand:
            day.aborted_scene(habit)
        elif what < 0.25 and not habit.by_hand:
            day.scene(habit, rng.randint(2, 3), (0.8, 5))
        else:
            day.scene(habit, 1, (1, 2))
        if rng.random() < 0.4:
            rng.choice([day.snapshots, day.burst])()


KINDS: dict[str, Callable[[Day], None]] = {
    "one habit": one_habit,
    "repeated": repeated,
    "singles between": singles_between,
    "two habits": two_habits,
    "many habits": many_habits,
    "many untold": many_untold,
    "back to back": back_to_back,
    "given up": given_up,
    "by hand": by_hand,
    "by hand varied": by_hand_varied,
    "night": night,
    "no brackets": no_brackets,
    "everything": everything,
    "two cameras": many_habits,
}
UNTOLD = ("many untold", "no brackets", "by hand varied", "everything")
TOLD = [kind for kind in KINDS if kind not in UNTOLD]  # the camera, or the whole day, tells every bracket


def random_day(kind: str, seed: int) -> tuple[list[Shot], set[frozenset[Path]], list[frozenset[Path]]]:
    """The day's shots, its brackets, and the frames of brackets that were given up."""
    rng = random.Random(f"{kind} {seed}")
    days = [_day(rng, number) for number in range(2 if kind == "two cameras" else 1)]
    for day in days:
        KINDS[kind](day)
    shots = [shot for day in days for shot in day.card.shots]
    truth = {bracket for day in days for bracket in day.card.truth}
    return shots, truth, [frames for day in days for frames in day.aborted]


def _day(rng: random.Random, number: int) -> Day:
    card = Card(rng, subseconds=rng.random() < 0.7, tells_bias=rng.random() < 0.7, times_s=SHUTTER_S)
    card.tells_drive = rng.random() < 0.25
    card.folder = Path("DCIM") / rng.choice(["100CANON", "Day"])
    card.number = rng.choice([1, rng.randint(1, 9000), 9950])
    card.word = ["IMG", "DSC"][number]
    marks = not card.tells_drive and rng.random() < 0.25
    card.facts = {**(COUNTING_CAMERA if card.tells_drive or marks else CAMERA), "serial": str(number)}
    compensation = rng.choice([0.0, 0.0, 0.0, -1 / 3, -2 / 3, 1.0])
    day = Day(card, marks, compensation, tells_mode=rng.random() < 0.6)
    card.manual = False if day.tells_mode else None
    return day


@dataclass
class Tally:
    brackets: int = 0
    right: int = 0
    wrong: int = 0  # found, and none

    def count(
        self, found: set[frozenset[Path]], truth: set[frozenset[Path]], aborted: list[frozenset[Path]]
    ) -> None:
        self.brackets += len(truth)
        self.right += len(found & truth)
        self.wrong += sum(not any(one <= frames for frames in aborted) for one in found - truth)
