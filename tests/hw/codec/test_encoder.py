# amaranth: UnusedElaboratable=no
"""Encoder: the search finds what counting the thresholds does, of every width, with stalls."""

from random import Random
from typing import Any

import pytest

from shiftwork.hw.codec.encoder import Encoder
from shiftwork.hw.codec.layout import heap_order

from ..bench import holds, simulate, sink, source
from .reference import encode, heap, random_table

SHAPES = [(16, 8, 4, 1), (2, 8, 7, 4), (3, 5, 4, 2), (1, 2, 1, 8), (4, 8, 3, 32)]


@pytest.mark.parametrize("bits", range(1, 8))
def test_the_tree_is_the_balanced_one(bits: int) -> None:
    assert heap_order(bits) == heap(list(range((1 << bits) - 1)))


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(("lanes", "act_bits", "code_bits", "words"), SHAPES)
def test_codes_of_values(
    lanes: int, act_bits: int, code_bits: int, words: int, stall: float
) -> None:
    rng = Random(lanes * 100 + code_bits)
    dut = Encoder(lanes, act_bits, code_bits, words)
    bits = [rng.randint(1, code_bits) for _ in range(words)]
    bits[0] = code_bits
    tables = [[random_table(rng, k, act_bits)[0] for _ in range(lanes)] for k in bits]
    given, want = [], []
    for _ in range(150):
        word = rng.randrange(words)
        values = [rng.getrandbits(act_bits) for _ in range(lanes)]
        for lane in range(lanes):
            if rng.random() < 0.3:  # exactly at a threshold
                values[lane] = rng.choice(tables[word][lane])
        k = rng.choice([0, bits[word], bits[word]])
        given.append({"values": values, "bits": k, "word": word})
        codes = [encode(v, t) for v, t in zip(values, tables[word], strict=True)]
        want.append(codes if k else values)

    async def fill_and_run(ctx: Any) -> None:
        ctx.set(dut.w_en, 1)
        for word, each in enumerate(tables):
            trees = [heap(thresholds) for thresholds in each]
            for entry in range(1 << bits[word]):  # entry 0 is not in the tree
                ctx.set(dut.w_word, word)
                ctx.set(dut.w_entry, entry)
                ctx.set(dut.w_values, [tree[entry - 1] if entry else 77 & ((1 << act_bits) - 1)
                                       for tree in trees])  # fmt: skip
                await ctx.tick()
        ctx.set(dut.w_en, 0)
        await source(dut.i, given, rng=Random(1), stall=stall)(ctx)

    simulate(
        dut,
        fill_and_run,
        sink(dut.o, want, rng=Random(2), stall=stall),
        background=[holds(dut.o)],
    )


@pytest.mark.parametrize("bits", range(1, 5))
def test_every_value(bits: int) -> None:
    """All 256 values, several random tables side by side."""
    rng = Random(bits)
    lanes = 6
    dut = Encoder(lanes, 8, 4, 1)
    tables = [random_table(rng, bits, 8)[0] for _ in range(lanes)]

    async def fill_and_run(ctx: Any) -> None:
        ctx.set(dut.w_en, 1)
        for entry in range(1, 1 << bits):
            ctx.set(dut.w_entry, entry)
            ctx.set(dut.w_values, [heap(table)[entry - 1] for table in tables])
            await ctx.tick()
        ctx.set(dut.w_en, 0)
        payloads = [{"values": [v] * lanes, "bits": bits, "word": 0} for v in range(256)]
        await source(dut.i, payloads)(ctx)

    want = [[encode(value, table) for table in tables] for value in range(256)]
    simulate(dut, fill_and_run, sink(dut.o, want))


def test_what_it_cannot_be() -> None:
    for shape, name in (((4, 8, 8, 1), "code_bits"), ((4, 8, 3, 6), "words")):
        with pytest.raises(ValueError, match=name):
            Encoder(*shape)
