"""A stream FIFO of any payload shape."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .geometry import SHALLOW
from .plain import Plain
from .ram import NO_COLLISIONS


class Queue(wiring.Component):
    """First in, first out.

    Latency 1 cycle up to 16 entries (LUT RAM, read asynchronously), 3 beyond (block RAM, whose data
    come late in a cycle, with a register behind it). Throughput one transfer per cycle. `i.ready`
    is low when full and never depends on `o.ready` in the same cycle. Empty after reset.

    Parameters
    ----------
    shape : shape-like
        Payload.
    depth : int
        Entries held, at least 1; two more beyond 16.

    Members
    -------
    i : In(stream.Signature(shape))
    o : Out(stream.Signature(shape))
    """

    i: Any
    o: Any

    def __init__(self, shape: ShapeLike, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1 entry, not {depth}")
        self.shape = shape
        self.depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: Any) -> Module:
        """Build the queue."""
        m = Module()
        if self.depth <= SHALLOW:
            m.submodules.fifo = inner = fifo.SyncFIFO(
                width=Shape.cast(self.shape).width, depth=self.depth
            )
            m.d.comb += [
                inner.w_data.eq(_bits(self.i.payload)),
                inner.w_en.eq(self.i.valid),
                self.i.ready.eq(inner.w_rdy),
                _bits(self.o.payload).eq(inner.r_data),
                self.o.valid.eq(inner.r_rdy),
                inner.r_en.eq(self.o.ready),
            ]
        else:
            self._block(m)
        return m

    def _block(self, m: Module) -> None:
        """Block RAM; its own output and the register behind it hold an entry more each."""
        width = Shape.cast(self.shape).width
        m.submodules.memory = memory = Memory(
            shape=width, depth=self.depth, init=[], attrs=NO_COLLISIONS
        )
        write, read = memory.write_port(), memory.read_port()
        stored = Signal(range(self.depth + 1))  # entries in the memory
        put, fetch, fetched, move = (Signal(name=n) for n in ("put", "fetch", "fetched", "move"))
        out = Plain(width, name="out")
        m.d.comb += [
            self.i.ready.eq(stored != self.depth),
            put.eq(self.i.valid & self.i.ready),
            move.eq(~self.o.valid | self.o.ready),
            fetch.eq((stored != 0) & (~fetched | move)),
            write.data.eq(_bits(self.i.payload)),
            write.en.eq(put),
            read.en.eq(fetch),
            _bits(self.o.payload).eq(out),
        ]
        m.d.sync += stored.eq(stored + put - fetch)
        with m.If(put):
            m.d.sync += write.addr.eq(Mux(write.addr == self.depth - 1, 0, write.addr + 1))
        with m.If(fetch):
            m.d.sync += read.addr.eq(Mux(read.addr == self.depth - 1, 0, read.addr + 1))
        with m.If(fetch | move):
            m.d.sync += fetched.eq(fetch)
        with m.If(move):
            m.d.sync += self.o.valid.eq(fetched)
        with m.If(move & fetched):
            m.d.sync += out.eq(read.data)


def _bits(payload: Any) -> Any:
    return payload.as_value() if hasattr(payload, "as_value") else payload
