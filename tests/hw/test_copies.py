"""Copies of a register: the same value, and no two registers that synthesis could merge."""

from typing import Any, cast

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from shiftwork.hw.copies import MAX_COPIES, Copy, copies
from tests.hw.bench import simulate


class Copied(wiring.Component):
    value: Signal
    values: Signal

    def __init__(self, count: int) -> None:
        self.count = count
        self.made: list[Copy] = []
        super().__init__({"value": In(3), "values": Out(3 * count)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self.made = copies(m, "held", self.value, self.count)
        m.d.comb += self.values.eq(Cat(copy.value for copy in self.made))
        return m


@pytest.mark.parametrize("count", [1, MAX_COPIES])
def test_every_copy_gives_the_value_a_cycle_later(count: int) -> None:
    dut = Copied(count)
    seen = []

    async def run(ctx: Any) -> None:
        for value in (0, 7, 5, 2, 2):
            ctx.set(dut.value, value)
            await ctx.tick()
            seen.append(ctx.get(dut.values))

    simulate(dut, run)
    ones = sum(1 << 3 * index for index in range(count))
    assert seen == [value * ones for value in (0, 7, 5, 2, 2)]
    assert len({(copy.stored.init, copy.inverted) for copy in dut.made}) == count


@pytest.mark.parametrize("count", [0, MAX_COPIES + 1])
def test_a_count_that_cannot_differ_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} copies of held"):
        copies(cast("Module", None), "held", Signal(4), count)  # refused before it is used
