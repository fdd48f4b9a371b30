"""The engine: AXI4 master, AXI4-Lite slave, interrupt; runs a program from memory."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from .axi import read_members, write_members
from .axilite import Registers, axilite_members
from .config import EngineConfig
from .core import Core
from .counters import Counters
from .wires import join


class Engine(wiring.Component):
    """One time-multiplexed engine that runs a network layer by layer from a program in memory.

    The host writes program and input to memory, the program's first descriptor address to
    PROGRAM, and starts the engine; it interrupts when the output is in memory or on an error.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    m_axi_* : AXI4 master (``bus_bits`` wide, 32-bit addresses, no IDs)
    s_axil_* : AXI4-Lite slave, see ``hw/registers.py``
    irq : Out(1)  level, high while an enabled interrupt is pending
    """

    irq: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            **read_members(config.bus_bits),
            **write_members(config.bus_bits),
            **axilite_members(),
            "irq": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.registers = registers = Registers(self.config)
        m.submodules.counters = counters = Counters(self.config)
        core = Core(self.config)
        core_reset = Signal()
        m.submodules.core = ResetInserter(core_reset)(core)

        join(m, axilite_members(), registers, self)
        for members in (read_members, write_members):
            join(m, members(self.config.bus_bits), core, self)

        # A soft reset waits until the bus is quiet: a burst once begun has to be finished.
        resetting = Signal()
        with m.If(registers.soft_reset):
            m.d.sync += resetting.eq(1)
        with m.Elif(core_reset):
            m.d.sync += resetting.eq(0)
        failed = Signal()
        with m.If(core.error_valid):
            m.d.sync += failed.eq(1)
        with m.Elif(core_reset):
            m.d.sync += failed.eq(0)
        # A register of its own: the net goes all over the die.
        m.d.sync += core_reset.eq(resetting & core.idle & ~core_reset)
        m.d.comb += [
            core.halt.eq(resetting | failed),
            core.start.eq(registers.start & ~resetting),
            core.program.eq(registers.program),
            core.base.eq(registers.base),
            core.limit.eq(registers.limit),
            registers.busy.eq(core.running | resetting),
            registers.blocked.eq(failed),
            registers.done.eq(core.done & ~resetting),
            registers.error.eq(core.error),
            registers.error_valid.eq(core.error_valid & ~resetting),
            registers.error_layer.eq(core.error_layer),
            registers.totals.eq(counters.totals),
            registers.record.eq(core.record),
            registers.record_layer.eq(core.record_layer),
            counters.clear.eq(core.start & ~core.running),
            counters.increment.eq(core.events),
            self.irq.eq(registers.irq),
        ]
        return m
