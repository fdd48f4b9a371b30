"""The window against a list of words: every mode, padding, and addresses that wrap."""

from random import Random
from typing import Any

import pytest

from shiftwork.hw.config import EngineConfig
from shiftwork.hw.descriptor import Mode
from shiftwork.hw.geometry import window_stages
from shiftwork.hw.window import Window
from tests.hw.bench import simulate

CONFIGS = {
    "one": EngineConfig(rows=3, cols=2, buffer_words=32),
    "two": EngineConfig(rows=4, cols=4, buffer_words=64, window=2),
    "four": EngineConfig(rows=8, cols=8, buffer_words=64, window=4, act_bits=5),
    "two_shallow": EngineConfig(rows=4, cols=4, buffer_words=64, window=2, pipeline="shallow"),
    "four_shallow": EngineConfig(rows=8, cols=8, buffer_words=64, window=4, pipeline="shallow"),
}


def expected(config: EngineConfig, words: list[list[int]], mode: Mode) -> list[int]:
    """Return the rows that the mode makes of the padded words."""
    if mode == Mode.PACKED:
        lanes = config.rows // config.window
        return [word[lane] for word in words for lane in range(lanes)]
    if mode == Mode.MERGED:
        return [max(lanes) for lanes in zip(*words, strict=True)]
    return words[0]


@pytest.mark.parametrize("name", CONFIGS)
def test_rows_of_every_mode(name: str) -> None:
    config = CONFIGS[name]
    rng = Random(name)
    peak = (1 << config.act_bits) - 1
    memory = [
        [rng.randint(0, peak) for _ in range(config.rows)] for _ in range(config.buffer_words)
    ]
    modes = list(Mode) if config.window > 1 else [Mode.PLANE, Mode.MERGED]
    beats = [
        (rng.choice([0, config.buffer_words - 1, rng.randrange(config.buffer_words)]),
         rng.getrandbits(config.window), rng.randint(0, peak), rng.choice(modes),
         rng.random() < 0.8)
        for _ in range(400)
    ]  # fmt: skip
    dut = Window(config)
    seen = 0
    neighbours = before = None

    async def run(ctx: Any) -> None:
        nonlocal seen, neighbours, before
        for address, word in enumerate(memory):
            packed = sum(value << config.act_bits * lane for lane, value in enumerate(word))
            ctx.set(dut.w_addr, address)
            ctx.set(dut.w_data, packed)
            ctx.set(dut.w_en, 1)
            await ctx.tick()
        ctx.set(dut.w_en, 0)
        # Address in stage A, control in B, the array's control in its B, rows in its C.
        late = 3 + window_stages(config)
        for step in range(len(beats) + late):
            if step < len(beats):
                ctx.set(dut.address, beats[step][0])
            if 0 <= step - 1 < len(beats):
                _, padding, value, mode, _ = beats[step - 1]
                ctx.set(dut.padding, padding)
                ctx.set(dut.pad_value, value)
                ctx.set(dut.mode, mode)
            ctx.set(dut.i_beat.valid, 0 <= step - 1 < len(beats) and beats[step - 1][-1])
            *_, valid, acts, separate, taps = await ctx.tick().sample(
                dut.beat.valid, dut.acts, dut.separate, dut.taps
            )
            assert valid == (0 <= step - late + 1 < len(beats) and beats[step - late + 1][-1])
            if step < late:
                continue
            address, padding, value, mode, there = beats[step - late]
            if not there:  # nor does what the array gets while no beat is there
                assert before is None or [acts[r] for r in range(config.rows)] == before
                continue
            words = [
                [value] * config.rows
                if padding >> i & 1
                else memory[(address + i) % config.buffer_words]
                for i in range(config.window)
            ]
            rows = range(config.rows)
            if mode == Mode.SEPARATE:
                assert separate
                neighbours = [[taps[i][r] for r in rows] for i in range(config.window)]
                assert neighbours == words
            else:
                assert not separate
                if neighbours is not None:  # and what no column takes does not change
                    assert neighbours == [[w[r] for r in rows] for w in taps]
                assert [acts[r] for r in rows] == expected(config, words, mode), (step, mode)
            before = [acts[r] for r in rows]
            seen += 1

    simulate(dut, run)
    assert seen == sum(there for *_, there in beats) > 250
