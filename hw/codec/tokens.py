"""Tokens on their way to the storer: what of them depends on how the map is stored."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..queue import Queue
from ..stage import store_token_layout
from ..tree import times, tree_sum
from .layout import mask_units, unit_bytes, word_units

BANDS = 16  # descriptors between the hand-over and the last token: as many as control lets go


def coding_layout(config: EngineConfig) -> data.StructLayout:
    """Return what has to be known of a descriptor: ``addr`` is that of codes, or of masks."""
    codes = {"bits": range(config.codec_bits + 1), "plane": range(config.codec_planes)}
    zeros = {"segment": range(config.hold + 1)}
    return data.StructLayout({
        "addr": 32, "col_blocks": 16, **(codes if config.codec_bits else {}),
        **(zeros if config.zero_maps else {}),
    })  # fmt: skip


def order_layout(config: EngineConfig) -> data.StructLayout:
    """Return what the encoder has to know of a token."""
    return data.StructLayout({
        "bits": range(config.codec_bits + 1), "plane": range(config.codec_planes),
        "pixels": range(config.hold + 1),
    })  # fmt: skip


class Tokens(wiring.Component):
    """Tell the storer how long each token's run of codes or masks is, and where it lies.

    Tokens come in the order of descriptors, tiles and column blocks. The address of codes or masks
    is worked out here, since these are shorter than the words the sequencer counts: of a coded
    token it is its address, of one without zeros a second one. A token takes 3 cycles. Reset:
    empty.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    begin : In(1), band : In(coding_layout)   pulse: a descriptor is handed over
    i, o : In(stream), Out(stream)            tokens without and with what is added to them
    order : Out(stream of order_layout)       tokens, for the encoder where there is one
    halt : In(1)                              drop everything that comes
    """

    begin: Signal
    band: data.View
    i: stream.Interface
    o: stream.Interface
    order: stream.Interface
    halt: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        order = {"order": Out(stream.Signature(order_layout(config)))}
        super().__init__({
            "begin": In(1),
            "band": In(coding_layout(config)),
            "i": In(stream.Signature(store_token_layout(config, coded=False))),
            "o": Out(stream.Signature(store_token_layout(config))),
            "halt": In(1),
            **(order if config.codec_bits else {}),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        unit = unit_bytes(config)
        ratio = config.cols // config.rows  # planes of a column block
        m.submodules.bands = bands = Queue(coding_layout(config), BANDS)
        band: Any = bands.o.payload
        token: Any = Signal(store_token_layout(config), name="completed")
        m.d.comb += [bands.i.valid.eq(self.begin), bands.i.payload.eq(self.band)]

        fresh = Signal(init=1)  # the next token is the first of its descriptor
        column = Signal(16)
        tile_addr, addr = Signal(32), Signal(32)
        sizes = [word_units(config, k) for k in range(config.codec_bits + 1)]
        units = Signal(range(max(sizes) + 1))
        last = Signal()  # column block of the tile
        ready, given = Signal(), Signal()
        if config.codec_bits:
            plane = self._order(m, token, band, fresh, last, ratio, ready, given)
            m.d.comb += self.order.payload.plane.eq(plane)
        else:
            m.d.comb += ready.eq(1)
        came: Any = self.i.payload
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.i.ready.eq(bands.o.valid)
                m.d.sync += [
                    *(getattr(token, name).eq(getattr(came, name)) for name, _ in came.shape()),
                    units.eq(Array(sizes)[band.bits] if config.codec_bits else sizes[0]),
                ]
                if config.codec_bits:
                    m.d.sync += token.bits.eq(band.bits)
                if config.zero_maps:
                    m.d.sync += token.segment.eq(band.segment)
                    with m.If(band.segment != 0):
                        m.d.sync += units.eq(mask_units(config))
                with m.If(fresh):
                    m.d.sync += [
                        column.eq(1), tile_addr.eq(band.addr), addr.eq(band.addr),
                        last.eq(band.col_blocks == 1),
                    ]  # fmt: skip
                with m.If(self.i.valid & bands.o.valid & ~self.halt):
                    m.next = "SIZE"
            with m.State("SIZE"):
                parts = [
                    (token.pixels & units[bit].replicate(len(token.pixels))) << bit
                    for bit in range(len(units))
                ]
                m.d.sync += token.bytes.eq(tree_sum(parts) << (unit.bit_length() - 1))
                if config.codec_bits:
                    with m.If(token.bits != 0):
                        m.d.sync += token.addr.eq(addr)
                if config.zero_maps:
                    m.d.sync += token.masks.eq(addr)
                m.next = "GIVE"
            with m.State("GIVE"):
                following = Signal(32)
                m.d.comb += [
                    self.o.valid.eq(ready),
                    given.eq(ready & self.o.ready),
                    following.eq(
                        Mux(last, tile_addr + token.bytes, addr + times(token.plane_stride, ratio))
                    ),
                ]
                with m.If(given):
                    m.d.sync += [
                        fresh.eq(token.last),
                        addr.eq(following),
                        column.eq(Mux(last, 1, column + 1)),
                        last.eq(Mux(last, band.col_blocks == 1, column + 1 == band.col_blocks)),
                    ]
                    with m.If(last):
                        m.d.sync += tile_addr.eq(following)
                    m.d.comb += bands.o.ready.eq(token.last)
                    m.next = "TAKE"
                with m.If(self.halt):
                    m.next = "TAKE"
        with m.If(self.halt):
            m.d.comb += self.i.ready.eq(1)
        m.d.comb += self.o.payload.eq(token)
        return m

    def _order(
        self, m: Module, token: Any, band: Any, fresh: Signal, last: Signal, ratio: int,
        ready: Signal, given: Signal,
    ) -> Signal:  # fmt: skip
        """Tell the encoder of every token; return the plane of its first tables."""
        order: Any = self.order
        plane = Signal(range(self.config.codec_planes))
        m.d.comb += [
            ready.eq(order.ready),
            order.valid.eq(given),
            order.payload.bits.eq(token.bits),
            order.payload.pixels.eq(token.pixels),
        ]
        taking = self.i.ready & fresh
        with m.If(given):
            m.d.sync += plane.eq(Mux(last, band.plane, plane + ratio))
        with m.Elif(taking):
            m.d.sync += plane.eq(band.plane)
        return plane
