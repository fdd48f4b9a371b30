"""Loader of maps without zeros: any bytes are a map, through a Reader and a stalling memory."""

from random import Random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from shiftwork.hw.codec.zero_loader import ZeroLoader
from shiftwork.hw.config import EngineConfig
from shiftwork.hw.geometry import fifo_depths
from shiftwork.hw.reader import Reader

from ..axi_slave import ReadMemory
from ..bench import simulate, source

SIZE = 1 << 16
MASKS = 3 << 14  # from here on the memory is masks


class Loading(wiring.Component):
    """A loader on a reader of its own."""

    def __init__(self, config: EngineConfig) -> None:
        self.loader = ZeroLoader(config)
        self.reader = Reader(config, fifo_depths(config)[3:])
        super().__init__({})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.loader, m.submodules.reader = self.loader, self.reader
        sides = (
            (self.loader.request, self.loader.data),
            (self.loader.o_request, self.loader.o_data),
        )
        for client, (request, data) in enumerate(sides):
            wiring.connect(m, request, self.reader.request(client))
            wiring.connect(m, self.reader.data(client), data)
        return m


def _command(rng: Random, config: EngineConfig) -> dict[str, int]:
    segment = rng.choice([1, 3, config.hold, rng.randrange(1, config.hold + 1)])
    skip = rng.choice([0, segment - 1, rng.randrange(segment)])
    words = rng.choice([1, 2, segment, rng.randrange(1, 30)])
    size = -(-config.rows // 8)
    plane = -(-(words + skip + segment) * config.word_bytes // 64) * 64
    shape = {"words": words, "planes": rng.choice([1, 2, 5]), "groups": rng.choice([1, 1, 3])}
    total = words * shape["planes"] * shape["groups"]
    return shape | {
        "segment": segment, "skip": skip, "plane_stride": plane, "group_stride": 5 * plane + 64,
        "values": rng.randrange(1, (MASKS >> 2) // 64) * 64,
        "addr": MASKS - 20 * plane + size * rng.randrange(200),
        "base": rng.choice([0, config.buffer_words - total]),
    }  # fmt: skip


def _words(
    memory: bytearray, config: EngineConfig, command: dict[str, int]
) -> tuple[list[int], int]:
    """Return the words of a command by the definition, and the values that have to be read."""
    found: list[int] = []
    read = 0
    size = -(-config.rows // 8)
    for g in range(command["groups"]):
        for p in range(command["planes"]):
            start = g * command["group_stride"] + p * command["plane_stride"]
            at = 0
            for pixel in range(command["skip"] + command["words"]):
                if pixel % command["segment"] == 0:
                    at = command["values"] + start + pixel * config.word_bytes
                spot = command["addr"] + start + pixel * size
                mask = int.from_bytes(memory[spot : spot + size], "little")
                word = 0
                for lane in range(config.rows):
                    if mask >> lane & 1:
                        value = memory[at] & (1 << config.act_bits) - 1
                        word |= value << lane * config.act_bits
                        at += 1
                        read += pixel >= command["skip"]
                if pixel >= command["skip"]:
                    found.append(word)
    return found, read


@pytest.mark.parametrize(
    ("rows", "act_bits", "bus_bits", "stall"),
    [
        (1, 8, 64, 0.3), (3, 6, 128, 0.3), (4, 8, 64, 0.0), (4, 8, 128, 0.3), (8, 8, 64, 0.3),
        (16, 8, 64, 0.0), (16, 8, 128, 0.3), (20, 5, 64, 0.3),
    ],
)  # fmt: skip
def test_bands_arrive(rows: int, act_bits: int, bus_bits: int, stall: float) -> None:
    config = EngineConfig(
        rows=rows, cols=rows, act_bits=act_bits, bus_bits=bus_bits, burst_beats=16, hold=12,
        buffer_words=512, zero_maps=True,
    )  # fmt: skip
    rng = Random(rows * 1000 + bus_bits)
    commands = [_command(rng, config) for _ in range(8)]
    commands.insert(3, commands[0] | {"words": 0})
    memory = bytearray(rng.randbytes(SIZE + 4096))
    sparse = rng.choices([0, 0xFF, 0x11, 0x80], [3, 1, 2, 2], k=1 << 13)
    memory[MASKS - (1 << 12) : MASKS + (1 << 12)] = bytes(sparse)
    dut = Loading(config)
    slave = ReadMemory(dut.reader, memory, config, rng=Random(1), stall=stall, latency=9)
    want = [_words(memory, config, command)[0] if command["words"] else [] for command in commands]
    flat = [
        (command["base"] + n, word)
        for command, words in zip(commands, want, strict=True)
        for n, word in enumerate(words)
    ]
    ends: list[int] = []
    count = 0

    async def check(ctx: Any) -> None:
        nonlocal count
        loader = dut.loader
        while len(ends) < len(commands):
            *_, en, addr, value, done, wrong = await ctx.tick().sample(
                loader.w_en, loader.w_addr, loader.w_data, loader.done, loader.wrong
            )
            assert not wrong
            if done:
                ends.append(count)
                assert count == sum(map(len, want[: len(ends)])), "done too early or late"
            if en:
                assert (addr, value) == flat[count], f"write {count}"
                count += 1

    simulate(
        dut,
        source(dut.loader.i, commands, rng=Random(2), stall=stall),
        check,
        background=[slave.testbench()],
        cycles=60_000,
    )
    assert count == len(flat)


@pytest.mark.parametrize("used", [0, 4, 8, 16])
def test_only_what_is_there_is_read_and_at_full_rate(used: int) -> None:
    config = EngineConfig(rows=16, cols=16, hold=64, buffer_words=1024, zero_maps=True)
    words, segment, planes = 200, 50, 4
    plane = words * 18 + 64
    masks = words * 16
    memory = bytearray(SIZE)
    for p in range(planes):
        at = p * plane + masks
        memory[at : at + 2 * words] = ((1 << used) - 1).to_bytes(2, "little") * words
    dut = Loading(config)
    slave = ReadMemory(dut.reader, memory, config)
    cycles: list[int] = []

    async def check(ctx: Any) -> None:
        cycle = 0
        while len(cycles) < words * planes:
            *_, en = await ctx.tick().sample(dut.loader.w_en)
            cycle += 1
            if en:
                cycles.append(cycle)

    command = {"addr": masks, "values": 0, "words": words, "planes": planes, "groups": 1,
               "plane_stride": plane, "segment": segment}  # fmt: skip
    simulate(dut, source(dut.loader.i, [command]), check, background=[slave.testbench()])
    segments = words // segment
    beats = sum(length for _, length in slave.bursts)
    assert beats == planes * (-(-2 * words // 8) + segments * (-(-segment * used // 8)))
    least = max(words * planes, beats)
    assert cycles[-1] - cycles[0] <= least + planes * (segments + 8) + 20


def test_a_run_beyond_the_buffer_is_wrong() -> None:
    config = EngineConfig(rows=4, cols=4, hold=16, buffer_words=16, zero_maps=True)
    dut = Loading(config)
    memory = bytearray(SIZE)
    slave = ReadMemory(dut.reader, memory, config)
    wrong = 0

    async def check(ctx: Any) -> None:
        nonlocal wrong
        for _ in range(200):
            *_, now, done = await ctx.tick().sample(dut.loader.wrong, dut.loader.done)
            wrong += now
            assert not done

    command = {"addr": 1024, "values": 0, "words": 9, "planes": 2, "groups": 1,
               "plane_stride": 64, "segment": 3}  # fmt: skip
    simulate(dut, source(dut.loader.i, [command]), check, background=[slave.testbench()])
    assert wrong == 1
