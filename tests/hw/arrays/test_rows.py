"""Lanes that end in rows: every weight and every activation; sums of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.sim import Simulator

from shiftwork.hw.arrays.circuits import FPGA_CIRCUITS, Circuit
from shiftwork.hw.arrays.rows import Row, RowLane, ShiftRows, chained

from .test_lanes import weights_of

LANES = {c.lane: c for c in FPGA_CIRCUITS.values() if isinstance(c.lane, RowLane)}
OTHERS = [
    Circuit(f"n{n}_b{b}_a{a}", "", ShiftRows(n, b, a), chain=2)
    for n, b, a in [(1, 2, 8), (1, 5, 8), (2, 2, 4), (3, 2, 4)]
]


@pytest.mark.parametrize("circuit", [*LANES.values(), *OTHERS], ids=lambda c: c.name)
def test_rows_add_up_to_the_product_and_a_constant_of_the_weight(circuit: Circuit) -> None:
    lane: Any = circuit.lane
    codes, integers = weights_of(circuit)
    held, constants = lane.hold(codes), lane.constant(codes)
    assert held.min() >= 0
    assert held.max() >> lane.held_bits == 0
    m, x = Module(), Signal(lane.act_bits)
    sums = [Signal(lane.top.bit_length(), name=f"sum{i}") for i in range(len(integers))]
    tops = [0] * len(integers)
    for i, total in enumerate(sums):
        rows = lane.rows(x, Const(int(held[i]), lane.held_bits))
        m.d.comb += total.eq(chained(rows, 2))
        tops[i] = sum(row.top for row in rows)

    async def testbench(ctx: Any) -> None:
        for value in range(1 << lane.act_bits):
            ctx.set(x, value)
            await ctx.delay(1e-9)
            got = np.array([ctx.get(total) for total in sums])
            want = integers * value + constants
            assert np.array_equal(got, want)
            assert (got <= lane.top).all()
            assert (got <= tops).all()

    sim = Simulator(m)
    sim.add_testbench(testbench)
    sim.run()


@pytest.mark.parametrize("length", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_sum_of_rows_has_no_more_bits_than_it_needs(count: int, length: int) -> None:
    rows = [Row(Const((9 << i) - i, 4 + i), 9 << i) for i in range(count)]
    total = chained(rows, length)
    most = sum(row.top for row in rows)
    assert len(total) == most.bit_length()
    m, out = Module(), Signal(len(total))
    m.d.comb += out.eq(total)

    async def testbench(ctx: Any) -> None:
        await ctx.delay(1e-9)
        assert ctx.get(out) == sum((9 << i) - i for i in range(count))

    sim = Simulator(m)
    sim.add_testbench(testbench)
    sim.run()
