# amaranth: UnusedElaboratable=no
"""Population counts: every input of few bits, extremes and random ones of many, no bit too many."""

from random import Random
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from shiftwork.hw.codec.popcount import count_stages, population_count

from ..bench import simulate


class Counter(wiring.Component):
    """The function in a component, and a register behind it."""

    bits: Signal
    step: Signal
    o: Signal

    def __init__(self, bits: int) -> None:
        super().__init__({"bits": In(bits), "step": In(1), "o": Out(range(bits + 1))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        count = population_count(m, [self.bits[n] for n in range(len(self.bits))], self.step)
        assert len(count) == len(self.bits).bit_length()
        with m.If(self.step):
            m.d.sync += self.o.eq(count)
        return m


@pytest.mark.parametrize("bits", [*range(1, 10), 31, 32, 63, 64, 127, 128, 129])
def test_it_counts(bits: int) -> None:
    dut = Counter(bits)
    stages = count_stages(bits) + 1
    rng = Random(bits)
    full = (1 << bits) - 1
    words = [0, full, *(1 << n for n in range(bits)), *(full ^ 1 << n for n in range(bits))]
    words += range(1 << bits) if bits <= 9 else (rng.getrandbits(bits) for _ in range(40))

    async def testbench(ctx: Any) -> None:
        for n in range(len(words) + stages):
            while rng.random() < 0.1:  # a pause, in which something else comes
                ctx.set(dut.step, 0)
                ctx.set(dut.bits, rng.getrandbits(bits))
                await ctx.tick()
            ctx.set(dut.step, 1)
            ctx.set(dut.bits, words[n] if n < len(words) else 0)
            if n >= stages:
                assert ctx.get(dut.o) == words[n - stages].bit_count()
            await ctx.tick()

    simulate(dut, testbench)


def test_registers_are_after_three_adders() -> None:
    assert [count_stages(n) for n in (1, 7, 8, 63, 64, 511, 512, 1152)] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_nothing_cannot_be_counted() -> None:
    with pytest.raises(ValueError, match="at least one bit"):
        population_count(Module(), [], Signal())
