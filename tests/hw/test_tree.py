"""Adder trees: the sum, and a width that grows with the logarithm."""

from random import Random

import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.sim import Simulator

from shiftwork.hw.tree import tree_sum


@pytest.mark.parametrize("count", [*range(1, 10), 16, 33])
def test_adds_everything_once(count: int) -> None:
    rng = Random(count)
    inputs = [Signal(rng.randint(1, 6)) for _ in range(count)]
    total = tree_sum(inputs)
    out = Signal(total.shape())
    m = Module()
    m.d.comb += out.eq(total)
    tops = [(1 << len(signal)) - 1 for signal in inputs]
    cases = [tops, [0] * count, *([rng.randint(0, top) for top in tops] for _ in range(20))]

    async def testbench(ctx) -> None:
        for values in cases:
            for signal, value in zip(inputs, values, strict=True):
                ctx.set(signal, value)
            assert ctx.get(out) == sum(values)

    sim = Simulator(m)
    sim.add_testbench(testbench)
    sim.run()


@pytest.mark.parametrize("count", range(1, 66))
def test_grows_by_a_bit_per_level(count: int) -> None:
    assert len(tree_sum([Const(0, 7)] * count)) == 7 + (count - 1).bit_length()


def test_signed_values_keep_their_sign() -> None:
    inputs = [Signal(range(-8, 8)) for _ in range(5)]
    out = Signal(range(-64, 64))
    m = Module()
    m.d.comb += out.eq(tree_sum(inputs))

    async def testbench(ctx) -> None:
        for values in ([-8] * 5, [7] * 5, [-8, 7, -1, 0, 3]):
            for signal, value in zip(inputs, values, strict=True):
                ctx.set(signal, value)
            assert ctx.get(out) == sum(values)

    sim = Simulator(m)
    sim.add_testbench(testbench)
    sim.run()


def test_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^tree_sum needs at least one value$"):
        tree_sum([])
