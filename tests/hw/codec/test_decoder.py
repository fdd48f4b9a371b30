# amaranth: UnusedElaboratable=no
"""Decoder: random tables, codes of every width and words that pass, with random stalls."""

from random import Random
from typing import Any

import pytest

from shiftwork.hw.codec.decoder import Decoder

from ..bench import holds, simulate, sink, source
from .reference import random_table, to_planes

SHAPES = [(16, 8, 4, 1), (4, 8, 7, 4), (3, 5, 4, 2), (1, 2, 1, 8), (8, 8, 3, 16)]


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(("lanes", "act_bits", "code_bits", "planes"), SHAPES)
def test_levels_of_codes(
    lanes: int, act_bits: int, code_bits: int, planes: int, stall: float
) -> None:
    rng = Random(lanes * 100 + code_bits)
    dut = Decoder(lanes, act_bits, code_bits, planes)
    bits = [rng.randint(1, code_bits) for _ in range(planes)]
    tables = [
        [random_table(rng, bits[p], act_bits)[1] for _ in range(lanes)] for p in range(planes)
    ]
    words, want = [], []
    for number in range(120):
        plane = rng.randrange(planes)
        k = rng.choice([0, bits[plane], bits[plane]])
        if k:
            codes = [rng.randrange(1 << k) for _ in range(lanes)]
            room = lanes * (act_bits - k)
            word = to_planes(codes, k) | rng.getrandbits(room) << lanes * k  # the rest is ignored
            values = [tables[plane][lane][code] for lane, code in enumerate(codes)]
        else:
            values = [rng.getrandbits(act_bits) for _ in range(lanes)]
            word = sum(value << act_bits * lane for lane, value in enumerate(values))
        words.append({"word": word, "bits": k, "plane": plane, "last": number % 7 == 0})
        want.append({"values": values, "last": number % 7 == 0})

    async def fill_and_run(ctx: Any) -> None:
        ctx.set(dut.w_en, 1)
        for plane, each in enumerate(tables):
            for entry in range(1 << bits[plane]):
                ctx.set(dut.w_word, plane)
                ctx.set(dut.w_entry, entry)
                ctx.set(dut.w_values, [levels[entry] for levels in each])
                await ctx.tick()
        ctx.set(dut.w_en, 0)
        await source(dut.i, words, rng=Random(1), stall=stall)(ctx)

    expected = [dut.o.payload.shape().const(each) for each in want]
    simulate(
        dut,
        fill_and_run,
        sink(dut.o, expected, rng=Random(2), stall=stall),
        background=[holds(dut.o)],
    )


def test_what_it_cannot_be() -> None:
    for shape, name in (
        ((4, 8, 8, 1), "code_bits"), ((4, 8, 0, 1), "code_bits"), ((4, 8, 3, 3), "words"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=name):
            Decoder(*shape)
