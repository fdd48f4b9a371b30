"""All that stands around control in its tests; every transfer is checked against descriptors."""

from __future__ import annotations

from random import Random
from typing import Any

from shiftwork.hw.checks import alignments
from shiftwork.hw.config import EngineConfig
from shiftwork.hw.control import Control
from shiftwork.hw.descriptor import DESCRIPTOR_BYTES, FIELDS, Mode, Op, pack_descriptor
from shiftwork.hw.loader import Target
from shiftwork.hw.sequencer import COMPUTE_FIELDS
from tests.hw.bench import Testbench, count_high, holds, simulate, until

CONFIGS = {
    "bus64": EngineConfig(rows=2, cols=2, hold=16, max_terms=3, lane_terms=2),
    "bus128": EngineConfig(rows=4, cols=2, hold=64, bus_bits=128),
    "codec": EngineConfig(rows=2, cols=4, hold=16, codec_bits=5, codec_planes=32),
}
PROGRAM = 0xFFFF_F000  # near the end, so that no address bit goes unseen
LOAD = {
    "addr": "load_addr", "words": "load_words", "planes": "load_planes",
    "plane_stride": "load_plane_stride", "groups": "load_groups",
    "group_stride": "load_group_stride", "base": "buffer_base",
}  # fmt: skip
WEIGHTS = {
    "addr": "weight_addr", "beats": "weight_beats", "tiles": "tiles", "col_blocks": "col_blocks",
    "blocks": "blocks", "layer": "layer",
}  # fmt: skip


def descriptor(config: EngineConfig, rng: Random, **fixed: int) -> dict[str, int]:
    """Random values of every field, within what the engine admits."""
    values = {f.name: rng.randrange(1, 1 << f.width) for f in FIELDS if f.name != "checksum"}
    del values["version"]
    values |= {
        "op": rng.choice([Op.SUM, Op.MAX]), "tile": rng.randint(1, config.hold),
        "passes": rng.randint(1, config.max_passes), "free": 0, "wait": 0, "last": 0,
        "layer_last": rng.randint(0, 1),
        "hold_weights": 0 if {"row_blocks", "passes"} & fixed.keys() else rng.randint(0, 1),
        "depthwise": rng.randint(0, 1), "load_words": rng.choice([0, 1, 0xFFFF]),
        "upsample": rng.randint(0, 1), "mode": Mode.PLANE, "tail_taps": 1, "slope": 0,
        "weight_beats": rng.randrange(1, (1 << 32) // config.bus_bytes),
        "buffer_base": rng.randrange(config.buffer_words), "lo": 0,
    } | fixed  # fmt: skip
    if values["hold_weights"]:
        values |= {"row_blocks": 1, "passes": 1}
    words = values["load_words"]
    values |= {
        "in_width": rng.randint(1, words or 0xFFFF), "in_height": rng.randint(0, words),
        "out_width": rng.randint(1, values["pixels"]), "lo": rng.randint(0, values["hi"]),
        "col_blocks": -(-values["out_channels"] // config.cols),
    }  # fmt: skip
    values |= codes(config, rng)
    if values["store_bits"]:  # and thresholds for every column block
        values["col_blocks"] = rng.randint(1, 8)
        values["out_channels"] = values["col_blocks"] * config.cols - rng.randrange(config.cols)
    for name, step in alignments(config).items():
        values[name] = values[name] // step * step
    return values | fixed


def codes(config: EngineConfig, rng: Random) -> dict[str, int]:
    """Random values of the codec's fields; without a codec bits are 0, the rest means nothing."""
    if not config.codec_bits:
        return {"load_bits": 0, "store_bits": 0}
    values: dict[str, int] = {}
    for name, bits in (("levels", "load_bits"), ("thresholds", "store_bits")):
        values[bits] = rng.choice([0, rng.randint(1, config.codec_bits)])
        count = rng.choice([0, rng.randint(1, config.codec_planes)]) if values[bits] else 0
        room = config.codec_planes - count
        values |= {f"{name}_planes": count, f"{name}_base": rng.randint(0, min(room, 31))}
        values[f"{name}_plane"] = rng.randrange(config.codec_planes - 15)
    return values


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
            for kind, want in self.loads(d):
                await self.take(ctx, dut.load, want)
                assert ("weights", i) in self.log
                assert self.stored >= d["wait"], f"descriptor {i} loaded before {d['wait']} stored"
                assert self.computed >= d["free"], f"descriptor {i} loaded over what is still read"
                if kind == "load":
                    self.log.append((kind, i))
                await self.pause(ctx)
                ctx.set(dut.load_done, 1)
                await ctx.tick()
                ctx.set(dut.load_done, 0)
            self.log.append(("loaded", i))

    def loads(self, d: dict[str, int]) -> list[tuple[str, dict[str, int]]]:
        """Return the loader's commands of a descriptor: tables to be loaded, then the band."""
        band = {k: d[v] for k, v in LOAD.items()}
        if not self.config.codec_bits:
            return [("load", band)]
        found: list[tuple[str, dict[str, int]]] = []
        for target, name, bits in (
            (Target.LEVELS, "levels", "load_bits"), (Target.THRESHOLDS, "thresholds", "store_bits"),
        ):  # fmt: skip
            if d[f"{name}_planes"]:
                found.append((name, {
                    "target": target, "addr": d[f"{name}_addr"], "bits": d[bits], "planes": 1,
                    "words": d[f"{name}_planes"] << d[bits], "groups": 1,
                    "plane": d[f"{name}_base"],
                }))  # fmt: skip
        codes = {"target": Target.BAND, "bits": d["load_bits"], "plane": d["levels_plane"]}
        return [*found, ("load", band | codes)]

    async def sequencer(self, ctx: Any) -> None:
        dut = self.dut
        for i, d in enumerate(self.descriptors):
            coding = (dut.coding,) if self.config.codec_bits else ()
            said = await self.take(ctx, dut.band, {k: d[k] for k in COMPUTE_FIELDS}, *coding)
            for each in said:
                assert (each.bits, each.plane) == (d["store_bits"], d["thresholds_plane"])
                assert (each.addr, each.col_blocks) == (d["out_addr"], d["col_blocks"])
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
