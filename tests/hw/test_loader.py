"""Loader: bands of every word size against a plain copy, through a Reader and a stalling memory."""

from random import Random
from typing import Any

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import wiring

from shiftwork.hw.config import EngineConfig
from shiftwork.hw.loader import Loader
from shiftwork.hw.reader import Reader

from .axi_slave import ReadMemory
from .bench import count_high, simulate, source, until

SIZE = 1 << 16


class Loading(wiring.Component):
    """A loader on a reader of its own."""

    def __init__(self, config: EngineConfig) -> None:
        self.loader = Loader(config)
        self.reader = Reader(config, (64,))
        super().__init__({})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.loader = self.loader
        m.submodules.reader = self.reader
        wiring.connect(m, self.loader.request, self.reader.request(0))
        wiring.connect(m, self.reader.data(0), self.loader.data)
        return m


def _command(rng: Random, config: EngineConfig) -> dict[str, int]:
    word = config.word_bytes
    shape = {"words": rng.choice([1, 2, 3, 7, 20])}
    shape |= {"planes": rng.choice([1, 2, 5]), "groups": rng.choice([1, 1, 3])}
    plane = (shape["words"] + rng.choice([0, 1, 5])) * word
    group = -plane * shape["planes"] if rng.random() < 0.5 else plane * shape["planes"] + 64
    span = 3 * 5 * (plane + 64)
    low = span if group < 0 else 0
    addr = low + rng.randrange((SIZE - span - low) // word) * word
    total = shape["words"] * shape["planes"] * shape["groups"]
    base = rng.choice([0, config.buffer_words - total, rng.randrange(config.buffer_words - total)])
    strides = {"plane_stride": plane, "group_stride": group % (1 << 32)}
    return {"addr": addr, "base": base, **shape, **strides}


def _writes(memory: bytearray, config: EngineConfig, command: dict[str, int]) -> list[Any]:
    writes: list[Any] = []
    if not command["words"]:
        return writes
    for g in range(command["groups"]):
        for p in range(command["planes"]):
            start = command["addr"] + g * command["group_stride"] + p * command["plane_stride"]
            for w in range(command["words"]):
                at = (start + w * config.word_bytes) % (1 << 32)
                lanes = memory[at : at + config.rows]
                mask = (1 << config.act_bits) - 1
                value = sum((v & mask) << i * config.act_bits for i, v in enumerate(lanes))
                writes.append((command["base"] + len(writes), value))
    return writes


def _load(
    config: EngineConfig, commands: list[dict[str, int]], *, stall: float = 0.0, seed: int = 0
) -> tuple[list[int], list[int]]:
    """Run the commands, compare every write; return the cycles of the writes and of done."""
    dut = Loading(config)
    memory = bytearray(Random(seed).randbytes(SIZE + 64))
    slave = ReadMemory(dut.reader, memory, config, rng=Random(seed + 1), stall=stall, latency=9)
    want = [_writes(memory, config, command) for command in commands]
    flat = [write for writes in want for write in writes]
    at: list[int] = []
    ends: list[int] = []

    async def check(ctx: Any) -> None:
        cycle = 0
        loader = dut.loader
        while len(ends) < len(commands):
            *_, en, addr, value, done = await ctx.tick().sample(
                loader.w_en, loader.w_addr, loader.w_data, loader.done
            )
            if done:
                ends.append(cycle)
                assert len(at) == sum(len(w) for w in want[: len(ends)]), "done too early or late"
                if want[len(ends) - 1]:
                    assert cycle == at[-1] + 1
            if en:
                assert (addr, value) == flat[len(at)], f"write {len(at)}"
                at.append(cycle)
            cycle += 1
        assert at == sorted(at) and len(at) == len(flat)

    simulate(
        dut,
        source(dut.loader.i, commands, rng=Random(seed + 2), stall=stall),
        check,
        background=[slave.testbench()],
        cycles=40_000,
    )
    return at, ends


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("bus_bits", [64, 128])
@pytest.mark.parametrize(
    ("rows", "act_bits"), [(1, 8), (2, 4), (3, 8), (5, 8), (8, 8), (16, 5), (20, 8), (33, 8)]
)
def test_bands_arrive(rows: int, act_bits: int, bus_bits: int, stall: float) -> None:
    config = EngineConfig(
        rows=rows, cols=1, act_bits=act_bits, bus_bits=bus_bits, burst_beats=16, buffer_words=512
    )
    rng = Random(rows * 1000 + bus_bits)
    commands = [_command(rng, config) for _ in range(8)]
    commands.insert(3, commands[0] | {"words": 0})
    commands.insert(4, commands[1] | {"words": 0})
    _load(config, commands, stall=stall, seed=rows)


@pytest.mark.parametrize(("rows", "bus_bits", "pace"), [(8, 64, 1), (16, 64, 2), (4, 64, 1)])
def test_no_gap_from_run_to_run(rows: int, bus_bits: int, pace: int) -> None:
    config = EngineConfig(rows=rows, cols=1, bus_bits=bus_bits)
    stride = 13 * config.word_bytes
    command = {
        "addr": 64, "words": 11, "planes": 9, "plane_stride": stride, "groups": 2,
        "group_stride": 32 * stride, "base": 5,
    }  # fmt: skip
    at, _ = _load(config, [command])
    assert len(at) == 11 * 9 * 2
    assert at[-1] - at[0] <= pace * (len(at) - 1) + 2


@pytest.mark.parametrize(
    ("shape", "fit"),
    [
        ({"words": 17, "base": 48}, 0),
        ({"words": 0xFFFF, "base": 63}, 0),
        ({"words": 5, "planes": 7, "base": 30}, 6),
        ({"words": 3, "planes": 0xFFFF, "groups": 0xFFFF, "base": 0}, 21),
    ],
)
def test_a_band_beyond_the_buffer_is_not_written(shape: dict[str, int], fit: int) -> None:
    """The runs that fit are loaded; nothing wraps to the buffer's start, `done` never comes."""
    config = EngineConfig(rows=8, cols=1, buffer_words=64)
    dut = Loading(config)
    loader = dut.loader
    command = {"addr": 0, "planes": 1, "groups": 1} | shape
    slave = ReadMemory(dut.reader, bytearray(SIZE), config)
    places: list[int] = []
    wrongs: list[int] = []
    dones: list[int] = []

    async def writes(ctx: Any) -> None:
        while True:
            *_, en, addr = await ctx.tick().sample(loader.w_en, loader.w_addr)
            if en:
                places.append(addr)

    async def settle(ctx: Any) -> None:
        await until(ctx, loader.wrong)
        await ctx.tick().repeat(300)

    simulate(
        dut,
        source(loader.i, [command]),
        settle,
        background=[
            slave.testbench(), writes, count_high(loader.wrong, wrongs),
            count_high(loader.done, dones),
        ],
    )  # fmt: skip
    assert places == list(range(command["base"], command["base"] + fit * command["words"]))
    assert len(wrongs) == 1
    assert not dones


def test_it_converts_to_verilog() -> None:
    for rows in (1, 16):
        assert "w_data" in verilog.convert(Loader(EngineConfig(rows=rows, cols=1)), emit_src=False)
