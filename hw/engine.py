"""The engine: AXI4 master, AXI4-Lite slave, interrupt; runs a program from memory."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .array import Array
from .axi import read_members, write_members
from .axilite import Registers, axilite_members
from .config import EngineConfig
from .control import Control
from .counters import Counters
from .drain import Drain
from .loader import Loader
from .ram import NO_COLLISIONS
from .reader import Reader
from .requantise import Requantise
from .sequencer import Sequencer
from .storer import Storer
from .weights import Weights


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

        for name in axilite_members():
            _join(m, self, registers, name)
        for name in (*read_members(self.config.bus_bits), *write_members(self.config.bus_bits)):
            _join(m, self, core, name)

        # A soft reset waits until the bus is quiet: a burst once begun has to be finished.
        resetting = Signal()
        with m.If(registers.soft_reset):
            m.d.sync += resetting.eq(1)
        with m.Elif(resetting & core.idle):
            m.d.sync += resetting.eq(0)
        failed = Signal()
        with m.If(core.error_valid):
            m.d.sync += failed.eq(1)
        with m.Elif(core_reset):
            m.d.sync += failed.eq(0)
        m.d.comb += [
            core_reset.eq(resetting & core.idle),
            core.halt.eq(resetting | failed),
            core.start.eq(registers.start & ~resetting),
            core.program.eq(registers.program),
            registers.busy.eq(core.running | resetting),
            registers.done.eq(core.done),
            registers.error.eq(core.error),
            registers.error_valid.eq(core.error_valid),
            registers.error_layer.eq(core.error_layer),
            registers.totals.eq(counters.totals),
            registers.record.eq(core.record),
            registers.record_layer.eq(core.record_layer),
            counters.clear.eq(core.start & ~core.running),
            counters.increment.eq(core.events),
            self.irq.eq(registers.irq),
        ]
        return m


class Core(wiring.Component):
    """Everything a soft reset resets: control, data path and bus masters."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            **read_members(config.bus_bits),
            **write_members(config.bus_bits),
            "start": In(1),
            "program": In(32),
            "halt": In(1),
            "idle": Out(1),
            "running": Out(1),
            "done": Out(1),
            "error": Out(8),
            "error_valid": Out(1),
            "error_layer": Out(16),
            "record": Out(1),
            "record_layer": Out(16),
            "events": Out(8),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        burst = config.burst_beats
        m.submodules.reader = reader = Reader(config, (16, 2 * burst, config.weight_fifo))
        m.submodules.control = control = Control(config)
        m.submodules.loader = loader = Loader(config)
        m.submodules.weights = weights = Weights(config)
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.array = array = Array(config)
        m.submodules.drain = drain = Drain(config)
        m.submodules.requantise = requantise = Requantise(config)
        m.submodules.storer = storer = Storer(config)
        for name in read_members(config.bus_bits):
            _join(m, self, reader, name)
        for name in write_members(config.bus_bits):
            _join(m, self, storer, name)

        for client, unit in enumerate((control, loader, weights)):
            wiring.connect(m, unit.request, reader.request(client))
            wiring.connect(m, reader.data(client), unit.data)
        wiring.connect(m, control.load, loader.i)
        wiring.connect(m, control.weights, weights.i)
        wiring.connect(m, control.band, sequencer.i)
        wiring.connect(m, sequencer.drain, drain.i)
        wiring.connect(m, drain.token, storer.token)
        wiring.connect(m, drain.o, requantise.i)
        wiring.connect(m, requantise.o, storer.i)

        # Activation buffer, and padding in place of its word.
        # The band being loaded is never the one being read.
        memory = Memory(
            shape=config.rows * config.act_bits, depth=config.buffer_words, init=[],
            attrs=NO_COLLISIONS,
        )  # fmt: skip
        m.submodules.activations = memory
        write, read = memory.write_port(), memory.read_port()
        padding = sequencer.pad_value[: config.act_bits].replicate(config.rows)
        m.d.comb += [
            write.addr.eq(loader.w_addr),
            write.data.eq(loader.w_data),
            write.en.eq(loader.w_en),
            read.addr.eq(sequencer.address),
        ]
        m.d.sync += array.acts.eq(Mux(sequencer.padding, padding, read.data))

        taken = sequencer.beat.valid & sequencer.beat.load
        m.d.comb += [
            array.beat.eq(sequencer.beat),
            array.codes.eq(weights.codes),
            array.drain.eq(drain.active),
            array.drain_bank.eq(drain.bank),
            array.drain_address.eq(drain.address),
            weights.taken.eq(taken),
            weights.release.eq(drain.release),
            weights.record_bank.eq(drain.bank),
            weights.record_index.eq(drain.record_index),
            sequencer.weights_ready.eq(weights.ready),
            sequencer.release.eq(drain.release),
            drain.landed.eq(array.landed),
            drain.acc.eq(array.drained),
            drain.records.eq(weights.records),
            control.start.eq(self.start),
            control.program.eq(self.program),
            control.load_done.eq(loader.done),
            control.busy.eq(sequencer.busy),
            control.stored.eq(storer.done),
            control.failed_read.eq(reader.error),
            control.failed_write.eq(storer.error),
            reader.halt.eq(self.halt),
            storer.halt.eq(self.halt),
            self.idle.eq(reader.idle & storer.idle),
        ]
        for name in ("running", "done", "error", "error_valid", "error_layer", "record",
                     "record_layer"):  # fmt: skip
            _join(m, self, control, name)
        waits = Cat(sequencer.wait_weights, control.wait_load, sequencer.wait_drain)
        other = control.running & ~sequencer.issued & ~waits.any()
        m.d.comb += self.events.eq(
            Cat(control.running, sequencer.issued, waits, reader.beat, storer.beat, other)
        )
        return m


def _join(m: Module, outer: Any, inner: Any, name: str) -> None:
    """Connect a member of an outer component with the inner member of the same name."""
    flow = outer.signature.members[name].flow
    source, target = (outer, inner) if flow is In else (inner, outer)
    m.d.comb += getattr(target, name).eq(getattr(source, name))
