"""The processor that controls the serial engine: an accumulator, a program and 256 words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..ram import NO_COLLISIONS
from .isa import BRANCH, INDEXED, OP_LSB, PORT, RAM_BITS, TARGET_BITS, WORD_BITS, Op

BLOCK_BITS = 4096  # of an iCE40's block RAM


class Processor(wiring.Component):
    """Run a program of `isa`: two cycles an instruction, more where a port makes it wait.

    In the first cycle an instruction's operand is read, in the second it acts and the next
    instruction is read. The host's port reads the memory in second cycles and writes it in first
    ones; while an instruction waits it can do both. Reset: begins at instruction 0; the memory
    keeps its contents.

    Parameters
    ----------
    program : sequence of int
        Instructions, at most 2048.
    memory : sequence of int
        What is in the 256 words at first.

    Members
    -------
    port : Out(8)                 port of an IN or OUT
    reading : Out(1)              first cycle of an IN
    hold : In(1)                  IN and OUT are to wait in their first cycle
    write : Out(1), value : Out(16)   second cycle of an OUT; accumulator
    found : In(16)                second cycle of an IN: what the port gives
    host_valid, host_ready        the host wants a word; it gets it
    host_write : In(2)            bytes to be written, none to read
    host_address : In(8), host_value : In(16)
    host_found : Out(16)          the cycle after a read
    """

    port: Signal
    reading: Signal
    hold: Signal
    write: Signal
    value: Signal
    found: Signal
    host_valid: Signal
    host_ready: Signal
    host_write: Signal
    host_address: Signal
    host_value: Signal
    host_found: Signal

    def __init__(self, program: Sequence[int], memory: Sequence[int]) -> None:
        if not 0 < len(program) <= 1 << TARGET_BITS:
            raise ValueError(
                f"a program must have 1 to {1 << TARGET_BITS} instructions, not {len(program)}"
            )
        if len(memory) > 1 << RAM_BITS:
            raise ValueError(f"the memory has {1 << RAM_BITS} words, not {len(memory)}")
        self.program, self.memory = list(program), list(memory)
        super().__init__({
            "port": Out(RAM_BITS), "reading": Out(1), "hold": In(1), "write": Out(1),
            "value": Out(WORD_BITS), "found": In(WORD_BITS),
            "host_valid": In(1), "host_ready": Out(1), "host_write": In(2),
            "host_address": In(RAM_BITS), "host_value": In(WORD_BITS),
            "host_found": Out(WORD_BITS),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.ram = ram = Memory(
            shape=WORD_BITS, depth=1 << RAM_BITS, init=self.memory, attrs=NO_COLLISIONS
        )
        read, write = ram.read_port(), ram.write_port(granularity=8)
        next_address, fetch = Signal(TARGET_BITS), Signal()
        word = self._rom(m, next_address, fetch)
        op, address = word[OP_LSB:], word[:RAM_BITS]

        begun, acting = Signal(), Signal()  # a first instruction is there; second cycle
        a, x, carry = self.value, Signal(RAM_BITS), Signal()
        following, link = Signal(TARGET_BITS), Signal(TARGET_BITS)  # of the next, to return to
        waits, reads, place = Signal(), Signal(), Signal(RAM_BITS)
        m.d.comb += [
            self.port.eq(address),
            self.reading.eq(begun & ~acting & (op == Op.IN)),
            waits.eq(begun & ~acting & (op[1:] == PORT >> 1) & self.hold),
            self.host_ready.eq(
                Mux(self.host_write.any(), ~acting, (acting & (op != Op.ST)) | waits | ~begun)
            ),
            self.host_found.eq(read.data),
            reads.eq(self.host_valid & ~self.host_write.any() & self.host_ready),
            place.eq(address | Mux(word[INDEXED.bit_length() - 1], x, 0)),
            read.addr.eq(place),
        ]
        with m.If(reads):
            m.d.comb += read.addr.eq(self.host_address)
        m.d.sync += [begun.eq(1), acting.eq(begun & ~acting & ~waits)]

        # Where to go on.
        taken = Signal()
        with m.Switch(op[:3]):
            with m.Case(Op.JZ & 7):
                m.d.comb += taken.eq(a == 0)
            with m.Case(Op.JNZ & 7):
                m.d.comb += taken.eq(a != 0)
            with m.Case(Op.JC & 7):
                m.d.comb += taken.eq(carry)
            with m.Case(Op.JNC & 7):
                m.d.comb += taken.eq(~carry)
            with m.Case(Op.JN & 7):
                m.d.comb += taken.eq(a[-1])
            with m.Default():
                m.d.comb += taken.eq(1)
        branch = (op & BRANCH) == BRANCH
        with m.If(~begun):  # whatever the last instruction before a reset was
            m.d.comb += next_address.eq(0)
        with m.Elif(op == Op.RET):
            m.d.comb += next_address.eq(link)
        with m.Elif(branch & taken):
            m.d.comb += next_address.eq(word[:TARGET_BITS])
        with m.Else():
            m.d.comb += next_address.eq(following)
        m.d.comb += fetch.eq(acting | ~begun)
        with m.If(fetch):
            m.d.sync += following.eq(next_address + 1)
        with m.If(acting & (op == Op.CALL)):
            m.d.sync += link.eq(following)

        # Arithmetic by one adder: LD adds to nothing.
        negative, with_carry = Signal(), Signal()
        left, right, carry_in = Signal(WORD_BITS), Signal(WORD_BITS), Signal()
        total = Signal(WORD_BITS + 2)
        m.d.comb += [
            negative.eq((op == Op.SUB) | (op == Op.SBC) | (op == Op.CMP)),
            with_carry.eq((op == Op.ADC) | (op == Op.SBC)),
            left.eq(Mux(op == Op.LD, 0, a)),
            right.eq(read.data ^ negative.replicate(WORD_BITS)),
            carry_in.eq(Mux(with_carry, carry, negative)),
            total.eq(Cat(1, left) + Cat(carry_in, right)),
        ]
        result, changes = Signal(WORD_BITS), Signal()
        m.d.comb += [changes.eq(1), result.eq(total[1:])]
        with m.Switch(op):
            with m.Case(Op.AND):
                m.d.comb += result.eq(a & read.data)
            with m.Case(Op.OR):
                m.d.comb += result.eq(a | read.data)
            with m.Case(Op.XOR):
                m.d.comb += result.eq(a ^ read.data)
            with m.Case(Op.LDI):
                m.d.comb += result.eq(address)
            with m.Case(Op.SHR):
                m.d.comb += result.eq(a[1:])
            with m.Case(Op.ROR):
                m.d.comb += result.eq(Cat(a[1:], carry))
            with m.Case(Op.SWAP):
                m.d.comb += result.eq(Cat(a[8:], a[:8]))
            with m.Case(Op.IN):
                m.d.comb += result.eq(self.found)
            with m.Case(Op.LD, Op.ADD, Op.ADC, Op.SUB, Op.SBC):
                pass
            with m.Default():
                m.d.comb += changes.eq(0)
        with m.If(acting):
            with m.If(changes):
                m.d.sync += a.eq(result)
            with m.Switch(op):
                with m.Case(Op.ADD, Op.ADC, Op.SUB, Op.SBC, Op.CMP):
                    m.d.sync += carry.eq(total[-1])
                with m.Case(Op.SHR, Op.ROR):
                    m.d.sync += carry.eq(a[0])
                with m.Case(Op.SETX):
                    m.d.sync += x.eq(a)
        m.d.comb += self.write.eq(acting & (op == Op.OUT))

        # The address that is read in the first cycle may be written in the second.
        m.d.comb += [write.addr.eq(place), write.data.eq(a)]
        with m.If(acting):
            m.d.comb += write.en.eq((op == Op.ST).replicate(2))
        with m.Elif(self.host_valid):
            m.d.comb += [
                write.addr.eq(self.host_address),
                write.data.eq(self.host_value),
                write.en.eq(self.host_write),
            ]
        return m

    def _rom(self, m: Module, address: Signal, enable: Signal) -> Value:
        """Return the word of an address, from the next cycle on.

        Side by side as many block RAMs of 4 kbit as there are, each as deep as the program: one
        behind the other would need a multiplexer, and be slower.
        """
        depth = 1 << max((len(self.program) - 1).bit_length(), RAM_BITS)
        width = max(BLOCK_BITS // depth, 1)
        parts: list[Value] = []
        for low in range(0, WORD_BITS, width):
            part = [word >> low & ((1 << width) - 1) for word in self.program]
            m.submodules[f"rom{low}"] = rom = Memory(shape=width, depth=depth, init=part)
            port = rom.read_port()
            m.d.comb += [port.addr.eq(address), port.en.eq(enable)]
            parts.append(port.data)
        return Cat(parts)
