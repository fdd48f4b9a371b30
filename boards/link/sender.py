"""Frames to bytes: words in, an escaped and checked frame out."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .protocol import CRC_BYTES, ESCAPE, FLAG, FLIP, WORD_BYTES
from .receiver import CRC32

WORD = data.StructLayout({"data": 8 * WORD_BYTES, "last": 1})


class Sender(wiring.Component):
    """Send frames: flag, words with their lowest byte first, CRC-32 of them, flag.

    A byte per cycle at most. Reset: idle; a frame under way is cut off.

    Members
    -------
    i : In(stream.Signature(WORD))
        The words of a frame, the last one marked.
    o : Out(stream.Signature(8))
    busy : Out(1)
        A frame is under way: from its first word on until the closing flag is taken.
    """

    i: Any
    o: Any
    busy: Signal

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(WORD)),
            "o": Out(stream.Signature(8)),
            "busy": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.check = check = CRC32.create()
        shift = Signal(8 * WORD_BYTES)
        left = Signal(range(WORD_BYTES + 1))
        last, escaped = Signal(), Signal()
        byte, take = Signal(8), Signal()
        m.d.comb += [
            byte.eq(shift[:8]),
            check.data.eq(byte),
            self.busy.eq(1),
        ]

        def send(then: Any) -> None:
            """Put `byte` on the line, in two bytes where it has to be escaped."""
            special = Signal()
            m.d.comb += [special.eq((byte == FLAG) | (byte == ESCAPE)), self.o.valid.eq(1)]
            with m.If(escaped):
                m.d.comb += self.o.payload.eq(byte ^ FLIP)
            with m.Elif(special):
                m.d.comb += self.o.payload.eq(ESCAPE)
            with m.Else():
                m.d.comb += self.o.payload.eq(byte)
            with m.If(self.o.ready):
                m.d.sync += escaped.eq(special & ~escaped)
                with m.If(~special | escaped):
                    m.d.comb += take.eq(1)
                    m.d.sync += [shift.eq(shift >> 8), left.eq(left - 1)]
                    with m.If(left == 1):
                        then()

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.busy.eq(self.i.valid), check.start.eq(1)]
                with m.If(self.i.valid):
                    m.next = "OPEN"
            with m.State("OPEN"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                with m.If(self.o.ready):
                    m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    shift.eq(self.i.payload.data),
                    last.eq(self.i.payload.last),
                    left.eq(WORD_BYTES),
                ]
                with m.If(self.i.valid):
                    m.next = "BYTES"
            with m.State("BYTES"):
                m.d.comb += check.valid.eq(take)

                def next_word() -> None:
                    with m.If(last):
                        m.next = "CHECK"
                    with m.Else():
                        m.next = "WORD"

                send(next_word)
            with m.State("CHECK"):
                m.d.sync += [shift.eq(check.crc), left.eq(CRC_BYTES)]
                m.next = "CHECK BYTES"
            with m.State("CHECK BYTES"):

                def close() -> None:
                    m.next = "CLOSE"

                send(close)
            with m.State("CLOSE"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m
