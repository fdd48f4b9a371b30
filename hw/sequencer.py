"""The sequencer: walks a band's tiles, column blocks, taps, planes, passes and pixels."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .array import beat_layout
from .config import EngineConfig
from .descriptor import FIELD, Mode, Op
from .geometry import MIN_BLOCK_BEATS, SETTLE
from .loops import Loops, Places
from .plain import Plain
from .queue import Queue
from .requantise import bend_members

COMPUTE_FIELDS = (
    "op", "last", "layer_last", "hold_weights", "depthwise", "upsample", "mode", "layer",
    "buffer_base", "in_width", "in_height", "plane_words", "row_step", "tail_taps", "out_width",
    "pixels", "tile", "tiles", "kernel_h", "kernel_w",
    "row_blocks", "col_blocks", "stride_x", "stride_y", "dilation_x", "dilation_y",
    "passes", "pad_value", "pad_top", "pad_left", "lo", "hi", "base_offset", "row_jump",
    "tap_jump", "out_addr", "out_plane_stride", "out_channels", "slope", "zero",
)  # fmt: skip


def compute_layout() -> data.StructLayout:
    """Return the part of a descriptor that the sequencer needs, at its own widths."""
    return data.StructLayout({name: FIELD[name].width for name in COMPUTE_FIELDS})


def drain_layout(config: EngineConfig) -> data.StructLayout:
    """Return what the drain needs to know of one finished column block of a tile."""
    return data.StructLayout({
        "addr": 32,
        "plane_stride": 32,
        "pixels": range(config.hold + 1),
        "lane": range(config.rows),
        "channels": range(config.cols + 1),
        "lo": 8,
        "hi": 8,
        "last": 1,  # last of its descriptor
        **bend_members(config),
    })  # fmt: skip


PADDING_BITS = FIELD["pad_left"].width + 1


class Sequencer(wiring.Component):
    """Issue one beat per cycle; wait only for weights or for an accumulator bank.

    Order, outermost first: tile, column block, kernel row, kernel column, plane, pass, pixel
    (the weight stream's order with the pixels of a tile inside, so codes are held).
    A block takes at least 4 beats' time. Addresses grow by additions only.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of compute_layout)  a band that stands in the buffer
    busy : Out(1)                     a band is being worked on
    computed : Out(1)                 pulse: the last beat of a band is issued
    weights_ready : In(1)             a complete block of codes waits
    weights_last : In(1)              it is the last of its column block
    wrong : Out(1), wrong_layer : Out(16)   pulse: sizes do not agree with one another
    taken : In(1)                     pulse: the array has taken it
    address : Out                     first activation buffer word to read (stage A)
    beat : Out(beat_layout)           control of the beat whose word arrives now (stage B)
    padding : Out(window), pad_value : Out(8)   stage B: words to be replaced, and by what
    mode : Out(Mode)                  stage B: what the words are to the array
    drain : Out(stream of drain_layout)    one per column block of a tile, in order
    release : In(1)                   pulse: the drain has emptied the older bank
    issued, wait_weights, wait_drain : Out(1)   what this cycle was spent on
    """

    i: stream.Interface
    busy: Signal
    computed: Signal
    weights_ready: Signal
    weights_last: Signal
    wrong: Signal
    wrong_layer: Signal
    taken: Signal
    address: Signal
    beat: data.View
    padding: Signal
    pad_value: Signal
    mode: Signal
    drain: stream.Interface
    release: Signal
    issued: Signal
    wait_weights: Signal
    wait_drain: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(compute_layout())),
            "busy": Out(1),
            "computed": Out(1),
            "weights_ready": In(1),
            "weights_last": In(1),
            "wrong": Out(1),
            "wrong_layer": Out(FIELD["layer"].width),
            "taken": In(1),
            "address": Out(range(config.buffer_words)),
            "beat": Out(beat_layout(config)),
            "padding": Out(config.window),
            "pad_value": Out(8),
            "mode": Out(Mode),
            "drain": Out(stream.Signature(drain_layout(config))),
            "release": In(1),
            "issued": Out(1),
            "wait_weights": Out(1),
            "wait_drain": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        d = Plain(compute_layout(), name="band")
        config = self.config
        width = len(self.address)
        loops = Loops(m, d)
        count, last = loops.count, loops.last
        places = Places(m, config, d)

        pixel = Signal(range(config.hold))
        pixels_left = Signal(16)  # of the band, this tile included
        tile_pixels = Signal(range(config.hold + 1))
        gap = Signal(range(MIN_BLOCK_BEATS))  # cycles until the next beat may be issued
        # Worked out in the cycles a tile takes at least.
        pixels_after, next_tile = Signal(16), Signal(range(config.hold + 1))
        m.d.sync += [
            pixels_after.eq(pixels_left - tile_pixels),
            next_tile.eq(Mux(pixels_after < d.tile, pixels_after, d.tile)),
        ]
        # Kept in step with ``pixel``: its first and its last of the tile.
        begin, pixel_last = Signal(), Signal()

        # Position of the pixel in the band, and where the tile started. Coordinates need not
        # reach further than the buffer does, but for padding.
        far = max(width, PADDING_BITS) + 1
        position = data.StructLayout(
            {"left": 16, "x": far, "y": far, "row": width, "half_x": 1, "half_y": 1}
        )
        here, start, following = (Signal(position, name=n) for n in ("here", "start", "following"))
        row_left = Signal(16)  # pixels after the first of a row
        m.d.sync += row_left.eq(d.out_width - 1)
        m.d.comb += following.eq(here)
        with m.If(here.left == 0):
            m.d.comb += [following.left.eq(row_left), following.x.eq(0), following.half_x.eq(0)]
            with m.If(d.upsample & ~here.half_y):
                m.d.comb += following.half_y.eq(1)
            with m.Else():
                m.d.comb += [
                    following.half_y.eq(0),
                    following.y.eq(here.y + d.stride_y),
                    following.row.eq(here.row + d.row_jump),
                ]
        with m.Else():
            m.d.comb += following.left.eq(here.left - 1)
            with m.If(d.upsample & ~here.half_x):
                m.d.comb += following.half_x.eq(1)
            with m.Else():
                m.d.comb += [following.half_x.eq(0), following.x.eq(here.x + d.stride_x)]

        # Tap and plane: bases that change from block to block.
        bases = tuple(
            Signal(width, name=n) for n in ("column_base", "ky_base", "kx_base", "tap_base")
        )
        tap_base = bases[-1]
        tap_y, tap_x = taps = tuple(Signal(signed(far), name=n) for n in ("tap_y", "tap_x"))
        post_shift = Signal(range(config.max_passes))

        # Accumulator banks. Two tokens at most are under way, so their queue is never full.
        bank, oldest = Signal(), Signal()
        occupied = Signal(2)
        claimed = Signal()  # the waiting codes belong to a block already begun
        fresh = Signal()  # the next beat is the first of its column block
        loaded = Signal()  # this column block has taken a block of codes

        running, go, needs_codes = (Signal(name=n) for n in ("running", "go", "needs_codes"))
        blocked_bank, blocked_codes, column_done, tile_done = (
            Signal(name=n) for n in ("blocked_bank", "blocked_codes", "column_done", "tile_done")
        )
        m.d.comb += [
            needs_codes.eq(begin & ~(d.hold_weights & loaded)),
            blocked_bank.eq(begin & fresh & occupied.bit_select(bank, 1)),
            blocked_codes.eq(needs_codes & (~self.weights_ready | claimed)),
            go.eq(running & (gap == 0) & ~blocked_bank & ~blocked_codes),
            column_done.eq(last["term"] & last["plane"] & last["kx"] & last["ky"] & pixel_last),
            tile_done.eq(column_done & last["column"]),
            self.busy.eq(running),
            self.computed.eq(go & tile_done & last["tile"]),
            self.issued.eq(go),
            self.wait_drain.eq(running & (gap == 0) & blocked_bank),
            self.wait_weights.eq(running & (gap == 0) & ~blocked_bank & blocked_codes),
            self.i.ready.eq(~running),
        ]

        # The blocks of a column block are as many as its taps need, the tiles as its pixels.
        # Like a token, a block is judged a cycle after its first beat.
        pixels_over, blocks_over, took, took_last, bad_block, bad_tile = (
            Signal(name=n)
            for n in ("pixels_over", "blocks_over", "took", "took_last", "bad_block", "bad_tile")
        )
        m.d.sync += [
            pixels_over.eq(pixels_after == 0),
            took.eq(go & needs_codes),
            took_last.eq(self.weights_last),
        ]
        m.d.comb += [
            blocks_over.eq(
                d.hold_weights | (last["term"] & last["plane"] & last["kx"] & last["ky"])
            ),
            bad_block.eq(took & (took_last != blocks_over)),
            bad_tile.eq(go & tile_done & (last["tile"] != pixels_over)),
        ]
        m.d.sync += [self.wrong.eq(bad_block | bad_tile), self.wrong_layer.eq(d.layer)]

        with m.If(gap != 0):
            m.d.sync += gap.eq(gap - 1)
        with m.If(self.release):
            m.d.sync += [occupied.bit_select(oldest, 1).eq(0), oldest.eq(~oldest)]
        with m.If(self.taken):
            m.d.sync += claimed.eq(0)

        with m.If(self.i.valid & self.i.ready):
            band = self.i.payload
            base = Signal(width)
            m.d.comb += base.eq(band.buffer_base + band.base_offset)
            loops.clear(m)
            places.start(m, band.out_addr, band.out_channels)
            m.d.sync += [d.eq(band), running.eq(1), pixel.eq(0), fresh.eq(1), loaded.eq(0)]
            m.d.sync += begin.eq(1)
            m.d.sync += pixel_last.eq((band.pixels == 1) | (band.tile == 1))
            for place in (here, start):
                m.d.sync += [place.x.eq(0), place.y.eq(0), place.row.eq(0)]
                m.d.sync += [place.half_x.eq(0), place.half_y.eq(0)]
                m.d.sync += place.left.eq(band.out_width - 1)
            m.d.sync += [each.eq(base) for each in bases]
            m.d.sync += [
                pixels_left.eq(band.pixels),
                tile_pixels.eq(Mux(band.pixels < band.tile, band.pixels, band.tile)),
                tap_y.eq(-band.pad_top),
                tap_x.eq(-band.pad_left),
                post_shift.eq(band.passes - 1),
                gap.eq(SETTLE),
            ]
        with m.Elif(go):
            m.d.sync += [pixel.eq(pixel + 1), here.eq(following)]
            m.d.sync += [begin.eq(0), pixel_last.eq(pixel + 2 == tile_pixels)]
            with m.If(begin):
                # A short block waits after its first beat, so that none of its pixels returns
                # before it has been written.
                m.d.sync += [
                    loaded.eq(1),
                    fresh.eq(0),
                    gap.eq(Mux(tile_pixels < MIN_BLOCK_BEATS, MIN_BLOCK_BEATS - 1, 0)),
                ]
                with m.If(needs_codes):
                    m.d.sync += claimed.eq(1)
                with m.If(fresh):
                    m.d.sync += occupied.bit_select(bank, 1).eq(1)
            with m.If(pixel_last):
                m.d.sync += [pixel.eq(0), here.eq(start)]
                m.d.sync += [begin.eq(1), pixel_last.eq(tile_pixels == 1)]
                self._next_block(m, d, loops, bases, taps, post_shift, places.buffer_step)
            with m.If(column_done):
                m.d.sync += [bank.eq(~bank), fresh.eq(1), loaded.eq(0)]
                places.advance(m, d, tile_done, tile_pixels)
            with m.If(tile_done):
                m.d.sync += [
                    start.eq(following),
                    here.eq(following),
                    pixels_left.eq(pixels_after),
                    tile_pixels.eq(next_tile),
                    gap.eq(Mux(next_tile < MIN_BLOCK_BEATS, SETTLE, 0)),
                    running.eq(~last["tile"]),
                    pixel_last.eq(next_tile == 1),
                ]

        # A token leaves a cycle after its first beat: then ``last`` speaks of that beat's block.
        m.submodules.tokens = tokens = Queue(drain_layout(config), 2)
        wiring.connect(m, tokens.o, wiring.flipped(self.drain))
        token = Plain(drain_layout(config), name="token")
        m.d.sync += [
            tokens.i.valid.eq(go & begin & fresh),
            token.addr.eq(places.addr),
            token.plane_stride.eq(d.out_plane_stride),
            token.pixels.eq(tile_pixels),
            token.lane.eq(places.lane),
            token.channels.eq(places.channels),
            token.lo.eq(d.lo),
            token.hi.eq(d.hi),
            *(getattr(token, name).eq(getattr(d, name)) for name in bend_members(config)),
        ]
        m.d.comb += [
            tokens.i.payload.eq(token),
            tokens.i.payload.last.eq(last["tile"] & last["column"]),
        ]

        # Stage A: address and coordinates of the beat.
        y = Signal(signed(far + 2))
        xs = [Signal(signed(far + 2), name=f"x{index}") for index in range(config.window)]
        beat_a = Signal(beat_layout(config))
        m.d.sync += [x.eq(here.x + tap_x + index) for index, x in enumerate(xs)]
        m.d.sync += [
            self.address.eq(tap_base + here.row + here.x),
            y.eq(here.y + tap_y),
            beat_a.valid.eq(go),
            beat_a.load.eq(needs_codes),
            beat_a.first.eq(
                (count["term"] == 0) & (count["plane"] == 0)
                & (count["kx"] == 0) & (count["ky"] == 0)
            ),
            beat_a.maximum.eq(d.op == Op.MAX),
            beat_a.post_shift.eq(post_shift),
            beat_a.bank.eq(bank),
            beat_a.pixel.eq(pixel),
            beat_a.landing.eq(column_done),
        ]  # fmt: skip
        # Stage B: which words are real? A negative coordinate is a large unsigned one. The flag
        # of the last kernel step is a cycle late, so it is that of the beat in stage A.
        above = y.as_unsigned() >= d.in_height
        for index, x in enumerate(xs):
            beyond = last["kx"] & (d.tail_taps <= index)
            m.d.sync += self.padding[index].eq(above | (x.as_unsigned() >= d.in_width) | beyond)
        m.d.sync += [
            self.beat.eq(beat_a),
            self.pad_value.eq(d.pad_value),
            self.mode.eq(d.mode),
        ]
        return m

    def _next_block(
        self,
        m: Module,
        d: data.View,
        loops: Loops,
        bases: tuple[Signal, ...],
        taps: tuple[Signal, ...],
        post_shift: Signal,
        column_step: Value,
    ) -> None:
        """Advance pass, plane, tap, column block and tile: the innermost not yet at its end."""
        column_base, ky_base, kx_base, tap_base = bases
        tap_y, tap_x = taps
        width = len(tap_base)
        first, next_column, next_ky, next_kx = (
            Signal(width, name=n) for n in ("base_first", "base_column", "base_ky", "base_kx")
        )
        m.d.comb += [
            first.eq(d.buffer_base + d.base_offset),
            next_column.eq(column_base + column_step),
            next_ky.eq(ky_base + d.tap_jump),
            next_kx.eq(kx_base + d.dilation_x),
        ]
        with loops.step(m, "term"):
            m.d.sync += post_shift.eq(post_shift - 1)
        with m.Else():
            m.d.sync += post_shift.eq(d.passes - 1)
            with loops.step(m, "plane"):
                m.d.sync += tap_base.eq(tap_base + d.row_step)
            with m.Else():
                with loops.step(m, "kx"):
                    m.d.sync += [base.eq(next_kx) for base in (kx_base, tap_base)]
                    m.d.sync += tap_x.eq(tap_x + d.dilation_x)
                with m.Else():
                    m.d.sync += tap_x.eq(-d.pad_left)
                    with loops.step(m, "ky"):
                        m.d.sync += [base.eq(next_ky) for base in (ky_base, kx_base, tap_base)]
                        m.d.sync += tap_y.eq(tap_y + d.dilation_y)
                    with m.Else():
                        m.d.sync += tap_y.eq(-d.pad_top)
                        with loops.step(m, "column"):
                            m.d.sync += [base.eq(next_column) for base in bases]
                        with m.Else():
                            m.d.sync += [base.eq(first) for base in bases]
                            with loops.step(m, "tile"):
                                pass
