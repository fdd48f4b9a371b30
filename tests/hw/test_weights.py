"""The weight stream taken apart: blocks and records in order, banks kept until released."""

from random import Random
from typing import Any

import pytest

from shiftwork.hw.config import PARAMETER_BYTES, EngineConfig
from shiftwork.hw.record import RECORD_BITS
from shiftwork.hw.weights import Weights
from tests.hw.bench import holds, simulate, source

CONFIGS = {
    "one": EngineConfig(rows=1, cols=1),
    "odd": EngineConfig(rows=3, cols=5, code_bits=3),
    "lanes": EngineConfig(rows=8, cols=8, requantise_lanes=2),
    "bus128": EngineConfig(rows=4, cols=12, bus_bits=128, requantise_lanes=4),
}


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("name", CONFIGS)
def test_blocks_and_records(name: str, stall: float) -> None:
    config = CONFIGS[name]
    rng = Random(f"{name}{stall}")
    record_beats = PARAMETER_BYTES // config.bus_bytes
    commands: list[dict[str, int]] = []
    requests: list[dict[str, int]] = []
    beats: list[int] = []
    want: list[tuple[list[int], list[int]]] = []  # per column block: records, blocks
    for number in range(4):
        command = {"tiles": rng.randint(1, 3), "col_blocks": rng.randint(1, 3),
                   "blocks": rng.randint(1, 4), "addr": number * 4096}  # fmt: skip
        stream: list[int] = []
        columns = []
        for _ in range(command["col_blocks"]):
            records = [rng.getrandbits(8 * PARAMETER_BYTES) for _ in range(config.cols)]
            blocks = [
                rng.getrandbits(config.lanes * config.code_bits) for _ in range(command["blocks"])
            ]
            for words, count in ((records, record_beats), (blocks, config.block_beats)):
                for word in words:
                    for part in range(count):
                        stream.append(word >> part * config.bus_bits & (1 << config.bus_bits) - 1)
            columns.append(([r & (1 << RECORD_BITS) - 1 for r in records], blocks))
        command["beats"] = len(stream)
        commands.append(command)
        requests += [{"addr": command["addr"], "beats": len(stream)}] * command["tiles"]
        beats += stream * command["tiles"]
        want += columns * command["tiles"]

    dut = Weights(config)
    complete: list[int] = []  # column blocks whose codes have all been taken

    async def memory(ctx: Any) -> None:
        for index, expected in enumerate(requests):
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(dut.request.ready, 1)
            while True:
                *_, valid, got = await ctx.tick().sample(dut.request.valid, dut.request.payload)
                if valid:
                    break
            ctx.set(dut.request.ready, 0)
            assert {k: getattr(got, k) for k in expected} == expected, f"request {index}"

    async def array(ctx: Any) -> None:
        for number, (_, blocks) in enumerate(want):
            for index, block in enumerate(blocks):
                while True:
                    *_, ready = await ctx.tick().sample(dut.ready)
                    if ready:
                        break
                *_, codes = await ctx.tick().sample(dut.codes)
                while rng.random() < stall:  # held for some pixels
                    *_, codes = await ctx.tick().sample(dut.codes)
                assert codes & (1 << config.lanes * config.code_bits) - 1 == block, (number, index)
                ctx.set(dut.taken, 1)
                await ctx.tick()
                ctx.set(dut.taken, 0)
            complete.append(number)

    async def drain(ctx: Any) -> None:
        lanes = config.requantise_lanes
        for number, (records, _) in enumerate(want):
            while number not in complete:
                await ctx.tick()
            for _ in range(rng.randrange(12)):  # long after the next column block has come
                await ctx.tick()
            ctx.set(dut.record_bank, number % 2)
            for group in range(config.cols // lanes):
                ctx.set(dut.record_index, group)
                *_, got = await ctx.tick().sample(dut.records)
                assert [got[i] for i in range(lanes)] == records[group * lanes :][:lanes], number
            ctx.set(dut.release, 1)
            await ctx.tick()
            ctx.set(dut.release, 0)

    simulate(
        dut,
        source(dut.i, commands, rng=Random(1), stall=stall),
        source(dut.data, beats, rng=Random(2), stall=stall),
        memory,
        array,
        drain,
        background=[holds(dut.request)],
        cycles=100_000,
    )
    assert len(complete) == len(want)
