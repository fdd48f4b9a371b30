"""The storer's way out: beats from the staging memory, or of a feed, to the bus."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from .codec.feed import Feed, coded_job
from .codec.layout import unit_bytes, word_units
from .codec.zero_store import ZeroStore, zero_job
from .config import EngineConfig
from .geometry import Geometry
from .lines import beat_bytes, beat_strobe
from .stage import Stage


def job_layout(config: EngineConfig, beats_bits: int, low_bits: int) -> data.StructLayout:
    """Return what the way out has to know of a token.

    Parameters
    ----------
    config : EngineConfig
    beats_bits : int
        Of the number of a plane's beats.
    low_bits : int
        Of a beat's number within its block.
    """
    slot_bits = (Geometry(config).slots - 1).bit_length()
    return data.StructLayout({
        "beats": beats_bits,  # of each plane
        "lane": range(config.rows),
        "end": range(config.rows + config.cols),  # lane after the last, on from plane to plane
        "low": low_bits,  # first beat within its block, and what a plane adds to it
        "low_step": low_bits,
        "first_slot": slot_bits,
        "end_slot": slot_bits,
        **coded_job(config),
        **zero_job(config),
    })  # fmt: skip


def move_beats(
    m: Module, config: EngineConfig, bus: Any, stage: Stage, job: Any, granted: Value,
    commit: Signal, block: int, zeros: ZeroStore | None,
) -> None:  # fmt: skip
    """Read the staging memory and put beats on the bus: two pipeline steps, read and out.

    Parameters
    ----------
    m : Module
    config : EngineConfig
    bus : Any
        AXI4 write channel: ``m_axi_w*``.
    stage : Stage
    job : Any
        Stream of `job_layout`: tokens whose bursts are asked for.
    granted : Value
        The address of a burst whose data is not read is on the bus.
    commit : Signal
        Pulse: a burst's last beat is read.
    block : int
        Bursts end at multiples of so many beats.
    zeros : ZeroStore or None
    """
    geometry = Geometry(config)
    start = Signal(geometry.line_bits + 1)  # the token's first line
    line = Signal(geometry.line_bits + 1)
    part = Signal(range(geometry.parts))
    plane = Signal(range(geometry.planes))
    low = Signal.like(job.p.low)  # first beat of the plane within its block
    beat = Signal.like(job.p.low)  # this beat within its block
    lane = Signal.like(job.p.lane)
    end = Signal.like(job.p.end)
    left = Signal(len(job.p.beats))
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
        last.eq(final | (beat == block - 1)),
        commit.eq(advance & last),
    ]
    feed: Any = None
    packed: list[tuple[Any, int, Value]] = []  # feeds, bytes of a unit, when beats may go
    if config.codec_bits:
        m.submodules.feed = feed = Feed(config)
        m.d.comb += [
            feed.pixels.eq(job.p.pixels),
            feed.units.eq(
                Array(word_units(config, k) for k in range(config.codec_bits + 1))[job.p.bits]
            ),
            feed.offset.eq(job.p.offset),
        ]
        packed.append((feed, unit_bytes(config), run & coded))
    without_zeros = Signal()
    if zeros:
        zeros.connect(m, job, mask)
        m.d.comb += [
            last.eq(Mux(without_zeros, zeros.feed.o.p.last, final) | (beat == block - 1)),
            stage.free_line.eq(start if geometry.planes > 1 else Mux(without_zeros, start, line)),
        ]
        packed.append((zeros.feed, 1, zeros.run))
    for each, _, _ in packed:
        m.d.comb += each.r_data.eq(stage.r_data)
        with m.If(each.r_en):
            m.d.comb += stage.r_en.eq(1)
            m.d.sync += line.eq(line + 1)

    def next_plane(first_line: Any) -> None:
        m.d.sync += [
            plane.eq(plane + 1),
            low.eq(low + job.p.low_step),
            lane.eq(0),
            end.eq(end - config.rows),
        ]
        m.next = "PLANE"
        with m.If(end <= config.rows):
            m.d.comb += job.ready.eq(1)
            m.d.sync += start.eq(first_line)
            m.next = "IDLE"

    with m.Switch(part):
        for index in range(geometry.parts):
            with m.Case(index):
                m.d.comb += strobe.eq(beat_strobe(config, mask, firsts, lasts, first, final, index))

    with m.FSM(name="data"):
        with m.State("IDLE"):
            m.d.sync += line.eq(start)
            with m.If(job.valid):
                m.d.sync += [
                    plane.eq(0),
                    low.eq(job.p.low),
                    lane.eq(job.p.lane),
                    end.eq(job.p.end),
                ]
                if feed is not None:
                    m.d.sync += coded.eq(job.p.bits != 0)
                if zeros:
                    m.d.sync += without_zeros.eq(job.p.segment != 0)
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
            if zeros:
                with m.If(without_zeros):
                    m.next = "PREPARE"
        if zeros:
            zeros.moves(m, beat, ~reading, advance)
            with m.State("REST"), m.If(zeros.feed.idle):
                next_plane(line)
        with m.State("RUN"):
            m.d.comb += run.eq(1)
            with m.If(issue):
                m.d.sync += part.eq(part + 1)
                with m.If(part == geometry.parts - 1):
                    m.d.sync += line.eq(line + 1)
            with m.If(advance):
                m.d.sync += [
                    first.eq(0),
                    final.eq(left == 2),
                    left.eq(left - 1),
                    beat.eq(beat + 1),
                ]
                with m.If(final):
                    next_plane(line + ~coded)

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
        m.d.sync += bus.m_axi_wvalid.eq(reading)
    with m.If(out & reading):
        m.d.sync += [bus.m_axi_wstrb.eq(read_strobe), bus.m_axi_wlast.eq(read_last)]
        with m.Switch(read_part):
            for index in range(geometry.parts):
                with m.Case(index):
                    m.d.sync += bus.m_axi_wdata.eq(beat_bytes(config, stage.r_data, index))
    for each, unit, when in packed:
        beats = each.o
        strobes = [bit.replicate(unit) for bit in beats.payload.strobe]
        m.d.comb += beats.ready.eq(when & granted & out)
        with m.If(beats.valid & beats.ready):
            m.d.comb += advance.eq(1)
            m.d.sync += [
                bus.m_axi_wvalid.eq(1),
                bus.m_axi_wdata.eq(beats.payload.data),
                bus.m_axi_wstrb.eq(Cat(strobes)),
                bus.m_axi_wlast.eq(last),
            ]
    if zeros:
        with m.If(zeros.feed.rewind):
            m.d.sync += line.eq(start)
