"""An engine between foreign models (cocotbext-axi) of its memory and its host; in the simulator."""

import itertools
import json
import os
import random
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, First, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave

from shiftwork.sim.host import DONE, IRQ_ENABLE, START, offset

DEADLINE = 60_000  # cycles
STALL = float(os.environ["STALL"])
SEED = int(os.environ["SEED"])


class Memory:
    """Bytes behind an `AxiSlave`: refuses what lies outside, notes what may not be written."""

    def __init__(self, clock: Any, wait: random.Random) -> None:
        self.clock, self.wait = clock, wait
        self.bytes = np.load("image.npy")
        self.allow = np.load("allow.npy")
        self.touched = np.zeros(len(self.bytes), bool)
        self.strays: list[str] = []
        self.reads = self.writes = 0

    async def latency(self) -> None:
        if STALL and self.wait.random() < STALL / 4:
            await ClockCycles(self.clock, self.wait.randint(1, 12))

    def span(self, address: int, length: int) -> slice:
        if address + length > len(self.bytes):
            self.strays.append(f"{length} bytes at {address:#x} are outside the memory")
            raise IndexError(self.strays[-1])
        return slice(address, address + length)

    async def read(self, address: int, length: int) -> bytes:
        await self.latency()
        self.reads += length
        return self.bytes[self.span(address, length)].tobytes()

    async def write(self, address: int, data: bytes) -> None:
        await self.latency()
        self.writes += len(data)
        span = self.span(address, len(data))
        if not self.allow[span].all():
            self.strays.append(f"write of {len(data)} bytes at {address:#x}")
        self.bytes[span] = np.frombuffer(data, np.uint8)
        self.touched[span] = True


def pauses(rng: random.Random) -> Any:
    return (rng.random() < STALL for _ in itertools.count())


async def bursts(dut: Any, lengths: dict[str, list[int]]) -> None:
    """Note the beats of every burst asked for."""
    while True:
        await FallingEdge(dut.clk)
        for name, valid, ready, length in (
            ("read", dut.m_axi_arvalid, dut.m_axi_arready, dut.m_axi_arlen),
            ("write", dut.m_axi_awvalid, dut.m_axi_awready, dut.m_axi_awlen),
        ):
            if int(valid.value) and int(ready.value):
                lengths[name].append(int(length.value) + 1)


@cocotb.test()
async def runs_a_network(dut: Any) -> None:
    job = json.loads(Path("job.json").read_text())
    rng = random.Random(SEED)
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    memory = Memory(dut.clk, random.Random(rng.random()))
    slave = AxiSlave(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, target=memory)
    host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
    write: Any = slave.write_if
    read: Any = slave.read_if
    for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel,
                    read.r_channel):  # fmt: skip
        channel.set_pause_generator(pauses(random.Random(rng.random())))
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    lengths: dict[str, list[int]] = {"read": [], "write": []}
    cocotb.start_soon(bursts(dut, lengths))

    await host.write_dword(offset("PROGRAM"), job["program"])
    await host.write_dword(offset("BASE"), 0)
    await host.write_dword(offset("LIMIT"), job["size"] - 1)
    await host.write_dword(offset("CONTROL"), START | IRQ_ENABLE)
    await First(RisingEdge(dut.irq), ClockCycles(dut.clk, DEADLINE))
    assert int(dut.irq.value), f"no interrupt in {DEADLINE} cycles"
    at_interrupt = memory.bytes.copy()

    assert await host.read_dword(offset("ERROR")) == 0
    assert await host.read_dword(offset("STATUS")) == DONE
    assert not memory.strays, memory.strays[0]
    assert not int(dut.violations.value), "see the log for breaches of AXI"
    await ClockCycles(dut.clk, 200)
    assert np.array_equal(memory.bytes, at_interrupt), "written to after the interrupt"
    check, want = np.load("check.npy"), np.load("want.npy")
    wrong = np.flatnonzero(check & (memory.bytes != want))
    assert not len(wrong), f"{len(wrong)} of {check.sum()} bytes differ, first at {wrong[0]:#x}"
    assert memory.touched[check].all()
    Path("seen.json").write_text(json.dumps({
        "read": memory.reads, "written": memory.writes, "bursts": lengths,
        "checked": int(check.sum()),
    }))  # fmt: skip
