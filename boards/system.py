"""What every board has inside: engine, memory and link on one clock."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from ..hw.axi import read_members, write_members
from ..hw.axilite import axilite_members
from ..hw.config import EngineConfig
from ..hw.engine import Engine
from ..hw.serial.engine import SerialEngine
from ..hw.serial.ports import memory_members
from ..hw.wires import join
from .link.handler import memory_port
from .link.link import Link
from .link.protocol import WORD_BYTES
from .memory import BUS_BITS, OnChipMemory
from .spram import SharedMemory
from .wires import HOST_BYTES


class System(wiring.Component):
    """An engine with its memory, run by a host over a stream of bytes.

    Parameters
    ----------
    config : EngineConfig
        With a bus of 64 bits.
    memory_bytes : int
        A multiple of 8 KiB.
    clock_hz : int
        The clock's frequency, which the link tells the host.
    board : int
        32 bits that say which board it is.
    serial : bool
        The serial engine in the memory of an iCE40 UltraPlus, and not the pipelined one in
        block RAM. Then ``memory_bytes`` is what it leaves of that.

    Members
    -------
    i : In(stream.Signature(8, always_ready=True)), o : Out(stream.Signature(8))
        Bytes from and to the host.
    running : Out(1)
        From a start until the engine is done or has failed.
    finished : Out(1)
        The engine is done or has failed (its `irq`).
    serving : Out(1)
        The link has a request.
    damaged : Out(1)
        The last frame was damaged.
    """

    i: Any
    o: Any
    running: Signal
    finished: Signal
    serving: Signal
    damaged: Signal

    def __init__(
        self,
        config: EngineConfig,
        memory_bytes: int,
        clock_hz: int,
        board: int,
        *,
        serial: bool = False,
    ) -> None:
        self.engine: Any = (SerialEngine if serial else Engine)(config)
        words = memory_bytes // WORD_BYTES
        self.memory: Any = SharedMemory(words) if serial else OnChipMemory(words)
        self._bus = (
            (memory_members(), ("mem", "engine"))
            if serial
            else ({**read_members(BUS_BITS), **write_members(BUS_BITS)}, ("m_axi", "s_axi"))
        )
        self.link = Link(memory_bytes // WORD_BYTES, clock_hz, board)
        super().__init__({
            **HOST_BYTES,
            "running": Out(1),
            "finished": Out(1),
            "serving": Out(1),
            "damaged": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.engine = engine = self.engine
        m.submodules.memory = memory = self.memory
        m.submodules.link = link = self.link
        wiring.connect(m, wiring.flipped(self.i), link.i)
        wiring.connect(m, link.o, wiring.flipped(self.o))
        members, rename = self._bus
        join(m, members, engine, memory, rename)
        join(m, axilite_members(), engine, link, ("s_axil", "m_axil"))
        join(m, memory_port(memory.words), link, memory)
        m.d.comb += [
            link.irq.eq(engine.irq),
            self.finished.eq(engine.irq),
            self.serving.eq(link.busy),
            self.damaged.eq(link.damaged),
        ]
        # The interrupt of the run before falls some cycles after a start.
        fresh = Signal()
        with m.If(link.started):
            m.d.sync += [self.running.eq(1), fresh.eq(0)]
        with m.Elif(~engine.irq):
            m.d.sync += fresh.eq(1)
        with m.Elif(fresh):
            m.d.sync += self.running.eq(0)
        return m
