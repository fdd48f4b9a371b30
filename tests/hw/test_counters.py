"""Counters against plain counting."""

from random import Random
from typing import Any

from shiftwork.hw.config import EngineConfig
from shiftwork.hw.counters import Counters

from .bench import simulate


def test_counts_and_clears() -> None:
    dut = Counters(EngineConfig())
    rng = Random(1)

    async def testbench(ctx: Any) -> None:
        want = [0] * 8
        late: list[list[int]] = [[0] * 8, [0] * 8]
        for _ in range(400):
            clear, events = rng.random() < 0.02, rng.randrange(256)
            ctx.set(dut.clear, clear)
            ctx.set(dut.increment, events)
            *_, totals = await ctx.tick().sample(dut.totals)
            assert [totals[i] for i in range(8)] == late[-2]
            want = [0 if clear else count + (events >> i & 1) for i, count in enumerate(want)]
            late = [[0] * 8, [0] * 8] if clear else [late[-1], want]

    simulate(dut, testbench)
