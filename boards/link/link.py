"""The board's end of the link: bytes in, bytes out, memory and registers between."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...hw.wires import join
from ..wires import HOST_BYTES
from .handler import Handler, memory_port
from .receiver import FRAME, Receiver
from .registers import RegisterMaster
from .sender import Sender


class Link(wiring.Component):
    """Serve the requests of docs/reference/link.md.

    One request at a time: bytes that come between a frame's closing flag and the end of its reply
    are dropped. A write takes 2 cycles a byte and 2 a word beyond its frame.

    Parameters
    ----------
    words : int
        Words of 8 bytes in the memory.
    clock_hz : int
        The clock's frequency, which HELLO tells the host.
    board : int
        32 bits that say which board it is.

    Members
    -------
    i : In(stream.Signature(8, always_ready=True)), o : Out(stream.Signature(8))
        Bytes from and to the host.
    irq : In(1)
        The engine's.
    busy : Out(1)
        A request is being carried out or answered.
    damaged : Out(1)
        The last frame was refused as damaged.
    started : Out(1)
        Pulse: START has started the engine.
    mem_* : `handler.memory_port`
    m_axil_* : AXI4-Lite master
    """

    i: Any
    o: Any
    irq: Signal
    busy: Signal
    damaged: Signal
    started: Signal

    def __init__(self, words: int, clock_hz: int, board: int) -> None:
        self.handler = Handler(words, clock_hz, board)
        self._outer = {**memory_port(words), **RegisterMaster.bus()}
        super().__init__({
            **HOST_BYTES,
            "irq": In(1),
            "busy": Out(1),
            "damaged": Out(1),
            "started": Out(1),
            **self._outer,
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.receiver = receiver = Receiver()
        m.submodules.handler = handler = self.handler
        m.submodules.sender = sender = Sender()
        inner: Any = handler
        wiring.connect(m, wiring.flipped(self.i), receiver.i)
        wiring.connect(m, inner.o, sender.i)
        wiring.connect(m, sender.o, wiring.flipped(self.o))
        join(m, FRAME, receiver, inner)
        m.d.comb += [
            inner.sending.eq(sender.busy),
            inner.irq.eq(self.irq),
            self.busy.eq(receiver.valid),
            self.started.eq(inner.started),
        ]
        join(m, self._outer, inner, self)
        with m.If(receiver.valid):
            m.d.sync += self.damaged.eq(~receiver.good)
        return m
