"""The cocotb side of the fault bench: one case after another in one simulation.

Runs inside the simulator: reads ``job.json`` and the ``load.N`` files, writes ``outcome.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import First, RisingEdge, Timer, ValueChange

from shiftwork.sim import files
from shiftwork.sim.engine_tb import Host
from shiftwork.sim.host import BUSY, DONE, IRQ_ENABLE, SOFT_RESET, START

_NS = 10  # of a clock cycle
_NONE = 0xFFFF_FFFF
_QUIET = 150  # cycles in which what was under way must end
_ANSWERED = 1000  # cycles in which the memory has answered everything
_POLLS = 200  # reads of STATUS until a soft reset counts as hung
_RESETS = ("soft", "hard", "alone", "drained")


class Bench:
    """The engine in tb.v, its host and its memory."""

    def __init__(self, dut: Any, job: dict[str, Any]) -> None:
        self.dut = dut
        self.job = job
        self.host = Host(dut)
        self.want = np.load("want.npy")
        self.check = np.load("check.npy")
        self.first = np.load("first.npy")
        self.turn = np.load("turn.npy")

    async def load(self, index: int, case: dict[str, Any] | None = None) -> None:
        """Load a file into the memory and set which words answer with errors."""
        dut, case = self.dut, case or {}
        dut.reload_index.value = index
        dut.fault_read.value = case.get("read_word", _NONE)
        dut.fault_write.value = case.get("write_word", _NONE)
        dut.fault_code.value = case.get("response", 0)
        dut.fault_silent.value = case.get("silent", 0)
        dut.reload.value = 1 - int(dut.reload.value)
        await ValueChange(dut.reloaded)
        await Timer(1, "ns")

    async def start(self, case: dict[str, Any]) -> None:
        """Program the registers and start."""
        await self.host.write("PROGRAM", case.get("program", self.job["program"]))
        await self.host.write("BASE", case.get("base", self.job["base"]))
        await self.host.write("LIMIT", case.get("limit", self.job["limit"]))
        self.dut.running.value = 1
        await self.host.write("CONTROL", START | IRQ_ENABLE)

    async def end(self) -> bool:
        """Wait for the interrupt; False if there is none."""
        if not int(self.dut.stop.value):
            await RisingEdge(self.dut.stop)
        await Timer(1, "ns")
        hung = bool(self.dut.timeout.value)
        self.dut.running.value = 0
        return not hung

    async def hard_reset(self) -> None:
        """Pull the reset of everything for some cycles."""
        dut = self.dut
        dut.running.value = 0
        dut.go.value = 0
        dut.reset.value = 1
        await Timer(10 * _NS, "ns")
        dut.reset.value = 0
        self.host = Host(dut)
        await Timer(5 * _NS, "ns")

    async def soft_reset(self) -> bool:
        """Reset by register; False if the engine stays busy."""
        self.dut.running.value = 0
        await self.host.write("CONTROL", SOFT_RESET | IRQ_ENABLE)
        for _ in range(_POLLS):
            if not await self.host.read("STATUS") & BUSY:
                return True
        return False

    async def engine_reset(self) -> None:
        """Reset the engine and nothing else; wait until the memory has answered what it had."""
        dut = self.dut
        dut.running.value = 0
        dut.reset_alone.value = 1
        await Timer(_ANSWERED * _NS, "ns")
        dut.reset_alone.value = 0
        await Timer(_NS, "ns")

    async def disturb(self, case: dict[str, Any]) -> None:
        """Do to the running engine what the case asks for at its cycle."""
        stop = RisingEdge(self.dut.stop)
        await First(Timer(case["at"] * _NS, "ns"), stop)
        if case["action"] == "start":
            await self.host.write("CONTROL", START | IRQ_ENABLE)

    async def reset(self, action: str) -> bool:
        """Reset as the case asks for, by register if it does not; False if that hangs."""
        if action == "hard":
            await self.hard_reset()
        elif action == "alone":
            await self.engine_reset()
        else:
            ended = await self.soft_reset()
            if action == "drained":
                await self.engine_reset()
            return ended
        return True

    async def outcome(self, case: dict[str, Any]) -> dict[str, Any]:
        """Wait for the end of a run; return how it ended."""
        dut, seen = self.dut, {}
        seen["ended"] = await self.end()
        seen["status"] = await self.host.read("STATUS")
        error = await self.host.read("ERROR")
        seen["code"], seen["layer"] = error & 0xFF, error >> 16
        seen["right"] = await self.right() if not seen["code"] else None
        await Timer(_QUIET * _NS, "ns")
        before = int(dut.write_beats.value)
        await Timer(_QUIET * _NS, "ns")
        seen["quiet"] = before == int(dut.write_beats.value)
        if seen["code"]:
            seen["early"] = await self.early(case, seen["layer"])
        return seen

    def breaches(self) -> tuple[int, int]:
        """Return how many writes went astray and how often a rule of AXI was broken, ever."""
        dut = self.dut
        return int(dut.forbidden.value), int(dut.broken_rules.value) + int(dut.lost_rules.value)

    async def run(self, case: dict[str, Any]) -> dict[str, Any]:
        """Run one case and, after a reset, the good program."""
        dut, seen = self.dut, {}
        strays, rules = self.breaches()
        await self.load(0)
        await self.load(case["load"], case)
        await self.start(case)
        action = case.get("action", "")
        if action:
            await self.disturb(case)
        if action not in _RESETS:
            seen |= await self.outcome(case)
        seen["reset"] = await self.reset(action)
        if case.get("silent"):  # only a reset of both helps
            await self.hard_reset()
        seen["cleared"] = await self.host.read("STATUS") == 0 == await self.host.read("ERROR")
        wrong = int(dut.mismatches.value)
        await self.load(0)
        await self.start({})
        seen["recovered"] = (
            await self.end()
            and await self.host.read("STATUS") == DONE
            and await self.right()
            and wrong == int(dut.mismatches.value)
        )
        await self.soft_reset()
        await Timer(_QUIET * _NS, "ns")
        strays_after, rules_after = self.breaches()
        seen["strays"], seen["rules"] = strays_after - strays, rules_after - rules
        return seen

    async def dump(self) -> tuple[Any, Any]:
        """Return the bytes of the memory, and which of them are undefined."""
        dut = self.dut
        dut.dump_first.value = 0
        dut.dump_last.value = len(self.want) // self.job["word_bytes"] - 1
        dut.dump.value = 1 - int(dut.dump.value)
        await ValueChange(dut.dumped)
        await Timer(1, "ns")
        return files.read_dump(Path("dump.0"), self.job["word_bytes"])

    async def right(self) -> bool:
        """Compare every byte that the program computes."""
        got, unknown = await self.dump()
        return not np.any(self.check & ((got != self.want) | unknown))

    async def early(self, case: dict[str, Any], layer: int) -> int:
        """Count the bytes written of layers that start after the descriptor at fault."""
        fault = case.get("descriptor", self.job["last"].get(str(layer)))
        if fault is None:  # the layer of a descriptor that was not one
            return 0
        got, unknown = await self.dump()
        return int(np.sum((self.turn > fault) & ((got != self.first) | unknown)))


@cocotb.test()
async def faults(dut: Any) -> None:
    """Run every case of the job; the first exception ends the simulation."""
    job = json.loads(Path("job.json").read_text())
    await Timer(42, "ns")
    dut.reset.value = 0
    bench = Bench(dut, job)
    outcomes: list[dict[str, Any]] = []
    for case in job["cases"]:
        try:
            outcomes.append(await bench.run(case))
        except (TimeoutError, RuntimeError, ValueError) as error:
            outcomes.append({"trouble": str(error)})
            await bench.hard_reset()
    Path("outcome.json").write_text(json.dumps(outcomes))
