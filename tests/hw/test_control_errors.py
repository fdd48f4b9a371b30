"""Control when something is wrong: every error of a descriptor, of a transfer, of the watchdog."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import pytest

from shiftwork.hw.checks import alignments
from shiftwork.hw.config import EngineConfig
from shiftwork.hw.control import Control
from shiftwork.hw.descriptor import (
    FIELD,
    ErrorCode,
    Mode,
    pack_descriptor,
    unpack_descriptor,
)
from tests.hw.bench import Testbench, simulate, until
from tests.hw.control_bench import CONFIGS, System, descriptor

SIZES = ("pixels", "tile", "tiles", "kernel_h", "kernel_w", "row_blocks", "col_blocks", "passes",
         "blocks", "weight_beats", "out_width", "out_channels", "tail_taps", "in_width",
         "stride_x", "stride_y", "dilation_x", "dilation_y")  # fmt: skip

RESERVED = ("_segment", "_skip", "_masks", "levels_plane", "levels_planes", "levels_addr",
            "levels_base", "thresholds_plane", "thresholds_planes", "thresholds_addr",
            "thresholds_base")  # fmt: skip


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
    for version in (0, 1, 2, 4, 255):
        cases[f"version-{version}"] = (broken(config, version=version), ErrorCode.VERSION)
    for op in (0, 3, 0x81):
        cases[f"op-{op}"] = (broken(config, op=op), ErrorCode.OPERATION)
    for size in SIZES:
        cases[f"{size}-0"] = (broken(config, **{size: 0}), ErrorCode.SIZE)
    for size in ("load_planes", "load_groups"):
        cases[f"{size}-0"] = (broken(config, **{size: 0}, load_words=1), ErrorCode.SIZE)
    for mode in (Mode.PACKED, Mode.SEPARATE):  # of engines that read several words at once
        cases[f"mode-{mode}"] = (broken(config, mode=mode), ErrorCode.SIZE)
    beyond = {
        "buffer_base": [{"buffer_base": config.buffer_words}, {"buffer_base": 0xFFFF}],
        "in_width": [{"load_words": 9, "in_width": w} for w in (10, 0xFFFF)],
        "in_height": [{"load_words": 9, "in_height": h} for h in (10, 0xFFFF)],
        "in_height of nothing": [{"load_words": 0, "in_height": 1}],
        "out_width": [{"pixels": 9, "out_width": w} for w in (10, 0xFFFF)],
        "lo": [{"lo": 255, "hi": 0}, {"lo": 6, "hi": 5}],
        "out_channels": [
            {"col_blocks": blocks, "out_channels": channels}
            for blocks, channels in (
                (2, 1), (2, config.cols), (2, 2 * config.cols + 1), (2, 0xFFFF), (1, 0xFFFF),
                (0xFFFF, 0xFFFF), (0xFFFF, 1),
            )
        ],
    }  # fmt: skip
    for name, changes in beyond.items():
        for change in changes:
            cases[f"{name}-{[*change.values()]}"] = (broken(config, **change), ErrorCode.SIZE)
    for name, step in alignments(config).items():
        for offset in (1, step // 2):
            cases[f"{name}+{offset}"] = (
                broken(config, **{name: 4096 + offset}),
                ErrorCode.ADDRESS,
            )
    limits = {"tile": config.hold, "passes": config.max_passes, "tail_taps": config.window}
    for field, limit in limits.items():
        cases[f"{field}-large"] = (broken(config, **{field: limit + 1}), ErrorCode.SIZE)
        top = (1 << FIELD[field].width) - 1
        cases[f"{field}-largest"] = (broken(config, **{field: top}), ErrorCode.SIZE)
    for field in ("load_bits", "store_bits"):
        for bits in (config.codec_bits + 1, 15):
            cases[f"{field}-{bits}"] = (broken(config, **{field: bits}), ErrorCode.SIZE)
    return cases


def bad_codes(config: EngineConfig) -> dict[str, tuple[bytes, ErrorCode]]:
    """The same for what only an engine with a codec looks at."""
    planes = config.codec_planes
    none = {"levels_planes": 0, "thresholds_planes": 0}
    cases = [
        {"load_bits": 0, "levels_planes": 1},
        {"store_bits": 0, "thresholds_planes": 0xFFFF},
        {"load_bits": 2, "levels_planes": planes + 1, "levels_base": 0},
        {"load_bits": 2, "levels_planes": 1, "levels_base": planes},
        {"load_bits": 2, "levels_planes": 1, "levels_base": 255},
        {"store_bits": 2, "thresholds_planes": 0xFFFF, "thresholds_base": 1},
        {"load_bits": 1, "levels_plane": planes},
        {"load_bits": 1, "levels_plane": 255},
        {"store_bits": 1, "thresholds_plane": planes - 1, "col_blocks": 1,
         "out_channels": config.cols},
        {"store_bits": 1, "thresholds_plane": 0, "col_blocks": 0x4000,
         "out_channels": 0x4000 * config.cols - 1},
    ]  # fmt: skip
    found = {str(case): (broken(config, **none | case), ErrorCode.SIZE) for case in cases}
    for bits in ("load_bits", "store_bits"):
        name = "load_addr" if bits == "load_bits" else "out_addr"
        values = {bits: 0, name: 4097}
        found[f"{name} of values"] = (broken(config, **none | values), ErrorCode.ADDRESS)
    return found


BAD = bad_descriptors(CONFIGS["bus64"])
BAD_CODES = bad_codes(CONFIGS["codec"])


@pytest.mark.parametrize("case", [*BAD, *BAD_CODES])
def test_a_bad_descriptor_is_not_begun(case: str) -> None:
    config = CONFIGS["bus64" if case in BAD else "codec"]
    packed, code = BAD[case] if case in BAD else BAD_CODES[case]
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
        (broken(config, pixels=0, out_addr=1), ErrorCode.SIZE),
        (broken(config, version=9, op=9, pixels=0), ErrorCode.VERSION),
        (broken(config, op=9, pixels=0), ErrorCode.OPERATION),
    ]
    flipped = bytearray(orders[1][0])
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


def test_sizes_at_their_limits_are_admitted() -> None:
    config = CONFIGS["bus64"]
    rng = Random(8)
    edges: list[dict[str, int]] = [
        {"buffer_base": config.buffer_words - 1, "load_words": 9, "in_width": 9, "in_height": 9},
        {"load_words": 0, "in_height": 0, "in_width": 0xFFFF},
        {"pixels": 9, "out_width": 9, "lo": 5, "hi": 5},
        {"col_blocks": 2, "out_channels": config.cols + 1},
        {"col_blocks": 2, "out_channels": 2 * config.cols},
        {"col_blocks": 0x8000, "out_channels": 0xFFFF, "last": 1},
    ]
    system = System(config, [descriptor(config, rng, **edge) for edge in edges], rng)
    system.run()
    assert system.stored == len(edges)
    assert not system.errors


def test_reserved_bits_are_ignored() -> None:
    config = CONFIGS["bus64"]
    only = descriptor(config, Random(11), last=1)
    words = list(struct.unpack("<32I", pack_descriptor(**only)))
    used = [0] * len(words)
    for field in FIELD.values():
        # Without a codec and zero_maps fields of tables and segments are reserved.
        if not field.name.endswith(RESERVED):
            used[field.word] |= (1 << field.width) - 1 << field.lsb
    filled = [w | ~u & 0xFFFFFFFF for w, u in zip(words, used, strict=True)]
    packed = refit(struct.pack("<32I", *filled))
    assert packed != pack_descriptor(**only)
    system = System(config, [only], Random(11), packed=[packed])
    system.run()
    assert system.stored == 1
    assert not system.errors


def test_a_band_that_does_not_fit_the_buffer_is_reported() -> None:
    config = CONFIGS["bus64"]
    rng = Random(9)
    system = System(config, [descriptor(config, rng, last=1, layer=78)], rng)
    dut = system.dut

    async def main(ctx: Any) -> None:
        await system.start(ctx)
        ctx.set(dut.load.ready, 1)
        await until(ctx, dut.load.valid)
        ctx.set(dut.load.ready, 0)
        await ctx.tick().repeat(5)
        ctx.set(dut.wrong_load, 1)
        await ctx.tick()
        ctx.set(dut.wrong_load, 0)
        await ctx.tick().repeat(20)
        assert not ctx.get(dut.running)

    simulate(dut, main, background=[system.memory, system.weights, errors_of(system)])
    assert system.errors == [(ErrorCode.SIZE, 78)]


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
