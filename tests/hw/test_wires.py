"""Wires between components with the same members."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from shiftwork.hw.wires import join

MEMBERS = {"m_ask": Out(4), "m_answer": In(4)}


def test_outputs_of_the_first_drive_the_second_and_its_inputs_are_driven() -> None:
    one = SimpleNamespace(m_ask=Signal(4), m_answer=Signal(4))
    other = SimpleNamespace(s_ask=Signal(4), s_answer=Signal(4))
    m = Module()
    join(m, MEMBERS, one, other, ("m_", "s_"))

    async def bench(ctx: Any) -> None:
        ctx.set(one.m_ask, 5)
        ctx.set(other.s_answer, 9)
        assert (ctx.get(other.s_ask), ctx.get(one.m_answer)) == (5, 9)

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
