"""Strings of bytes that try the link's receiver: good frames, damaged ones, and noise."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from shiftwork.boards.link.protocol import (
    ESCAPE,
    FLAG,
    MAX_DATA,
    WORD_BYTES,
    Command,
    Frame,
    enclose,
)


def _command(rng: Random) -> int:
    if rng.random() < 0.6:
        return Command.WRITE + rng.randint(1, WORD_BYTES)
    return rng.choice([*Command, rng.randrange(256)])


def frame(rng: Random, words: int) -> Frame:
    """Return a request that is mostly right; sizes and addresses go wrong now and then."""
    command = _command(rng)
    group = command - Command.WRITE
    argument = rng.randrange(words) * WORD_BYTES
    if rng.random() < 0.08:
        argument = rng.choice([rng.getrandbits(32), words * WORD_BYTES, argument + 3])
    data, count = b"", 0
    if 1 <= group <= WORD_BYTES:
        size = rng.choice([1, 2, 3, 8, 16]) * group
        data = rng.choice([rng.randbytes(size), bytes([FLAG]) * size, bytes([ESCAPE]) * size])
        count = len(data)
    elif command == Command.READ:
        count = WORD_BYTES * rng.randint(1, 4)
    elif command in (Command.REG_READ, Command.REG_WRITE):
        argument = 4 * rng.randrange(28) if rng.random() < 0.9 else rng.getrandbits(16)
        count = 4
        data = rng.randbytes(4) if command == Command.REG_WRITE else b""
    elif command == Command.WAIT:
        count = rng.randrange(3)
    if rng.random() < 0.05:
        data += rng.randbytes(rng.randrange(1, 20))
    if rng.random() < 0.05:
        count = rng.choice([0, 1, rng.getrandbits(16), MAX_DATA])
    return Frame(rng.randrange(8), command, count, argument, data)


def _flip(rng: Random, line: bytearray) -> None:
    line[rng.randrange(len(line))] ^= 1 << rng.randrange(8)


def _replace(rng: Random, line: bytearray) -> None:
    line[rng.randrange(len(line))] = rng.choice([FLAG, ESCAPE, rng.randrange(256)])


def _drop(rng: Random, line: bytearray) -> None:
    del line[rng.randrange(len(line))]


def _insert(rng: Random, line: bytearray) -> None:
    line.insert(rng.randint(0, len(line)), rng.choice([FLAG, ESCAPE, rng.randrange(256)]))


def _swap(rng: Random, line: bytearray) -> None:
    a, b = rng.randrange(len(line)), rng.randrange(len(line))
    line[a], line[b] = line[b], line[a]


def _cut(rng: Random, line: bytearray) -> None:
    del line[rng.randint(1, len(line)) :]


def _repeat(rng: Random, line: bytearray) -> None:
    line += line[rng.randrange(len(line)) :]


MUTATIONS: tuple[Callable[[Random, bytearray], None], ...] = (
    _flip, _replace, _drop, _insert, _swap, _cut, _repeat,
)  # fmt: skip


def string(rng: Random, words: int) -> bytes:
    """Return one string: a good frame, a mutated one, a frame around noise, or noise.

    Parameters
    ----------
    rng : Random
    words : int
        Words in the memory, so that most addresses are in it.
    """
    kind = rng.random()
    if kind < 0.1:
        return rng.randbytes(rng.randrange(1, 40))
    if kind < 0.2:
        return enclose(rng.randbytes(rng.choice([1, 8, 11, 12, 13, 30])))
    line = bytearray(frame(rng, words).encode())
    if kind < 0.21:
        line = bytearray(Frame(1, 0x18, MAX_DATA, 0, rng.randbytes(MAX_DATA)).encode())
    if kind < 0.75:
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            if line:
                rng.choice(MUTATIONS)(rng, line)
    return bytes(line)
