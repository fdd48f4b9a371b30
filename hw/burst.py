"""Cutting a long request into AXI4 bursts."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import ADDR_BITS, BURST, LAST_BYTE, REQUEST


class BurstSplitter(wiring.Component):
    """Cut a request into bursts that end at multiples of `block` beats.

    Aligned blocks never cross 4 KiB (block x bus_bytes <= 4096), and need counters only: no
    length is ever compared with another. Latency 2 cycles from request to first burst; then one
    burst per 2 cycles; one more request 3 cycles after the last burst of the one before. The
    request is taken when the last burst of the one before has gone. `halt` drops the request
    at hand and any offered; a burst on offer is withdrawn (the only exception to the stream
    rules). Reset: idle.

    A burst with a byte outside `base`..`limit` is never offered: `outside` rises and stays until
    `halt`.

    Parameters
    ----------
    bus_bytes : int
        Bytes of one beat, a power of two.
    block : int
        Largest burst, in beats, a power of two, at most 256.
    beats_bits : int
        Bits of the largest request, in beats.

    Members
    -------
    i : In(stream.Signature(REQUEST))
        Bus-aligned byte address and 1..2**beats_bits - 1 beats.
    o : Out(stream.Signature(BURST))
        Byte address and length less 1.
    halt : In(1)
        Drop everything.
    idle : Out(1)
        Nothing at hand.
    base, limit : In(32)
        First and last byte that may be touched.
    outside : Out(1)
        The burst at hand would touch another.
    """

    i: Any
    o: Any
    halt: Signal
    idle: Signal
    base: Signal
    limit: Signal
    outside: Signal

    def __init__(self, bus_bytes: int, block: int, beats_bits: int) -> None:
        if block < 1 or block & (block - 1) or block > 256 or block * bus_bytes > 4096:
            raise ValueError(f"block must be a power of two of at most 4 KiB, not {block} beats")
        self.bus_bytes = bus_bytes
        self.block = block
        self.beats_bits = beats_bits
        super().__init__(
            {
                "i": In(stream.Signature(REQUEST)),
                "o": Out(stream.Signature(BURST)),
                "halt": In(1),
                "idle": Out(1),
                "base": In(ADDR_BITS),
                "limit": In(ADDR_BITS, init=LAST_BYTE),  # pyright: ignore[reportCallIssue]
                "outside": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Build the splitter."""
        m = Module()
        byte_bits = (self.bus_bytes - 1).bit_length()
        low_bits = (self.block - 1).bit_length()
        top = byte_bits + low_bits
        block_number = Signal(ADDR_BITS - top)
        low = Signal(low_bits)  # beat within the block, 0 after the first burst
        stop = Signal(max(self.beats_bits, low_bits) + 1)  # low + beats left
        left, stop_low = stop[low_bits:], stop[:low_bits]
        final = Signal()
        length = Signal(low_bits)

        m.d.comb += [
            self.o.p.addr.eq((block_number << top) | (low << byte_bits)),
            self.o.p.len.eq(length),
        ]
        # One adder for `stop`: beats + low at first, then a block less after each burst.
        idle, is_final = Signal(), Signal()
        following = Signal.like(stop)
        start = (self.i.p.addr >> byte_bits)[:low_bits]
        m.d.comb += [
            self.idle.eq(idle),
            is_final.eq((left == 0) | ((left == 1) & (stop_low == 0))),
            following.eq(
                Mux(idle, self.i.p.beats[: self.beats_bits], stop)
                + Mux(idle, start, (1 << len(stop)) - self.block)
            ),
        ]
        outside = Signal()
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), idle.eq(1)]
                with m.If(self.i.valid):
                    m.d.sync += [
                        block_number.eq(self.i.p.addr >> top),
                        low.eq(start),
                        stop.eq(following),
                    ]
                with m.If(self.i.valid & ~self.halt):
                    m.next = "LENGTH"
            with m.State("LENGTH"):
                m.d.sync += [final.eq(is_final), length.eq(Mux(is_final, stop_low, 0) + ~low)]
                m.d.sync += outside.eq(self._outside(block_number, low, is_final, stop_low))
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(~self.halt & ~outside)
                m.d.comb += self.outside.eq(outside)
                with m.If(self.o.ready & ~self.halt & ~outside):
                    m.d.sync += [
                        block_number.eq(block_number + 1),
                        low.eq(0),
                        stop.eq(following),
                    ]
                    m.next = "LENGTH"
                    with m.If(final):
                        m.next = "IDLE"
                with m.If(self.halt):
                    m.next = "IDLE"
        with m.If(self.halt):
            m.d.comb += self.i.ready.eq(1)
        return m

    def _outside(self, block_number: Any, low: Any, is_final: Any, stop_low: Any) -> Any:
        """Return whether the next burst leaves the window: comparisons only, no end address."""
        byte_bits = (self.bus_bytes - 1).bit_length()
        top = ADDR_BITS - len(block_number)
        lowest, highest = self.limit[:top], self.limit[top:]
        # Its last byte within the block: that of the last beat, or that of the block.
        last_beat = (stop_low - 1)[: len(stop_low)]
        past = Mux(
            is_final,
            Cat(C((1 << byte_bits) - 1, byte_bits), last_beat) > lowest,
            ~lowest.all(),
        )
        below = Cat(C(0, byte_bits), low, block_number) < self.base
        return below | (block_number > highest) | ((block_number == highest) & past)
