"""The bit-serial requantiser against the contract's formula."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest

from shiftwork.hw.config import preset
from shiftwork.hw.record import pack_record
from shiftwork.hw.serial.drain import RECORD_HALVES, STEPS, Drain
from tests.hw.bench import simulate
from tests.hw.test_requantise import Channel, extremes, formula, randomly

TINY = preset("tiny")


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_results_are_the_formula_s(lanes: int) -> None:
    config = TINY.replace(requantise_lanes=lanes)
    rng = Random(lanes)
    channels: list[Channel] = extremes(config)
    channels += [randomly(config, rng) for _ in range(16 * lanes)]
    channels += channels[: -len(channels) % 4]
    dut: Any = Drain(config)
    accs: dict[int, int] = {}
    written: list[int] = []
    cycles: list[int] = []

    async def accumulators(ctx: Any) -> None:
        while True:
            _, _, at = await ctx.tick().sample(dut.acc_address)
            ctx.set(dut.acc, accs.get(at, 0))

    async def writes(ctx: Any) -> None:
        cycle = 0
        while True:
            _, _, write, value = await ctx.tick().sample(dut.write, dut.value)
            cycle += 1
            if write:
                written.append(value)
                cycles.append(cycle)

    async def host(ctx: Any) -> None:
        for first in range(0, len(channels), 4):
            four = channels[first : first + 4]
            lo = rng.randrange(256)
            hi = rng.randint(lo, 255)
            pixels = rng.randint(1, 3)
            ctx.set(dut.pixels, pixels)
            ctx.set(dut.limits, hi << 8 | lo)
            values = [[four[column][0] >> pixel for column in range(4)] for pixel in range(pixels)]
            accs.clear()
            accs.update({4 * p + c: values[p][c] for p in range(pixels) for c in range(4)})
            for group in range(4 // lanes):
                for _, bias, sign, shift, right in four[group * lanes : (group + 1) * lanes]:
                    record = int.from_bytes(pack_record(bias, sign, shift, right), "little")
                    for half in range(RECORD_HALVES):
                        ctx.set(dut.record, record >> 16 * half & 0xFFFF)
                        ctx.set(dut.record_valid, 1)
                        await ctx.tick()
                        ctx.set(dut.record_valid, 0)
                ctx.set(dut.group, group)
                ctx.set(dut.go, 1)
                await ctx.tick()
                ctx.set(dut.go, 0)
                while ctx.get(dut.busy):
                    await ctx.tick()
                assert len(written) == pixels
                for pixel, word in enumerate(written):
                    for lane in range(lanes):
                        column = group * lanes + lane
                        want = formula((values[pixel][column], *four[column][1:]), lo, hi)
                        assert word >> 8 * column & 0xFF == want, (four[column], lo, hi, pixel)
                assert all(b - a == STEPS + 2 * lanes + 3 for a, b in pairwise(cycles))
                written.clear()
                cycles.clear()

    simulate(dut, host, background=[accumulators, writes], cycles=60_000)
