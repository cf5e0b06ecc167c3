"""Damaged copies of pictures: cut off, bytes changed, blocks lost, moved or doubled, absurd numbers."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

HEAD = 1024  # bytes that mostly hold structure; half of the changes fall there
ABSURD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
Damage = Callable[[bytearray, random.Random], None]


def _place(data: bytearray, chance: random.Random) -> int:
    end = len(data) if chance.random() < 0.5 else min(HEAD, len(data))
    return chance.randrange(max(1, end))


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def cut_late(data: bytearray, chance: random.Random) -> None:
    del data[len(data) - 1 - chance.randrange(max(1, len(data) // 10)) :]


def change(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 4, 16))):
        data[_place(data, chance)] = chance.randrange(256)


def flip(data: bytearray, chance: random.Random) -> None:
    data[_place(data, chance)] ^= 1 << chance.randrange(8)


def exaggerate(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 4))):
        code = chance.choice(("<H", ">H", "<I", ">I"))
        at, size = _place(data, chance), struct.calcsize(code)
        data[at : at + size] = struct.pack(code, chance.choice(ABSURD) & (256**size - 1))


def blank(data: bytearray, chance: random.Random) -> None:
    at, size = _place(data, chance), chance.choice((4, 64, 4096))
    size = min(size, len(data) - at)
    data[at : at + size] = bytes([chance.choice((0, 255))]) * size


def lose(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    del data[at : at + chance.choice((1, 2, 16, 512))]


def double(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    data[at:at] = data[at : at + chance.choice((1, 4, 64, 1024))]


def move(data: bytearray, chance: random.Random) -> None:
    one, two, size = _place(data, chance), _place(data, chance), chance.choice((8, 128, 2048))
    data[two : two + size] = data[one : one + size]


CUTS: tuple[Damage, ...] = (cut, cut_late)
DAMAGES: tuple[Damage, ...] = (*CUTS, change, flip, exaggerate, exaggerate, blank, lose, double, move)


def mutants(sources: list[Path], count: int, seed: int = 1) -> Iterator[tuple[Path, str, bytes]]:
    """`count` damaged copies, each source in turn: the source, the kind of damage, the bytes."""
    chance = random.Random(seed)
    for number in range(count):
        source = sources[number % len(sources)]
        damage = chance.choice(DAMAGES)
        data = bytearray(source.read_bytes())
        damage(data, chance)
        yield source, damage.__name__, bytes(data)
