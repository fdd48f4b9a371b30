"""Writes the outputs of column blocks to memory: AXI4 write master."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import (
    ADDR_BITS,
    BURST_INCREMENT,
    CACHE_BUFFERABLE,
    LAST_BYTE,
    PROTECTION,
    write_members,
)
from .beats import job_layout, move_beats
from .burst import BurstSplitter
from .codec.layout import unit_bytes
from .codec.zero_store import ZeroStore
from .config import EngineConfig
from .geometry import JOBS, WRITES, Geometry, burst_block
from .queue import Queue
from .stage import Stage, store_token_layout

__all__ = ["Storer", "store_token_layout"]


class Storer(wiring.Component):
    """Collect the outputs of a column block of a tile, then write them in bursts.

    A column block touches one or more planes; each is written along its pixels, word after word,
    only the bytes of real channels strobed. Bursts end at multiples of the largest power of two
    of beats within ``burst_beats``. While one token is written the next is collected, and its
    addresses go out ahead. Data of a burst wait until its address is on the bus, not until it is
    taken.

    Latency from the last group of a token to its first `m_axi_awvalid` 5 cycles, `m_axi_wvalid` 7.
    Throughput one group in and one beat out per cycle; 2 cycles are lost between tokens and one
    per plane. Up to 4 tokens wait at `token`; groups are taken only for a token that has come
    before them. Reset: idle; only to be applied when `idle` (raise `halt` first and wait).

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    token : In(stream.Signature(store_token_layout(config)))
    i : In(stream.Signature(ArrayLayout(act_bits, requantise_lanes)))
        Per token pixels x cols / requantise_lanes groups, pixel-major, then channel.
    halt : In(1)
        Start no new burst, drop what comes. Bursts under way are completed. Keep it high until
        reset.
    idle : Out(1)
        Nothing at hand, no burst outstanding; while `halt` is high: no burst outstanding.
    done : Out(1)
        Pulse once a token with ``last`` and all before it have all their write responses.
    beat, error : Out(1)
        Pulse the cycle after a beat was taken, and after a response that is an error. A response
        while no burst is outstanding is ignored.
    base, limit : In(32)
        First and last byte that may be written.
    outside : Out(1)
        A burst would touch another: neither it nor any after it is issued. High until `halt`.
    moved : Out(1)
        With ``zero_maps``: a word of a map without zeros was read. One without values makes no
        beat.
    m_axi_aw*, m_axi_w*, m_axi_b* : AXI4 write channels
    """

    token: Any
    i: Any
    halt: Signal
    idle: Signal
    done: Signal
    beat: Signal
    error: Signal
    base: Signal
    limit: Signal
    outside: Signal
    moved: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.geometry = Geometry(config)
        self.block = burst_block(config.burst_beats)
        group = data.ArrayLayout(config.act_bits, config.requantise_lanes)
        most = (config.hold + self.geometry.slots) * self.geometry.parts
        self.beats_bits = most.bit_length()  # of one plane of a token
        super().__init__(
            write_members(config.bus_bits)
            | {
                "token": In(stream.Signature(store_token_layout(config))),
                "i": In(stream.Signature(group)),
                "halt": In(1),
                "idle": Out(1),
                "done": Out(1),
                "beat": Out(1),
                "error": Out(1),
                "base": In(ADDR_BITS),
                "limit": In(ADDR_BITS, init=LAST_BYTE),  # pyright: ignore[reportCallIssue]
                "outside": Out(1),
            }
            | ({"moved": Out(1)} if config.zero_maps else {})
        )

    def elaborate(self, platform: Any) -> Module:
        """Build the storer: stage -> addresses -> data."""
        m = Module()
        config, bus = self.config, self._bus
        m.submodules.stage = stage = Stage(config)
        m.submodules.splitter = splitter = BurstSplitter(
            config.bus_bytes, self.block, self.beats_bits
        )
        low_bits = (self.block - 1).bit_length()
        m.submodules.jobs = jobs = Queue(job_layout(config, self.beats_bits, low_bits), JOBS)
        wiring.connect(m, wiring.flipped(self.token), stage.token)
        wiring.connect(m, wiring.flipped(self.i), stage.i)
        m.d.comb += [
            stage.halt.eq(self.halt),
            splitter.halt.eq(self.halt),
            splitter.base.eq(self.base),
            splitter.limit.eq(self.limit),
            self.outside.eq(splitter.outside),
        ]

        present, commit = Signal(), Signal()  # a burst's address, its last beat
        granted = Signal(range(WRITES + 1))  # addresses presented, data not yet read
        outstanding = Signal(range(WRITES + 1))  # addresses presented, not yet answered
        # A response with nothing outstanding is to a burst from before a reset: not ours.
        answer = Signal()
        m.d.comb += answer.eq(bus.m_axi_bvalid & (outstanding != 0))
        m.d.sync += [
            granted.eq(granted + present - commit),
            outstanding.eq(outstanding + present - answer),
        ]

        # Address channel: arready reaches one flip-flop.
        m.d.comb += [
            present.eq(splitter.o.valid & ~bus.m_axi_awvalid & (outstanding != WRITES)),
            splitter.o.ready.eq(present),
            bus.m_axi_awsize.eq((config.bus_bytes - 1).bit_length()),
            bus.m_axi_awburst.eq(BURST_INCREMENT),
            bus.m_axi_awprot.eq(PROTECTION),
            bus.m_axi_awcache.eq(CACHE_BUFFERABLE),
            bus.m_axi_bready.eq(1),
        ]
        with m.If(present):
            m.d.sync += [
                bus.m_axi_awvalid.eq(1),
                bus.m_axi_awaddr.eq(splitter.o.p.addr),
                bus.m_axi_awlen.eq(splitter.o.p.len),
            ]
        with m.Elif(bus.m_axi_awready):
            m.d.sync += bus.m_axi_awvalid.eq(0)
        m.d.sync += [
            self.beat.eq(bus.m_axi_wvalid & bus.m_axi_wready),
            self.error.eq(answer & bus.m_axi_bresp[1]),
        ]

        answered, resting = Signal(), Signal()
        m.d.comb += answered.eq((outstanding == 0) & splitter.idle)
        zeros = ZeroStore(m, config, low_bits) if config.zero_maps else None
        if zeros:
            m.d.comb += self.moved.eq(zeros.feed.moved)
        self._addresses(m, stage.job, splitter.i, jobs.i, answered, resting, zeros)
        move_beats(m, config, bus, stage, jobs.o, granted != 0, commit, self.block, zeros)
        nothing = stage.idle & resting & splitter.idle & ~jobs.o.valid
        m.d.comb += self.idle.eq((outstanding == 0) & ~bus.m_axi_awvalid & (self.halt | nothing))
        return m

    @property
    def _bus(self) -> Any:
        return self

    def _addresses(
        self, m: Module, token: Any, request: Any, job: Any, answered: Signal, resting: Signal,
        zeros: ZeroStore | None,
    ) -> None:  # fmt: skip
        """Ask for the bursts of every plane; hand on what the data need to know."""
        config, geometry = self.config, self.geometry
        byte_bits = (config.word_bytes - 1).bit_length()
        bus_bits = (config.bus_bytes - 1).bit_length()
        part_bits = (geometry.parts - 1).bit_length()
        slot_bits = (geometry.slots - 1).bit_length()
        addr = Signal(32 - bus_bits)  # in beats
        stride = Signal(32 - bus_bits)
        beats = Signal(self.beats_bits)
        end = Signal(range(config.rows + config.cols))
        last = Signal()

        t, j = token.p, job.p
        slot = (t.addr >> byte_bits)[:slot_bits]
        m.d.comb += [
            j.beats.eq(((t.pixels + slot + geometry.slots - 1) >> slot_bits) << part_bits),
            j.lane.eq(t.lane),
            j.end.eq(t.lane + t.channels),
            j.low.eq(t.addr >> bus_bits),
            j.low_step.eq(t.plane_stride >> bus_bits),
            j.first_slot.eq(slot),
            j.end_slot.eq(slot + t.pixels),
            request.p.addr.eq(addr << bus_bits),
            request.p.beats.eq(beats),
        ]
        if config.codec_bits:
            size = len(t.bytes) + 1
            beat_bytes = config.bus_bytes - 1
            m.d.comb += [
                j.beats.eq((t.bytes + t.addr[:bus_bits] + beat_bytes)[:size] >> bus_bits),
                j.bits.eq(t.bits),
                j.offset.eq(t.addr[:bus_bits] >> (unit_bytes(config).bit_length() - 1)),
                j.pixels.eq(t.pixels),
            ]
        if zeros:
            m.d.comb += [j.segment.eq(t.segment), j.pixels.eq(t.pixels), j.masks.eq(t.masks)]
        with m.FSM(name="addresses"):
            with m.State("IDLE"):
                m.d.comb += [
                    job.valid.eq(token.valid),
                    token.ready.eq(job.ready),
                    resting.eq(~token.valid),
                ]
                with m.If(token.valid):
                    m.d.sync += [
                        addr.eq(t.addr >> bus_bits),
                        stride.eq(t.plane_stride >> bus_bits),
                        beats.eq(j.beats),
                        end.eq(j.end),
                        last.eq(t.last),
                    ]
                if zeros:
                    zeros.take(m, t)
                with m.If(token.valid & job.ready):
                    m.next = "ASK"
                    if zeros:
                        with m.If(t.segment != 0):
                            m.next = "MASKS"
            if zeros:
                zeros.asks(m, request, stride << bus_bits, end, last)
            with m.State("ASK"):
                m.d.comb += request.valid.eq(1)
                with m.If(request.ready):
                    m.d.sync += [addr.eq(addr + stride), end.eq(end - config.rows)]
                    with m.If(end <= config.rows):
                        m.next = "IDLE"
                        with m.If(last):
                            m.next = "ANSWER"
            with m.State("ANSWER"):  # bursts of later tokens wait, so none outstanding is the sign
                with m.If(answered | self.halt):
                    m.d.sync += self.done.eq(~self.halt)
                    m.next = "IDLE"
        with m.If(self.done):
            m.d.sync += self.done.eq(0)
