# amaranth: UnusedElaboratable=no
"""The boards' memory: an engine's bursts and the link's words, at the same time."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

import pytest

from shiftwork.boards.memory import BANK_WORDS, HALF, OnChipMemory

from ..hw.bench import simulate

WORDS = 5 * BANK_WORDS + HALF  # two groups of banks; the second is not full, its last one short
ENGINE, HOST = range(0, WORDS // 2), range(WORDS // 2, WORDS)  # who writes where


class Bench:
    """Drive all ports at random and compare every read with what was written."""

    def __init__(self, seed: int, stall: float) -> None:
        self.dut: Any = OnChipMemory(WORDS)
        self.rng = Random(seed)
        self.stall = stall
        self.memory: dict[int, int] = {}
        self.reads = self.host_reads = 0
        self.cycle = 0
        self.beats: list[int] = []

    def _go(self) -> int:
        return int(self.rng.random() >= self.stall)

    def _burst(self) -> tuple[int, int]:
        """Return first word and beats of a burst that stays in 4 KiB and in the engine's part."""
        first = self.rng.choice(ENGINE)
        return first, self.rng.randint(1, min(32, 512 - first % 512))

    async def write(self, ctx: Any, first: int, words: list[int], strobe: int = 0xFF) -> int:
        """Write a burst and return its response."""
        dut = self.dut
        ctx.set(dut.s_axi_awaddr, 8 * first)
        ctx.set(dut.s_axi_awlen, len(words) - 1)
        ctx.set(dut.s_axi_awvalid, 1)
        while not (await ctx.tick().sample(dut.s_axi_awready))[2]:
            pass
        ctx.set(dut.s_axi_awvalid, 0)
        for index, word in enumerate(words):
            while not self._go():
                await ctx.tick()
            ctx.set(dut.s_axi_wdata, word)
            ctx.set(dut.s_axi_wstrb, strobe)
            ctx.set(dut.s_axi_wlast, index == len(words) - 1)
            ctx.set(dut.s_axi_wvalid, 1)
            while not (await ctx.tick().sample(dut.s_axi_wready))[2]:
                pass
            ctx.set(dut.s_axi_wvalid, 0)
            if first + index < WORDS:
                mask = sum(0xFF << 8 * lane for lane in range(8) if strobe >> lane & 1)
                old = self.memory.get(first + index, 0)
                self.memory[first + index] = (old & ~mask) | (word & mask)
        ctx.set(dut.s_axi_bready, 1)
        while True:
            _, _, valid, response = await ctx.tick().sample(dut.s_axi_bvalid, dut.s_axi_bresp)
            if valid:
                break
        ctx.set(dut.s_axi_bready, 0)
        return response

    async def read(self, ctx: Any, bursts: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """Read bursts, as many under way as there is room for; return (data, response, last)."""
        dut, waiting, found = self.dut, deque(bursts), []
        left = sum(beats for _, beats in bursts)
        while left:
            if waiting:
                ctx.set(dut.s_axi_araddr, 8 * waiting[0][0])
                ctx.set(dut.s_axi_arlen, waiting[0][1] - 1)
            ctx.set(dut.s_axi_arvalid, bool(waiting))
            ctx.set(dut.s_axi_rready, self._go())
            _, _, taken, valid, ready, *beat = await ctx.tick().sample(
                dut.s_axi_arready, dut.s_axi_rvalid, dut.s_axi_rready, dut.s_axi_rdata,
                dut.s_axi_rresp, dut.s_axi_rlast,
            )  # fmt: skip
            self.cycle += 1
            if waiting and taken:
                waiting.popleft()
            if valid and ready:
                found.append(tuple(beat))
                self.beats.append(self.cycle)
                left -= 1
        ctx.set(dut.s_axi_rready, 0)
        return found

    async def host(self, ctx: Any, write: bool, address: int, data: int = 0) -> int:
        """Read or write a word by the link's port."""
        dut = self.dut
        ctx.set(dut.mem_valid, 1)
        ctx.set(dut.mem_write, write)
        ctx.set(dut.mem_address, address)
        ctx.set(dut.mem_data, data)
        while not (await ctx.tick().sample(dut.mem_ready))[2]:
            pass
        ctx.set(dut.mem_valid, 0)
        if write:
            return 0
        while True:
            _, _, valid, found = await ctx.tick().sample(dut.mem_r_valid, dut.mem_r_data)
            if valid:
                return found


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_engine_and_link_find_what_was_written(stall: float) -> None:
    bench = Bench(3, stall)
    done = []

    async def engine(ctx: Any) -> None:
        for _ in range(25):
            first, beats = bench._burst()
            words = [bench.rng.getrandbits(64) for _ in range(beats)]
            assert await bench.write(ctx, first, words, bench.rng.getrandbits(8)) == 0
            bursts = [(first, beats), bench._burst()]
            want = [bench.memory.get(f + i, 0) for f, n in bursts for i in range(n)]
            found = await bench.read(ctx, bursts)
            assert [beat[0] for beat in found] == want
            assert all(beat[1] == 0 for beat in found)
            assert [i for i, beat in enumerate(found) if beat[2]] == [beats - 1, len(want) - 1]
        done.append("engine")

    async def host(ctx: Any) -> None:
        rng = Random(4)
        for _ in range(150):
            address = rng.choice(HOST)
            word = rng.getrandbits(64)
            await bench.host(ctx, True, address, word)
            assert await bench.host(ctx, False, address) == word
        done.append("host")

    simulate(bench.dut, engine, host, cycles=60_000)
    assert sorted(done) == ["engine", "host"]


def test_bursts_follow_one_another_without_a_gap() -> None:
    bench = Bench(1, 0.0)

    async def engine(ctx: Any) -> None:
        await bench.read(ctx, [(64 * i, 16) for i in range(8)])

    simulate(bench.dut, engine, cycles=2_000)
    assert bench.beats == list(range(bench.beats[0], bench.beats[0] + 128))
    assert bench.beats[0] == 8


def test_beyond_the_memory_bursts_fail_and_change_nothing() -> None:
    bench = Bench(2, 0.0)

    async def engine(ctx: Any) -> None:
        assert await bench.write(ctx, WORDS - 1, [7]) == 0
        assert await bench.write(ctx, WORDS, [1, 2]) == 3
        assert await bench.write(ctx, 1 << 28, [3, 4]) == 3
        beats = await bench.read(ctx, [(WORDS - 1, 1), (WORDS, 2), (0, 1)])
        assert [beat[1] for beat in beats] == [0, 3, 3, 0]
        assert (beats[0][0], beats[3][0]) == (7, 0)

    simulate(bench.dut, engine, cycles=2_000)


def test_a_size_that_is_not_whole_banks_is_refused() -> None:
    with pytest.raises(ValueError, match="a multiple of 1024 words"):
        OnChipMemory(1000)
