"""A board's memory made of block RAMs, for the engine's bus and for the link."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory

from ..hw.axi import BURST, OKAY, read_members, write_members
from ..hw.plain import Plain
from ..hw.queue import Queue
from ..hw.ram import NO_COLLISIONS
from .link.handler import memory_port

BUS_BITS = 64
WORD_BYTES = BUS_BITS // 8
BANK_WORDS = 2048  # of 8 bytes: eight ECP5 block RAMs side by side
HALF = BANK_WORDS // 2  # the last bank may be of four
GROUP = 4  # banks behind one multiplexer
DECERR = 0b11
BURSTS = 4  # waiting, each way


def slave_members() -> dict[str, Any]:
    """Return the members of an AXI4 slave for the engine's master, named ``s_axi_*``."""
    members = {**read_members(BUS_BITS), **write_members(BUS_BITS)}
    return {name.replace("m_axi", "s_axi"): member.flip() for name, member in members.items()}


class OnChipMemory(wiring.Component):
    """Block RAM behind an AXI4 slave, and a port of the link's in the gaps.

    Bursts are incrementing, of full width and never cross 4 KiB, as the engine's are. A burst
    beyond the memory answers DECERR and changes nothing. Throughput one read and one write beat
    per cycle. Latency 7 cycles from `s_axi_arvalid` to the first beat when nothing waits. A read
    that is asked for after a write's response sees what was written. The port goes when the
    engine leaves a cycle free, and a read's data come 5 cycles later.

    What a read finds goes by way of one register per group of banks: no path crosses more
    than a quarter of the multiplexer, and addresses reach each group from a register of its own.

    Parameters
    ----------
    words : int
        Words of 8 bytes, a multiple of 1024.

    Members
    -------
    s_axi_* : AXI4 slave, 64 bits
    mem_* : `handler.memory_port`, seen from the other side
    """

    def __init__(self, words: int) -> None:
        if words < HALF or words % HALF:
            raise ValueError(f"a memory must be a multiple of {HALF} words of 8 bytes, not {words}")
        self.words = words
        super().__init__({
            **slave_members(),
            **{name: member.flip() for name, member in memory_port(words).items()},
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._read(m, *self._write(m))
        return m

    def _write(self, m: Module) -> tuple[list[Any], Signal]:
        """Build banks and write side; return the banks' read ports and when the link may read."""
        bus: Any = self
        m.submodules.aw = queue = Queue(BURST, BURSTS)
        m.submodules.b = responses = Queue(1, 4 * BURSTS)
        active, bad = Signal(), Signal()
        at = Signal(range(self.words))
        m.d.comb += [
            queue.i.payload.addr.eq(bus.s_axi_awaddr),
            queue.i.payload.len.eq(bus.s_axi_awlen),
            queue.i.valid.eq(bus.s_axi_awvalid),
            bus.s_axi_awready.eq(queue.i.ready),
            bus.s_axi_wready.eq(active & responses.i.ready),
            bus.s_axi_bvalid.eq(responses.o.valid),
            responses.o.ready.eq(bus.s_axi_bready),
        ]
        with m.If(responses.o.payload):
            m.d.comb += bus.s_axi_bresp.eq(DECERR)
        with m.Else():
            m.d.comb += bus.s_axi_bresp.eq(OKAY)
        beat = Signal()
        m.d.comb += [
            beat.eq(bus.s_axi_wvalid & bus.s_axi_wready),
            responses.i.valid.eq(beat & bus.s_axi_wlast),
            responses.i.payload.eq(bad),
            queue.o.ready.eq(~active | (beat & bus.s_axi_wlast)),
        ]
        with m.If(queue.o.ready):
            m.d.sync += active.eq(queue.o.valid)
        m.d.sync += at.eq(at + beat)
        with m.If(queue.o.ready):
            word = queue.o.payload.addr[WORD_BYTES.bit_length() - 1 :]
            m.d.sync += [at.eq(word), bad.eq(word >= self.words)]

        # What is to be written, the link's where the engine has nothing.
        put, put_at = Plain(WORD_BYTES, name="put"), Plain(range(self.words), name="put_at")
        put_data, valid = Plain(BUS_BITS, name="put_data"), Signal()
        m.d.sync += [
            put.eq(bus.s_axi_wstrb), put_at.eq(at), put_data.eq(bus.s_axi_wdata),
            valid.eq(beat & ~bad),
        ]  # fmt: skip
        with m.If(~beat):
            m.d.sync += [
                put.eq((1 << WORD_BYTES) - 1), put_at.eq(bus.mem_address),
                put_data.eq(bus.mem_data), valid.eq(bus.mem_valid & bus.mem_write),
            ]  # fmt: skip
        reads = Signal()  # the link's turn to read
        m.d.comb += bus.mem_ready.eq((bus.mem_write & ~beat) | (~bus.mem_write & reads))
        ports: list[Any] = []
        for first in range(0, self.words, GROUP * BANK_WORDS):
            banks = min(GROUP, -(-(self.words - first) // BANK_WORDS))
            # A group's own registers, which only what concerns it changes: equal ones would be
            # merged into one, with a net all over the die.
            enables, lane = Signal(banks), Plain(WORD_BYTES)
            place, value = Plain(range(BANK_WORDS)), Plain(BUS_BITS)
            mine = Signal()
            m.d.comb += mine.eq(valid & (put_at[13:] == first // (GROUP * BANK_WORDS)))
            m.d.sync += enables.eq(0)
            with m.If(mine):
                m.d.sync += [lane.eq(put), place.eq(put_at), value.eq(put_data)]
                for bank in range(banks):
                    m.d.sync += enables[bank].eq(put_at[11:13] == bank)
            for bank in range(banks):
                depth = min(self.words - first - bank * BANK_WORDS, BANK_WORDS)
                memory = Memory(shape=BUS_BITS, depth=depth, init=[], attrs=NO_COLLISIONS)
                m.submodules[f"bank{first // BANK_WORDS + bank}"] = memory
                port = memory.write_port(granularity=8)
                ports.append(memory.read_port())
                m.d.comb += [port.addr.eq(place), port.data.eq(value)]
                with m.If(enables[bank]):
                    m.d.comb += port.en.eq(lane)
        return ports, reads

    def _read(self, m: Module, ports: list[Any], reads: Signal) -> None:
        bus: Any = self
        m.submodules.ar = queue = Queue(BURST, BURSTS)
        active, bad = Signal(), Signal()
        at, left = Signal(range(self.words)), Signal(8)
        tag = data.StructLayout({"engine": 1, "host": 1, "last": 1, "bad": 1})
        run = Signal()  # nothing moves while a beat is not taken
        m.d.comb += [
            queue.i.payload.addr.eq(bus.s_axi_araddr),
            queue.i.payload.len.eq(bus.s_axi_arlen),
            queue.i.valid.eq(bus.s_axi_arvalid),
            bus.s_axi_arready.eq(queue.i.ready),
            run.eq(~bus.s_axi_rvalid | bus.s_axi_rready),
            queue.o.ready.eq(run & (~active | (left == 0))),
            reads.eq(run & ~active),
        ]
        with m.If(run):
            m.d.sync += [at.eq(at + active), left.eq(left - active)]
        with m.If(queue.o.ready):
            word = queue.o.payload.addr[WORD_BYTES.bit_length() - 1 :]
            m.d.sync += [
                active.eq(queue.o.valid), at.eq(word), left.eq(queue.o.payload.len),
                bad.eq(word >= self.words),
            ]  # fmt: skip

        # Stages: address chosen, at the group, read, of the group's banks one, of the groups one.
        chosen, groups = Plain(range(self.words), name="chosen"), -(-len(ports) // GROUP)
        tags = [Signal(tag, name=f"tag{stage}") for stage in range(5)]
        where = [Plain(range(max(groups, 2)), name=f"where{stage}") for stage in range(3)]
        with m.If(run):
            m.d.sync += [
                chosen.eq(at),
                tags[0].engine.eq(active), tags[0].last.eq(left == 0), tags[0].bad.eq(bad),
                tags[0].host.eq(bus.mem_valid & ~bus.mem_write & ~active),
                where[0].eq(chosen[13:]),
            ]  # fmt: skip
            with m.If(~active):
                m.d.sync += chosen.eq(bus.mem_address)
            m.d.sync += [b.eq(a) for a, b in pairwise(tags)]
            m.d.sync += [b.eq(a) for a, b in pairwise(where)]
        found = [Plain(BUS_BITS, name=f"found{group}") for group in range(groups)]
        for group in range(groups):
            banks = ports[group * GROUP : (group + 1) * GROUP]
            place, bank = Plain(range(BANK_WORDS)), Plain(2)
            mine, reading = Signal(), Signal(len(banks))
            which = Plain(2)
            m.d.comb += mine.eq(run & (chosen[13:] == group))
            with m.If(run):
                m.d.sync += reading.eq(0)
            with m.If(mine):
                m.d.sync += [place.eq(chosen), bank.eq(chosen[11:13])]
                for index in range(len(banks)):
                    m.d.sync += reading[index].eq(chosen[11:13] == index)
            with m.If(run):
                m.d.sync += which.eq(bank)
                with m.Switch(which):
                    for index, port in enumerate(banks):
                        with m.Case(index):
                            m.d.sync += found[group].eq(port.data)
            for index, port in enumerate(banks):
                m.d.comb += [port.addr.eq(place), port.en.eq(run & reading[index])]
        with m.If(run):
            with m.Switch(where[2]):
                for group in range(groups):
                    with m.Case(group):
                        m.d.sync += bus.s_axi_rdata.eq(found[group])
        m.d.comb += [
            bus.s_axi_rvalid.eq(tags[4].engine),
            bus.s_axi_rlast.eq(tags[4].last),
            bus.s_axi_rresp.eq(Cat(tags[4].bad, tags[4].bad)),
            bus.mem_r_valid.eq(tags[4].host & run),
            bus.mem_r_data.eq(bus.s_axi_rdata),
        ]
