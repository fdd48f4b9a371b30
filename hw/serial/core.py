"""The serial engine without its bus: processor, units, and who has the memory."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..counters import COUNTER_BITS
from ..plain import Plain
from .beats import COORDINATE_BITS, Beats
from .drain import Drain
from .isa import RAM_BITS, WORD_BITS, Input, Output
from .microcode import assemble
from .ports import ADDRESS_BITS, WORD_BYTES, memory_members
from .processor import Processor


def core_members() -> dict[str, Any]:
    """Return what the core shares with the slave of the registers.

    `running` is high from a start until `done` or `fail` pulses; `host_*` as of `Processor`.
    """
    return {
        "running": In(1), "done": Out(1), "fail": Out(1),
        "host_valid": In(1), "host_ready": Out(1), "host_write": In(2),
        "host_address": In(RAM_BITS), "host_value": In(WORD_BITS), "host_found": Out(WORD_BITS),
    }  # fmt: skip


class SerialCore(wiring.Component):
    """Processor, beats, drain and copying take turns; an instruction that needs a unit waits.

    An IN, or an OUT to a register of the units, waits until no unit reads it any more; an OUT that
    starts one until all have ended.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    of `core_members`
    mem_*       `ports.memory_members`
    """

    running: Signal
    done: Signal
    fail: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({**core_members(), **memory_members()})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        bus: Any = self
        m.submodules.processor = cpu = Processor(*assemble(config))
        m.submodules.beats = beats = Beats(config)
        m.submodules.drain = drain = Drain(config)
        for name in ("host_valid", "host_write", "host_address", "host_value"):
            m.d.comb += getattr(cpu, name).eq(getattr(self, name))
        for name in ("host_ready", "host_found"):
            m.d.comb += getattr(self, name).eq(getattr(cpu, name))

        # Registers of the units.
        sizes = {
            Output.MAR: ADDRESS_BITS, Output.POINTER: ADDRESS_BITS, Output.COUNT: COORDINATE_BITS,
            Output.TAP_BASE: len(beats.tap_base), Output.TAP_X: COORDINATE_BITS,
            Output.TAP_Y: COORDINATE_BITS, Output.IN_WIDTH: COORDINATE_BITS,
            Output.IN_HEIGHT: COORDINATE_BITS, Output.PAD: 8, Output.LIMITS: 16,
            Output.INDEX: len(beats.entry_address),
        }  # fmt: skip
        held = {port: Plain(size, name=port.name.lower()) for port, size in sizes.items()}
        address, pointer, count = (
            held[Output.MAR], held[Output.POINTER], held[Output.COUNT],
        )  # fmt: skip
        index, value = held[Output.INDEX], cpu.value

        def at(port: Output) -> Any:
            return cpu.write & (cpu.port[:5] == port)

        for port, register in held.items():
            with m.If(at(port)):
                m.d.sync += register.eq(value)
        m.d.comb += [
            beats.pixels.eq(count), beats.tap_base.eq(held[Output.TAP_BASE]),
            beats.tap_x.eq(held[Output.TAP_X]), beats.tap_y.eq(held[Output.TAP_Y]),
            beats.in_width.eq(held[Output.IN_WIDTH]), beats.in_height.eq(held[Output.IN_HEIGHT]),
            beats.pad.eq(held[Output.PAD]),
            beats.entry_valid.eq(at(Output.ENTRY)), beats.entry_address.eq(index),
            beats.entry.eq(value), beats.codes_address.eq(pointer),
            beats.go.eq(at(Output.BEATS)), beats.load.eq(value[2]), beats.found.eq(bus.mem_found),
            drain.pixels.eq(count), drain.limits.eq(held[Output.LIMITS]),
            drain.record_valid.eq(at(Output.RECORD)), drain.record.eq(value),
            drain.go.eq(at(Output.DRAIN)), drain.acc.eq(beats.acc),
            beats.acc_address.eq(drain.acc_address),
            self.done.eq(at(Output.DONE)), self.fail.eq(at(Output.FAIL)),
        ]  # fmt: skip
        with m.If(at(Output.ENTRY)):
            m.d.sync += index.eq(index + 1)
        with m.If(at(Output.BEATS)):
            m.d.sync += [
                beats.first.eq(value[0]), beats.maximum.eq(value[1]), beats.shift.eq(value[3:]),
            ]  # fmt: skip
        enables, group = Plain(WORD_BYTES), Plain(len(drain.group))
        m.d.comb += drain.group.eq(group)
        with m.If(at(Output.DRAIN)):
            m.d.sync += [enables.eq(value), group.eq(value[WORD_BYTES:])]

        # Copying: a word is read, then written.
        copying, reads = Signal(), Signal()
        with m.If(at(Output.COPY)):
            m.d.sync += [copying.eq(1), reads.eq(1)]
        with m.Elif(copying):
            m.d.sync += reads.eq(~reads)
            with m.If(reads):
                m.d.sync += [address.eq(address + 1), count.eq(count - 1)]
            with m.Elif(count == 0):
                m.d.sync += copying.eq(0)

        # The memory: of the units one at most works at a time.
        # The processor's reads come a cycle late, so that its decoder is not before the memory.
        working, wants, asks = Signal(), Signal(), Signal()
        m.d.comb += [
            working.eq(beats.reading | copying | drain.busy | (beats.busy & cpu.port[4])),
            wants.eq(cpu.reading & (cpu.port[1:3] == 0)),
            cpu.hold.eq(working | (wants & ~asks)),
            bus.mem_enable.eq(beats.enable | copying | drain.write | asks),
            bus.mem_address.eq(Mux(beats.enable, beats.address, address)),
            bus.mem_value.eq(Mux(copying, bus.mem_found, drain.value)),
        ]
        with m.If((copying & ~reads) | drain.write):
            m.d.comb += bus.mem_address.eq(pointer)
        with m.If(copying & ~reads):
            m.d.comb += bus.mem_write.eq(~0)
        with m.Elif(drain.write):
            m.d.comb += bus.mem_write.eq(enables)
        m.d.sync += asks.eq(wants & ~working & ~asks)
        with m.If(asks & (cpu.port[:3] == Input.HIGH)):
            m.d.sync += address.eq(address + 1)
        with m.If(beats.next_codes | drain.write | (copying & ~reads)):
            m.d.sync += pointer.eq(pointer + 1)

        # What IN finds: of the memory, what was read in the cycle before.
        cycles = Signal(COUNTER_BITS)
        was_running = Signal()
        m.d.sync += was_running.eq(self.running)
        with m.If(self.running):
            m.d.sync += cycles.eq(Mux(was_running, cycles + 1, 1))
        with m.Switch(cpu.port[:3]):
            with m.Case(Input.LOW):
                m.d.comb += cpu.found.eq(bus.mem_found[:WORD_BITS])
            with m.Case(Input.HIGH):
                m.d.comb += cpu.found.eq(bus.mem_found[WORD_BITS:])
            with m.Case(Input.STATE):
                m.d.comb += cpu.found.eq(self.running)
            with m.Case(Input.CYCLES):
                m.d.comb += cpu.found.eq(cycles[:WORD_BITS])
            with m.Default():
                m.d.comb += cpu.found.eq(cycles[WORD_BITS:])
        return m
