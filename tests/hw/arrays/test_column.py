"""Columns of the plain circuits in Amaranth's simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from shiftwork.hw.arrays.circuits import FPGA_CIRCUITS
from shiftwork.hw.arrays.column import Column

from .test_lanes import weights_of


@pytest.mark.parametrize("name", FPGA_CIRCUITS)
def test_a_column_adds_the_products(name: str) -> None:
    circuit, rows, count = FPGA_CIRCUITS[name], 4, 60
    dut = Column(circuit, rows)
    rng = np.random.default_rng(3)
    codes, integers = weights_of(circuit)
    held, constants = circuit.lane.hold(codes), circuit.lane.constant(codes)

    def packed(fields: Any, bits: int) -> int:
        return sum(int(field) << (i * bits) for i, field in enumerate(fields))

    async def testbench(ctx: Any) -> None:
        for _ in range(count):
            chosen = rng.integers(0, len(integers), rows)
            x = rng.integers(0, 256, rows)
            before = int(rng.integers(0, 1 << 20))
            ctx.set(dut.held, packed(held[chosen], circuit.held_bits))
            ctx.set(dut.x, packed(x, circuit.act_bits))
            ctx.set(dut.sum_in, before)
            for clock in (dut.clk_weights, dut.clk):
                await ctx.delay(1e-9)
                ctx.set(clock, 1)
                await ctx.delay(1e-9)
                ctx.set(clock, 0)
            want = before + int((integers[chosen] * x).sum() + constants[chosen].sum())
            assert ctx.get(dut.sum_out) == want % (1 << circuit.acc_bits)

    sim = Simulator(dut)
    sim.add_testbench(testbench)
    sim.run()
