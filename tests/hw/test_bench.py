"""The bench itself: it passes what is right and fails what is wrong."""

from random import Random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .bench import count_high, holds, receive, simulate, sink, source


class Register(wiring.Component):
    """One register; `fickle` drops valid after a cycle without a transfer."""

    i: Any
    o: Any

    def __init__(self, shape: Any, fickle: bool = False) -> None:
        self.fickle = fickle
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
            m.d.sync += self.o.payload.eq(self.i.payload)
        if self.fickle:
            with m.Else():
                m.d.sync += self.o.valid.eq(0)
        return m


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_values_arrive(stall: float) -> None:
    layout = data.StructLayout({"a": 8, "b": data.ArrayLayout(4, 2)})
    dut = Register(layout)
    rng = Random(1)
    values = [{"a": rng.randrange(256), "b": [rng.randrange(16), 3]} for _ in range(50)]
    transfers: list[int] = []
    simulate(
        dut,
        source(dut.i, values, rng=Random(2), stall=stall),
        sink(dut.o, values, rng=Random(3), stall=stall),
        background=[holds(dut.i), holds(dut.o), count_high(dut.o.valid & dut.o.ready, transfers)],
    )
    assert len(transfers) == 50
    if stall == 0:
        assert transfers[-1] - transfers[0] == 49  # one a cycle


def test_wrong_value_is_named() -> None:
    dut = Register(8)
    with pytest.raises(AssertionError, match="transfer 1: got 5, want 6"):
        simulate(dut, source(dut.i, [4, 5]), sink(dut.o, [4, 6]))


def test_receive_collects() -> None:
    dut = Register(8)
    got: list[int] = []
    simulate(dut, source(dut.i, range(9)), receive(dut.o, 9, got, rng=Random(4), stall=0.5))
    assert got == list(range(9))


def test_dropped_valid_is_found() -> None:
    dut = Register(8, fickle=True)
    with pytest.raises(AssertionError, match="valid fell"):
        simulate(
            dut,
            source(dut.i, range(20)),
            sink(dut.o, range(20), rng=Random(5), stall=0.7),
            background=[holds(dut.o)],
        )


def test_hang_is_found() -> None:
    dut = Register(8)
    with pytest.raises(TimeoutError, match="no end after 100 cycles"):
        simulate(dut, source(dut.i, [1]), sink(dut.o, [1, 2]), cycles=100)
