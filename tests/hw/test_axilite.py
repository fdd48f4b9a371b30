"""The AXI4-Lite slave: every register, strobes, errors, stalls, recorded counters."""

from random import Random
from typing import Any

import pytest
from amaranth.back import verilog

from shiftwork.hw.axilite import RECORD_CYCLES, Registers
from shiftwork.hw.config import EngineConfig
from shiftwork.hw.registers import REGISTER

from .bench import Testbench, count_high, simulate, steady, until

OKAY, SLVERR = 0, 2


class Host:
    """Reads and writes registers, with random pauses in every channel."""

    def __init__(self, ctx: Any, dut: Any, rng: Random, stall: float) -> None:
        self.ctx, self.dut, self.rng, self.stall = ctx, dut, rng, stall

    async def pause(self) -> None:
        while self.rng.random() < self.stall:
            await self.ctx.tick()

    async def write(self, offset: int, value: int, strobe: int = 15, want: int = OKAY) -> None:
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.s_axil_awaddr, offset)
        ctx.set(dut.s_axil_wdata, value)
        ctx.set(dut.s_axil_wstrb, strobe)
        waits = {"aw", "w"}
        while waits:
            for channel in waits:
                if not ctx.get(getattr(dut, f"s_axil_{channel}valid")):
                    ctx.set(getattr(dut, f"s_axil_{channel}valid"), self.rng.random() >= self.stall)
            pairs = [(getattr(dut, f"s_axil_{c}valid"), getattr(dut, f"s_axil_{c}ready"))
                     for c in sorted(waits)]  # fmt: skip
            *_, values = [await ctx.tick().sample(*(v & r for v, r in pairs))]
            for channel, taken in zip(sorted(waits), values[2:], strict=True):
                if taken:
                    ctx.set(getattr(dut, f"s_axil_{channel}valid"), 0)
                    waits.remove(channel)
        await self.pause()
        ctx.set(dut.s_axil_bready, 1)
        (resp,) = await until(ctx, dut.s_axil_bvalid, dut.s_axil_bresp)
        ctx.set(dut.s_axil_bready, 0)
        assert resp == want, f"write of {offset:#x}: response {resp}"

    async def read(self, offset: int, want: int = OKAY) -> int:
        ctx, dut = self.ctx, self.dut
        await self.pause()
        ctx.set(dut.s_axil_araddr, offset)
        ctx.set(dut.s_axil_arvalid, 1)
        await until(ctx, dut.s_axil_arready)
        ctx.set(dut.s_axil_arvalid, 0)
        await self.pause()
        ctx.set(dut.s_axil_rready, 1)
        value, resp = await until(ctx, dut.s_axil_rvalid, dut.s_axil_rdata, dut.s_axil_rresp)
        ctx.set(dut.s_axil_rready, 0)
        assert resp == want, f"read of {offset:#x}: response {resp}"
        return value


def _run(dut: Registers, body: Any, stall: float = 0.0, background: Any = ()) -> None:
    async def testbench(ctx: Any) -> None:
        await body(ctx, Host(ctx, dut, Random(1), stall))

    bus: Any = dut
    rules: list[Testbench] = [
        steady(bus.s_axil_bvalid, bus.s_axil_bready, bus.s_axil_bresp),
        steady(bus.s_axil_rvalid, bus.s_axil_rready, bus.s_axil_rdata, bus.s_axil_rresp),
    ]
    simulate(dut, testbench, background=[*rules, *background])


async def _pulse(ctx: Any, *signals: Any) -> None:
    for signal in signals:
        ctx.set(signal, 1)
    await ctx.tick()
    for signal in signals:
        ctx.set(signal, 0)
    await ctx.tick()


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_reads_and_writes(stall: float) -> None:
    config = EngineConfig(rows=16, cols=5, act_bits=7, code_bits=5, max_terms=2)
    dut = Registers(config)

    async def body(ctx: Any, host: Host) -> None:
        assert await host.read(0x00) == 0x53484654
        assert await host.read(0x04) == 0x0303
        assert await host.read(0x08) == 16 | 5 << 8 | 5 << 16 | 2 << 20 | 7 << 24 | 4 << 28
        await host.write(0x18, 0xAABBCCDD)
        await host.write(0x18, 0x11223344, strobe=0b0101)
        assert await host.read(0x18) == 0xAA22CC44 == ctx.get(dut.program)
        await host.write(0x1C, 0xFFFF1234)
        assert await host.read(0x1C) == 0x1234
        await host.write(0x00, 5)  # read only: nothing happens
        assert await host.read(0x02) == 0x53484654  # the low address bits are ignored
        assert (await host.read(0x60), await host.read(0x64)) == (0, 0xFFFF_FFFF)
        for offset, signal in ((0x60, dut.base), (0x64, dut.limit)):
            await host.write(offset, 0x1234_5678 + offset)
            assert await host.read(offset) == 0x1234_5678 + offset == ctx.get(signal)
        assert await host.read(0x68) == config.fingerprint
        for offset in (0x6C, 0x7C, 0x80, 0x10C, 0x800, 0xFFC):
            await host.write(offset, 1, want=SLVERR)
            assert await host.read(offset, want=SLVERR) == 0
        assert await host.read(0x18) == 0xAA22CC44

    _run(dut, body, stall)


def test_start_status_and_interrupt() -> None:
    dut = Registers(EngineConfig())
    starts: list[int] = []
    resets: list[int] = []

    async def body(ctx: Any, host: Host) -> None:
        await host.write(0x0C, 0x001, strobe=0b1110)
        assert not starts
        await host.write(0x0C, 0x101)
        assert len(starts) == 1 and not resets
        assert await host.read(0x0C) == 0x100
        ctx.set(dut.busy, 1)
        assert await host.read(0x10) == 1
        await host.write(0x0C, 0x001, strobe=0b0001)
        assert len(starts) == 1  # busy
        ctx.set(dut.busy, 0)
        await _pulse(ctx, dut.done)
        await ctx.tick()
        assert ctx.get(dut.irq) and await host.read(0x10) == 2
        await host.write(0x10, 2)
        assert not ctx.get(dut.irq) and await host.read(0x10) == 0

        ctx.set(dut.error, 6)
        ctx.set(dut.error_layer, 300)
        await _pulse(ctx, dut.error_valid)
        ctx.set(dut.blocked, 1)
        ctx.set(dut.error, 5)
        await _pulse(ctx, dut.error_valid)
        assert ctx.get(dut.irq) and await host.read(0x10) == 4 | 8
        assert await host.read(0x14) == 6 | 300 << 16
        await host.write(0x10, 4 | 8)
        await host.write(0x0C, 0x101)  # ignored: it changes nothing
        assert await host.read(0x10) == 8 and await host.read(0x14) == 6 | 300 << 16
        assert not ctx.get(dut.irq)
        await host.write(0x0C, 0x002)
        ctx.set(dut.blocked, 0)
        assert len(resets) == 1 and len(starts) == 1
        assert await host.read(0x14) == 0 == await host.read(0x10) == await host.read(0x0C)
        await _pulse(ctx, dut.done)
        await ctx.tick()
        assert await host.read(0x10) == 2 and not ctx.get(dut.irq)
        await host.write(0x0C, 0x101)
        assert await host.read(0x10) == 0 and len(starts) == 2

    _run(dut, body, background=[count_high(dut.start, starts), count_high(dut.soft_reset, resets)])


@pytest.mark.parametrize("layers", [1, 5, 128])
def test_counters(layers: int) -> None:
    dut = Registers(EngineConfig(max_layers=layers))
    rng = Random(layers)

    async def body(ctx: Any, host: Host) -> None:
        kept: dict[int, list[int]] = {}
        for layer in [0, layers - 1, layers // 2, layers, 65535]:
            totals = [rng.randrange(1 << 32) for _ in range(6)] + [(1 << 32) - 1, 0x7FFFFFFF]
            totals_now = totals
            ctx.set(dut.record_layer, layer)
            await _pulse(ctx, dut.record)
            ctx.set(dut.record_layer, 0)
            ctx.set(dut.totals, totals)  # what the events so far add up to comes 2 cycles late
            await ctx.tick()
            for _ in range(12):  # counting goes on
                totals_now = [(t + rng.randrange(2)) % (1 << 32) for t in totals_now]
                ctx.set(dut.totals, totals_now)
                await ctx.tick()
            kept[layer] = totals if layer < layers else [0] * 8
        for layer, totals in kept.items():
            await host.write(REGISTER["LAYER"].offset, layer)
            assert [await host.read(0x20 + 4 * i) for i in range(8)] == totals
        totals = [rng.randrange(1 << 32) for _ in range(8)]
        ctx.set(dut.totals, totals)
        assert [await host.read(0x40 + 4 * i) for i in range(8)] == totals

    _run(dut, body)


@pytest.mark.parametrize("spacing", [RECORD_CYCLES, 9, 10, 11, 12])
def test_layers_that_end_one_soon_after_another_keep_their_own_counters(spacing: int) -> None:
    count = 6
    dut = Registers(EngineConfig(max_layers=count))
    rng = Random(spacing)
    now = [rng.randrange(1 << 32) for _ in range(8)]
    kept: list[list[int]] = []

    async def body(ctx: Any, host: Host) -> None:
        for cycle in range(count * spacing + 12):
            layer, phase = divmod(cycle, spacing)
            ctx.set(dut.record, phase == 0 and layer < count)
            ctx.set(dut.record_layer, layer)
            ctx.set(dut.totals, now)
            if phase == 2:  # the events of the cycle with the pulse are in
                kept.append(list(now))
            await ctx.tick()
            now[:] = [(n + rng.randrange(2)) % (1 << 32) for n in now]
        for layer in range(count):
            await host.write(REGISTER["LAYER"].offset, layer)
            assert [await host.read(0x20 + 4 * i) for i in range(8)] == kept[layer], layer

    _run(dut, body)


def test_it_converts_to_verilog() -> None:
    assert "s_axil_rdata" in verilog.convert(Registers(EngineConfig()), emit_src=False)


@pytest.mark.parametrize("event", ["done", "error_valid"])
def test_an_end_in_the_cycle_of_a_soft_reset_is_dropped(event: str) -> None:
    dut = Registers(EngineConfig())

    async def end(ctx: Any) -> None:
        """Let the run end in just the cycle in which the reset is told."""
        ctx.set(dut.error, 5)
        while True:
            *_, written = await ctx.tick().sample(dut.soft_reset)
            ctx.set(getattr(dut, event), 0)
            if written:
                return
            ctx.set(getattr(dut, event), 1)

    async def body(ctx: Any, host: Host) -> None:
        await host.write(REGISTER["CONTROL"].offset, 2)
        await ctx.tick().repeat(2)
        assert await host.read(REGISTER["STATUS"].offset) == 0
        assert await host.read(REGISTER["ERROR"].offset) == 0

    _run(dut, body, background=[end])
