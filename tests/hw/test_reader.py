# amaranth: UnusedElaboratable=no
"""Reader: requests of several clients against a memory, with stalls everywhere."""

from random import Random
from typing import Any

import pytest
from amaranth.back import verilog

from shiftwork.hw.config import EngineConfig
from shiftwork.hw.geometry import burst_block
from shiftwork.hw.reader import Reader

from .axi_slave import ReadMemory
from .bench import count_high, holds, simulate, sink, source


def _memory(seed: int, size: int = 1 << 15) -> bytearray:
    return bytearray(Random(seed).randbytes(size))


def _beats(memory: bytearray, requests: list[dict[str, int]], width: int) -> list[int]:
    beats: list[int] = []
    for request in requests:
        for beat in range(request["beats"]):
            at = request["addr"] + beat * width
            beats.append(int.from_bytes(memory[at : at + width], "little"))
    return beats


def _requests(rng: Random, width: int, count: int, size: int) -> list[dict[str, int]]:
    requests: list[dict[str, int]] = []
    for _ in range(count):
        beats = rng.choice([1, 1, 2, 3, 5, 8, 13, 16, 31, 32, 33, 70])
        top = (size - beats * width) // width
        addr = rng.choice(
            [rng.randrange(top), 4096 * rng.randrange(1, 4) // width - rng.randrange(9)]
        )
        requests.append({"addr": min(addr, top) * width, "beats": beats})
    return requests


@pytest.mark.parametrize(
    ("bus_bits", "burst", "depths"),
    [
        (64, 32, (16, 64, 64)),
        (128, 16, (5, 40)),
        (64, 5, (4, 1, 3)),
        (128, 256, (256,)),
        (64, 1, (2, 17, 8, 9)),
    ],
)
@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_every_client_gets_its_beats(
    bus_bits: int, burst: int, depths: tuple[int, ...], stall: float
) -> None:
    config = EngineConfig(bus_bits=bus_bits, burst_beats=burst, weight_fifo=256)
    dut = Reader(config, depths)
    memory = _memory(1)
    slave = ReadMemory(dut, memory, config, rng=Random(2), stall=stall, latency=7)
    benches: list[Any] = []
    checks: list[Any] = [slave.testbench()]
    total = 0
    for i in range(len(depths)):
        requests = _requests(Random(10 + i), config.bus_bytes, 12, len(memory))
        want = _beats(memory, requests, config.bus_bytes)
        total += len(want)
        benches.append(source(dut.request(i), requests, rng=Random(20 + i), stall=stall))
        benches.append(sink(dut.data(i), want, rng=Random(30 + i), stall=stall))
        checks += [holds(dut.data(i))]
    counted: list[int] = []
    idle: list[int] = []
    checks += [count_high(dut.beat, counted), count_high(dut.idle, idle)]

    async def settle(ctx: Any) -> None:
        while len(counted) < total or not ctx.get(dut.idle):
            await ctx.tick()

    simulate(dut, *benches, settle, background=checks)
    assert len(counted) == total == sum(beats for _, beats in slave.bursts)


def test_one_beat_per_cycle() -> None:
    config = EngineConfig()
    dut = Reader(config, (64, 64))
    memory = _memory(3)
    requests = [{"addr": 8 * 7, "beats": 600}]
    slave = ReadMemory(dut, memory, config, latency=12)
    want = _beats(memory, requests, 8)
    simulate(
        dut,
        source(dut.request(1), requests),
        sink(dut.data(1), want),
        background=[slave.testbench()],
    )
    assert slave.beats[-1] - slave.beats[0] == 599
    block = burst_block(config.burst_beats)
    assert [beats for _, beats in slave.bursts] == [25, *[block] * 17, 31]


def test_a_stuck_client_does_not_block_the_others() -> None:
    config = EngineConfig()
    dut = Reader(config, (32, 64))
    memory = _memory(4)
    slave = ReadMemory(dut, memory, config)
    requests = [{"addr": 0, "beats": 300}]
    simulate(
        dut,
        source(dut.request(0), [{"addr": 64, "beats": 1000}]),  # its data are never taken
        source(dut.request(1), requests),
        sink(dut.data(1), _beats(memory, requests, 8), rng=Random(1), stall=0.2),
        background=[slave.testbench()],
        cycles=2000,
    )


def test_error_responses_are_reported() -> None:
    config = EngineConfig()
    dut = Reader(config, (32,))
    memory = _memory(5)
    slave = ReadMemory(dut, memory, config, errors=frozenset({3, 17}))
    errors: list[int] = []
    requests = [{"addr": 4096 - 80, "beats": 30}]

    async def settle(ctx: Any) -> None:
        await ctx.tick().repeat(100)

    simulate(
        dut,
        source(dut.request(0), requests),
        sink(dut.data(0), _beats(memory, requests, 8)),
        settle,
        background=[slave.testbench(), count_high(dut.error, errors)],
    )
    assert [cycle - 1 for cycle in errors] == [slave.beats[3], slave.beats[17]]


@pytest.mark.parametrize("seed", range(6))
def test_halt_drains_and_drops(seed: int) -> None:
    rng = Random(seed)
    config = EngineConfig(burst_beats=8)
    dut = Reader(config, (16, 32))
    slave = ReadMemory(dut, _memory(6), config, rng=rng, stall=0.3, latency=9)

    async def control(ctx: Any) -> None:
        for i in (0, 1):
            ctx.set(dut.request(i).payload, {"addr": 4096, "beats": 500})
            ctx.set(dut.request(i).valid, 1)
            ctx.set(dut.data(i).ready, i)
        await ctx.tick().repeat(rng.randrange(2, 90))
        ctx.set(dut.halt, 1)
        await ctx.tick().repeat(5)
        assert ctx.get(dut.request(0).ready) and ctx.get(dut.request(1).ready)
        started = len(slave.bursts)
        while not ctx.get(dut.idle):
            await ctx.tick()
        assert len(slave.beats) == sum(beats for _, beats in slave.bursts)
        await ctx.tick().repeat(50)
        assert ctx.get(dut.idle) and len(slave.bursts) <= started + 1

    simulate(dut, control, background=[slave.testbench()], cycles=2000)


def test_a_beat_of_no_burst_is_dropped() -> None:
    """As comes to an engine that was reset alone, with reads outstanding."""
    dut: Any = Reader(EngineConfig(), (8, 64))
    seen = dut.data(0).valid | dut.data(1).valid | dut.error | dut.beat

    async def run(ctx: Any) -> None:
        ctx.set(dut.m_axi_rresp, 2)
        for last in (0, 1, 1):
            ctx.set(dut.m_axi_rlast, last)
            ctx.set(dut.m_axi_rvalid, 1)
            await ctx.tick()
        ctx.set(dut.m_axi_rvalid, 0)
        for _ in range(6):
            *_, now, idle = await ctx.tick().sample(seen, dut.idle)
            assert idle and not now

    simulate(dut, run)


@pytest.mark.parametrize("depths", [(), (4, 0)])
def test_bad_depths_are_refused(depths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="depths"):
        Reader(EngineConfig(), depths)


def test_it_converts_to_verilog() -> None:
    text = verilog.convert(Reader(EngineConfig(), (16, 64, 64)), emit_src=False)
    assert "m_axi_arvalid" in text


def test_latency_to_the_bus() -> None:
    config = EngineConfig()
    dut: Any = Reader(config, (8, 64))
    memory = _memory(7)
    requests: list[list[int]] = [[], []]
    beats: list[list[int]] = [[], []]
    address: list[int] = []
    slave = ReadMemory(dut, memory, config)
    checks = [slave.testbench(), count_high(dut.m_axi_arvalid, address)]
    for i in (0, 1):
        port = dut.request(i)
        checks.append(count_high(port.valid & port.ready, requests[i]))
        checks.append(count_high(dut.data(i).valid, beats[i]))

    async def one_after_the_other(ctx: Any) -> None:
        for i in (0, 1):
            await source(dut.request(i), [{"addr": 0, "beats": 1}])(ctx)
            await sink(dut.data(i), _beats(memory, [{"addr": 0, "beats": 1}], 8))(ctx)

    simulate(dut, one_after_the_other, background=checks)
    assert address[0] - requests[0][0] == 3
    assert [beats[i][0] - slave.beats[i] for i in (0, 1)] == [1, 3]
