"""The drain: every pixel and channel once, in order, and the bank freed afterwards."""

from random import Random
from typing import Any

import pytest
from amaranth.hdl import Module, Mux, Signal

from shiftwork.hw.config import EngineConfig
from shiftwork.hw.drain import Drain
from shiftwork.hw.geometry import DRAIN_READ, outputs_depth
from tests.hw.bench import count_high, holds, rests, simulate, sink, source

CONFIGS = {
    "one": EngineConfig(rows=1, cols=1, hold=4),
    "odd": EngineConfig(rows=3, cols=5, hold=9),
    "lanes": EngineConfig(rows=8, cols=8, hold=16, requantise_lanes=4),
    "shallow": EngineConfig(rows=8, cols=8, hold=16, requantise_lanes=4, pipeline="shallow"),
}


def accumulator(config: EngineConfig, bank: int, pixel: int, column: int) -> int:
    return (bank * 7919 + pixel * 104729 + column * 1299709) % (1 << config.acc_bits)


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_accumulator_once(name: str, stall: float) -> None:
    config = CONFIGS[name]
    rng = Random(f"{name}{stall}")
    lanes, groups = config.requantise_lanes, config.cols // config.requantise_lanes
    tokens, stored, outputs = [], [], []
    for number in range(9):
        pixels = [1, config.hold, 2][number] if number < 3 else rng.randint(1, config.hold)
        token = {
            "addr": rng.getrandbits(32), "plane_stride": rng.getrandbits(20) * 64,
            "pixels": pixels, "lane": rng.randrange(config.rows),
            "channels": rng.randint(1, config.cols), "lo": rng.randint(0, 20),
            "hi": rng.randint(20, 255), "last": rng.randint(0, 1),
        }  # fmt: skip
        tokens.append(token)
        stored.append({k: token[k] for k in ("addr", "plane_stride", "pixels", "lane",
                                             "channels", "last")})  # fmt: skip
        for pixel in range(pixels):
            for group in range(groups):
                outputs.append({
                    "acc": [accumulator(config, number % 2, pixel, group * lanes + lane)
                            for lane in range(lanes)],
                    "record": [(number % 2) * 1000 + group * lanes + lane
                               for lane in range(lanes)],
                    "lo": token["lo"], "hi": token["hi"],
                })  # fmt: skip

    dut = Drain(config)
    released: list[int] = []

    async def memories(ctx: Any) -> None:
        """The columns' memories, read some cycles later."""
        way = [(0, 0, 0)] * (DRAIN_READ - 1)  # being read; what is not asked for is never right
        while True:
            _, _, *asked = await ctx.tick().sample(dut.active, dut.bank, dut.address)
            active, bank, address = way.pop(0)
            way.append((asked[0], asked[1], asked[2]))
            values = [
                accumulator(config, bank, address, c) + 1 - active for c in range(config.cols)
            ]
            ctx.set(dut.acc, [value % (1 << config.acc_bits) for value in values])

    got: list[Any] = []

    async def queue(ctx: Any) -> None:
        """Room for so many outputs, taken out at random; it must never overflow."""
        inside = 0
        while True:
            taken = inside > 0 and rng.random() >= stall
            ctx.set(dut.taken, taken)
            inside -= taken
            (_, _, valid, payload) = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                got.append(payload)
                inside += 1
            assert inside <= outputs_depth(config)

    async def all_came(ctx: Any) -> None:
        while len(got) < len(outputs):
            await ctx.tick()

    async def land(ctx: Any) -> None:
        """Complete a bank when the one two before it has been released."""
        for number in range(len(tokens)):
            while len(released) < number - 1 or rng.random() < stall:
                await ctx.tick()
            ctx.set(dut.landed, 1)
            await ctx.tick()
            ctx.set(dut.landed, 0)

    top = Module()  # the records answer at once
    top.submodules.dut = dut
    stale, oldest = Signal(2), Signal()  # from the release on a bank has other channels' records
    with top.If(dut.active):
        top.d.sync += stale.bit_select(dut.bank, 1).eq(0)
    with top.If(dut.release):
        top.d.sync += [stale.bit_select(oldest, 1).eq(1), oldest.eq(~oldest)]
    for lane in range(lanes):
        record = Mux(dut.record_bank, 1000, 0) + dut.record_index * lanes + lane
        record += Mux(stale.bit_select(dut.record_bank, 1), 5000, 0)
        top.d.comb += dut.records[lane].eq(record)
    resting = dut.o.payload if config.pipeline == "deep" else dut.o.payload.acc
    simulate(
        top,
        source(dut.i, tokens, rng=Random(1), stall=stall),
        sink(dut.token, stored, rng=Random(2), stall=stall),
        land,
        all_came,
        background=[memories, queue, holds(dut.token), rests(dut.o.valid, resting),
                    count_high(dut.release, released)],
    )  # fmt: skip
    assert got == outputs
    assert len(released) == len(tokens)
