"""What a storer does with tokens of maps without zeros, beside what it does with others."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring

from ..config import EngineConfig
from ..plain import Plain
from ..queue import Queue
from .zero_feed import ZeroFeed, piece_layout

PIECES = 4  # runs of beats that may be asked for ahead of their data


def zero_job(config: EngineConfig) -> dict[str, Any]:
    """Return what the data side has to know of such a token, nothing without them."""
    if not config.zero_maps:
        return {}
    return {
        "segment": range(config.hold + 1), "pixels": range(config.hold + 1),
        "masks": range(config.bus_bytes),
    }  # fmt: skip


class ZeroStore:
    """States of a storer's two machines: one asks for bursts, the other moves beats.

    Plane by plane the masks are one run, which is asked for at once; the values of each segment
    are another, asked for as soon as the feed has counted them. An empty one is none.

    Parameters
    ----------
    m : Module
    config : EngineConfig
    low_bits : int
        Bits of a beat's number within a block of beats.

    Attributes
    ----------
    feed : ZeroFeed
    run : Signal
        Beats of the feed may go.
    """

    def __init__(self, m: Module, config: EngineConfig, low_bits: int) -> None:
        self.config = config
        self.bus_bits = (config.bus_bytes - 1).bit_length()
        m.submodules.zero_feed = self.feed = ZeroFeed(config)
        m.submodules.pieces = self.pieces = Queue(piece_layout(config), PIECES)
        # Of every run of beats the first one's number; at the end of a plane an entry without one.
        starts = data.StructLayout({"low": low_bits, "end": 1})
        m.submodules.starts = self.starts = Queue(starts, PIECES)
        wiring.connect(m, self.pieces.o, self.feed.piece)
        self.run = Signal(name="zero_run")

    def take(self, m: Module, token: Any) -> None:
        """Keep what has to be known of the token at hand; call it where it is taken."""
        layout = data.StructLayout({
            "masks": 32, "values": 32, "bytes": token.bytes.shape(),
            "segment": token.segment.shape(),
        })  # fmt: skip
        self.token: Any = Plain(layout, name="without_zeros")
        m.d.sync += [
            self.token.masks.eq(token.masks), self.token.values.eq(token.addr),
            self.token.bytes.eq(token.bytes), self.token.segment.eq(token.segment),
        ]  # fmt: skip

    def asks(self, m: Module, request: Any, stride: Value, end: Signal, last: Value) -> None:
        """Add the states that ask, from ``MASKS`` on; call it within the machine, after `take`.

        Parameters
        ----------
        m : Module
        request : stream
            Of bursts.
        stride : Value
            Bytes from plane to plane.
        end : Signal
            Lane after the last, on from plane to plane.
        last : Value
            ``ANSWER`` is next after the last plane, else ``IDLE``.
        """
        config, feed, low_bits = self.config, self.feed, len(self.starts.i.p.low)
        pieces, starts, token = self.pieces.i, self.starts.i, self.token
        at = Plain(32, name="piece_at")
        count, final = Plain(feed.counted.p.values.shape(), name="count"), Plain(name="final_piece")
        start, size = Signal(32, name="piece_start"), Signal(32, name="piece_bytes")
        some, go = Signal(), Signal()
        room = (config.word_bytes - 1).bit_length()
        beats = (size + start[: self.bus_bits] + config.bus_bytes - 1) >> self.bus_bits

        def ask() -> None:
            m.d.comb += [
                request.p.addr.eq(start[self.bus_bits :] << self.bus_bits),
                request.p.beats.eq(beats),
                starts.p.low.eq((start >> self.bus_bits)[:low_bits]),
            ]

        with m.State("MASKS"):
            m.d.comb += [
                start.eq(token.masks), size.eq(token.bytes),
                request.valid.eq(starts.ready), starts.valid.eq(request.ready),
            ]  # fmt: skip
            ask()
            m.d.sync += at.eq(token.values)
            with m.If(request.ready & starts.ready):
                m.next = "COUNTED"
        with m.State("COUNTED"):
            m.d.comb += feed.counted.ready.eq(1)
            m.d.sync += [count.eq(feed.counted.p.values), final.eq(feed.counted.p.last)]
            with m.If(feed.counted.valid):
                m.next = "PIECE"
        with m.State("PIECE"):
            m.d.comb += [pieces.p.values.eq(count), pieces.p.offset.eq(at)]
            m.d.comb += [
                start.eq(at), size.eq(count), some.eq(count != 0),
                request.valid.eq(some & starts.ready & pieces.ready),
                starts.valid.eq(some & request.ready & pieces.ready),
                pieces.valid.eq(~some | (request.ready & starts.ready)),
                go.eq(pieces.valid & pieces.ready),
            ]  # fmt: skip
            ask()
            with m.If(go):
                m.d.sync += at.eq(at + (token.segment << room))
                m.next = "COUNTED"
                with m.If(final):
                    m.next = "PLANE_END"
        with m.State("PLANE_END"):
            m.d.comb += [starts.valid.eq(1), starts.p.end.eq(1)]
            with m.If(starts.ready):
                m.d.sync += [
                    token.masks.eq(token.masks + stride), token.values.eq(token.values + stride),
                    end.eq(end - config.rows),
                ]  # fmt: skip
                m.next = "MASKS"
                with m.If(end <= config.rows):
                    m.next = "IDLE"
                    with m.If(last):
                        m.next = "ANSWER"

    def connect(self, m: Module, job: Any, lanes: Value) -> None:
        """Tell the feed what it needs of the token and the plane at hand."""
        feed = self.feed
        m.d.comb += [
            feed.pixels.eq(job.p.pixels), feed.segment.eq(job.p.segment),
            feed.offset.eq(job.p.masks), feed.lanes.eq(lanes),
        ]  # fmt: skip

    def moves(self, m: Module, beat: Signal, resting: Value, advance: Value) -> None:
        """Add the states that move the beats of a plane, from ``PREPARE`` on to ``REST``.

        Parameters
        ----------
        m : Module
        beat : Signal
            Number of the beat within its block.
        resting : Value
            Nothing else is being read from the staging memory.
        advance : Value
            A beat goes.
        """
        feed, starts = self.feed, self.starts.o
        with m.State("PREPARE"):
            with m.If(resting & feed.idle):
                m.d.comb += feed.begin.eq(1)
                m.next = "RUNS"
        with m.State("RUNS"):
            m.d.comb += starts.ready.eq(1)
            m.d.sync += beat.eq(starts.p.low)
            with m.If(starts.valid):
                m.next = "BEATS"
                with m.If(starts.p.end):
                    m.next = "REST"
        with m.State("BEATS"):
            m.d.comb += self.run.eq(1)
            with m.If(advance):
                m.d.sync += beat.eq(beat + 1)
                with m.If(feed.o.p.last):
                    m.next = "RUNS"
