# amaranth: UnusedElaboratable=no
"""Zero-value compression: runs of words to beats and back, with stalls, at the rate it states."""

from random import Random
from typing import Any

import pytest

from shiftwork.hw.codec.zero_decoder import ZeroDecoder
from shiftwork.hw.codec.zero_encoder import ZeroEncoder

from ..bench import count_high, holds, listen, simulate, sink, source
from .reference import zero_bits

SHAPES = [(16, 8, 64), (8, 4, 16), (4, 8, 32), (5, 6, 8), (1, 2, 1), (8, 8, 128)]
Runs = list[list[list[int]]]


def words_of(rng: Random, lanes: int, act_bits: int, count: int, share: float) -> list[list[int]]:
    """Return words of which a share of the values is not 0."""
    return [
        [rng.randrange(1, 1 << act_bits) if rng.random() < share else 0 for _ in range(lanes)]
        for _ in range(count)
    ]


def runs_of(rng: Random, lanes: int, act_bits: int) -> Runs:
    """Return runs of all lengths and shares, full and empty words among them."""
    shares = [0.0, 0.1, 0.5, 0.9, 1.0]
    return [words_of(rng, lanes, act_bits, rng.choice([1, 2, 3, 11]), s) for s in shares * 3]


def beats_of(run: list[list[int]], act_bits: int, beat_bits: int) -> list[tuple[int, int]]:
    """Return (data, bits used) of the beats in which a run lies."""
    bits = [bit for word in run for bit in zero_bits(word, act_bits)]
    return [
        (sum(bit << n for n, bit in enumerate(part)), len(part))
        for part in (bits[at : at + beat_bits] for at in range(0, len(bits), beat_bits))
    ]


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("shape", SHAPES)
def test_words_become_beats(shape: tuple[int, int, int], stall: float) -> None:
    rng = Random(sum(shape))
    dut = ZeroEncoder(*shape)
    runs = runs_of(rng, *shape[:2])
    given = [{"values": w, "last": n + 1 == len(run)} for run in runs for n, w in enumerate(run)]
    want = []
    for run in runs:
        beats = beats_of(run, *shape[1:])
        for n, (beat, bits) in enumerate(beats):
            strobe = (1 << bits // dut.units.bits) - 1
            entry = {"data": beat, "strobe": strobe, "last": n + 1 == len(beats)}
            want.append(dut.o.payload.shape().const(entry))
    simulate(
        dut,
        source(dut.i, given, rng=Random(1), stall=stall),
        sink(dut.o, want, rng=Random(2), stall=stall),
        background=[holds(dut.o)],
    )


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("shape", SHAPES)
def test_beats_become_words(shape: tuple[int, int, int], stall: float) -> None:
    rng = Random(sum(shape))
    dut = ZeroDecoder(*shape)
    runs = runs_of(rng, *shape[:2])
    given, want = [], []
    for run in runs:
        beats = beats_of(run, *shape[1:])
        for n, (beat, bits) in enumerate(beats):
            beyond = rng.getrandbits(shape[2] - bits) << bits if bits < shape[2] else 0
            given.append({"data": beat | beyond, "last": n + 1 == len(beats)})
        for n, word in enumerate(run):
            entry = {"values": word, "last": n + 1 == len(run)}
            want.append(dut.o.payload.shape().const(entry))
    simulate(
        dut,
        source(dut.run, map(len, runs), rng=Random(1), stall=stall),
        source(dut.i, given, rng=Random(3), stall=stall),
        sink(dut.o, want, rng=Random(2), stall=stall),
        background=[holds(dut.o)],
    )


@pytest.mark.parametrize("used", [0, 1, 3, 6, 7, 16])
def test_the_rate_is_a_word_or_a_beat_per_cycle(used: int) -> None:
    rng = Random(used)
    run = [[rng.randrange(1, 256) if n < used else 0 for n in range(16)] for _ in range(40)]
    for word in run:
        rng.shuffle(word)
    beats = beats_of(run, 8, 64)
    least = max(len(run), len(beats))

    encoder = ZeroEncoder(16, 8, 64)
    cycles: list[int] = []
    got: list[Any] = []

    async def take(ctx: Any) -> None:
        ctx.set(encoder.o.ready, 1)
        await listen(encoder.o, len(beats), got)(ctx)

    words = [{"values": word, "last": n + 1 == len(run)} for n, word in enumerate(run)]
    moved = encoder.i.valid & encoder.i.ready
    simulate(encoder, source(encoder.i, words), take, background=[count_high(moved, cycles)])
    assert [int(beat.data) for beat in got] == [beat for beat, _ in beats]
    assert cycles[-1] - cycles[0] <= least

    decoder = ZeroDecoder(16, 8, 64)
    came: list[int] = []
    read: list[Any] = []

    async def collect(ctx: Any) -> None:
        ctx.set(decoder.o.ready, 1)
        await listen(decoder.o, len(run), read)(ctx)

    sent = [{"data": beat, "last": n + 1 == len(beats)} for n, (beat, _) in enumerate(beats)]
    simulate(decoder, source(decoder.run, [len(run)]), source(decoder.i, sent), collect,
             background=[count_high(decoder.o.valid, came)])  # fmt: skip
    assert [list(word.values) for word in read] == run
    assert came[-1] - came[0] <= least


@pytest.mark.parametrize(("words", "given"), [(9, 1), (1, 5), (4, 5)])
def test_a_run_of_another_length_than_its_beats_ends(words: int, given: int) -> None:
    """Damaged memory: all words come, and the next run is right."""
    dut = ZeroDecoder(8, 8, 64)
    whole = [[n, 0, 5, 0, 0, 0, 0, 1] for n in range(1, 4)]
    beats = [(~0 & (1 << 64) - 1, n + 1 == given) for n in range(given)]
    right = beats_of(whole, 8, 64)
    beats += [(beat, n + 1 == len(right)) for n, (beat, _) in enumerate(right)]
    got: list[Any] = []

    async def take(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        await listen(dut.o, words + len(whole), got)(ctx)

    simulate(dut, source(dut.run, [words, len(whole)]),
             source(dut.i, [{"data": d, "last": last} for d, last in beats]), take)  # fmt: skip
    assert [bool(word.last) for word in got[:words]] == [False] * (words - 1) + [True]
    assert [list(word.values) for word in got[words:]] == whole


def test_what_they_cannot_be() -> None:
    for block in (ZeroEncoder, ZeroDecoder):
        for beat_bits in (12, 24):
            with pytest.raises(ValueError, match=r"beat_(bits|units) must be"):
                block(16, 8, beat_bits)
