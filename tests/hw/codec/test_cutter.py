# amaranth: UnusedElaboratable=no
"""Cutter: runs of words of a size each, with stalls, at the rate it states."""

from random import Random

import pytest
from amaranth.lib import data

from shiftwork.hw.codec.cutter import Cutter

from ..bench import count_high, simulate, source

SHAPES = [(8, 8, 16), (8, 8, 4), (8, 16, 5), (4, 1, 3), (16, 2, 8)]
BESIDE = data.StructLayout({"tag": 7})
Run = tuple[int, list[tuple[int, int]]]  # offset, and of each word its units and itself


def _runs(rng: Random, shape: tuple[int, int, int]) -> list[Run]:
    width, size, most = shape
    runs: list[Run] = []
    for _ in range(30):
        least, largest = rng.choice([(0, 0), (0, 1), (0, most), (most, most)])
        words = []
        for _ in range(rng.choice([1, 2, 9])):
            units = rng.randint(least, largest)
            words.append((units, rng.getrandbits(units * width) if units else 0))
        runs.append((rng.randrange(size), words))
    return runs


def _beats(rng: Random, run: Run, shape: tuple[int, int, int]) -> list[int]:
    """Return the beats in which a run lies, random where it does not; none if it has no units."""
    width, size, _ = shape
    offset, words = run
    at, bits = offset * width, rng.getrandbits(offset * width) if offset else 0
    for units, word in words:
        bits |= word << at
        at += units * width
    if at == offset * width:
        return []
    room = -at % (size * width)
    bits |= (rng.getrandbits(room) if room else 0) << at
    return [bits >> n & ((1 << size * width) - 1) for n in range(0, at + room, size * width)]


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("shape", SHAPES)
def test_beats_become_words(shape: tuple[int, int, int], stall: float) -> None:
    rng = Random(sum(shape))
    dut = Cutter(*shape, BESIDE)
    runs = _runs(rng, shape)
    sizes, want = [], []
    for offset, words in runs:
        for n, (units, word) in enumerate(words):
            tag = {"tag": rng.randrange(128)}
            first = n == 0
            sizes.append({
                "units": units, "offset": offset if first else rng.randrange(shape[1]),
                "first": first, "last": n + 1 == len(words), "beside": tag,
            })  # fmt: skip
            want.append((units, word, tag["tag"]))
    beats = [beat for run in runs for beat in _beats(rng, run, shape)]
    taken: list[int] = []

    async def check(ctx) -> None:  # type: ignore[no-untyped-def]
        for index, (units, word, tag) in enumerate(want):
            there = False
            while not (there and ctx.get(dut.o.ready)):
                ctx.set(dut.o.ready, rng.random() >= stall)
                _, _, valid, got = await ctx.tick().sample(dut.o.valid, dut.o.payload)
                assert valid >= there, f"word {index}"  # stays until it is taken
                there = bool(valid)
                if there:
                    assert got.beside.tag == tag, f"word {index}"
                    assert got.word & ((1 << units * shape[0]) - 1) == word, f"word {index}"
            ctx.set(dut.o.ready, 0)

    simulate(
        dut,
        source(dut.size, sizes, rng=Random(1), stall=stall),
        source(dut.i, beats, rng=Random(2), stall=stall),
        check,
        background=[count_high(dut.i.valid & dut.i.ready, taken)],
    )
    assert len(taken) == len(beats)


@pytest.mark.parametrize("units", [0, 1, 3, 8, 11, 16])
def test_the_rate_is_a_word_or_a_beat_per_cycle(units: int) -> None:
    rng = Random(units)
    dut = Cutter(8, 8, 16, BESIDE)
    words = [(units, rng.getrandbits(8 * units) if units else 0) for _ in range(40)]
    beats = _beats(rng, (0, words), (8, 8, 16))
    sizes = [
        {"units": units, "first": n == 0, "last": n == 39, "beside": {"tag": 0}} for n in range(40)
    ]
    cycles: list[int] = []

    async def take(ctx) -> None:  # type: ignore[no-untyped-def]
        ctx.set(dut.o.ready, 1)
        while len(cycles) < 40:
            await ctx.tick()

    simulate(dut, source(dut.size, sizes), source(dut.i, beats), take,
             background=[count_high(dut.o.valid & dut.o.ready, cycles)])  # fmt: skip
    assert cycles[-1] - cycles[0] <= max(40, len(beats))


def test_what_it_cannot_be() -> None:
    with pytest.raises(ValueError, match="beat_units must be a power of two, not 3"):
        Cutter(8, 3, 16, BESIDE)
