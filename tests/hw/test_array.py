"""The array against plain sums: every lane's circuit, sizes that divide nothing, extremes."""

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from shiftwork.hw.array import Array
from shiftwork.hw.config import EngineConfig
from shiftwork.hw.geometry import DRAIN_READ, MIN_BLOCK_BEATS, array_stages
from tests.hw.bench import Testbench, count_high, simulate
from tests.terms import lane_sum

CONFIGS = [
    EngineConfig(rows=1, cols=1, hold=4),
    EngineConfig(rows=3, cols=5, hold=5, select="mux"),
    EngineConfig(rows=8, cols=2, hold=16),
    EngineConfig(rows=5, cols=2, hold=6, code_bits=5, max_terms=4),
    EngineConfig(rows=4, cols=3, hold=6, code_bits=2, max_terms=1),
    EngineConfig(rows=4, cols=3, hold=6, code_bits=3, act_bits=5, select="mux"),
    EngineConfig(rows=14, cols=5, hold=5),
    EngineConfig(rows=3, cols=2, hold=5, code_bits=3, lane_terms=2, max_terms=4),
    EngineConfig(rows=1, cols=1, hold=4, lane_terms=2, max_terms=2, select="mux"),
    EngineConfig(rows=12, cols=6, hold=5, lane_terms=2),
    EngineConfig(rows=11, cols=6, hold=5, code_bits=5),
    EngineConfig(rows=11, cols=6, hold=5, code_bits=3, lane_terms=2, max_terms=4, act_bits=6),
    EngineConfig(rows=14, cols=5, hold=4, pipeline="shallow"),
    EngineConfig(rows=4, cols=3, hold=4, lane_terms=2, max_terms=4, pipeline="shallow"),
]
INTEGER_CONFIGS = [
    EngineConfig(rows=3, cols=4, hold=6, arithmetic="int8"),
    EngineConfig(rows=4, cols=2, hold=5, arithmetic="int4", act_bits=5),
    EngineConfig(rows=12, cols=6, hold=5, arithmetic="int8"),
    EngineConfig(rows=12, cols=6, hold=5, arithmetic="int8", pipeline="shallow"),
]


def name(config: EngineConfig) -> str:
    size = f"{config.rows}x{config.cols}{config.arithmetic}{config.lane_terms}"
    return f"{size}-{config.select}-{config.pipeline}"


@dataclass
class Block:
    """One block of codes (lane_terms x cols x rows) held for a word of activations per pixel."""

    first: bool
    landing: bool
    codes: np.ndarray
    post_shift: int
    words: list[list[int]]
    idle: int


def random_blocks(config: EngineConfig, rng: random.Random, count: int) -> list[Block]:
    top, peak = config.magnitudes, (1 << config.act_bits) - 1
    blocks = []
    for index in range(count):
        shape = config.lane_terms, config.cols, config.rows
        codes = np.array([rng.randint(-top, top) for _ in range(np.prod(shape))]).reshape(shape)
        if index == 0:  # the largest and the smallest term side by side
            codes = np.where(np.indices(shape).sum(0) % 2, -1, top)
        words = [
            [rng.choice([0, peak, rng.randint(0, peak)]) for _ in range(config.rows)]
            for _ in range(config.hold)
        ]
        blocks.append(
            Block(index % 3 == 0, index % 3 == 2, codes, rng.randrange(config.max_passes), words,
                  rng.randrange(3))
        )  # fmt: skip
    return blocks


def reference(config: EngineConfig, blocks: list[Block], maximum: bool) -> list[list[list[int]]]:
    """Return [bank][pixel][column] after all blocks."""
    acc = [[[0] * config.cols for _ in range(config.hold)] for _ in range(2)]
    bank = 1
    for block in blocks:
        bank ^= block.first
        for pixel, word in enumerate(block.words):
            sums = lane_sum(config, block.codes, np.array(word)).sum(1)
            for col in range(config.cols):
                total = int(sums[col]) << config.lane_terms * block.post_shift
                before = acc[bank][pixel][col]
                if block.first:
                    acc[bank][pixel][col] = total
                else:
                    acc[bank][pixel][col] = max(before, total) if maximum else before + total
    return acc


def drive(
    dut: Array,
    blocks: list[Block],
    maximum: bool,
    expected: list[list[list[int]]],
    landing: list[int],
) -> Testbench:
    """Let the blocks pass, then read all accumulators; ``landing`` gets the last beats' cycles."""
    config, rng = dut.config, random.Random(3)

    async def testbench(ctx: Any) -> None:
        bank, cycle = 1, 0
        word = [0] * config.rows
        for block in blocks:
            bank ^= block.first
            packed = 0
            for index, code in enumerate(block.codes.flatten().tolist()):
                mask = (1 << config.code_bits) - 1
                packed |= (code & mask) << (index * config.code_bits)
            ctx.set(dut.codes, packed)
            for pixel, following in enumerate(block.words):
                ctx.set(dut.beat, {
                    "valid": 1, "load": pixel == 0, "first": block.first, "maximum": maximum,
                    "post_shift": block.post_shift, "bank": bank, "pixel": pixel,
                    "landing": block.landing and pixel == config.hold - 1,
                })  # fmt: skip
                ctx.set(dut.acts, word)  # of the beat before: activations come in stage C
                if block.landing and pixel == config.hold - 1:
                    landing.append(cycle)
                await ctx.tick()
                cycle += 1
                word = following
            for _ in range(block.idle):
                ctx.set(dut.beat, {
                    "valid": 0, "load": 0, "first": rng.getrandbits(1),
                    "maximum": rng.getrandbits(1), "post_shift": 0, "bank": rng.getrandbits(1),
                    "pixel": rng.randrange(config.hold), "landing": 1,
                })  # fmt: skip
                ctx.set(dut.acts, word)
                await ctx.tick()
                cycle += 1
        ctx.set(dut.beat.valid, 0)
        ctx.set(dut.acts, word)
        await ctx.tick().repeat(8)

        # Back to back, then apart: each value comes in time and stays until the next.
        places = [(bank, pixel) for bank in range(2) for pixel in range(config.hold)]
        asked: list[tuple[int, int] | None] = [*places]
        for place in rng.sample(places, len(places)):
            asked += [place, *[None] * rng.randrange(3)]
        asked += [None] * DRAIN_READ
        for index, place in enumerate(asked):
            ctx.set(dut.drain, place is not None)
            bank, pixel = place or rng.choice(places)
            ctx.set(dut.drain_bank, bank)
            ctx.set(dut.drain_address, pixel)
            await ctx.tick()
            shown = next(
                (at for at in reversed(asked[: max(0, index + 2 - DRAIN_READ)]) if at), None
            )
            if shown is not None:
                got = [ctx.get(dut.drained[c]) for c in range(config.cols)]
                assert got == expected[shown[0]][shown[1]], (index, shown)

    return testbench


@pytest.mark.parametrize(
    "config",
    CONFIGS + INTEGER_CONFIGS,
    ids=lambda c: f"{name(c)}B{c.code_bits}",
)
def test_sums_of_terms(config: EngineConfig) -> None:
    assert config.hold >= MIN_BLOCK_BEATS
    blocks = random_blocks(config, random.Random(1), 6)
    landed: list[int] = []
    landing: list[int] = []
    dut = Array(config)
    testbench = drive(dut, blocks, False, reference(config, blocks, False), landing)
    simulate(dut, testbench, background=[count_high(dut.landed, landed)])
    assert landed == [cycle + 6 + array_stages(config) for cycle in landing]
    assert len(landed) == sum(block.landing for block in blocks) > 0


@pytest.mark.parametrize(
    "config",
    CONFIGS[:3] + CONFIGS[-5:] + INTEGER_CONFIGS[:2],
    ids=name,
)
def test_maximum_with_identity_codes(config: EngineConfig) -> None:
    blocks = random_blocks(config, random.Random(2), 6)
    for block in blocks:
        block.post_shift = 0
        block.codes[:-1] = 0
        block.codes[-1] = config.shift_code(0) * np.eye(config.cols, config.rows, dtype=int)
    dut = Array(config)
    simulate(dut, drive(dut, blocks, True, reference(config, blocks, True), []))
