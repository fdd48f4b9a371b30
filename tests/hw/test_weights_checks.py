"""The weight stream's judgement: longer or shorter than its records and blocks."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork.hw.config import PARAMETER_BYTES, EngineConfig
from shiftwork.hw.weights import Weights
from tests.hw.bench import simulate

CONFIGS = {
    "one": EngineConfig(rows=1, cols=1),
    "odd": EngineConfig(rows=3, cols=5, code_bits=3),
    "bus128": EngineConfig(rows=4, cols=12, bus_bits=128, requantise_lanes=4),
}


def length(config: EngineConfig, col_blocks: int, blocks: int) -> int:
    """Return the beats of a stream."""
    records = config.cols * PARAMETER_BYTES // config.bus_bytes
    return col_blocks * (records + blocks * config.block_beats)


def command(config: EngineConfig, layer: int, **changes: int) -> dict[str, int]:
    """Return the command of a stream of two column blocks of three blocks, and what is changed."""
    right = {"addr": 4096, "tiles": 2, "col_blocks": 2, "blocks": 3, "layer": layer}
    return {**right, "beats": length(config, 2, 3), **changes}


def run(config: EngineConfig, commands: list[dict[str, int]], beats: int) -> list[tuple[int, int]]:
    """Feed beats; return (beats taken, layer) of each pulse of ``wrong``."""
    dut = Weights(config)
    found: list[tuple[int, int]] = []

    async def feed(ctx: Any) -> None:
        for each in commands:
            ctx.set(dut.i.payload, each)
            ctx.set(dut.i.valid, 1)
            while True:
                *_, ready = await ctx.tick().sample(dut.i.ready)
                if ready:
                    break
            ctx.set(dut.i.valid, 0)

    async def bus(ctx: Any) -> None:
        """Offer a beat in every cycle; take blocks and empty banks at once."""
        ctx.set(dut.request.ready, 1)
        ctx.set(dut.data.valid, 1)
        taken = idle = 0
        while taken < beats and idle < 40:
            _, _, ready, wrong, layer, block, last = await ctx.tick().sample(
                dut.data.ready, dut.wrong, dut.wrong_layer, dut.ready, dut.last
            )
            if wrong:
                found.append((taken, layer))
            taken += ready
            idle = 0 if ready else idle + 1
            ctx.set(dut.data.valid, taken < beats)
            ctx.set(dut.taken, block)
            ctx.set(dut.release, block & last)
        for _ in range(3):
            _, _, wrong, layer = await ctx.tick().sample(dut.wrong, dut.wrong_layer)
            if wrong:
                found.append((taken, layer))

    simulate(dut, bus, background=[feed], cycles=20_000)
    return found


@pytest.mark.parametrize("name", CONFIGS)
def test_streams_that_come_out_even_are_right(name: str) -> None:
    config = CONFIGS[name]
    shapes = [(1, 1, 1), (1, 2, 3), (3, 1, 1), (2, 3, 2), (1, 1, 5)]
    commands = [
        command(config, number, tiles=tiles, col_blocks=columns, blocks=blocks,
                beats=length(config, columns, blocks))
        for number, (tiles, columns, blocks) in enumerate(shapes)
    ]  # fmt: skip
    total = sum(each["tiles"] * each["beats"] for each in commands)
    assert run(config, commands, total) == []


@pytest.mark.parametrize("extra", [-1, 1, -2, 2, None, "most"])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_stream_of_another_length_is_wrong(name: str, extra: int | str | None) -> None:
    """Told with the beat that should be the last and is not, or is and should not."""
    config = CONFIGS[name]
    right = length(config, 2, 3)
    beats = right + extra if isinstance(extra, int) else 1
    if extra == "most":
        beats = (1 << 32) // config.bus_bytes - 1
    found = run(config, [command(config, 6, beats=beats)], right)
    assert found[0] == (min(beats, right), 6)


@pytest.mark.parametrize(("field", "value"), [
    ("blocks", 1), ("blocks", 2), ("blocks", 4), ("blocks", 65535), ("col_blocks", 1),
    ("col_blocks", 3), ("col_blocks", 65535),
])  # fmt: skip
@pytest.mark.parametrize("name", CONFIGS)
def test_a_stream_of_other_blocks_is_wrong(name: str, field: str, value: int) -> None:
    config = CONFIGS[name]
    each = command(config, 4, **{field: value})
    needed = length(config, each["col_blocks"], each["blocks"])
    found = run(config, [each], each["beats"])
    assert found[0] == (min(needed, each["beats"]), 4)


@pytest.mark.parametrize("extra", [-1, 1])
def test_the_layer_is_that_of_the_stream_at_fault(extra: int) -> None:
    """A right stream before and one after, all of the same sizes."""
    config = CONFIGS["odd"]
    right = length(config, 2, 3)
    commands = [command(config, 1), command(config, 2, beats=right + extra), command(config, 3)]
    found = run(config, commands, 3 * right)
    assert found[0] == (2 * right + min(right, right + extra), 2)
