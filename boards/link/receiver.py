"""Frames from bytes: kept whole and checked before anyone may act on them."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import crc, wiring  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...hw.ram import NO_COLLISIONS
from ..wires import HOST_BYTES
from .protocol import ESCAPE, FLAG, FLIP, HEADER, MAX_DATA, OVERHEAD

CRC32 = crc.catalog.CRC32_ISO_HDLC(data_width=8)
BUFFER_BYTES = 2048  # one block RAM; a frame is 1036 bytes at most

#: Members of `Receiver` through which a held frame is read.
FRAME = {
    "valid": Out(1),
    "good": Out(1),
    "number": Out(8),
    "command": Out(8),
    "count": Out(16),
    "argument": Out(32),
    "length": Out(range(MAX_DATA + 1)),
    "address": In(range(MAX_DATA)),
    "data": Out(8),
    "release": In(1),
}


class Receiver(wiring.Component):
    """Take frames off a stream of bytes, one at a time.

    A frame is held, with its bytes in a buffer, until `release`; bytes that come meanwhile are
    dropped, and after it everything up to the next flag is. What has no bytes between two flags is
    no frame.

    Latency 1 cycle from the closing flag to `valid`, from `address` to `data` too. Reset: waiting
    for a flag.

    Members
    -------
    i : In(stream.Signature(8, always_ready=True))
        A byte may come every cycle.
    valid : Out(1)
        A frame is held.
    good : Out(1)
        Its length and its check are right; the rest means nothing otherwise.
    number, command : Out(8), count : Out(16), argument : Out(32)
        The header.
    length : Out(11)
        Bytes of data.
    address : In(10), data : Out(8)
        The data, from 0 on.
    release : In(1)
        Pulse: done with it.
    """

    i: Any
    valid: Signal
    good: Signal
    number: Signal
    command: Signal
    count: Signal
    argument: Signal
    length: Signal
    address: Signal
    data: Signal
    release: Signal

    def __init__(self) -> None:
        super().__init__({"i": HOST_BYTES["i"], **FRAME})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.check = check = CRC32.create()
        m.submodules.buffer = buffer = Memory(
            shape=8, depth=BUFFER_BYTES, init=[], attrs=NO_COLLISIONS
        )
        write, read = buffer.write_port(), buffer.read_port()
        most = MAX_DATA + OVERHEAD
        hunting = Signal(init=1)  # no flag yet
        escaped, bad = Signal(), Signal()
        taken = Signal(range(most + 1))  # bytes of this frame so far
        header = Signal(8 * HEADER.size)
        byte, keep = Signal(8), Signal()

        m.d.comb += [
            byte.eq(self.i.payload ^ (escaped << FLIP.bit_length() - 1)),
            check.data.eq(byte),
            check.valid.eq(keep),
            write.addr.eq(taken),
            write.data.eq(byte),
            write.en.eq(keep),
            read.addr.eq(self.address + HEADER.size),
            self.data.eq(read.data),
            Cat(self.number, self.command, self.count, self.argument).eq(header),
        ]
        with m.If(self.release):
            m.d.sync += self.valid.eq(0)
        with m.If(self.i.valid & self.valid):
            m.d.sync += hunting.eq(1)
        with m.Elif(self.i.valid & (self.i.payload == FLAG)):
            m.d.comb += check.start.eq(1)
            m.d.sync += [
                hunting.eq(0),
                escaped.eq(0),
                bad.eq(0),
                taken.eq(0),
                self.valid.eq(~hunting & ((taken != 0) | escaped)),
                self.good.eq(~bad & ~escaped & (taken >= OVERHEAD) & check.match_detected),
                self.length.eq(taken - OVERHEAD),
            ]
        with m.Elif(self.i.valid & ~hunting):
            with m.If((self.i.payload == ESCAPE) & ~escaped):
                m.d.sync += escaped.eq(1)
            with m.Else():
                m.d.sync += escaped.eq(0)
                with m.If(taken == most):
                    m.d.sync += bad.eq(1)
                with m.Else():
                    m.d.comb += keep.eq(1)
                    m.d.sync += taken.eq(taken + 1)
                    with m.If(taken < HEADER.size):
                        m.d.sync += header.eq(Cat(header[8:], byte))
        return m
