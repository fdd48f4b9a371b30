"""The feed of maps without zeros: words from the storer's staging memory to masks and values."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SEGMENTS, EngineConfig
from ..geometry import Geometry
from ..plain import Plain
from ..queue import Queue
from ..stage import line_shape
from ..tree import tree_sum
from .gaps import close_gaps, count_gaps
from .layout import mask_bytes
from .packer import Packer
from .words import LineWords


def counted_layout(config: EngineConfig) -> data.StructLayout:
    """Return the values of a segment, and if it is the plane's last."""
    return data.StructLayout({"values": range(config.hold * config.rows + 1), "last": 1})


def piece_layout(config: EngineConfig) -> data.StructLayout:
    """Return the values of a segment, and the byte of a beat where they start."""
    return data.StructLayout({
        "values": range(config.hold * config.rows + 1), "offset": range(config.bus_bytes),
    })  # fmt: skip


class ZeroFeed(wiring.Component):
    """Give the masks of a plane's words, then segment by segment the values that are not 0.

    It reads the words twice. The first time it gives the masks as one run of beats and tells how
    many values each segment has; the second time a run of beats for each segment that has some,
    once it has been told where they start. Up to 16 segments are counted ahead: a plane has no
    more. A word or a beat per cycle. Latency 4 cycles from `begin` to the first word in the packer.
    Reset: idle; a plane begun is finished.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    begin : In(1)                  pulse while idle; what follows is taken with it
    pixels, segment, offset : In   words, words of a segment, byte of the masks' first beat
    lanes : In(rows)               real channels: all others are 0
    idle : Out(1)                  everything is read
    moved : Out(1)                 a word went on in the cycle before, with values or without
    rewind : Out(1)                pulse: the next line to read is the first again
    r_en, r_data                   the staging memory, see `LineWords`
    counted : Out(stream of counted_layout)   in the order of segments
    piece : In(stream of piece_layout)        the same with their places
    o : Out(stream of {data, strobe, last})   beats; ``last`` ends a run
    """

    begin: Signal
    pixels: Signal
    segment: Signal
    offset: Signal
    lanes: Signal
    idle: Signal
    moved: Signal
    rewind: Signal
    r_en: Signal
    r_data: Any
    counted: stream.Interface
    piece: stream.Interface
    o: stream.Interface

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.packer = Packer(8, config.bus_bytes, config.rows)
        super().__init__({
            "begin": In(1),
            "pixels": In(range(config.hold + 1)),
            "segment": In(range(config.hold + 1)),
            "offset": In(range(config.bus_bytes)),
            "lanes": In(config.rows),
            "idle": Out(1),
            "moved": Out(1),
            "rewind": Out(1),
            "r_en": Out(1),
            "r_data": In(line_shape(Geometry(config))),
            "counted": Out(stream.Signature(counted_layout(config))),
            "piece": In(stream.Signature(piece_layout(config))),
            "o": Out(self.packer.o.signature),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        m.submodules.words = words = LineWords(config)
        m.submodules.packer = packer = self.packer
        m.submodules.counts = counts = Queue(counted_layout(config), SEGMENTS)
        wiring.connect(m, packer.o, wiring.flipped(self.o))
        wiring.connect(m, counts.o, wiring.flipped(self.counted))
        segment, offset, pixels = (
            Plain(getattr(self, n).shape(), name=f"{n}_kept")
            for n in ("segment", "offset", "pixels")
        )
        masks = Signal()  # the first reading
        m.d.comb += [words.r_data.eq(self.r_data), self.r_en.eq(words.r_en)]
        with m.If(self.begin):
            m.d.sync += [
                segment.eq(self.segment), offset.eq(self.offset), pixels.eq(self.pixels),
            ]  # fmt: skip

        # A cycle to count the gaps, one to close them, as in `zero_encoder`.
        bits = config.act_bits
        came = words.o.payload
        step, given = Signal(), Signal()
        used = Signal(config.rows)
        m.d.comb += used.eq(
            Cat(
                came.word.word_select(lane, bits).any() & self.lanes[lane]
                for lane in range(config.rows)
            )
        )
        counting, there = Signal(), Signal()
        first_mask, mask = Plain(config.rows, name="first_mask"), Plain(config.rows, name="mask")
        values = Plain(config.rows * bits, name="waiting")
        first_last, last = Plain(name="first_last"), Plain(name="word_last")
        gaps = count_gaps(m, used, step)
        lanes = [values.word_select(lane, bits) for lane in range(config.rows)]
        tight = Plain(config.rows * bits, name="tight")
        count = Plain(range(config.rows + 1), name="count")
        m.d.comb += [step.eq(~there | given), words.o.ready.eq(step)]
        closed = close_gaps(m, lanes, gaps)
        with m.If(step):
            m.d.sync += [
                counting.eq(words.o.valid), first_mask.eq(used), values.eq(came.word),
                first_last.eq(came.last),
                there.eq(counting), mask.eq(first_mask), tight.eq(closed), last.eq(first_last),
                count.eq(tree_sum([first_mask[lane] for lane in range(config.rows)])),
            ]  # fmt: skip

        # The word at hand, in its segment.
        left = Plain(range(config.hold + 1), name="segment_left")
        closing, first = Signal(), Signal()  # of the segment; of a run of beats
        total = Plain(range(config.hold * config.rows + 1), name="total")  # so far, or to come
        known = Signal()  # the segment's place
        place = Plain(range(config.bus_bytes), name="place")
        out: Any = packer.i.payload
        bytes_of = [Cat(tight.word_select(n, bits), Const(0, 8 - bits)) for n in range(config.rows)]
        room = 8 * config.rows
        m.d.comb += [
            closing.eq(last | (left == 1)),
            out.word.eq(Mux(masks, mask, Cat(bytes_of)[:room])),
            out.units.eq(Mux(masks, mask_bytes(config), count)),
            out.offset.eq(Mux(masks, offset, place)),
            out.first.eq(first),
            out.last.eq(Mux(masks, last, total == count)),
            counts.i.payload.values.eq(total + count),
            counts.i.payload.last.eq(last),
        ]
        with m.If(masks):
            m.d.comb += [
                packer.i.valid.eq(there & (~closing | counts.i.ready)),
                given.eq(there & packer.i.ready & (~closing | counts.i.ready)),
                counts.i.valid.eq(there & closing & packer.i.ready),
            ]
        with m.Else():
            m.d.comb += [
                self.piece.ready.eq(~known),
                packer.i.valid.eq(there & known & (count != 0)),
                given.eq(there & known & (packer.i.ready | (count == 0))),
            ]
            with m.If(~known):
                m.d.sync += [
                    known.eq(self.piece.valid), place.eq(self.piece.payload.offset),
                    total.eq(self.piece.payload.values), first.eq(1),
                ]  # fmt: skip
        m.d.sync += self.moved.eq(given)
        with m.If(given):
            m.d.sync += [left.eq(Mux(closing, segment, left - 1))]
            with m.If(masks):
                m.d.sync += [first.eq(0), total.eq(Mux(closing, 0, total + count))]
            with m.Else():
                m.d.sync += [total.eq(total - count), known.eq(~closing)]
                with m.If(count != 0):
                    m.d.sync += first.eq(0)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    self.idle.eq(1), words.begin.eq(self.begin), words.pixels.eq(self.pixels),
                ]  # fmt: skip
                m.d.sync += [masks.eq(1), first.eq(1), total.eq(0), left.eq(self.segment)]
                with m.If(self.begin):
                    m.next = "MASKS"
            with m.State("MASKS"):
                with m.If(given & last):
                    m.d.sync += masks.eq(0)
                    m.next = "REWIND"
            with m.State("REWIND"):
                m.d.comb += [
                    self.rewind.eq(1), words.begin.eq(1), words.pixels.eq(pixels),
                ]  # fmt: skip
                m.next = "VALUES"
            with m.State("VALUES"):
                with m.If(given & last):
                    m.next = "IDLE"
        return m
