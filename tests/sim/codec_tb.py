"""Drives one of the codec's blocks through its streams; runs in the simulator."""

import json
import os
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

JOB = json.loads(Path("job.json").read_text())
STALL = float(os.environ["STALL"])


async def send(dut: Any, name: str, words: list[int], rng: random.Random) -> None:
    """Offer word after word to a stream, each after a random pause, until it is taken."""
    valid, payload = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__payload")
    ready = getattr(dut, f"{name}__ready")
    for word in words:
        while rng.random() < STALL:
            await RisingEdge(dut.clk)
        payload.value = word
        valid.value = 1
        while True:
            await FallingEdge(dut.clk)
            taken = int(ready.value)
            await RisingEdge(dut.clk)
            if taken:
                break
        valid.value = 0


async def fill(dut: Any) -> None:
    """Write the tables: what each port is, cycle by cycle."""
    for ports in JOB["tables"]:
        for name, value in ports.items():
            getattr(dut, name).value = value
        await RisingEdge(dut.clk)
    dut.w_en.value = 0


@cocotb.test()
async def codes_are_right(dut: Any) -> None:
    rng = random.Random(int(os.environ["SEED"]))
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    dut.o__ready.value = 0
    for name in JOB["words"]:
        getattr(dut, f"{name}__valid").value = 0
        getattr(dut, f"{name}__payload").value = 0
    if JOB["tables"]:
        dut.w_en.value = 0
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    if JOB["tables"]:
        await fill(dut)
    for name, words in JOB["words"].items():
        cocotb.start_soon(send(dut, name, words, random.Random(rng.random())))
    got: list[int] = []
    held: int | None = None
    while len(got) < len(JOB["want"]):
        ready = int(rng.random() >= STALL)
        dut.o__ready.value = ready
        await ReadOnly()
        valid = int(dut.o__valid.value)
        now = int(dut.o__payload.value) if valid else -1
        assert held is None or held == now, "the output changed before it was taken"
        held = now if valid and not ready else None
        if valid and ready:
            assert now == JOB["want"][len(got)], f"word {len(got)}"
            got.append(now)
        await RisingEdge(dut.clk)
