# amaranth: UnusedElaboratable=no
"""The serial line: sender and receiver of one design, and a line that is off."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from shiftwork.boards.link.uart import Receive, Transmit, divisor_for

from ..hw.bench import simulate, source, until

DATA = [0x00, 0xFF, 0x55, 0xAA, 0x7E, 0x01, 0x80]


class Loop(wiring.Component):
    """A line from a sender to a receiver, whose clock may differ by way of the divisor."""

    i: Any
    o: Any

    def __init__(self, divisor: int, other: int) -> None:
        self.divisors = divisor, other
        super().__init__({
            "i": In(stream.Signature(8)), "o": Out(stream.Signature(8, always_ready=True)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.transmit = transmit = Transmit(self.divisors[0])
        m.submodules.receive = receive = Receive(self.divisors[1])
        wiring.connect(m, wiring.flipped(self.i), transmit.i)
        wiring.connect(m, receive.o, wiring.flipped(self.o))
        m.d.comb += receive.line.eq(transmit.line)
        return m


@pytest.mark.parametrize("divisors", [(4, 4), (21, 21), (25, 25), (50, 48), (50, 52)])
def test_bytes_pass_back_to_back(divisors: tuple[int, int]) -> None:
    dut: Any = Loop(*divisors)
    got: list[int] = []

    async def collect(ctx: Any) -> None:
        for _ in DATA:
            got.extend(await until(ctx, dut.o.valid, dut.o.payload))

    simulate(dut, source(dut.i, DATA), collect, cycles=8_000)
    assert got == DATA


def test_a_byte_without_a_stop_bit_is_dropped() -> None:
    dut: Any = Receive(8)
    seen: list[int] = []

    async def drive(ctx: Any) -> None:
        frames = ["0" + "10100000" + "0", "1111", "0" + "01000000" + "1", "1111"]
        ctx.set(dut.line, 1)
        await ctx.tick().repeat(20)
        for bit in "".join(frames):
            ctx.set(dut.line, int(bit))
            for _ in range(8):
                _, _, valid, byte = await ctx.tick().sample(dut.o.valid, dut.o.payload)
                seen.extend([byte] if valid else [])

    simulate(dut, drive, cycles=2_000)
    assert seen == [0x02]


def test_a_short_pulse_is_no_start() -> None:
    dut: Any = Receive(16)

    async def drive(ctx: Any) -> None:
        for level, cycles in ((1, 20), (0, 4), (1, 300)):
            ctx.set(dut.line, level)
            for _ in range(cycles):
                _, _, valid = await ctx.tick().sample(dut.o.valid)
                assert not valid

    simulate(dut, drive, cycles=2_000)


def test_the_divisor_is_the_nearest_and_a_rate_that_is_off_is_refused() -> None:
    assert divisor_for(62.5e6, 3_000_000) == 21
    with pytest.raises(ValueError, match="baud cannot be made from"):
        divisor_for(10e6, 3_000_000)
