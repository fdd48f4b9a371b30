"""What a code picks from an activation: every code and every activation, in both circuits."""

from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from shiftwork.hw.config import EngineConfig, Select
from shiftwork.hw.terms import active_layout, decode, pick


def term_of(config: EngineConfig, code: int, x: int) -> int:
    """The term that stands for sign(code) x 2^(M - |code|), with its constant added."""
    if code == 0:
        return 0
    k = config.magnitudes - abs(code)
    constant = ((1 << config.act_bits) - 1) << k
    return x << k if code > 0 else constant - (x << k)


@pytest.mark.parametrize("select", ["shifter", "mux"])
@pytest.mark.parametrize(
    ("act_bits", "code_bits"), [(2, 2), (2, 3), (3, 2), (4, 3), (3, 4), (5, 4), (2, 5), (8, 3)]
)
def test_every_code_and_activation(select: Select, act_bits: int, code_bits: int) -> None:
    config = EngineConfig(act_bits=act_bits, code_bits=code_bits, select=select)
    m = Module()
    x, code = Signal(act_bits), Signal(code_bits)
    active = Signal(active_layout(config))
    m.d.comb += active.as_value().eq(decode(config, code))
    term = pick(m, config, x, active, "term")
    assert len(term) == config.term_bits
    top = config.magnitudes
    reached = set()

    async def testbench(ctx: Any) -> None:
        for number in range(-top, top + 1):
            ctx.set(code, number & (1 << code_bits) - 1)
            for value in range(1 << act_bits):
                ctx.set(x, value)
                got = ctx.get(term)
                assert got == term_of(config, number, value), (number, value)
                reached.add(got)

    sim = Simulator(m)
    sim.add_testbench(testbench)
    sim.run()
    assert max(reached).bit_length() == config.term_bits


@pytest.mark.parametrize("select", ["shifter", "mux"])
def test_the_held_form_is_no_wider_than_it_must_be(select: Select) -> None:
    widths = [active_layout(EngineConfig(code_bits=b, select=select)).size for b in (2, 3, 4, 5)]
    assert widths == ([2, 3, 4, 5] if select == "mux" else [2, 4, 5, 6])
