"""Writes the outputs of column blocks to memory: AXI4 write master."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Signal
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
from .burst import BurstSplitter
from .codec.feed import Feed, coded_job
from .codec.layout import unit_bytes, word_units
from .config import EngineConfig
from .geometry import JOBS, WRITES, Geometry, burst_block
from .lines import beat_bytes, beat_strobe
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
        )

    def elaborate(self, platform: Any) -> Module:
        """Build the storer: stage -> addresses -> data."""
        m = Module()
        config, geometry, bus = self.config, self.geometry, self._bus
        m.submodules.stage = stage = Stage(config)
        m.submodules.splitter = splitter = BurstSplitter(
            config.bus_bytes, self.block, self.beats_bits
        )
        low_bits = (self.block - 1).bit_length()
        slot_bits = (geometry.slots - 1).bit_length()
        job_layout = data.StructLayout({
            "beats": self.beats_bits,  # of each plane
            "lane": range(config.rows),
            "end": range(config.rows + config.cols),  # lane after the last, on from plane to plane
            "low": low_bits,  # first beat within its block, and what a plane adds to it
            "low_step": low_bits,
            "first_slot": slot_bits,
            "end_slot": slot_bits,
            **coded_job(config),
        })  # fmt: skip
        m.submodules.jobs = jobs = Queue(job_layout, JOBS)
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
        self._addresses(m, stage.job, splitter.i, jobs.i, answered, resting)
        self._data(m, stage, jobs.o, granted != 0, commit)
        nothing = stage.idle & resting & splitter.idle & ~jobs.o.valid
        m.d.comb += self.idle.eq((outstanding == 0) & ~bus.m_axi_awvalid & (self.halt | nothing))
        return m

    @property
    def _bus(self) -> Any:
        return self

    def _addresses(
        self, m: Module, token: Any, request: Any, job: Any, answered: Signal, resting: Signal
    ) -> None:
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
        with m.FSM(name="addresses"):
            with m.State("IDLE"):
                m.d.comb += [
                    job.valid.eq(token.valid),
                    token.ready.eq(job.ready),
                    resting.eq(~token.valid),
                ]
                m.d.sync += [
                    addr.eq(t.addr >> bus_bits),
                    stride.eq(t.plane_stride >> bus_bits),
                    beats.eq(j.beats),
                    end.eq(j.end),
                    last.eq(t.last),
                ]
                with m.If(token.valid & job.ready):
                    m.next = "ASK"
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

    def _data(self, m: Module, stage: Stage, job: Any, granted: Any, commit: Signal) -> None:
        """Read the staging memory and put beats on the bus: two pipeline steps, read and out."""
        config, geometry, bus = self.config, self.geometry, self._bus
        start = Signal(geometry.line_bits + 1)  # the token's first line
        line = Signal(geometry.line_bits + 1)
        part = Signal(range(geometry.parts))
        plane = Signal(range(geometry.planes))
        low = Signal.like(job.p.low)  # first beat of the plane within its block
        beat = Signal.like(job.p.low)  # this beat within its block
        lane = Signal.like(job.p.lane)
        end = Signal.like(job.p.end)
        left = Signal(self.beats_bits)
        first, final = Signal(), Signal()  # beat of the plane
        mask = Signal(config.rows)  # lanes that are real channels of the plane
        firsts, lasts = Signal(geometry.slots), Signal(geometry.slots)  # slots of the end lines

        strobe = Signal(config.bus_bytes)
        run, issue, last = Signal(), Signal(), Signal()
        advance = Signal()  # one more beat of the plane: issued, or of a coded one on the bus
        coded = Signal()
        # The pipeline: the memory's output register, then the bus registers.
        reading, read_last = Signal(), Signal()
        read_strobe, read_part = Signal.like(strobe), Signal.like(part)
        step, out = Signal(), Signal()
        m.d.comb += [
            stage.r_line.eq(line),
            stage.r_plane.eq(plane),
            stage.r_en.eq(issue),  # and below
            stage.free_line.eq(line if geometry.planes == 1 else start),
            last.eq(final | (beat == self.block - 1)),
            commit.eq(advance & last),
        ]
        feed: Any = None
        if config.codec_bits:
            m.submodules.feed = feed = Feed(config)
            m.d.comb += [
                feed.pixels.eq(job.p.pixels),
                feed.units.eq(
                    Array(word_units(config, k) for k in range(config.codec_bits + 1))[job.p.bits]
                ),
                feed.offset.eq(job.p.offset),
                feed.r_data.eq(stage.r_data),
                stage.r_en.eq(issue | feed.r_en),
            ]
        with m.Switch(part):
            for index in range(geometry.parts):
                with m.Case(index):
                    m.d.comb += strobe.eq(
                        beat_strobe(config, mask, firsts, lasts, first, final, index)
                    )

        with m.FSM(name="data"):
            with m.State("IDLE"):
                m.d.sync += [
                    plane.eq(0),
                    low.eq(job.p.low),
                    lane.eq(job.p.lane),
                    end.eq(job.p.end),
                    line.eq(start),
                ]
                if feed is not None:
                    m.d.sync += coded.eq(job.p.bits != 0)
                with m.If(job.valid):
                    m.next = "PLANE"
            with m.State("PLANE"):
                m.d.sync += [
                    mask.eq(Cat((lane <= k) & (end > k) for k in range(config.rows))),
                    firsts.eq(Cat(job.p.first_slot <= k for k in range(geometry.slots))),
                    lasts.eq(
                        Cat((job.p.end_slot - 1)[: len(job.p.end_slot)] >= k
                            for k in range(geometry.slots))
                    ),
                    first.eq(1),
                    final.eq(job.p.beats == 1),
                    left.eq(job.p.beats),
                    beat.eq(low),
                    line.eq(start),
                ]  # fmt: skip
                m.next = "RUN"
                if feed is not None:  # the memory's register is its own from now on
                    m.d.comb += feed.begin.eq(coded & ~reading)
                    with m.If(coded & reading):
                        m.next = "PLANE"
            with m.State("RUN"):
                m.d.comb += run.eq(1)
                with m.If(issue):
                    m.d.sync += part.eq(part + 1)
                    with m.If(part == geometry.parts - 1):
                        m.d.sync += line.eq(line + 1)
                if feed is not None:
                    with m.If(feed.r_en):
                        m.d.sync += line.eq(line + 1)
                with m.If(advance):
                    m.d.sync += [
                        first.eq(0),
                        final.eq(left == 2),
                        left.eq(left - 1),
                        beat.eq(beat + 1),
                    ]
                    with m.If(final):
                        m.d.sync += [
                            plane.eq(plane + 1),
                            low.eq(low + job.p.low_step),
                            lane.eq(0),
                            end.eq(end - config.rows),
                        ]
                        m.next = "PLANE"
                        with m.If(end <= config.rows):
                            m.d.comb += job.ready.eq(1)
                            m.d.sync += start.eq(line + ~coded)
                            m.next = "IDLE"

        m.d.comb += [
            out.eq(~bus.m_axi_wvalid | bus.m_axi_wready),
            step.eq(~reading | out),
            issue.eq(run & granted & step & ~coded),
            advance.eq(issue),
        ]
        with m.If(step):
            m.d.sync += reading.eq(issue)
        with m.If(issue):
            m.d.sync += [read_strobe.eq(strobe), read_last.eq(last), read_part.eq(part)]
        with m.If(out):
            m.d.sync += [
                bus.m_axi_wvalid.eq(reading),
                bus.m_axi_wstrb.eq(read_strobe),
                bus.m_axi_wlast.eq(read_last),
            ]
            with m.Switch(read_part):
                for index in range(geometry.parts):
                    with m.Case(index):
                        m.d.sync += bus.m_axi_wdata.eq(beat_bytes(config, stage.r_data, index))
        if feed is not None:
            beats = feed.o
            strobes = [bit.replicate(unit_bytes(config)) for bit in beats.payload.strobe]
            m.d.comb += beats.ready.eq(run & coded & granted & out)
            with m.If(beats.valid & beats.ready):
                m.d.comb += advance.eq(1)
                m.d.sync += [
                    bus.m_axi_wvalid.eq(1),
                    bus.m_axi_wdata.eq(beats.payload.data),
                    bus.m_axi_wstrb.eq(Cat(strobes)),
                    bus.m_axi_wlast.eq(last),
                ]
