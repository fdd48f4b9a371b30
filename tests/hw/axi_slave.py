"""AXI4 memories for testbenches: in order, with latency, pauses and errors; they check rules."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

from .bench import Testbench

WINDOW = 4096  # bytes that a burst must not cross the border of


class Slave:
    """What the two memories share: randomness and the checks of a burst's address.

    Parameters
    ----------
    bus : component with the flat AXI members
    memory : bytearray
        Contents from address 0 on.
    config : EngineConfig
    rng : Random
    stall : float
        Probability of a pause of every channel, per cycle.
    latency : int
        Cycles from a burst's address to its first data or its response.
    errors : set of int
        Numbers of the beats (read) or bursts (write) answered with SLVERR.
    """

    def __init__(
        self,
        bus: Any,
        memory: bytearray,
        config: Any,
        *,
        rng: Random | None = None,
        stall: float = 0.0,
        latency: int = 3,
        errors: frozenset[int] = frozenset(),
    ) -> None:
        self.bus = bus
        self.memory = memory
        self.config = config
        self.rng = rng or Random(0)
        self.stall = stall
        self.latency = latency
        self.errors = errors
        self.bursts: list[tuple[int, int]] = []  # address, beats
        self.beats: list[int] = []  # clock cycle of every data beat
        self.cycle = 0

    def _go(self) -> int:
        return int(self.rng.random() >= self.stall)

    def _burst(self, addr: int, length: int, size: int, burst: int) -> tuple[int, int]:
        width = self.config.bus_bits // 8
        beats = length + 1
        assert 1 << size == width and burst == 1, f"burst of size {size}, type {burst}"
        assert addr % width == 0, f"burst address {addr:#x} is not aligned"
        assert beats <= self.config.burst_beats, f"burst of {beats} beats"
        assert addr // WINDOW == (addr + beats * width - 1) // WINDOW, (
            f"burst of {beats} beats at {addr:#x} crosses 4 KiB"
        )
        self.bursts.append((addr, beats))
        return addr, beats


class ReadMemory(Slave):
    """Answer the read channels."""

    def testbench(self) -> Testbench:
        """Return the background testbench."""
        bus = self.bus
        width = self.config.bus_bits // 8

        async def run(ctx: Any) -> None:
            queue: deque[tuple[int, int, int]] = deque()  # ready cycle, address, last
            held: Any = None  # what arvalid showed when it was not taken
            arready = valid = number = 0
            while True:
                if not valid and queue and queue[0][0] <= self.cycle and self._go():
                    _, addr, last = queue.popleft()
                    ctx.set(
                        bus.m_axi_rdata, int.from_bytes(self.memory[addr : addr + width], "little")
                    )
                    ctx.set(bus.m_axi_rlast, last)
                    ctx.set(bus.m_axi_rresp, 2 if number in self.errors else 0)
                    number += 1
                    valid = 1
                ctx.set(bus.m_axi_rvalid, valid)
                arready = self._go()
                ctx.set(bus.m_axi_arready, arready)
                _, _, arvalid, addr, length, size, burst, rready = await ctx.tick().sample(
                    bus.m_axi_arvalid, bus.m_axi_araddr, bus.m_axi_arlen, bus.m_axi_arsize,
                    bus.m_axi_arburst, bus.m_axi_rready,
                )  # fmt: skip
                now = (addr, length, size, burst)
                assert held is None or (arvalid and held == now), "ar* changed before arready"
                held = now if arvalid and not arready else None
                if arvalid and arready:
                    start, beats = self._burst(*now)
                    for beat in range(beats):
                        ready = self.cycle + self.latency
                        queue.append((ready, start + beat * width, int(beat == beats - 1)))
                if valid and rready:
                    self.beats.append(self.cycle)
                    valid = 0
                self.cycle += 1

        return run


class WriteMemory(Slave):
    """Take the write channels; data may come up to one burst before its address."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.written = bytearray(len(self.memory))  # times each byte was written
        self.responses = 0  # bursts answered

    def testbench(self) -> Testbench:
        """Return the background testbench."""
        bus = self.bus
        width = self.config.bus_bits // 8

        async def run(ctx: Any) -> None:
            addresses: deque[tuple[int, int]] = deque()
            beats: deque[tuple[int, int, int]] = deque()  # data, strobe, last
            responses: deque[int] = deque()  # ready cycle of each answer
            held: list[Any] = [None, None]
            at = bvalid = 0
            while True:
                if not bvalid and responses and responses[0] <= self.cycle and self._go():
                    responses.popleft()
                    ctx.set(bus.m_axi_bresp, 2 if self.responses in self.errors else 0)
                    self.responses += 1
                    bvalid = 1
                ctx.set(bus.m_axi_bvalid, bvalid)
                ready = (self._go(), self._go())
                ctx.set(bus.m_axi_awready, ready[0])
                ctx.set(bus.m_axi_wready, ready[1])
                (_, _, awvalid, addr, length, size, burst, wvalid, word, strobe, last, bready) = (
                    await ctx.tick().sample(
                        bus.m_axi_awvalid, bus.m_axi_awaddr, bus.m_axi_awlen, bus.m_axi_awsize,
                        bus.m_axi_awburst, bus.m_axi_wvalid, bus.m_axi_wdata, bus.m_axi_wstrb,
                        bus.m_axi_wlast, bus.m_axi_bready,
                    )
                )  # fmt: skip
                channels = (
                    (awvalid, ready[0], (addr, length, size, burst)),
                    (wvalid, ready[1], (word, strobe, last)),
                )
                for index, (valid, taken, now) in enumerate(channels):
                    before = held[index]
                    assert before is None or (valid and before == now), "changed before ready"
                    held[index] = now if valid and not taken else None
                if awvalid and ready[0]:
                    addresses.append(self._burst(addr, length, size, burst))
                if wvalid and ready[1]:
                    beats.append((word, strobe, last))
                    self.beats.append(self.cycle)
                while addresses and beats:
                    word, strobe, last = beats.popleft()
                    start, count = addresses[0]
                    self._store(start + at * width, word, strobe)
                    at += 1
                    assert last == (at == count), f"wlast is {last} at beat {at} of {count}"
                    if last:
                        addresses.popleft()
                        at = 0
                        responses.append(self.cycle + self.latency)
                if bvalid and bready:
                    bvalid = 0
                self.cycle += 1

        return run

    def _store(self, addr: int, word: int, strobe: int) -> None:
        for lane in range(self.config.bus_bits // 8):
            if strobe >> lane & 1:
                self.memory[addr + lane] = word >> 8 * lane & 0xFF
                self.written[addr + lane] += 1
