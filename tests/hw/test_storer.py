"""Storer: column blocks of every shape against a plain copy, in a stalling memory."""

from itertools import pairwise
from math import gcd
from random import Random
from typing import Any

import pytest
from amaranth.back import verilog

from shiftwork.hw.axilite import RECORD_CYCLES
from shiftwork.hw.codec.layout import mask_bytes
from shiftwork.hw.config import SEGMENTS, EngineConfig
from shiftwork.hw.storer import Storer

from .axi_slave import WriteMemory
from .bench import count_high, simulate, source, until

SIZE = 1 << 17


def _config(rows: int, cols: int, lanes: int, **changes: Any) -> EngineConfig:
    values: dict[str, Any] = {"hold": 12, "burst_beats": 8, "weight_fifo": 256} | changes
    return EngineConfig(rows=rows, cols=cols, requantise_lanes=lanes, **values)


def _token(rng: Random, config: EngineConfig, place: int, pixels: int | None = None) -> Any:
    """Return a token that writes somewhere in the window of 4 KiB x planes at `place`."""
    step = gcd(config.rows, config.cols)
    pixels = pixels or rng.choice([1, 2, 3, config.hold, rng.randrange(1, config.hold + 1)])
    word = config.word_bytes
    stride = -(-pixels * word // 64) * 64 + 64 * rng.randrange(3)
    return {
        "addr": place + word * rng.randrange(64 // word * 3),
        "plane_stride": stride,
        "pixels": pixels,
        "lane": rng.randrange(0, config.rows, step),
        "channels": rng.randrange(1, config.cols + 1),
        "last": int(rng.random() < 0.4),
    }


def _groups(rng: Random, config: EngineConfig, token: Any) -> list[list[int]]:
    count = token["pixels"] * (config.cols // config.requantise_lanes)
    top = 1 << config.act_bits
    used = rng.choice([1.0, 0.5, 0.0]) if token.get("segment") else 1.0
    return [
        [rng.randrange(top) if rng.random() < used else 0 for _ in range(config.requantise_lanes)]
        for _ in range(count)
    ]


def _store(
    memory: bytearray, times: bytearray, config: EngineConfig, token: Any, groups: Any
) -> None:
    values = [value for group in groups for value in group]
    if token.get("segment"):
        _store_without_zeros(memory, times, config, token, values)
        return
    for pixel in range(token["pixels"]):
        for channel in range(token["channels"]):
            plane, lane = divmod(token["lane"] + channel, config.rows)
            at = token["addr"] + plane * token["plane_stride"] + pixel * config.word_bytes + lane
            memory[at] = values[pixel * config.cols + channel]
            times[at] += 1


def _store_without_zeros(
    memory: bytearray, times: bytearray, config: EngineConfig, token: Any, values: list[int]
) -> None:
    size = -(-config.rows // 8)
    for plane in range(-(-token["channels"] // config.rows)):
        start = plane * token["plane_stride"]
        at = 0
        for pixel in range(token["pixels"]):
            if pixel % token["segment"] == 0:
                at = token["addr"] + start + pixel * config.word_bytes
            mask = 0
            for lane in range(config.rows):
                channel = plane * config.rows + lane
                value = values[pixel * config.cols + channel] if channel < config.cols else 0
                if channel < token["channels"] and value:
                    mask |= 1 << lane
                    memory[at] = value
                    times[at] += 1
                    at += 1
            for n, byte in enumerate(mask.to_bytes(size, "little")):
                memory[token["masks"] + start + pixel * size + n] = byte
                times[token["masks"] + start + pixel * size + n] += 1


def _zero_token(rng: Random, config: EngineConfig, place: int) -> Any:
    """Return a token of a map without zeros, or of one with all of them."""
    token = _token(rng, config, place)
    segment = rng.choice([1, 3, config.hold])
    pixels = segment * rng.randrange(1, min(SEGMENTS, config.hold // segment) + 1)
    size = mask_bytes(config)
    room = config.hold * config.word_bytes
    token |= {
        "pixels": pixels, "lane": 0, "bytes": pixels * size, "segment": segment,
        "plane_stride": -(-room // 64) * 64 + 64 * rng.randrange(3),
    }  # fmt: skip
    planes = -(-token["channels"] // config.rows)
    masks = place + planes * (token["plane_stride"] + 64) + 256
    token["masks"] = masks + size * rng.randrange(9)
    return token | ({"segment": 0} if rng.random() < 0.2 else {})


def _run(
    config: EngineConfig,
    tokens: list[Any],
    *,
    stall: float = 0.0,
    seed: int = 0,
    latency: int = 5,
    errors: frozenset[int] = frozenset(),
) -> tuple[WriteMemory, list[int], list[int], list[int]]:
    """Store the tokens, compare memory and strobes; return slave and cycles of done, error, in."""
    dut = Storer(config)
    rng = Random(seed)
    memory = bytearray(rng.randbytes(SIZE))
    want, times = bytearray(memory), bytearray(SIZE)
    slave = WriteMemory(
        dut, memory, config, rng=Random(seed + 1), stall=stall, latency=latency, errors=errors
    )
    groups: list[Any] = []
    for token in tokens:
        of_token = _groups(rng, config, token)
        _store(want, times, config, token, of_token)
        groups += of_token
    dones: list[int] = []
    errors_seen: list[int] = []
    taken: list[int] = []
    beats: list[int] = []

    async def settle(ctx: Any) -> None:
        while len(taken) < len(groups):
            await ctx.tick()
        while not ctx.get(dut.idle):
            await ctx.tick()
        await ctx.tick().repeat(3)

    simulate(
        dut,
        source(dut.token, tokens, rng=Random(seed + 2), stall=stall),
        source(dut.i, groups, rng=Random(seed + 3), stall=stall),
        settle,
        background=[
            slave.testbench(),
            count_high(dut.done, dones),
            count_high(dut.error, errors_seen),
            count_high(dut.beat, beats),
            count_high(dut.i.valid & dut.i.ready, taken),
        ],
        cycles=60_000,
    )
    assert slave.written == times, "wrong bytes strobed"
    assert memory == want
    assert len(beats) == len(slave.beats) == sum(count for _, count in slave.bursts)
    assert slave.responses == len(slave.bursts)
    assert len(dones) == sum(token["last"] for token in tokens)
    return slave, dones, errors_seen, taken


@pytest.mark.parametrize("stall", [0.0, 0.35])
@pytest.mark.parametrize("bus_bits", [64, 128])
@pytest.mark.parametrize(
    ("rows", "cols", "lanes"),
    [
        (1, 1, 1), (1, 5, 1), (3, 5, 1), (5, 1, 1), (5, 8, 1), (8, 5, 1), (8, 8, 1), (8, 8, 2),
        (8, 16, 4), (16, 8, 4), (16, 16, 16), (6, 9, 3), (12, 12, 4), (20, 8, 2), (33, 1, 1),
        (2, 2, 2),
    ],
)  # fmt: skip
def test_column_blocks_arrive(
    rows: int, cols: int, lanes: int, bus_bits: int, stall: float
) -> None:
    config = _config(rows, cols, lanes, bus_bits=bus_bits)
    rng = Random(rows * 100 + cols)
    tokens = [_token(rng, config, 8192 * (i + 1) - 320) for i in range(9)]
    _run(config, tokens, stall=stall, seed=rows)


@pytest.mark.parametrize(
    ("rows", "cols", "lanes", "act_bits", "bus_bits", "stall"),
    [
        (1, 2, 1, 8, 64, 0.35), (3, 3, 1, 6, 128, 0.35), (4, 8, 2, 8, 64, 0.35),
        (4, 8, 2, 8, 128, 0.0), (8, 8, 4, 5, 64, 0.0), (8, 8, 4, 5, 128, 0.35),
        (16, 16, 8, 8, 64, 0.35), (20, 20, 4, 8, 64, 0.0),
    ],
)  # fmt: skip
def test_maps_without_zeros(
    rows: int, cols: int, lanes: int, act_bits: int, bus_bits: int, stall: float
) -> None:
    config = _config(rows, cols, lanes, act_bits=act_bits, bus_bits=bus_bits, zero_maps=True)
    rng = Random(rows * 100 + bus_bits)
    tokens = [_zero_token(rng, config, 8192 * (i + 1) - 320) for i in range(5)]
    assert any(token["segment"] for token in tokens)
    _run(config, tokens, stall=stall, seed=rows)


@pytest.mark.parametrize("act_bits", [2, 5])
@pytest.mark.parametrize("rows", [4, 16])
def test_narrow_activations(rows: int, act_bits: int) -> None:
    config = _config(rows, 4, 2, act_bits=act_bits)
    rng = Random(act_bits)
    _run(config, [_token(rng, config, 8192 * (i + 1)) for i in range(4)], stall=0.2)


@pytest.mark.parametrize(("hold", "burst"), [(4, 1), (4, 3), (100, 256), (17, 16)])
def test_bursts_and_depths(hold: int, burst: int) -> None:
    for rows, bus_bits in ((2, 64), (16, 64), (8, 128)):
        config = _config(rows, 8, 2, hold=hold, burst_beats=burst, bus_bits=bus_bits)
        rng = Random(hold + rows)
        _run(config, [_token(rng, config, 4096 * (i + 1) - 192) for i in range(8)], stall=0.2)


@pytest.mark.parametrize(("rows", "lanes"), [(8, 8), (16, 8)])
def test_full_rate(rows: int, lanes: int) -> None:
    config = _config(rows, 8, lanes, hold=64, burst_beats=32)
    step = 64 * config.word_bytes
    tokens = [
        {"addr": 4096 + i * step, "plane_stride": 0, "pixels": 64, "lane": 0,
         "channels": 8, "last": int(i == 5)}
        for i in range(6)
    ]  # fmt: skip
    slave, _, _, taken = _run(config, tokens)
    beats = 64 * config.word_bytes // config.bus_bytes
    for i in range(6):
        of_token = slave.beats[i * beats : (i + 1) * beats]
        assert of_token[-1] - of_token[0] == beats - 1
    assert slave.beats[-1] - slave.beats[0] <= 6 * (beats + 3)
    if beats == 64:  # the bus keeps up: groups wait 2 cycles from token to token
        assert taken[-1] - taken[0] == 6 * 64 - 1 + 5 * 2


def test_done_waits_for_the_responses() -> None:
    config = _config(8, 8, 2)
    token = _token(Random(1), config, 0, pixels=12) | {"addr": 4096, "lane": 0, "last": 1}
    slave, dones, errors, _ = _run(config, [token], latency=40, errors=frozenset({1}))
    assert [count for _, count in slave.bursts] == [8, 4]
    assert len(errors) == 1
    assert slave.beats[-1] + 40 <= errors[0] <= dones[0]


@pytest.mark.parametrize("seed", range(8))
def test_halt_completes_what_is_on_the_bus(seed: int) -> None:
    rng = Random(seed)
    config = _config(8, 8, 2, burst_beats=4)
    dut = Storer(config)
    slave = WriteMemory(dut, bytearray(SIZE), config, rng=rng, stall=0.3, latency=6)
    token = {"addr": 64, "plane_stride": 0, "pixels": 12, "lane": 0, "channels": 8, "last": 0}

    async def control(ctx: Any) -> None:
        ctx.set(dut.token.payload, token)
        ctx.set(dut.token.valid, 1)
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(rng.randrange(2, 300))
        ctx.set(dut.halt, 1)
        await ctx.tick().repeat(6)
        assert ctx.get(dut.token.ready) and ctx.get(dut.i.ready)
        started = len(slave.bursts)
        while not ctx.get(dut.idle):
            await ctx.tick()
        await ctx.tick().repeat(40)
        assert ctx.get(dut.idle) and len(slave.bursts) <= started + 1
        assert slave.responses == len(slave.bursts)
        assert len(slave.beats) == sum(beats for _, beats in slave.bursts)

    simulate(dut, control, background=[slave.testbench()], cycles=3000)


@pytest.mark.parametrize("bus_bits", [64, 128])
def test_layers_end_no_faster_than_their_counters_are_kept(bus_bits: int) -> None:
    """One pixel each, from a memory that answers in the cycle after the last beat."""
    config = _config(4, 1, 1, bus_bits=bus_bits)
    token = {"plane_stride": 64, "pixels": 1, "lane": 0, "channels": 1, "last": 1}
    tokens = [token | {"addr": 4096 * (i + 1)} for i in range(8)]
    _, dones, _, _ = _run(config, tokens, latency=0)
    gaps = [after - before for before, after in pairwise(dones)]
    assert len(gaps) == 7
    assert min(gaps) == 9 >= RECORD_CYCLES


@pytest.mark.parametrize("resp", [0, 2])
def test_a_response_to_nothing_is_ignored(resp: int) -> None:
    """As comes to an engine that was reset alone, with writes outstanding."""
    config = _config(8, 8, 8)
    dut: Any = Storer(config)
    token = {"addr": 64, "plane_stride": 0, "pixels": 3, "lane": 0, "channels": 8, "last": 1}
    dones: list[int] = []
    errors: list[int] = []
    slave = WriteMemory(dut, bytearray(SIZE), config, latency=40)

    async def run(ctx: Any) -> None:
        for _ in range(3):  # from before the reset
            ctx.set(dut.m_axi_bvalid, 1)
            ctx.set(dut.m_axi_bresp, resp)
            await ctx.tick()
            ctx.set(dut.m_axi_bvalid, 0)
            ctx.set(dut.m_axi_bresp, 0)
            await ctx.tick().repeat(3)
            assert ctx.get(dut.idle)

    async def late(ctx: Any) -> None:
        await ctx.tick().repeat(20)
        await slave.testbench()(ctx)

    async def settle(ctx: Any) -> None:
        await ctx.tick().repeat(24)
        ctx.set(dut.token.payload, token)
        ctx.set(dut.token.valid, 1)
        await ctx.tick()
        ctx.set(dut.token.valid, 0)
        ctx.set(dut.i.valid, 1)
        await until(ctx, dut.done)
        assert slave.responses == 1
        ctx.set(dut.halt, 1)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.idle)

    simulate(
        dut, run, settle, cycles=500,
        background=[late, count_high(dut.done, dones), count_high(dut.error, errors)],
    )  # fmt: skip
    assert not errors


def test_it_converts_to_verilog() -> None:
    for config in (_config(1, 1, 1), _config(16, 16, 4), _config(3, 5, 1)):
        assert "m_axi_wstrb" in verilog.convert(Storer(config), emit_src=False)


def test_latency_to_the_bus() -> None:
    config = _config(8, 8, 8)
    dut: Any = Storer(config)
    token = {"addr": 64, "plane_stride": 0, "pixels": 3, "lane": 0, "channels": 8, "last": 1}
    taken: list[int] = []
    address: list[int] = []
    word: list[int] = []

    async def settle(ctx: Any) -> None:
        await ctx.tick().repeat(40)

    simulate(
        dut,
        source(dut.token, [token]),
        source(dut.i, [[1] * 8] * 3),
        settle,
        background=[
            WriteMemory(dut, bytearray(SIZE), config).testbench(),
            count_high(dut.i.valid & dut.i.ready, taken),
            count_high(dut.m_axi_awvalid, address),
            count_high(dut.m_axi_wvalid, word),
        ],
    )
    assert (address[0] - taken[-1], word[0] - taken[-1]) == (5, 7)
