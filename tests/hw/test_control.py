"""Control against a list of descriptors: order, payloads, what holds loading back, every error."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import pytest

from shiftwork.hw.config import EngineConfig
from shiftwork.hw.control import Control
from shiftwork.hw.descriptor import (
    DESCRIPTOR_BYTES,
    FIELD,
    FIELDS,
    ErrorCode,
    Mode,
    Op,
    pack_descriptor,
    unpack_descriptor,
)
from shiftwork.hw.sequencer import COMPUTE_FIELDS
from tests.hw.bench import Testbench, count_high, holds, simulate, until

CONFIGS = {
    "bus64": EngineConfig(rows=2, cols=2, hold=16, max_terms=2),
    "bus128": EngineConfig(rows=4, cols=2, hold=64, bus_bits=128),
}
PROGRAM = 0xFFFF_F000  # near the end, so that no address bit goes unseen
UNDER_WAY = 16  # bands between the hand-over and their store
LOAD = {
    "addr": "load_addr", "words": "load_words", "rows": "load_rows",
    "row_stride": "load_row_stride", "planes": "load_planes",
    "plane_stride": "load_plane_stride", "groups": "load_groups",
    "group_stride": "load_group_stride", "base": "buffer_base",
}  # fmt: skip
WEIGHTS = {
    "addr": "weight_addr", "beats": "weight_beats", "tiles": "tiles", "col_blocks": "col_blocks",
    "blocks": "blocks", "layer": "layer",
}  # fmt: skip
SIZES = ("pixels", "tile", "tiles", "kernel_h", "kernel_w", "row_blocks", "col_blocks", "passes",
         "blocks", "weight_beats", "out_width", "out_channels", "tail_taps", "in_width",
         "stride_x", "stride_y", "dilation_x", "dilation_y")  # fmt: skip


def descriptor(config: EngineConfig, rng: Random, **fixed: int) -> dict[str, int]:
    """Random values of every field, within what the engine admits."""
    values = {f.name: rng.randrange(1, 1 << f.width) for f in FIELDS if f.name != "checksum"}
    del values["version"]
    values |= {
        "op": rng.choice([Op.SUM, Op.MAX]), "tile": rng.randint(1, config.hold),
        "passes": rng.randint(1, config.max_terms), "free": 0, "wait": 0, "last": 0,
        "layer_last": rng.randint(0, 1), "hold_weights": rng.randint(0, 1),
        "depthwise": rng.randint(0, 1), "load_words": rng.choice([0, 1, 0xFFFF]),
        "upsample": rng.randint(0, 1), "mode": Mode.PLANE, "tail_taps": 1, "slope": 0,
        "weight_beats": rng.randrange(1, (1 << 32) // config.bus_bytes),
    }  # fmt: skip
    return values | fixed


def program(config: EngineConfig, rng: Random, count: int) -> list[dict[str, int]]:
    """Descriptors that can all run: each waits for earlier ones only."""
    return [
        descriptor(config, rng, last=int(i == count - 1), wait=rng.randint(max(0, i - 3), i),
                   free=rng.randint(max(0, i - 3), i), layer=i // 2 + 300)
        for i in range(count)
    ]  # fmt: skip


class System:
    """All that stands around control; it checks every transfer against the descriptors."""

    def __init__(
        self,
        config: EngineConfig,
        descriptors: list[dict[str, int]],
        rng: Random,
        stall: float = 0.0,
        packed: list[bytes] | None = None,
        dut: Any = None,
    ) -> None:
        self.dut = dut or Control(config)
        self.config = config
        self.descriptors = descriptors
        self.packed = packed or [pack_descriptor(**d) for d in descriptors]
        self.rng = rng
        self.stall = stall
        self.log: list[tuple[str, int]] = []  # what happened, to which descriptor
        self.busy = self.computed = self.stored = self.handed = 0
        self.store = True  # whether bands are stored once computed
        self.records: list[int] = []
        self.done: list[int] = []
        self.errors: list[tuple[int, int]] = []

    def benches(self) -> list[Testbench]:
        """Return the background testbenches."""
        dut = self.dut
        streams = (dut.request, dut.load, dut.weights, dut.band)
        return [self.memory, self.weights, self.loader, self.sequencer, self.storer, self.watch,
                count_high(dut.done, self.done), *(holds(port) for port in streams)]  # fmt: skip

    async def pause(self, ctx: Any) -> None:
        while self.rng.random() < self.stall:
            await ctx.tick()

    async def take(self, ctx: Any, port: Any, want: dict[str, int], *more: Any) -> list[Any]:
        """Take one transfer and check the named fields."""
        await self.pause(ctx)
        ctx.set(port.ready, 1)
        got, *rest = await until(ctx, port.valid, port.payload, *more)
        ctx.set(port.ready, 0)
        assert {name: getattr(got, name) for name in want} == want
        return rest

    async def memory(self, ctx: Any) -> None:
        dut, width = self.dut, self.config.bus_bytes
        for i, packed in enumerate(self.packed):
            address = (PROGRAM + i * DESCRIPTOR_BYTES) & 0xFFFFFFFF
            want = {"addr": address, "beats": DESCRIPTOR_BYTES // width}
            await self.take(ctx, dut.request, want)
            assert i == 0 or ("band", i - 1) in self.log, "fetched before the one before was handed"
            self.log.append(("request", i))
            for at in range(0, DESCRIPTOR_BYTES, width):
                await self.pause(ctx)
                ctx.set(dut.data.payload, int.from_bytes(packed[at : at + width], "little"))
                ctx.set(dut.data.valid, 1)
                await until(ctx, dut.data.ready)
                ctx.set(dut.data.valid, 0)

    async def weights(self, ctx: Any) -> None:
        for i, d in enumerate(self.descriptors):
            await self.take(ctx, self.dut.weights, {k: d[v] for k, v in WEIGHTS.items()})
            self.log.append(("weights", i))

    async def loader(self, ctx: Any) -> None:
        dut = self.dut
        for i, d in enumerate(self.descriptors):
            want = {k: d[v] for k, v in LOAD.items()}
            await self.take(ctx, dut.load, want)
            assert ("weights", i) in self.log
            assert self.stored >= d["wait"], f"descriptor {i} loaded before {d['wait']} were stored"
            assert self.computed >= d["free"], f"descriptor {i} loaded over what is still read"
            self.log.append(("load", i))
            await self.pause(ctx)
            ctx.set(dut.load_done, 1)
            await ctx.tick()
            ctx.set(dut.load_done, 0)
            self.log.append(("loaded", i))

    async def sequencer(self, ctx: Any) -> None:
        dut = self.dut
        for i, d in enumerate(self.descriptors):
            await self.take(ctx, dut.band, {k: d[k] for k in COMPUTE_FIELDS})
            assert ("loaded", i) in self.log, f"descriptor {i} handed over before it was loaded"
            self.log.append(("band", i))
            self.handed += 1
            ctx.set(dut.busy, 1)
            await ctx.tick()
            assert ctx.get(dut.layer) == d["layer"]
            for _ in range(self.rng.choice([0, 3, 60])):
                await ctx.tick()
            ctx.set(dut.computed, 1)
            await ctx.tick()
            ctx.set(dut.computed, 0)
            ctx.set(dut.busy, 0)
            self.computed += 1

    async def storer(self, ctx: Any) -> None:
        dut = self.dut
        for i, d in enumerate(self.descriptors):
            while self.computed <= i or not self.store:
                await ctx.tick()
            for _ in range(self.rng.choice([0, 2, 50])):
                await ctx.tick()
            ctx.set(dut.stored, 1)
            *_, record, layer = await ctx.tick().sample(dut.record, dut.record_layer)
            ctx.set(dut.stored, 0)
            assert record == d["layer_last"], f"descriptor {i}"
            if record:
                assert layer == d["layer"], f"descriptor {i}"
                self.records.append(layer)
            self.stored += 1
            self.log.append(("stored", i))

    async def watch(self, ctx: Any) -> None:
        """Check `wait_load` in every cycle, and record errors and stray records."""
        dut = self.dut
        records = handed = 0
        while True:
            *_, running, busy, wait, hand, record, valid, code, layer = await ctx.tick().sample(
                dut.running, dut.busy, dut.wait_load, dut.band.valid & dut.band.ready, dut.record,
                dut.error_valid, dut.error, dut.error_layer,
            )  # fmt: skip
            left = handed < len(self.descriptors)
            assert wait == (running and not busy and left), "wait_load"
            handed += hand
            records += record
            assert records in (len(self.records), len(self.records) + 1)
            if valid:
                self.errors.append((code, layer))

    async def start(self, ctx: Any) -> None:
        ctx.set(self.dut.program, PROGRAM)
        ctx.set(self.dut.start, 1)
        await ctx.tick()
        ctx.set(self.dut.start, 0)
        ctx.set(self.dut.program, 0)  # taken at the start

    async def end(self, ctx: Any) -> None:
        """Wait until nothing runs, and then some more cycles."""
        await until(ctx, ~self.dut.running)
        for _ in range(200):
            await ctx.tick()

    def run(self, *extra: Testbench, cycles: int = 20_000) -> None:
        async def main(ctx: Any) -> None:
            await self.start(ctx)
            await self.end(ctx)

        simulate(self.dut, *(extra or (main,)), background=self.benches(), cycles=cycles)


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_runs_a_program_in_order(name: str, stall: float) -> None:
    config = CONFIGS[name]
    rng = Random(f"{name}{stall}")
    descriptors = program(config, rng, 16)
    system = System(config, descriptors, rng, stall)
    system.run(cycles=40_000)
    assert system.stored == len(descriptors)
    assert system.records == [d["layer"] for d in descriptors if d["layer_last"]]
    assert len(system.done) == 1
    assert not system.errors
    steps = [(s, i) for s, i in system.log if s not in ("stored", "loaded")]
    assert steps == [(s, i) for i in range(16) for s in ("request", "weights", "load", "band")]
    assert any(system.log.index(("load", i)) < system.log.index(("stored", i - 1))
               for i in range(1, 16)), "never loaded ahead"  # fmt: skip


def test_done_comes_after_the_last_store_only_and_a_second_program_runs() -> None:
    config = CONFIGS["bus64"]
    rng = Random(8)
    first = [descriptor(config, rng, wait=i, last=int(i == 2)) for i in range(3)]
    system = System(config, first, rng)
    system.store = False

    async def main(ctx: Any) -> None:
        await system.start(ctx)
        for _ in first:
            while system.computed == system.stored:
                await ctx.tick()
            for _ in range(100):
                await ctx.tick()
                assert not system.done
                assert ctx.get(system.dut.running)
            system.store, before = True, system.stored
            while system.stored == before:
                await ctx.tick()
            system.store = False
        await until(ctx, ~system.dut.running)
        assert len(system.done) == 1
        # Counts start again: a descriptor that waits for one store must wait for a new one.
        descriptors = [descriptor(config, rng, wait=i, last=i) for i in range(2)]
        second.append(System(config, descriptors, rng, dut=system.dut))
        await second[0].start(ctx)
        await second[0].end(ctx)
        assert second[0].stored == 2

    second: list[System] = []

    def later(part: str) -> Testbench:
        async def testbench(ctx: Any) -> None:
            while not second:
                await ctx.tick()
            await getattr(second[0], part)(ctx)

        return testbench

    dut = system.dut
    parts = ("memory", "weights", "loader", "sequencer", "storer")
    simulate(dut, main, background=[
        *(getattr(system, part) for part in parts), *(later(part) for part in parts),
        count_high(dut.done, system.done),
    ])  # fmt: skip
    assert len(system.done) == 2


def test_no_more_bands_are_handed_over_than_can_be_remembered() -> None:
    config = CONFIGS["bus128"]
    rng = Random(3)
    count = UNDER_WAY + 4
    descriptors = [descriptor(config, rng, last=int(i == count - 1)) for i in range(count)]
    system = System(config, descriptors, rng)
    system.store = False

    async def main(ctx: Any) -> None:
        await system.start(ctx)
        for _ in range(2500):
            await ctx.tick()
        assert system.handed == UNDER_WAY
        system.store = True
        await system.end(ctx)

    system.run(main)
    assert system.stored == count
    assert system.records == [d["layer"] for d in descriptors if d["layer_last"]]


def refit(packed: bytes) -> bytes:
    """Return the descriptor with the checksum that belongs to it."""
    words = list(struct.unpack("<32I", packed))
    words[-1] = -sum(words[:-1]) & 0xFFFFFFFF
    return struct.pack("<32I", *words)


def broken(config: EngineConfig, **fields: int) -> bytes:
    return pack_descriptor(**descriptor(config, Random(5), layer=77, last=1) | fields)


def bad_descriptors(config: EngineConfig) -> dict[str, tuple[bytes, ErrorCode]]:
    """One descriptor of layer 77 for everything that can be wrong with one."""
    good = broken(config)
    cases = {}
    for bit in (0, 8 * 100 + 7, 8 * 127 + 7):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        cases[f"checksum-{bit}"] = (bytes(flipped), ErrorCode.CHECKSUM)
    for version in (0, 2, 255):
        cases[f"version-{version}"] = (broken(config, version=version), ErrorCode.VERSION)
    for op in (0, 3, 0x81):
        cases[f"op-{op}"] = (broken(config, op=op), ErrorCode.OPERATION)
    for size in SIZES:
        cases[f"{size}-0"] = (broken(config, **{size: 0}), ErrorCode.SIZE)
    for size in ("load_rows", "load_planes", "load_groups"):
        cases[f"{size}-0"] = (broken(config, **{size: 0}, load_words=1), ErrorCode.SIZE)
    for mode in (Mode.PACKED, Mode.SEPARATE):  # of engines that read several words at once
        cases[f"mode-{mode}"] = (broken(config, mode=mode), ErrorCode.SIZE)
    limits = {"tile": config.hold, "passes": config.max_terms, "tail_taps": config.window}
    for field, limit in limits.items():
        cases[f"{field}-large"] = (broken(config, **{field: limit + 1}), ErrorCode.SIZE)
        top = (1 << FIELD[field].width) - 1
        cases[f"{field}-largest"] = (broken(config, **{field: top}), ErrorCode.SIZE)
    return cases


BAD = bad_descriptors(CONFIGS["bus64"])


@pytest.mark.parametrize("case", BAD)
def test_a_bad_descriptor_is_not_begun(case: str) -> None:
    config = CONFIGS["bus64"]
    packed, code = BAD[case]
    rng = Random(case)
    good = [descriptor(config, rng), descriptor(config, rng)]
    system = System(config, good, rng, 0.2, [*(pack_descriptor(**d) for d in good), packed])

    async def main(ctx: Any) -> None:
        await system.start(ctx)
        await system.end(ctx)
        await system.start(ctx)  # nothing starts until a reset
        for _ in range(60):
            *_, running = await ctx.tick().sample(system.dut.running)
            assert not running

    async def quiet(ctx: Any) -> None:
        """Nothing is issued once the error is raised."""
        dut = system.dut
        await until(ctx, dut.error_valid)
        while True:
            *_, issued = await ctx.tick().sample(
                dut.request.valid | dut.load.valid | dut.weights.valid | dut.band.valid
            )
            assert not issued

    simulate(system.dut, main, background=[*system.benches()[:5], quiet, errors_of(system)])
    assert system.errors == [(code, 77)]
    assert not system.done
    assert system.stored == 2  # what was begun is finished


def errors_of(system: System) -> Testbench:
    async def testbench(ctx: Any) -> None:
        dut = system.dut
        while True:
            code, layer = await until(ctx, dut.error_valid, dut.error, dut.error_layer)
            system.errors.append((code, layer))

    return testbench


def test_the_first_thing_wrong_is_named() -> None:
    config = CONFIGS["bus64"]
    orders = [
        (broken(config, version=9, op=9, pixels=0), ErrorCode.VERSION),
        (broken(config, op=9, pixels=0), ErrorCode.OPERATION),
    ]
    flipped = bytearray(orders[0][0])
    flipped[40] ^= 1
    orders.append((bytes(flipped), ErrorCode.CHECKSUM))
    assert unpack_descriptor(refit(bytes(flipped)))["layer"] == 77
    for packed, code in orders:
        system = System(config, [], Random(1), packed=[packed])

        async def main(ctx: Any, system: System = system) -> None:
            await system.start(ctx)
            await system.end(ctx)

        simulate(system.dut, main, background=[system.memory, errors_of(system)])
        assert system.errors == [(code, 77)]


def test_sizes_of_a_load_of_nothing_do_not_matter() -> None:
    config = CONFIGS["bus64"]
    only = descriptor(config, Random(2), last=1, load_words=0, load_rows=0, load_planes=0,
                      load_groups=0, tile=config.hold, passes=config.max_terms)  # fmt: skip
    system = System(config, [only], Random(2))
    system.run()
    assert system.stored == 1
    assert not system.errors


@pytest.mark.parametrize("stage", ["weights", "load", "band"])
@pytest.mark.parametrize(
    ("cause", "code"),
    [
        ("failed_read", ErrorCode.READ),
        ("failed_write", ErrorCode.WRITE),
        ("outside_read", ErrorCode.ADDRESS),
        ("outside_write", ErrorCode.ADDRESS),
    ],
)
def test_a_failed_transfer_stops_everything(cause: str, code: ErrorCode, stage: str) -> None:
    """It comes while the second descriptor of a layer is about to pass a stage."""
    config = CONFIGS["bus64"]
    rng = Random(4)
    descriptors = [descriptor(config, rng, layer=41) for _ in range(2)]
    system = System(config, descriptors, rng)
    system.store = False  # the first one's output is being written
    dut = system.dut
    held = {"weights": dut.weights, "load": dut.load, "band": dut.band}[stage]

    async def main(ctx: Any) -> None:
        await system.start(ctx)
        while ("band", 0) not in system.log:
            await ctx.tick()
        await until(ctx, held.valid & held.ready)
        pulse = getattr(dut, cause)
        ctx.set(dut.failed_layer, 41)
        ctx.set(dut.outside_layer, 41)
        ctx.set(pulse, 1)
        await ctx.tick()
        if cause.startswith("failed"):
            ctx.set(pulse, 0)
        issued = dut.request.valid | dut.load.valid | dut.weights.valid | dut.band.valid
        for _ in range(200):
            *_, seen, running = await ctx.tick().sample(issued, dut.running)
            assert not running
            assert not seen
        for again in (dut.failed_read, dut.failed_write):  # raised once
            ctx.set(again, 1)
            await ctx.tick()
            ctx.set(again, 0)

    simulate(dut, main, background=[*system.benches()[:5], errors_of(system)])
    assert system.errors == [(code, 41)]
    assert not system.done


def test_failures_while_nothing_runs_are_not_errors() -> None:
    config = CONFIGS["bus64"]
    rng = Random(6)
    system = System(config, [descriptor(config, rng, last=1)], rng)

    async def main(ctx: Any) -> None:
        for pulse in (system.dut.failed_read, system.dut.failed_write):
            ctx.set(pulse, 1)
            await ctx.tick()
            ctx.set(pulse, 0)
        await system.start(ctx)
        await system.end(ctx)

    system.run(main)
    assert not system.errors
    assert len(system.done) == 1


def test_the_watchdog_reports_an_engine_in_which_nothing_moves() -> None:
    dut = Control(CONFIGS["bus64"].replace(watchdog_bits=6))
    errors: list[int] = []

    async def run(ctx: Any) -> None:
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for cycle in range(200):  # its request is never answered, but for a while beats move
            ctx.set(dut.progress, cycle < 100 and cycle % 50 == 0)
            *_, valid, code = await ctx.tick().sample(dut.error_valid, dut.error)
            if valid:
                assert code == ErrorCode.WATCHDOG
                errors.append(cycle)
        assert not ctx.get(dut.running)

    simulate(dut, run)
    assert len(errors) == 1
    assert 50 + (1 << 6) <= errors[0] <= 50 + (1 << 6) + 3
