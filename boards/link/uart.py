"""A serial line: 8 data bits, no parity, one stop bit."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

LEAST_DIVISOR = 4  # clock cycles per bit: fewer leave no middle of a bit to look at
BITS = 8
FRAME_BITS = BITS + 2  # with start and stop bit


def divisor_for(clock_hz: float, baud: float) -> int:
    """Return the clock cycles per bit, the nearest there are.

    Raises
    ------
    ValueError
        If the clock is too slow, or the rate would be off by more than 2.5 %.
    """
    divisor = max(round(clock_hz / baud), LEAST_DIVISOR)
    real = clock_hz / divisor
    if abs(real / baud - 1) > 0.025:
        raise ValueError(
            f"{baud:g} baud cannot be made from {clock_hz:g} Hz: the nearest is {real:.0f}"
        )
    return divisor


def _checked(divisor: int) -> int:
    if divisor < LEAST_DIVISOR:
        raise ValueError(f"divisor must be at least {LEAST_DIVISOR} cycles, not {divisor}")
    return divisor


class Receive(wiring.Component):
    """Bytes from a line. A byte whose stop bit is missing is dropped.

    Each bit is looked at once, in its middle; the byte comes half a bit after its stop bit began.

    Parameters
    ----------
    divisor : int
        Clock cycles per bit, at least 4.

    Members
    -------
    line : In(1)
        High when idle; may be asynchronous.
    o : Out(stream.Signature(8, always_ready=True))
    """

    line: Signal
    o: Any

    def __init__(self, divisor: int) -> None:
        self.divisor = _checked(divisor)
        super().__init__({"line": In(1), "o": Out(stream.Signature(8, always_ready=True))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.sync = FFSynchronizer(self.line, line, init=1)
        shift = Signal(BITS)
        left = Signal(range(FRAME_BITS + 1))  # bits to come, the start bit first
        wait = Signal(range(self.divisor))
        m.d.sync += self.o.valid.eq(0)
        with m.If(left == 0):
            with m.If(~line):
                m.d.sync += [left.eq(FRAME_BITS), wait.eq(self.divisor // 2 - 1)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [wait.eq(self.divisor - 1), left.eq(left - 1)]
            with m.If(left == FRAME_BITS):
                with m.If(line):  # no start bit after all
                    m.d.sync += left.eq(0)
            with m.Elif(left == 1):
                m.d.sync += [self.o.valid.eq(line), self.o.payload.eq(shift)]
            with m.Else():
                m.d.sync += shift.eq(Cat(shift[1:], line))
        return m


class Transmit(wiring.Component):
    """Bytes to a line.

    Parameters
    ----------
    divisor : int
        Clock cycles per bit, at least 4.

    Members
    -------
    i : In(stream.Signature(8))
    line : Out(1)
        High when idle.
    """

    i: Any
    line: Signal

    def __init__(self, divisor: int) -> None:
        self.divisor = _checked(divisor)
        super().__init__({
            "i": In(stream.Signature(8)),
            "line": Out(1, init=1),  # pyright: ignore[reportCallIssue]
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        shift = Signal(BITS + 1, init=(1 << (BITS + 1)) - 1)
        left = Signal(range(FRAME_BITS + 1))  # bits to go, the one on the line included
        wait = Signal(range(self.divisor))
        m.d.comb += [self.i.ready.eq(left == 0), self.line.eq(shift[0])]
        with m.If(left == 0):
            with m.If(self.i.valid):
                m.d.sync += [
                    shift.eq(Cat(Const(0, 1), self.i.payload)),
                    left.eq(FRAME_BITS),
                    wait.eq(self.divisor - 1),
                ]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [
                shift.eq(Cat(shift[1:], Const(1, 1))),
                left.eq(left - 1),
                wait.eq(self.divisor - 1),
            ]
        return m
