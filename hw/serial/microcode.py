"""The program of the serial engine's processor: what it does with a program of descriptors.

Words of the processor's memory, each a half of 32 bits, lower half first: the host's registers,
from 64 on the descriptor, from 128 on variables and constants.

Descriptors are worked off one after the other: fetched and checked (`judge`), the band copied to
the buffer (`loops.load`), then tile after tile, and in it column block after column block
(`loops.compute`): every block of codes is a start of `Beats`, in the order of the pipelined
engine's sequencer; then `Drain` writes the outputs. What a descriptor waits for has always been
done. Addresses are in words of 4 bytes, modulo 2^16: twice what the memory has, so that what lies
beyond it on either side is seen.
"""

from __future__ import annotations

from functools import cache

from ..config import EngineConfig
from ..descriptor import DESCRIPTOR_BYTES, ErrorCode
from ..registers import REGISTER
from .fields import DESCRIPTOR, VARIABLES, Microcode, half
from .isa import RAM_BITS, Input, Op, Output
from .judge import error, judge
from .loops import check_inside, compute, load
from .ports import MEMORY_WORDS, WORD_BYTES
from .registers import first_words

DESCRIPTOR_WORDS = DESCRIPTOR_BYTES // WORD_BYTES
NOWHERE = 0x8000  # a word address that no sum with another brings back into the memory


def register(name: str) -> int:
    """Return the address of a register's lower half."""
    return REGISTER[name].offset // 2


@cache
def assemble(config: EngineConfig) -> tuple[list[int], list[int]]:
    """Return the processor's instructions, and its memory after power-up."""
    c = Microcode()
    _begin(c, config)
    _fetch(c)
    judge(c, config)
    load(c, config)
    compute(c, config)
    _next(c)
    _errors(c)
    _inside(c)
    _word_address(c)
    registers = first_words(config)
    memory = [0] * (1 << RAM_BITS)
    memory[: len(registers)] = registers
    for at, value in c.memory.items():
        memory[at] = value
    assert len(registers) <= DESCRIPTOR
    return c.finish(), memory


def _begin(c: Microcode, config: EngineConfig) -> None:
    """Wait for a start; work out the first word of the window and the one after the last."""
    c.clear(register("ERROR"), register("ERROR") + 1)
    c.label("idle")
    c.read(Input.STATE)
    c.branch(Op.JZ, "idle")
    c.clear(register("ERROR"), register("ERROR") + 1, "completed", "layer")
    end = MEMORY_WORDS - config.buffer_words
    # Words wholly within BASE..LIMIT: from the next multiple of 4 on, up to the last one.
    c.ld(register("BASE"))
    c.op(Op.ADD, c.const(WORD_BYTES - 1))
    c.st("low")
    c.ld(register("BASE") + 1)
    c.op(Op.ADC, c.const(0))
    c.st("high")
    c.ld(c.const(NOWHERE))
    c.branch(Op.JC, "base known")
    c.call("word address")
    c.label("base known")
    c.st("window_begin")
    c.ld(register("LIMIT"))
    c.op(Op.ADD, c.const(1))
    c.st("low")
    c.ld(register("LIMIT") + 1)
    c.op(Op.ADC, c.const(0))
    c.st("high")
    c.branch(Op.JC, "whole")
    c.call("word address")
    c.st("window_end")
    c.op(Op.CMP, c.const(end))
    c.branch(Op.JNC, "window known")
    c.label("whole")
    c.copy("window_end", c.const(end))
    c.label("window known")
    c.copy("low", register("PROGRAM"))
    c.copy("high", register("PROGRAM") + 1)
    c.call("word address")
    c.op(Op.AND, c.const(~1))  # bits below a bus beat are ignored
    c.st("program")


def _fetch(c: Microcode) -> None:
    """Read the descriptor, and sum up its words."""
    c.label("descriptor")
    check_inside(c, "program", c.const(DESCRIPTOR_WORDS))
    c.out(Output.MAR, "program")
    c.clear("sum_low", "sum_high")
    c.ldi(DESCRIPTOR)
    c.st("to")
    c.label("fetch")
    c.ld("to")
    c.alone(Op.SETX)
    c.read(Input.LOW)
    c.op(Op.ST, 0, indexed=True)
    c.op(Op.ADD, "sum_low")
    c.st("sum_low")
    c.read(Input.HIGH)
    c.op(Op.ST, 1, indexed=True)
    c.op(Op.ADC, "sum_high")
    c.st("sum_high")
    c.add_to("to", c.const(2))
    c.op(Op.XOR, c.const(VARIABLES))
    c.branch(Op.JNZ, "fetch")
    c.copy("layer", half("layer"))


def _next(c: Microcode) -> None:
    """Go on to the next descriptor, or end."""
    c.add_to("completed", c.const(1))
    c.add_to("program", c.const(DESCRIPTOR_WORDS))
    c.field("last")
    c.branch(Op.JZ, "descriptor")
    _tell_cycles(c, "cycles of a run")
    c.out(Output.DONE)
    c.jump("idle")


def _tell_cycles(c: Microcode, label: str) -> None:
    """Tell the count of cycles, which goes on meanwhile: again if its lower half began anew."""
    c.label(label)
    for half_word, port in enumerate((Input.CYCLES, Input.CYCLES_HIGH)):
        c.read(port)
        c.st(register("TOTAL0") + half_word)
    c.read(Input.CYCLES)
    c.op(Op.CMP, register("TOTAL0"))
    c.branch(Op.JNC, label)


def _errors(c: Microcode) -> None:
    """Tell an error's code and layer, and stop until reset."""
    for code in ErrorCode:
        if code not in (ErrorCode.NONE, ErrorCode.READ, ErrorCode.WRITE):
            c.label(error(code))
            c.ldi(code)
            c.jump("error")
    c.label("error")
    c.st(register("ERROR"))
    c.copy(register("ERROR") + 1, "layer")
    _tell_cycles(c, "cycles until an error")
    c.out(Output.FAIL)
    c.label("stopped")
    c.jump("stopped")


def _inside(c: Microcode) -> None:
    """Check that the ``words`` words from A on are in the window."""
    c.label("inside")
    c.op(Op.CMP, "window_begin")
    c.branch(Op.JNC, error(ErrorCode.ADDRESS))
    c.op(Op.ADD, "words")
    c.branch(Op.JC, error(ErrorCode.ADDRESS))
    c.st("behind")
    c.unless_not_above("behind", "window_end", error(ErrorCode.ADDRESS))
    c.ret()


def _word_address(c: Microcode) -> None:
    """Return in A the byte address or stride in ``high`` and ``low`` as words, modulo 2^16.

    `NOWHERE` for one that 17 bits and a sign do not hold.
    """
    c.label("word address")
    for _ in range(2):
        for name, shift in (("high", Op.SHR), ("low", Op.ROR)):
            c.ld(name)
            c.alone(shift)
            c.st(name)
    c.branch(Op.JN, "below zero")
    c.ld("high")
    c.branch(Op.JNZ, "nowhere")
    c.ld("low")
    c.ret()
    c.label("below zero")
    c.ld("high")
    c.op(Op.XOR, c.const(0x3FFF))
    c.branch(Op.JNZ, "nowhere")
    c.ld("low")
    c.ret()
    c.label("nowhere")
    c.ld(c.const(NOWHERE))
    c.ret()
