# amaranth: UnusedElaboratable=no
"""Queue: order, depth and latency, in LUT RAM and in block RAM."""

from random import Random
from typing import Any

import pytest
from amaranth.lib import data

from shiftwork.hw.queue import Queue

from .bench import count_high, holds, simulate, sink, source


@pytest.mark.parametrize("depth", [1, 2, 3, 16, 17, 31, 64])
@pytest.mark.parametrize("stalls", [(0.0, 0.0), (0.6, 0.1), (0.1, 0.6)])
def test_first_in_first_out(depth: int, stalls: tuple[float, float]) -> None:
    dut = Queue(data.StructLayout({"a": 5, "b": 3}), depth)
    rng = Random(depth)
    values = [{"a": rng.randrange(32), "b": rng.randrange(8)} for _ in range(200)]
    puts: list[int] = []
    gets: list[int] = []
    simulate(
        dut,
        source(dut.i, values, rng=Random(1), stall=stalls[0]),
        sink(dut.o, values, rng=Random(2), stall=stalls[1]),
        background=[
            holds(dut.o),
            count_high(dut.i.valid & dut.i.ready, puts),
            count_high(dut.o.valid & dut.o.ready, gets),
        ],
    )
    assert gets[0] - puts[0] >= (1 if depth <= 16 else 3)
    if stalls == (0.0, 0.0):
        assert gets[0] - puts[0] == (1 if depth <= 16 else 3)
        if depth > 1:
            assert gets[-1] - gets[0] == len(values) - 1


@pytest.mark.parametrize("depth", [1, 16, 17, 40])
def test_it_fills_to_its_depth(depth: int) -> None:
    dut = Queue(8, depth)

    async def fill(ctx: Any) -> None:
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(depth + 4)
        assert not ctx.get(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        taken = 0
        ctx.set(dut.o.ready, 1)
        for _ in range(depth + 4):
            *_, valid = await ctx.tick().sample(dut.o.valid)
            taken += valid
        assert taken == depth + 2 * (depth > 16)

    simulate(dut, fill)


def test_no_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="depth must be at least 1 entry, not 0"):
        Queue(8, 0)
