"""The sequencer against plain nested loops: every beat's address, flags and token, with stalls."""

from random import Random
from typing import Any

import pytest

from shiftwork.hw.config import EngineConfig
from shiftwork.hw.descriptor import Mode, Op
from shiftwork.hw.geometry import MIN_BLOCK_BEATS, SETTLE
from shiftwork.hw.sequencer import COMPUTE_FIELDS, Sequencer
from tests.hw.bench import simulate, source

CONFIGS = {
    "one": EngineConfig(rows=1, cols=1, hold=4, buffer_words=1024),
    "odd": EngineConfig(rows=3, cols=5, hold=7, buffer_words=1024),
    "tall": EngineConfig(rows=8, cols=4, hold=16, buffer_words=2048, window=4),
    "wide": EngineConfig(rows=2, cols=6, hold=9, buffer_words=1024, bus_bits=128, window=2),
    "two": EngineConfig(rows=4, cols=4, hold=8, buffer_words=1024, lane_terms=2, max_terms=4),
}


def band(config: EngineConfig, rng: Random, **fixed: int) -> dict[str, int]:
    """Return a random band; only the fields the sequencer reads, all of them consistent."""
    b: dict[str, int] = dict.fromkeys(COMPUTE_FIELDS, 0)
    kernel_h, kernel_w = rng.randint(1, 4), rng.randint(1, 4)
    b |= {
        "op": rng.choice([Op.SUM, Op.MAX]), "kernel_h": kernel_h, "kernel_w": kernel_w,
        "stride_x": rng.randint(1, 3), "stride_y": rng.randint(1, 3),
        "dilation_x": rng.randint(1, 2), "dilation_y": rng.randint(1, 2),
        "in_width": rng.randint(1, 9), "in_height": rng.randint(1, 6),
        "pad_top": rng.randint(0, 3), "pad_left": rng.randint(0, 3),
        "out_width": rng.randint(1, 6), "row_blocks": rng.randint(1, 3),
        "col_blocks": rng.randint(1, 3), "passes": rng.randint(1, config.max_passes),
        "depthwise": rng.randint(0, 1), "upsample": rng.randint(0, 1),
        "mode": rng.choice(list(Mode)), "hold_weights": rng.randint(0, 1),
        "pad_value": rng.choice([0, 128]), "lo": rng.randint(0, 9), "hi": rng.randint(9, 255),
        "buffer_base": rng.randrange(config.buffer_words), "layer": 3,
        "out_addr": rng.getrandbits(28), "out_plane_stride": rng.getrandbits(12) * 64,
    } | fixed  # fmt: skip
    b["plane_words"] = b["in_width"] * b["in_height"]
    b["row_step"] = rng.randint(1, 60)
    b["tail_taps"] = rng.randint(1, config.window)
    b["pixels"] = fixed.get("pixels", rng.randint(1, 3) * b["out_width"])
    b["tile"] = fixed.get("tile", min(rng.randint(1, config.hold), b["pixels"]))
    b["tiles"] = -(-b["pixels"] // b["tile"])
    most = b["col_blocks"] * config.cols
    b["out_channels"] = rng.randint(most - config.cols + 1, most)
    b["base_offset"] = -(b["pad_top"] * b["in_width"] + b["pad_left"]) & 0xFFFF
    b["row_jump"] = b["stride_y"] * b["in_width"]
    b["tap_jump"] = b["dilation_y"] * b["in_width"]
    return b


def expected(config: EngineConfig, b: dict[str, int]) -> tuple[list[tuple], list[dict[str, int]]]:
    """Return the beats (place, load, first, maximum, post_shift, pixel, landing) and tokens."""
    beats: list[tuple] = []
    tokens = []
    for tile in range(b["tiles"]):
        start = tile * b["tile"]
        pixels = min(b["tile"], b["pixels"] - start)
        for column in range(b["col_blocks"]):
            channel = column * config.cols
            plane_of_column = channel // config.rows
            tokens.append({
                "addr": (b["out_addr"] + start * config.word_bytes
                         + plane_of_column * b["out_plane_stride"]) & 0xFFFFFFFF,
                "plane_stride": b["out_plane_stride"], "pixels": pixels,
                "lane": channel % config.rows,
                "channels": min(config.cols, b["out_channels"] - channel),
                "lo": b["lo"], "hi": b["hi"],
                "last": tile == b["tiles"] - 1 and column == b["col_blocks"] - 1,
            })  # fmt: skip
            blocks = [
                (ky, kx, plane, term)
                for ky in range(b["kernel_h"]) for kx in range(b["kernel_w"])
                for plane in range(b["row_blocks"]) for term in range(b["passes"])
            ]  # fmt: skip
            for number, (ky, kx, plane, term) in enumerate(blocks):
                for pixel in range(pixels):
                    oy, ox = divmod(start + pixel, b["out_width"])
                    if b["upsample"]:
                        oy, ox = oy // 2, ox // 2
                    y = oy * b["stride_y"] + ky * b["dilation_y"] - b["pad_top"]
                    x = ox * b["stride_x"] + kx * b["dilation_x"] - b["pad_left"]
                    base = b["buffer_base"] + plane * b["row_step"]
                    if b["depthwise"]:
                        base += plane_of_column * b["plane_words"]
                    tail = b["tail_taps"] if kx == b["kernel_w"] - 1 else config.window
                    pads = sum(
                        1 << i
                        for i in range(config.window)
                        if not (0 <= y < b["in_height"] and 0 <= x + i < b["in_width"] and i < tail)
                    )
                    address = (base + y * b["in_width"] + x) % config.buffer_words
                    every = pads == (1 << config.window) - 1
                    beats.append((
                        b["pad_value"] if every else address, pads, b["mode"],
                        int(pixel == 0 and not (b["hold_weights"] and number)),
                        int(number == 0), int(b["op"] == Op.MAX), b["passes"] - 1 - term, pixel,
                        int(number == len(blocks) - 1 and pixel == pixels - 1),
                    ))  # fmt: skip
    return beats, tokens


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_walks_like_nested_loops(name: str, stall: float) -> None:
    config = CONFIGS[name]
    rng = Random(f"{name}{stall}")
    bands = [
        band(config, rng, pixels=1, tile=1, kernel_h=1, kernel_w=1, out_width=1),
        band(config, rng, out_width=5, pixels=config.hold + 1, tile=config.hold),
        band(config, rng, in_height=0),
        *(band(config, rng) for _ in range(6)),
    ]
    want_beats: list[tuple] = []
    want_tokens: list[dict[str, int]] = []
    for each in bands:
        beats, tokens = expected(config, each)
        want_beats += beats
        want_tokens += tokens

    dut = Sequencer(config)
    tokens_left = len(want_tokens)
    landed: list[int] = []
    order: list[tuple[int, int, int]] = []  # cycle, bank, pixel of every beat

    async def array(ctx: Any) -> None:
        """Check every beat as the array sees it; offer weights now and then."""
        address = 0
        cycle, ready, index = 0, False, 0
        bank = 0
        while index < len(want_beats):
            ctx.set(dut.weights_ready, ready)
            _, _, beat, padding, value, mode, now = await ctx.tick().sample(
                dut.beat, dut.padding, dut.pad_value, dut.mode, dut.address
            )
            ctx.set(dut.taken, 0)
            cycle += 1
            ready = ready or rng.random() >= stall
            if beat.valid:
                place = value if padding == (1 << config.window) - 1 else address
                got = (place, padding, int(mode), beat.load, beat.first, beat.maximum,
                       beat.post_shift, beat.pixel, beat.landing)  # fmt: skip
                assert got == want_beats[index], f"beat {index}"
                assert beat.bank == bank, f"beat {index}"
                if beat.load:
                    assert ready, "took codes that were not there"
                    ready = False
                    ctx.set(dut.taken, 1)
                if beat.landing:
                    bank ^= 1
                    landed.append(cycle)
                order.append((cycle, beat.bank, beat.pixel))
                index += 1
            address = now  # the memory reads a cycle before the beat is in stage B

    async def drain(ctx: Any) -> None:
        nonlocal tokens_left
        for index, want in enumerate(want_tokens):
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(dut.drain.ready, 1)
            while True:
                *_, valid, token = await ctx.tick().sample(dut.drain.valid, dut.drain.payload)
                if valid:
                    break
            ctx.set(dut.drain.ready, 0)
            got = {key: getattr(token, key) for key in want}
            assert got == want, f"token {index}"
            while len(landed) <= index:
                await ctx.tick()
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(dut.release, 1)
            await ctx.tick()
            ctx.set(dut.release, 0)
            tokens_left -= 1

    simulate(dut, source(dut.i, bands, rng=Random(1), stall=stall), array, drain, cycles=200_000)
    assert tokens_left == 0
    seen: dict[tuple[int, int], int] = {}
    for cycle, bank, pixel in order:
        assert cycle - seen.get((bank, pixel), -MIN_BLOCK_BEATS) >= MIN_BLOCK_BEATS
        seen[bank, pixel] = cycle


def test_issues_every_cycle_while_weights_wait() -> None:
    config = CONFIGS["tall"]
    b = band(config, Random(5), kernel_h=3, kernel_w=3, row_blocks=2, col_blocks=3, passes=2,
             tile=16, pixels=64, out_width=8, hold_weights=0)  # fmt: skip
    dut = Sequencer(config)
    issued = 0

    async def run(ctx: Any) -> None:
        nonlocal issued
        ctx.set(dut.weights_ready, 1)
        ctx.set(dut.taken, 1)
        ctx.set(dut.drain.ready, 1)
        ctx.set(dut.i.payload, b)
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        for _ in range(3 * 3 * 2 * 2 * 64 * 3 + SETTLE):
            *_, go, landing = await ctx.tick().sample(dut.issued, dut.beat.valid & dut.beat.landing)
            issued += go
            ctx.set(dut.release, landing)

    simulate(dut, run, cycles=20_000)
    assert issued == 3 * 3 * 2 * 2 * 64 * 3
