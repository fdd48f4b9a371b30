"""A tiny program on the whole engine: right bytes, soft reset, start while busy, bus errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from shiftwork.hw.config import EngineConfig
from shiftwork.hw.descriptor import (
    DESCRIPTOR_BYTES,
    ErrorCode,
    pack_descriptor,
    unpack_descriptor,
)
from shiftwork.hw.engine import Engine
from shiftwork.hw.registers import COUNTERS, REGISTER
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.model.program import HEADER_BYTES, Program, round_up
from tests.hw.axi_slave import ReadMemory, WriteMemory
from tests.hw.bench import simulate, until
from tests.hw.test_axilite import Host
from tests.networks import NetworkBuilder

CONFIG = EngineConfig(
    name="least", rows=2, cols=2, act_bits=8, code_bits=3, max_terms=2, max_fan_in=64, hold=8,
    buffer_words=64, burst_beats=8, weight_fifo=8, max_layers=4,
)  # fmt: skip
START, RESET, IRQ_ENABLE = 1, 2, 1 << 8
BUSY, DONE, ERROR, BLOCKED = 1, 2, 4, 8
LAYERS = 2
Body = Callable[[Any, "Bench"], Awaitable[None]]


@dataclass
class Case:
    """A compiled network, its memory before a run, and every tensor it must hold after."""

    program: Program
    image: bytes
    want: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def case() -> Case:
    builder = NetworkBuilder(3, 3, 4, 4, zero_point=128)
    builder.conv(3, (2, 2), padding=(1, 0, 0, 1), bits=3, terms=1)
    builder.conv(4, bits=3)
    network, x = builder.build(), builder.picture()
    program = compile_network(network, CONFIG, keep_all=True)
    memory = np.zeros(program.size, np.uint8)
    memory[: len(program.image)] = np.frombuffer(program.image, np.uint8)
    program.write_tensor(memory, network.input, x[0].numpy())
    tensors: dict[str, torch.Tensor] = golden.run(network, x, exact="integer")
    outputs = [plan.output for plan in program.layers]
    return Case(program, memory.tobytes(), {name: tensors[name][0].numpy() for name in outputs})


class Bench:
    """The engine between a host and a memory."""

    def __init__(
        self, case: Case, stall: float = 0.0, read_errors: frozenset[int] = frozenset(),
        write_errors: frozenset[int] = frozenset(),
    ) -> None:  # fmt: skip
        self.case = case
        self.dut = Engine(CONFIG)
        self.memory = bytearray(case.image)
        share = {"stall": stall, "latency": 4}
        self.reads = ReadMemory(
            self.dut, self.memory, CONFIG, rng=Random(1), errors=read_errors, **share
        )
        self.writes = WriteMemory(
            self.dut, self.memory, CONFIG, rng=Random(2), errors=write_errors, **share
        )
        self.host: Host

    def run(self, body: Body, cycles: int = 12_000) -> None:
        async def testbench(ctx: Any) -> None:
            self.host = Host(ctx, self.dut, Random(3), 0.0)
            await body(ctx, self)

        background = [self.reads.testbench(), self.writes.testbench()]
        simulate(self.dut, testbench, background=background, cycles=cycles)

    async def write(self, register: str, value: int) -> None:
        await self.host.write(REGISTER[register].offset, value)

    async def read(self, register: str) -> int:
        return await self.host.read(REGISTER[register].offset)

    async def start(self) -> None:
        await self.write("PROGRAM", self.case.program.first_descriptor)
        await self.write("CONTROL", START | IRQ_ENABLE)

    async def counters(self, register: str) -> dict[str, int]:
        return {name: await self.read(f"{register}{i}") for i, (name, _) in enumerate(COUNTERS)}

    def right(self) -> None:
        """Check every tensor that the program computes."""
        memory = np.frombuffer(self.memory, np.uint8)
        for name, want in self.case.want.items():
            got = self.case.program.read_tensor(memory, name)
            assert np.array_equal(got, want), name

    def wipe(self) -> None:
        """Bring the memory back to what it was before a run."""
        self.memory[:] = self.case.image


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_runs_a_program_and_counts(case: Case, stall: float) -> None:
    bench = Bench(case, stall)

    async def body(ctx: Any, bench: Bench) -> None:
        assert await bench.read("STATUS") == 0
        await bench.start()
        assert await bench.read("STATUS") == BUSY
        await until(ctx, bench.dut.irq)
        bench.right()
        assert await bench.read("STATUS") == DONE
        assert await bench.read("ERROR") == 0
        totals = await bench.counters("TOTAL")
        layers = []
        for layer in range(LAYERS):
            await bench.write("LAYER", layer)
            layers.append(await bench.counters("COUNTER"))
        for name, total in totals.items():
            assert layers[0][name] <= layers[1][name] <= total, name
        assert totals["read"] == len(bench.reads.beats)
        assert totals["written"] == len(bench.writes.beats)
        spent = ("compute", "wait_weights", "wait_load", "wait_drain", "wait_other")
        assert sum(totals[name] for name in spent) == totals["busy"]
        assert totals["compute"] >= sum(plan.ideal_cycles for plan in case.program.layers)
        await bench.write("STATUS", DONE)
        assert await bench.read("STATUS") == 0
        *_, irq = await ctx.tick().sample(bench.dut.irq)
        assert not irq

    bench.run(body)


def test_a_start_while_busy_is_ignored(case: Case) -> None:
    cycles = {}
    for disturb in (False, True):
        bench = Bench(case)

        async def body(ctx: Any, bench: Bench, disturb: bool = disturb) -> None:
            await bench.start()
            for _ in range(6):
                await bench.write("CONTROL", IRQ_ENABLE | (START if disturb else 0))
                for _ in range(60):
                    await ctx.tick()
                assert await bench.read("STATUS") & BUSY
            await until(ctx, bench.dut.irq)
            bench.right()
            cycles[disturb] = (await bench.counters("TOTAL"))["busy"]
            for _ in range(50):  # and it is not remembered
                assert not await bench.read("STATUS") & BUSY

        bench.run(body)
    assert cycles[True] == cycles[False]


@pytest.mark.parametrize("after", [25, 100, 250, 450])
def test_a_soft_reset_in_the_middle_leaves_an_engine_that_runs(case: Case, after: int) -> None:
    bench = Bench(case, 0.2)

    async def body(ctx: Any, bench: Bench) -> None:
        await bench.start()
        for _ in range(after):
            await ctx.tick()
        assert await bench.read("STATUS") & BUSY
        await bench.write("CONTROL", RESET | IRQ_ENABLE)
        while await bench.read("STATUS") & BUSY:
            pass
        assert await bench.read("STATUS") == 0
        before = len(bench.reads.bursts), len(bench.writes.bursts)
        for _ in range(100):
            await ctx.tick()
        assert before == (len(bench.reads.bursts), len(bench.writes.bursts)), "not quiet"
        bench.wipe()
        await bench.write("CONTROL", START | IRQ_ENABLE)
        await until(ctx, bench.dut.irq)
        assert await bench.read("STATUS") == DONE
        bench.right()

    bench.run(body)


@pytest.fixture(scope="module")
def read_addresses(case: Case) -> list[int]:
    """The byte address of every beat that an undisturbed run reads, in order."""
    width = CONFIG.bus_bytes
    bench = Bench(case)

    async def body(ctx: Any, bench: Bench) -> None:
        await bench.start()
        await until(ctx, bench.dut.irq)

    bench.run(body)
    return [start + i * width for start, beats in bench.reads.bursts for i in range(beats)]


def last_descriptor(case: Case) -> dict[str, int]:
    count = sum(plan.descriptors for plan in case.program.layers)
    at = HEADER_BYTES + (count - 1) * DESCRIPTOR_BYTES
    return unpack_descriptor(case.program.image[at : at + DESCRIPTOR_BYTES])


@pytest.mark.parametrize("place", ["load_addr", "weight_addr"])
def test_a_read_that_fails_is_reported_with_its_layer(
    case: Case, read_addresses: list[int], place: str
) -> None:
    last = last_descriptor(case)
    assert last["layer"] == LAYERS - 1
    number = read_addresses.index(last[place] // CONFIG.bus_bytes * CONFIG.bus_bytes)
    bench = Bench(case, read_errors=frozenset({number}))

    async def failing(ctx: Any, bench: Bench) -> None:
        await bench.start()
        await until(ctx, bench.dut.irq)
        assert await bench.read("ERROR") == ErrorCode.READ | last["layer"] << 16
        await stopped_and_runs_again(ctx, bench)

    bench.run(failing)


def test_a_write_that_fails_is_reported_with_its_layer(case: Case) -> None:
    bench = Bench(case, write_errors=frozenset({0}))

    async def body(ctx: Any, bench: Bench) -> None:
        await bench.start()
        await until(ctx, bench.dut.irq)
        assert await bench.read("ERROR") == ErrorCode.WRITE  # of layer 0
        await stopped_and_runs_again(ctx, bench)

    bench.run(body)


async def stopped_and_runs_again(ctx: Any, bench: Bench) -> None:
    """Check that an error ends everything until a soft reset, and nothing beyond it."""
    assert await bench.read("STATUS") == ERROR | BLOCKED
    error = await bench.read("ERROR")
    await bench.write("STATUS", ERROR)
    await bench.write("CONTROL", START | IRQ_ENABLE)  # ignored
    assert await bench.read("STATUS") == BLOCKED
    assert await bench.read("ERROR") == error != 0
    for _ in range(100):
        await ctx.tick()
    before = len(bench.reads.bursts), len(bench.writes.bursts)
    for _ in range(100):
        await ctx.tick()
    assert before == (len(bench.reads.bursts), len(bench.writes.bursts)), "not quiet"
    await bench.write("CONTROL", RESET | IRQ_ENABLE)
    while await bench.read("STATUS") & BUSY:
        pass
    assert await bench.read("ERROR") == 0 == await bench.read("STATUS")
    bench.wipe()
    await bench.write("CONTROL", START | IRQ_ENABLE)
    await until(ctx, bench.dut.irq)
    assert await bench.read("STATUS") == DONE
    bench.right()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"load_words": 65}, ErrorCode.SIZE),  # of a buffer of 64
        ({"out_channels": 1}, ErrorCode.SIZE),  # of two column blocks
        ({"out_addr": 4161}, ErrorCode.ADDRESS),
    ],
    ids=str,
)
def test_a_size_beyond_its_range_stops_the_engine_before_it_writes(
    case: Case, change: dict[str, int], code: ErrorCode
) -> None:
    at = HEADER_BYTES
    fields = unpack_descriptor(case.program.image[at : at + DESCRIPTOR_BYTES])
    del fields["checksum"]
    bench = Bench(case)
    bench.memory[at : at + DESCRIPTOR_BYTES] = pack_descriptor(**fields | change)

    async def body(ctx: Any, bench: Bench) -> None:
        await bench.start()
        await until(ctx, bench.dut.irq)
        assert await bench.read("ERROR") == code  # of layer 0
        assert not bench.writes.bursts
        await stopped_and_runs_again(ctx, bench)

    assert fields["col_blocks"] == 2
    bench.run(body)


LOW = 256  # where the last output of a moved case lies


def moved(case: Case) -> Case:
    """Return the case with its program above all tensors, and its last output below the others."""
    program = case.program
    name = program.layers[-1].output
    place = program.places[name]
    up, down = round_up(program.size, 4096), place.address - LOW
    image = bytearray(program.image)
    for number in range(sum(plan.descriptors for plan in program.layers)):
        at = HEADER_BYTES + number * DESCRIPTOR_BYTES
        fields = unpack_descriptor(bytes(image[at : at + DESCRIPTOR_BYTES]))
        del fields["checksum"]
        fields["weight_addr"] += up
        if fields["layer"] == LAYERS - 1:
            fields["out_addr"] -= down
        image[at : at + DESCRIPTOR_BYTES] = pack_descriptor(**fields)
    tensors = case.image[len(image) :]
    memory = (bytes(len(image)) + tensors).ljust(up, b"\0") + image
    places = program.places | {name: replace(place, address=LOW)}
    first = program.first_descriptor + up
    return Case(
        replace(program, first_descriptor=first, places=places, size=len(memory)),
        memory,
        case.want,
    )


@pytest.mark.parametrize("side", ["base", "limit"])
def test_a_write_outside_the_window_is_not_made(case: Case, side: str) -> None:
    """The window shuts out the last output only; it lies below all else, or above."""
    if side == "base":
        case = moved(case)
    place = case.program.places[case.program.layers[-1].output]
    end = case.program.size - 1
    window = (LOW + 1, end) if side == "base" else (0, place.address + CONFIG.bus_bytes - 2)
    bench = Bench(case)

    async def body(ctx: Any, bench: Bench) -> None:
        await bench.write("BASE", window[0])
        await bench.write("LIMIT", window[1])
        await bench.start()
        await until(ctx, bench.dut.irq)
        assert await bench.read("ERROR") == ErrorCode.ADDRESS | (LAYERS - 1) << 16
        assert bench.writes.bursts  # of layer 0
        for start, beats in (*bench.reads.bursts, *bench.writes.bursts):
            assert window[0] <= start
            assert start + beats * CONFIG.bus_bytes - 1 <= window[1]
        await bench.write("BASE", 0)
        await bench.write("LIMIT", end)  # just enough
        await stopped_and_runs_again(ctx, bench)

    bench.run(body)


def test_nothing_is_read_below_the_window(case: Case) -> None:
    bench = Bench(case)

    async def body(ctx: Any, bench: Bench) -> None:
        await bench.write("BASE", case.program.first_descriptor + 1)
        await bench.start()
        await until(ctx, bench.dut.irq)
        assert await bench.read("ERROR") == ErrorCode.ADDRESS  # of layer 0
        assert not bench.reads.bursts
        assert not bench.writes.bursts

    bench.run(body)
