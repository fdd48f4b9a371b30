# amaranth: UnusedElaboratable=no
"""The processor against an interpreter of its instructions, with a host beside it."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from shiftwork.hw.serial.assembler import Assembler
from shiftwork.hw.serial.isa import INDEXED, OP_LSB, Input, Op, Output
from shiftwork.hw.serial.processor import Processor
from tests.hw.bench import simulate

WORD = 0xFFFF
ARITHMETIC = (Op.LD, Op.ADD, Op.ADC, Op.SUB, Op.SBC, Op.CMP, Op.AND, Op.OR, Op.XOR, Op.ST)
ALONE = (Op.SHR, Op.ROR, Op.SWAP, Op.SETX)


class Interpreter:
    """What the instructions mean, one after the other."""

    def __init__(self, program: list[int], memory: list[int], inputs: list[int]) -> None:
        self.program, self.memory = program, memory + [0] * (256 - len(memory))
        self.inputs = list(inputs)
        self.a = self.x = self.carry = self.at = self.link = 0
        self.outputs: list[tuple[int, int]] = []

    def _sum(self, value: int, carry: int) -> int:
        total = self.a + value + carry
        self.carry = total >> 16
        return total & WORD

    def step(self) -> None:
        word = self.program[self.at]
        self.at += 1
        op, low = Op(word >> OP_LSB), word & 0xFF
        place = low | self.x if word & INDEXED else low
        m = self.memory[place]
        taken = {Op.JMP: True, Op.JZ: self.a == 0, Op.JNZ: self.a != 0, Op.JC: self.carry == 1,
                 Op.JNC: self.carry == 0, Op.JN: self.a >> 15 == 1, Op.CALL: True}  # fmt: skip
        if op in taken:
            if op == Op.CALL:
                self.link = self.at
            if taken[op]:
                self.at = word & 0x7FF
        elif op == Op.RET:
            self.at = self.link
        elif op == Op.CMP:
            self._sum(~m & WORD, 1)
        elif op == Op.ST:
            self.memory[place] = self.a
        elif op in (Op.SHR, Op.ROR):
            above, self.carry = (self.carry if op == Op.ROR else 0), self.a & 1
            self.a = above << 15 | self.a >> 1
        elif op == Op.SETX:
            self.x = self.a & 0xFF
        elif op == Op.IN:
            self.a = self.inputs.pop(0)
        elif op == Op.OUT:
            self.outputs.append((low, self.a))
        else:
            self.a = {
                Op.LD: lambda: m, Op.ADD: lambda: self._sum(m, 0),
                Op.ADC: lambda: self._sum(m, self.carry), Op.SUB: lambda: self._sum(~m & WORD, 1),
                Op.SBC: lambda: self._sum(~m & WORD, self.carry), Op.AND: lambda: self.a & m,
                Op.OR: lambda: self.a | m, Op.XOR: lambda: self.a ^ m, Op.LDI: lambda: low,
                Op.SWAP: lambda: (self.a << 8 | self.a >> 8) & WORD,
            }[op]()  # fmt: skip


def random_program(rng: Random) -> Assembler:
    """Return instructions with branches forward, a subroutine and, in the end, a mark."""
    c = Assembler(128)
    for at in range(128):
        c.memory[at] = rng.choice([0, 1, WORD, 0x8000, rng.getrandbits(16)])
    for number in range(60):
        c.label(f"at {number}")
        kind = rng.randrange(8)
        if kind < 4:
            c.op(rng.choice(ARITHMETIC), rng.randrange(128), indexed=rng.random() < 0.2)
        elif kind == 4:
            op = rng.choice(ALONE)
            if op == Op.SETX:  # so that no index reaches the host's words
                c.op(Op.AND, c.const(0x7F))
            c.alone(op)
        elif kind == 5:
            c.read(rng.choice(list(Input)))
        elif kind == 6:
            c.out(rng.choice([port for port in Output if port != Output.FAIL]))
        else:
            branches = (Op.JMP, Op.JZ, Op.JNZ, Op.JC, Op.JNC, Op.JN)
            c.branch(rng.choice(branches), f"at {min(number + rng.randint(1, 4), 60)}")
        if rng.random() < 0.1:
            c.call("subroutine")
    c.label("at 60")
    c.out(Output.FAIL)
    c.label("end")
    c.jump("end")
    c.label("subroutine")
    c.ldi(rng.getrandbits(8))
    c.op(Op.ADD, 3)
    c.ret()
    return c


@pytest.mark.parametrize("seed", range(12))
def test_programs_do_what_the_interpreter_does(seed: int) -> None:
    rng = Random(seed)
    c = random_program(rng)
    words = c.finish()
    memory = [c.memory.get(at, 0) for at in range(128)]
    inputs = [rng.getrandbits(16) for _ in range(100)]
    model = Interpreter(words, memory, inputs)
    while not model.outputs or model.outputs[-1][0] != Output.FAIL:
        model.step()
    dut: Any = Processor(words, memory)
    outputs: list[tuple[int, int]] = []
    left = list(inputs)
    host_words = {at: rng.getrandbits(16) for at in range(240, 256)}

    async def ports(ctx: Any) -> None:
        taken = False
        while True:
            ctx.set(dut.hold, rng.random() < 0.4)
            _, _, reading, hold, write, port, value = await ctx.tick().sample(
                dut.reading, dut.hold, dut.write, dut.port, dut.value
            )
            if taken:  # the cycle of the IN is over
                left.pop(0)
            taken = bool(reading and not hold)
            ctx.set(dut.found, left[0] if left else 0)
            if write:
                outputs.append((port, value))

    async def access(ctx: Any, at: int, *, value: int = 0, strobe: int = 0) -> int:
        ctx.set(dut.host_address, at)
        ctx.set(dut.host_value, value)
        ctx.set(dut.host_write, strobe)
        ctx.set(dut.host_valid, 1)
        while not (await ctx.tick().sample(dut.host_ready))[2]:
            pass
        ctx.set(dut.host_valid, 0)
        return ctx.get(dut.host_found)

    async def host(ctx: Any) -> None:
        for at, value in host_words.items():
            await access(ctx, at, value=value, strobe=3)
        await access(ctx, 240, value=0x1234, strobe=1)
        host_words[240] = host_words[240] & 0xFF00 | 0x34
        for at in rng.sample(sorted(host_words), 8):
            assert await access(ctx, at) == host_words[at]
        while not outputs or outputs[-1][0] != Output.FAIL:
            await ctx.tick()
        found = [await access(ctx, at) for at in range(128)]
        assert found == model.memory[:128]

    simulate(dut, host, background=[ports], cycles=4000)
    assert outputs == model.outputs


def test_the_assembler_refuses_what_cannot_be() -> None:
    c = Assembler(255)
    c.label("here")
    for call, message in (
        (lambda: c.label("here"), "label 'here' is there twice"),
        (lambda: c.ldi(256), "an immediate must be in 0..255, not 256"),
        (lambda: c.branch(Op.ADD, "here"), "ADD is no branch"),
        (lambda: (c.variable("a"), c.variable("b")), "no room for variable 'b'"),
        (lambda: (c.jump("nowhere"), c.finish()), "no label 'nowhere'"),
        (lambda: Processor([], []), "a program must have 1 to 2048 instructions, not 0"),
        (lambda: Processor([0], [0] * 257), "the memory has 256 words, not 257"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
