"""Beats at hand against a list: any number of them goes, at any place the units are right."""

from random import Random

import pytest

from shiftwork.hw.codec.beats import Beats
from shiftwork.hw.codec.units import Units

from ..bench import simulate

SIZES = [Units(8, 8, 8), Units(4, 2, 7), Units(16, 4, 1), Units(3, 1, 5), Units(1, 1, 1)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_units_of_the_beats_at_hand(sizes: Units) -> None:
    rng = Random(str(sizes))
    dut = Beats(sizes)
    width = sizes.beat * sizes.bits

    async def check(ctx) -> None:  # type: ignore[no-untyped-def]
        held: list[int] = []
        full = 0
        for _ in range(400):
            most = min(len(held), (sizes.beat - 1 + sizes.most) // sizes.beat)
            at, drop = rng.randrange(sizes.beat), rng.randint(0, most)
            take, valid = rng.random() < 0.6, rng.random() < 0.7
            beat = rng.getrandbits(width)
            # What is not taken may be more than there is.
            ctx.set(dut.drop, drop if take else rng.randrange(1 << len(dut.drop)))
            ctx.set(dut.take, take)
            ctx.set(dut.at, at)
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.payload, beat)
            _, _, count, word, ready = await ctx.tick().sample(dut.held, dut.word, dut.i.ready)
            bits = sum(value << n * width for n, value in enumerate(held)) >> at * sizes.bits
            known = min(len(held) * sizes.beat - at, sizes.most) * sizes.bits
            mask = (1 << max(known, 0)) - 1
            assert count == len(held)
            assert word & mask == bits & mask
            assert ready == (len(held) < dut.room)
            full += len(held) == dut.room
            held = held[drop if take else 0 :] + [beat] * (valid and ready)
        assert full

    simulate(dut, check)
