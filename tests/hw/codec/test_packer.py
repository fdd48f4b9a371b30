# amaranth: UnusedElaboratable=no
"""Packer and unpacker: runs of words of every size, from every unit of a beat on."""

from random import Random
from typing import Any

import pytest

from shiftwork.hw.codec.packer import Packer
from shiftwork.hw.codec.unpacker import Unpacker

from ..bench import count_high, holds, simulate, sink, source

SHAPES = [(16, 4, 8), (8, 8, 8), (32, 4, 8), (8, 8, 1), (64, 1, 8), (8, 16, 24)]
Run = tuple[int, int, list[int]]  # offset, units of a word, words


def _runs(rng: Random, shape: tuple[int, int, int]) -> list[Run]:
    width, size, most = shape
    runs: list[Run] = []
    for _ in range(30):
        units = rng.randint(1, most)
        count = rng.choice([1, 2, 3, 9])
        words = [rng.getrandbits(units * width) for _ in range(count)]
        runs.append((rng.randrange(size), units, words))
    return runs


def _beats(run: Run, shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Return (data, strobe) of the beats in which a run of words lies."""
    width, size, _ = shape
    offset, units, words = run
    data = sum(word << (offset + n * units) * width for n, word in enumerate(words))
    used = ((1 << units * len(words)) - 1) << offset
    count = -(-(offset + units * len(words)) // size)
    return [
        (data >> n * size * width & ((1 << size * width) - 1), used >> n * size & ((1 << size) - 1))
        for n in range(count)
    ]


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("shape", SHAPES)
def test_words_become_beats(shape: tuple[int, int, int], stall: float) -> None:
    rng = Random(sum(shape))
    dut = Packer(*shape)
    runs = _runs(rng, shape)

    def beyond(units: int) -> int:  # bits that are to be ignored
        return rng.getrandbits((shape[2] - units) * shape[0]) << units * shape[0]

    words = [
        {
            "word": word | beyond(units),
            "units": units, "offset": offset if n == 0 else rng.randrange(shape[1]),
            "first": n == 0, "last": n + 1 == len(each),
        }
        for offset, units, each in runs
        for n, word in enumerate(each)
    ]  # fmt: skip
    want = []
    for run in runs:
        beats = _beats(run, shape)
        for n, (data, strobe) in enumerate(beats):
            entry = {"data": data, "strobe": strobe, "last": n + 1 == len(beats)}
            want.append(dut.o.payload.shape().const(entry))
    simulate(
        dut,
        source(dut.i, words, rng=Random(1), stall=stall),
        sink(dut.o, want, rng=Random(2), stall=stall),
        background=[holds(dut.o)],
    )


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("shape", SHAPES)
def test_beats_become_words(shape: tuple[int, int, int], stall: float) -> None:
    rng = Random(sum(shape))
    dut = Unpacker(*shape)
    runs = _runs(rng, shape)
    commands = [{"offset": o, "units": units, "words": len(each)} for o, units, each in runs]
    beats: list[int] = []
    for run in runs:
        for data, strobe in _beats(run, shape):
            around = sum(((1 << shape[0]) - 1) << n * shape[0] for n in range(shape[1])
                         if not strobe >> n & 1)  # fmt: skip
            beats.append(data | rng.getrandbits(shape[0] * shape[1]) & around)

    async def check(ctx: Any) -> None:
        draw = Random(2)
        for _, units, each in runs:
            for n, word in enumerate(each):
                there = False
                while not (there and ctx.get(dut.o.ready)):
                    ctx.set(dut.o.ready, draw.random() >= stall)
                    _, _, valid, got, last = await ctx.tick().sample(
                        dut.o.valid, dut.o.payload.word, dut.o.payload.last
                    )
                    assert valid >= there  # what is there stays until it is taken
                    there = bool(valid)
                    if there:
                        assert got & ((1 << units * shape[0]) - 1) == word
                        assert last == (n + 1 == len(each))
                ctx.set(dut.o.ready, 0)

    simulate(
        dut,
        source(dut.run, commands, rng=Random(1), stall=stall),
        source(dut.i, beats, rng=Random(3), stall=stall),
        check,
    )


@pytest.mark.parametrize("units", range(1, 9))
def test_the_rate_is_a_word_or_a_beat_per_cycle(units: int) -> None:
    shape = (16, 4, 8)
    words = [Random(units).getrandbits(units * 16) for _ in range(40)]
    beats = _beats((3, units, words), shape)
    packer = Packer(*shape)
    packed = [{"word": w, "units": units, "offset": 3, "first": n == 0, "last": n == 39}
              for n, w in enumerate(words)]  # fmt: skip
    cycles: list[int] = []
    out = [packer.o.payload.shape().const({"data": d, "strobe": s, "last": n + 1 == len(beats)})
           for n, (d, s) in enumerate(beats)]  # fmt: skip
    simulate(packer, source(packer.i, packed), sink(packer.o, out),
             background=[count_high(packer.o.valid & packer.o.ready, cycles)])  # fmt: skip
    assert cycles[-1] - cycles[0] <= max(40, len(beats))

    unpacker = Unpacker(*shape)
    came: list[int] = []

    async def listen(ctx: Any) -> None:
        ctx.set(unpacker.o.ready, 1)
        got = 0
        while got < 40:
            _, _, valid, word = await ctx.tick().sample(unpacker.o.valid, unpacker.o.payload.word)
            if valid:
                assert word & ((1 << units * 16) - 1) == words[got]
                got += 1

    simulate(
        unpacker, source(unpacker.run, [{"offset": 3, "units": units, "words": 40}]),
        source(unpacker.i, [data for data, _ in beats]), listen,
        background=[count_high(unpacker.o.valid & unpacker.o.ready, came)],
    )  # fmt: skip
    assert came[-1] - came[0] <= max(40, len(beats))


def test_what_they_cannot_be() -> None:
    for block in (Packer, Unpacker):
        with pytest.raises(ValueError, match="power of two"):
            block(8, 3, 2)
        with pytest.raises(ValueError, match="1 or more"):
            block(8, 4, 0)
