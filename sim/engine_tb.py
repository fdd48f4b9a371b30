"""The cocotb side of the bench: start the engine in tb.v, sleep until it stops, read it out.

Runs inside the simulator, in the folder of one simulation: reads ``job.json``, writes
``outcome.json``. While the engine computes no Python runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, Timer, ValueChange

from shiftwork.sim.host import COUNTER_NAMES, IRQ_ENABLE, START, offset

_ANSWERS = {0: "OKAY", 1: "EXOKAY", 2: "SLVERR", 3: "DECERR"}


class Host:
    """The registers of the engine, one access at a time, through axil_master.v."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self._toggle = 0

    async def _access(self, write: bool, address: int, value: int) -> int:
        dut = self.dut
        dut.write.value = int(write)
        dut.address.value = address
        dut.value.value = value
        self._toggle ^= 1
        dut.go.value = self._toggle
        await ValueChange(dut.done)
        await Timer(1, "ns")  # past every update of this clock edge, in both simulators
        if int(dut.lost.value):
            raise TimeoutError(f"register {address:#x}: no answer in 1000 cycles")
        answer = dut.resp.value.to_unsigned()
        if answer:
            raise RuntimeError(f"register {address:#x}: answered {_ANSWERS[answer]}")
        return 0 if write else dut.result.value.to_unsigned()

    async def write(self, name: str, value: int) -> None:
        """Write one register."""
        await self._access(True, offset(name), value)

    async def read(self, name: str) -> int:
        """Return one register; undefined bits are an error."""
        return await self._access(False, offset(name), 0)

    async def counters(self, prefix: str) -> list[int]:
        """Return the registers COUNTER0.. or TOTAL0.. ."""
        return [await self.read(f"{prefix}{i}") for i in range(len(COUNTER_NAMES))]


async def _dump(dut: Any, ranges: list[list[int]]) -> None:
    for index, (first, last) in enumerate(ranges):
        dut.dump_first.value = first
        dut.dump_last.value = last
        dut.dump_index.value = index
        dut.dump.value = (index + 1) & 1
        await ValueChange(dut.dumped)
        await Timer(1, "ns")


async def _run(dut: Any, job: dict[str, Any], outcome: dict[str, Any]) -> None:
    await Timer(42, "ns")  # between two clock edges
    dut.reset.value = 0
    host = Host(dut)
    for name, want in job["identity"].items():
        if (got := await host.read(name)) != want:
            raise ValueError(f"register {name} reads {got:#x}, this config's is {want:#x}")
    await host.write("PROGRAM", job["program"])
    dut.running.value = 1
    await host.write("CONTROL", START | IRQ_ENABLE)
    if not int(dut.stop.value):
        await RisingEdge(dut.stop)
    await Timer(1, "ns")
    outcome["timeout"] = bool(dut.timeout.value)
    outcome["cycles"] = dut.last_cycle.value.to_unsigned() - dut.first_cycle.value.to_unsigned()
    code = await host.read("ERROR")
    outcome["error"], outcome["error_layer"] = code & 0xFF, code >> 16
    outcome["totals"] = await host.counters("TOTAL")
    outcome["layers"] = {}
    for layer in job["layers"]:
        await host.write("LAYER", layer)
        outcome["layers"][layer] = await host.counters("COUNTER")


@cocotb.test()
async def engine(dut: Any) -> None:
    """Run the job of this folder; what went wrong in the engine is data, not a failure."""
    job = json.loads(Path("job.json").read_text())
    outcome: dict[str, Any] = {"trouble": ""}
    try:
        await _run(dut, job, outcome)
    except (TimeoutError, RuntimeError, ValueError) as error:  # no answer, bad answer, undefined
        outcome["trouble"] = str(error)
    await _dump(dut, job["dumps"])
    dut.report.value = 1
    await RisingEdge(dut.reported)
    Path("outcome.json").write_text(json.dumps(outcome))
