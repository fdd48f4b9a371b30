"""A stream FIFO of any payload shape."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Shape, ShapeLike
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

SHALLOW = 16  # entries: up to here LUT RAM and no extra latency, beyond it block RAM


class Queue(wiring.Component):
    """First in, first out.

    Latency 1 cycle up to 16 entries (LUT RAM, read asynchronously), 2 beyond (block RAM with an
    output register). Throughput one transfer per cycle. `i.ready` is low when full and never
    depends on `o.ready` in the same cycle. Empty after reset.

    Parameters
    ----------
    shape : shape-like
        Payload.
    depth : int
        Entries held, at least 1.

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
        kind = fifo.SyncFIFO if self.depth <= SHALLOW else fifo.SyncFIFOBuffered
        m.submodules.fifo = inner = kind(width=Shape.cast(self.shape).width, depth=self.depth)
        m.d.comb += [
            inner.w_data.eq(_bits(self.i.payload)),
            inner.w_en.eq(self.i.valid),
            self.i.ready.eq(inner.w_rdy),
            _bits(self.o.payload).eq(inner.r_data),
            self.o.valid.eq(inner.r_rdy),
            inner.r_en.eq(self.o.ready),
        ]
        return m


def _bits(payload: Any) -> Any:
    return payload.as_value() if hasattr(payload, "as_value") else payload
