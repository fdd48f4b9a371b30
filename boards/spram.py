"""The iCE40 UltraPlus' single-port RAM: a memory of 128 KiB for the serial engine and the link."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from ..hw.plain import Plain
from ..hw.ram import NO_COLLISIONS
from ..hw.serial.ports import ADDRESS_BITS, MEMORY_WORDS, WORD_BYTES, memory_members
from .link.handler import memory_port

DEVICE = "iCE40UP5K"
BANK_BITS = 14  # address of an SB_SPRAM256KA: 16 384 words of 16 bits
HALF_BITS = 16
BITS = 8 * WORD_BYTES


class Spram(wiring.Component):
    """128 KiB of words of 4 bytes: four SB_SPRAM256KA on an iCE40UP5K, a `Memory` elsewhere.

    Nothing is in it at first. What a read found stands until the next access.

    Members
    -------
    mem_* : `hw.serial.ports.memory_members`, seen from the other side
    """

    mem_enable: Signal
    mem_write: Signal
    mem_address: Signal
    mem_value: Signal
    mem_found: Signal

    def __init__(self) -> None:
        super().__init__({name: member.flip() for name, member in memory_members().items()})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if getattr(platform, "device", None) == DEVICE:
            self._instances(m)
        else:
            self._memory(m)
        return m

    def _memory(self, m: Module) -> None:
        m.submodules.words = memory = Memory(
            shape=BITS, depth=MEMORY_WORDS, init=[], attrs=NO_COLLISIONS
        )
        read, write = memory.read_port(), memory.write_port(granularity=8)
        m.d.comb += [
            read.addr.eq(self.mem_address),
            read.en.eq(self.mem_enable & (self.mem_write == 0)),
            write.addr.eq(self.mem_address),
            write.data.eq(self.mem_value),
            write.en.eq(Mux(self.mem_enable, self.mem_write, 0)),
            self.mem_found.eq(read.data),
        ]

    def _instances(self, m: Module) -> None:
        """Two banks of two: the upper address bit picks a bank, a bit of the mask is a nibble's."""
        upper, was_upper = self.mem_address[BANK_BITS:], Signal(ADDRESS_BITS - BANK_BITS)
        mask = Cat(bit.replicate(2) for bit in self.mem_write)
        with m.If(self.mem_enable):
            m.d.sync += was_upper.eq(upper)
        found: list[Any] = []
        for bank in range(1 << len(upper)):
            outputs = Signal(BITS, name=f"found{bank}")
            for half in range(BITS // HALF_BITS):
                part = slice(HALF_BITS * half, HALF_BITS * (half + 1))
                nibbles = HALF_BITS // 4
                m.submodules[f"bank{bank}_{half}"] = Instance(
                    "SB_SPRAM256KA",
                    i_ADDRESS=self.mem_address[:BANK_BITS],
                    i_DATAIN=self.mem_value[part],
                    i_MASKWREN=mask[nibbles * half : nibbles * (half + 1)],
                    i_WREN=self.mem_write.any(),
                    i_CHIPSELECT=self.mem_enable & (upper == bank),
                    i_CLOCK=ClockSignal("sync"),
                    i_STANDBY=Const(0, 1), i_SLEEP=Const(0, 1), i_POWEROFF=Const(1, 1),
                    o_DATAOUT=outputs[part],
                )  # fmt: skip
            found.append(outputs)
        m.d.comb += self.mem_found.eq(Mux(was_upper, found[1], found[0]))


class SharedMemory(wiring.Component):
    """Give the link the cycles of a memory that the engine leaves.

    The engine's accesses go ahead. The link's word of 8 bytes takes two accesses; `mem_ready`
    comes the cycle after the second, `mem_r_valid` another one later. So the link does not depend
    on what the engine does in the same cycle, which was the slowest path.

    Parameters
    ----------
    words : int
        Words of 8 bytes that the link has, from 0 on.

    Members
    -------
    engine_* : `hw.serial.ports.memory_members`, seen from the other side
    mem_* : `link.handler.memory_port`, seen from the other side
    """

    def __init__(self, words: int) -> None:
        if not 0 < words <= MEMORY_WORDS * WORD_BYTES // 8:
            raise ValueError(
                f"the memory has 1 to {MEMORY_WORDS * WORD_BYTES // 8} words of 8 bytes, "
                f"not {words}"
            )
        self.words = words
        self.memory = Spram()
        super().__init__({
            **{name.replace("mem", "engine"): member.flip()
               for name, member in memory_members().items()},
            **{name: member.flip() for name, member in memory_port(words).items()},
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bus: Any = self
        m.submodules.memory = memory = self.memory
        upper, turn = Signal(), Signal()  # which half is next; it goes now
        low, high, came = Plain(BITS), Plain(BITS), Signal(2)
        m.d.comb += [
            turn.eq(bus.mem_valid & ~bus.engine_enable & ~bus.mem_ready),
            bus.engine_found.eq(memory.mem_found),
            bus.mem_r_data.eq(Cat(low, high)),
        ]
        with m.If(bus.engine_enable):
            m.d.comb += [
                memory.mem_enable.eq(1), memory.mem_write.eq(bus.engine_write),
                memory.mem_address.eq(bus.engine_address), memory.mem_value.eq(bus.engine_value),
            ]  # fmt: skip
        with m.Else():
            m.d.comb += [
                memory.mem_enable.eq(bus.mem_valid & ~bus.mem_ready),
                memory.mem_write.eq(bus.mem_write.replicate(WORD_BYTES)),
                memory.mem_address.eq(Cat(upper, bus.mem_address)),
                memory.mem_value.eq(bus.mem_data.word_select(upper, BITS)),
            ]
        m.d.sync += [
            upper.eq(upper ^ turn),
            came.eq(Cat(turn & ~upper, turn & upper)),
            bus.mem_ready.eq(turn & upper),
            bus.mem_r_valid.eq(bus.mem_ready & ~bus.mem_write),
        ]
        with m.If(came[0]):
            m.d.sync += low.eq(memory.mem_found)
        with m.If(came[1]):
            m.d.sync += high.eq(memory.mem_found)
        return m
