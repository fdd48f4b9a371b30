"""The serial engine's registers: those of the map, by AXI4-Lite, whatever the processor does."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from shiftwork.hw.config import preset
from shiftwork.hw.descriptor import ErrorCode
from shiftwork.hw.registers import REGISTER, REGISTERS, Access, constants
from shiftwork.hw.serial.engine import SerialEngine
from tests.hw.bench import simulate, until
from tests.hw.test_axilite import SLVERR, Host

CONFIG = preset("tiny")
BUSY, DONE, ERROR, BLOCKED = (1 << n for n in range(4))


def at(name: str) -> int:
    return REGISTER[name].offset


def run(testbench: Any, *, cycles: int = 20_000, seed: int = 1, stall: float = 0.0) -> None:
    dut: Any = SerialEngine(CONFIG)

    async def host(ctx: Any) -> None:
        await testbench(ctx, dut, Host(ctx, dut, Random(seed), stall))

    simulate(dut, host, cycles=cycles)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_what_is_written_is_read_and_constants_stay(stall: float) -> None:
    async def testbench(ctx: Any, dut: Any, host: Host) -> None:
        rng, wanted = Random(2), {}
        for (name, field), value in constants(CONFIG).items():
            wanted[name] = wanted.get(name, 0) | value << REGISTER[name].field(field).lsb
        for register in REGISTERS:
            if register.name in ("CONTROL", "STATUS"):
                continue
            value, mask = rng.getrandbits(32), 0
            for field in register.fields:
                if field.access is Access.RW:
                    mask |= ((1 << field.bits) - 1) << field.lsb
            before = wanted.get(register.name, 0)
            before |= sum(f.reset << f.lsb for f in register.fields if f.access is Access.RW)
            assert await host.read(register.offset) == before, register.name
            await host.write(register.offset, value)
            wanted[register.name] = before & ~mask | value & mask
        for name, value in wanted.items():
            assert await host.read(at(name)) == value, name

    run(testbench, stall=stall, seed=5)


def test_strobes_and_what_is_not_there() -> None:
    async def testbench(ctx: Any, dut: Any, host: Host) -> None:
        await host.write(at("PROGRAM"), 0x1122_3344)
        await host.write(at("PROGRAM"), 0xAABB_CCDD, strobe=0b0110)
        assert await host.read(at("PROGRAM")) == 0x11BB_CC44
        await host.write(at("PROGRAM"), 0, strobe=0)
        assert await host.read(at("PROGRAM")) == 0x11BB_CC44
        for offset in (REGISTERS[-1].offset + 4, 0x100, 0x218, 0xFFC):
            await host.write(offset, 0xFFFF_FFFF, want=SLVERR)
            await host.read(offset, want=SLVERR)
        assert await host.read(at("PROGRAM")) == 0x11BB_CC44

    run(testbench)


def test_control_and_status() -> None:
    """A program where nothing is: an error, which stays until a soft reset."""

    async def testbench(ctx: Any, dut: Any, host: Host) -> None:
        await host.write(at("PROGRAM"), 0x2_0000)  # beyond the memory
        await host.write(at("CONTROL"), 0x100)
        assert await host.read(at("CONTROL")) == 0x100
        assert await host.read(at("STATUS")) == 0
        await host.write(at("CONTROL"), 0x101)
        await until(ctx, dut.irq)
        assert await host.read(at("STATUS")) == ERROR | BLOCKED
        assert await host.read(at("ERROR")) == ErrorCode.ADDRESS
        # So soon BASE, LIMIT and PROGRAM have been read, too.
        assert 0 < await host.read(at("TOTAL0")) < 250
        await host.write(at("STATUS"), ERROR)  # lowers irq alone
        assert await host.read(at("STATUS")) == BLOCKED
        assert not ctx.get(dut.irq)
        await host.write(at("CONTROL"), 0x101)  # ignored
        assert await host.read(at("STATUS")) == BLOCKED
        assert await host.read(at("ERROR")) == ErrorCode.ADDRESS
        await host.write(at("CONTROL"), 0x102)
        assert await host.read(at("STATUS")) == 0
        assert await host.read(at("ERROR")) == 0
        assert await host.read(at("PROGRAM")) == 0x2_0000
        # A descriptor of zeros: its sum is right, its version is not. Without interrupts.
        await host.write(at("PROGRAM"), 0)
        await host.write(at("CONTROL"), 1)
        status = BUSY
        while status & BUSY:
            status = await host.read(at("STATUS"))
        assert status == ERROR | BLOCKED
        assert await host.read(at("ERROR")) == ErrorCode.VERSION
        assert not ctx.get(dut.irq)

    run(testbench)


@pytest.mark.parametrize("wait", range(8))
def test_no_error_is_left_after_a_soft_reset(wait: int) -> None:
    """However soon it is read: the processor clears its word only some cycles later."""

    async def testbench(ctx: Any, dut: Any, host: Host) -> None:
        await host.write(at("PROGRAM"), 0x2_0000)
        await host.write(at("CONTROL"), 0x101)
        await until(ctx, dut.irq)
        await host.write(at("STATUS"), ERROR)
        assert await host.read(at("ERROR")) == ErrorCode.ADDRESS
        await host.write(at("CONTROL"), 2)
        for _ in range(wait):
            await ctx.tick()
        assert await host.read(at("ERROR")) == 0

    run(testbench)
