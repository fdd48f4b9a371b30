"""A link with a memory and registers around it, for the simulator of Amaranth."""

from __future__ import annotations

from random import Random
from typing import Any

from shiftwork.boards.link.link import Link
from shiftwork.boards.link.model import Model, Registers
from shiftwork.boards.link.protocol import WORD_BYTES, Deframer, Frame

from ..hw.bench import Testbench, simulate

WORDS, CLOCK_HZ, BOARD = 64, 50_000_000, 0x31323334


class LinkBench:
    """Send bytes to a link; keep its replies and what it wrote."""

    def __init__(self, seed: int = 1) -> None:
        self.dut: Any = Link(WORDS, CLOCK_HZ, BOARD)
        self.rng = Random(seed)
        self.memory = bytearray(WORD_BYTES * WORDS)
        self.registers = Registers()
        self.log: list[tuple[str, int, bytes | int]] = []
        self.replies: list[Frame] = []

    @staticmethod
    def model() -> Model:
        return Model(WORDS, CLOCK_HZ, BOARD)

    async def _memory(self, ctx: Any) -> None:
        dut = self.dut
        while True:
            ctx.set(dut.mem_ready, self.rng.random() < 0.7)
            _, _, valid, ready, write, at, data = await ctx.tick().sample(
                dut.mem_valid, dut.mem_ready, dut.mem_write, dut.mem_address, dut.mem_data
            )
            ctx.set(dut.mem_r_valid, 0)
            if not (valid and ready):
                continue
            place = slice(at * WORD_BYTES, (at + 1) * WORD_BYTES)
            if write:
                word = data.to_bytes(WORD_BYTES, "little")
                self.memory[place] = word
                self.log.append(("mem", at, word))
                continue
            ctx.set(dut.mem_ready, 0)
            for _ in range(self.rng.randrange(4)):
                await ctx.tick()
            ctx.set(dut.mem_r_data, int.from_bytes(self.memory[place], "little"))
            ctx.set(dut.mem_r_valid, 1)
            await ctx.tick()
            ctx.set(dut.mem_r_valid, 0)

    async def _writes(self, ctx: Any) -> None:
        dut, address, value = self.dut, None, None
        ctx.set(dut.m_axil_awready, 1)
        ctx.set(dut.m_axil_wready, 1)
        while True:
            _, _, aw, at, w, data, strobe = await ctx.tick().sample(
                dut.m_axil_awvalid, dut.m_axil_awaddr, dut.m_axil_wvalid, dut.m_axil_wdata,
                dut.m_axil_wstrb,
            )  # fmt: skip
            if aw:
                address = at
                ctx.set(dut.m_axil_awready, 0)
            if w:
                assert strobe == 0b1111
                value = data
                ctx.set(dut.m_axil_wready, 0)
            if address is None or value is None:
                continue
            self.log.append(("reg", address, value))
            ctx.set(dut.m_axil_bresp, 0 if self.registers.write(address, value) else 2)
            ctx.set(dut.m_axil_bvalid, 1)
            address = value = None
            while not (await ctx.tick().sample(dut.m_axil_bready))[2]:
                pass
            ctx.set(dut.m_axil_bvalid, 0)
            ctx.set(dut.m_axil_awready, 1)
            ctx.set(dut.m_axil_wready, 1)

    async def _reads(self, ctx: Any) -> None:
        dut = self.dut
        ctx.set(dut.m_axil_arready, 1)
        while True:
            _, _, valid, at = await ctx.tick().sample(dut.m_axil_arvalid, dut.m_axil_araddr)
            if not valid:
                continue
            value = self.registers.read(at)
            ctx.set(dut.m_axil_arready, 0)
            await ctx.tick()
            ctx.set(dut.m_axil_rdata, value or 0)
            ctx.set(dut.m_axil_rresp, 0 if value is not None else 2)
            ctx.set(dut.m_axil_rvalid, 1)
            while not (await ctx.tick().sample(dut.m_axil_rready))[2]:
                pass
            ctx.set(dut.m_axil_rvalid, 0)
            ctx.set(dut.m_axil_arready, 1)

    async def _replies(self, ctx: Any) -> None:
        dut, deframer = self.dut, Deframer()
        while True:
            ctx.set(dut.o.ready, self.rng.random() < 0.8)
            _, _, valid, ready, byte = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload
            )
            if valid and ready:
                for body in deframer.feed([byte]):
                    frame = Frame.decode(body)
                    assert frame is not None, f"a reply is damaged: {body.hex(' ')}"
                    self.replies.append(frame)

    def run(self, strings: list[bytes], *, cycles: int = 200_000, irq: int = 1) -> None:
        """Send strings of bytes, each after the link has answered the one before."""
        dut = self.dut

        async def send(ctx: Any) -> None:
            ctx.set(dut.irq, irq)
            for string in strings:
                for byte in string:
                    while ctx.get(dut.busy):
                        await ctx.tick()
                    ctx.set(dut.i.payload, byte)
                    ctx.set(dut.i.valid, 1)
                    await ctx.tick()
                    ctx.set(dut.i.valid, 0)
                    if self.rng.random() < 0.3:
                        await ctx.tick()
            await ctx.tick()
            while ctx.get(dut.busy):
                await ctx.tick()

        testbenches: list[Testbench] = [self._memory, self._writes, self._reads, self._replies]
        simulate(dut, send, background=testbenches, cycles=cycles)
