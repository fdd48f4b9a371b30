"""An independent AXI4 master (cocotbext-axi) against axi_memory.v; runs in the simulator."""

import itertools
import os
import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer
from cocotbext.axi import AxiBus, AxiMaster, AxiResp

BYTES = 4096 * 8
SEED = int(os.environ["SEED"])
STALL = float(os.environ["STALL"])


def pauses(rng):
    return (rng.random() < STALL for _ in itertools.count())


async def start(dut: Any) -> Any:
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    master = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst, max_burst_len=64)
    rng = random.Random(SEED)
    write: Any = master.write_if
    read: Any = master.read_if
    for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel,
                    read.r_channel):  # fmt: skip
        channel.set_pause_generator(pauses(random.Random(rng.random())))
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    return master


async def responses_hold(dut: Any) -> None:
    """Slave side of the rules: an answer stays until it is taken, nothing comes unasked."""
    held = {}
    asked = answered = 0
    while True:
        await FallingEdge(dut.clk)
        if dut.rst.value:
            continue
        await Timer(1, "ns")
        read = (dut.s_axi_rdata, dut.s_axi_rresp, dut.s_axi_rlast)
        for name, valid, ready, payload in (
            ("R", dut.s_axi_rvalid, dut.s_axi_rready, read),
            ("B", dut.s_axi_bvalid, dut.s_axi_bready, (dut.s_axi_bresp,)),
        ):
            now = (int(valid.value), tuple(str(part.value) for part in payload))
            if held.get(name) is not None:
                assert now == held[name], f"{name} changed before it was taken"
            held[name] = now if now[0] and not int(ready.value) else None
        asked += int(dut.s_axi_awvalid.value) & int(dut.s_axi_awready.value)
        answered += int(dut.s_axi_bvalid.value) & int(dut.s_axi_bready.value)
        assert answered <= asked, "an answer nobody asked for"


@cocotb.test()
async def random_traffic(dut: Any) -> None:
    master = await start(dut)
    cocotb.start_soon(responses_hold(dut))
    rng = random.Random(SEED)
    shadow = bytearray(BYTES)
    await master.write(0, bytes(shadow), awid=0)
    for _ in range(6):
        jobs = []
        # several writes under way at once, then several reads, any length and alignment
        for _ in range(rng.randint(1, 12)):
            address = rng.randrange(BYTES - 1)
            data = rng.randbytes(min(rng.choice((1, 7, 8, 64, 700, 3000)), BYTES - address))
            shadow[address : address + len(data)] = data
            jobs.append(master.init_write(address, data, awid=0))
        for job in jobs:
            await job.wait()
            assert job.data.resp == AxiResp.OKAY
        jobs = []
        for _ in range(rng.randint(1, 12)):
            address = rng.randrange(BYTES - 1)
            length = min(rng.choice((1, 7, 8, 64, 700, 3000)), BYTES - address)
            jobs.append((address, length, master.init_read(address, length, arid=0)))
        for address, length, job in jobs:
            await job.wait()
            assert job.data.resp == AxiResp.OKAY
            assert job.data.data == shadow[address : address + length], f"read at {address:#x}"
    for _ in range(3):
        await RisingEdge(dut.clk)
    assert not int(dut.pending.value)
    assert not int(dut.violations.value)


@cocotb.test()
async def outside_the_memory(dut: Any) -> None:
    master = await start(dut)
    assert (await master.write(BYTES, b"12345678", awid=0)).resp == AxiResp.DECERR
    assert (await master.read(BYTES, 8, arid=0)).resp == AxiResp.DECERR
    assert (await master.write(BYTES - 8, b"12345678", awid=0)).resp == AxiResp.OKAY
    assert (await master.read(BYTES - 8, 8, arid=0)).data == b"12345678"
    assert int(dut.violations.value) == 2
