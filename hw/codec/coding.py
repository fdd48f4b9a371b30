"""Coding: the outputs of an engine with a codec, from the requantiser to the storer."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..geometry import Geometry
from ..queue import Queue
from ..stage import store_token_layout
from ..tree import times, tree_sum
from .encoder import Encoder
from .layout import encoder_words, unit_bytes, word_units
from .loader import thresholds_layout

BANDS = 16  # descriptors between the hand-over and the last token: as many as control lets go


def coding_layout(config: EngineConfig) -> data.StructLayout:
    """Return what coding has to know of a descriptor."""
    return data.StructLayout({
        "bits": range(config.codec_bits + 1), "plane": range(config.codec_planes),
        "addr": 32, "col_blocks": 16,
    })  # fmt: skip


class Coding(wiring.Component):
    """Tell the storer how long each token's run of words is, and encode its values.

    Tokens come in the order of descriptors, tiles and column blocks. Of a coded one the address
    is worked out here, since its words are shorter than those the sequencer counts. A token takes
    3 cycles; the values `layout.encode_stages`, one group per cycle, with a gap of a cycle between
    tokens. Reset: empty; the tables stay.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    begin : In(1), band : In(coding_layout)   pulse: a descriptor is handed over
    i_token : In(stream), o_token : Out(stream)   without and with what is added to them
    i, o : In(stream), Out(stream)            ``requantise_lanes`` values, or codes
    thresholds : In(stream of thresholds_layout)   tables as they are loaded
    halt : In(1)                              drop everything that comes
    """

    begin: Signal
    band: data.View
    i_token: stream.Interface
    o_token: stream.Interface
    i: stream.Interface
    o: stream.Interface
    thresholds: stream.Interface
    halt: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.geometry = Geometry(config)
        group = data.ArrayLayout(config.act_bits, config.requantise_lanes)
        super().__init__({
            "begin": In(1),
            "band": In(coding_layout(config)),
            "i_token": In(stream.Signature(store_token_layout(config, coded=False))),
            "o_token": Out(stream.Signature(store_token_layout(config))),
            "i": In(stream.Signature(group)),
            "o": Out(stream.Signature(group)),
            "thresholds": In(stream.Signature(thresholds_layout(config))),
            "halt": In(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, geometry = self.config, self.geometry
        granule_bits = (geometry.granules - 1).bit_length()
        m.submodules.encoder = encoder = Encoder(
            config.requantise_lanes, config.act_bits, config.codec_bits,
            encoder_words(config),
        )  # fmt: skip
        wiring.connect(m, encoder.o, wiring.flipped(self.o))
        order = data.StructLayout({
            "bits": range(config.codec_bits + 1), "plane": range(config.codec_planes),
            "pixels": range(config.hold + 1),
        })  # fmt: skip
        m.submodules.orders = orders = Queue(order, 4)
        self._tokens(m, orders.i)
        self._values(m, orders.o, encoder.i)
        self._tables(m, encoder, granule_bits)
        return m

    def _tokens(self, m: Module, order: Any) -> None:
        """Complete the tokens."""
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
        plane = Signal(range(config.codec_planes))
        sizes = Array([word_units(config, k) for k in range(config.codec_bits + 1)])
        units = Signal(range(max(word_units(config, k) for k in range(config.codec_bits + 1)) + 1))
        last = Signal()  # column block of the tile
        came: Any = self.i_token.payload
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.i_token.ready.eq(bands.o.valid)
                m.d.sync += [
                    *(getattr(token, name).eq(getattr(came, name)) for name, _ in came.shape()),
                    units.eq(sizes[band.bits]),
                    token.bits.eq(band.bits),
                ]
                with m.If(fresh):
                    m.d.sync += [
                        column.eq(1), tile_addr.eq(band.addr), addr.eq(band.addr),
                        plane.eq(band.plane), last.eq(band.col_blocks == 1),
                    ]  # fmt: skip
                with m.If(self.i_token.valid & bands.o.valid & ~self.halt):
                    m.next = "SIZE"
            with m.State("SIZE"):
                parts = [
                    (token.pixels & units[bit].replicate(len(token.pixels))) << bit
                    for bit in range(len(units))
                ]
                m.d.sync += token.bytes.eq(tree_sum(parts) << (unit.bit_length() - 1))
                with m.If(token.bits != 0):
                    m.d.sync += token.addr.eq(addr)
                m.next = "GIVE"
            with m.State("GIVE"):
                given = Signal()
                following = Signal(32)
                m.d.comb += [
                    self.o_token.valid.eq(order.ready),
                    order.valid.eq(self.o_token.ready),
                    given.eq(order.ready & self.o_token.ready),
                    following.eq(
                        Mux(last, tile_addr + token.bytes, addr + times(token.plane_stride, ratio))
                    ),
                ]
                with m.If(given):
                    m.d.sync += [
                        fresh.eq(token.last),
                        addr.eq(following),
                        plane.eq(Mux(last, band.plane, plane + ratio)),
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
            m.d.comb += self.i_token.ready.eq(1)
        m.d.comb += [
            self.o_token.payload.eq(token),
            order.payload.bits.eq(token.bits),
            order.payload.plane.eq(plane),
            order.payload.pixels.eq(token.pixels),
        ]

    def _values(self, m: Module, order: Any, entering: Any) -> None:
        """Say of each group whose thresholds it needs."""
        config, geometry = self.config, self.geometry
        current: Any = Signal(order.payload.shape(), name="order")
        some, pixel_last = Signal(), Signal()
        left = Signal(range(config.hold + 1))
        group = Signal(range(geometry.groups))
        granule = Signal(range(geometry.granules))
        plane = Signal(range(config.codec_planes))
        move = Signal()
        m.d.comb += [
            entering.valid.eq(self.i.valid & some),
            self.i.ready.eq((entering.ready & some) | self.halt),
            move.eq(entering.valid & entering.ready),
            entering.payload.values.eq(self.i.payload),
            entering.payload.bits.eq(current.bits),
            entering.payload.word.eq(Cat(granule, plane)),
            order.ready.eq(~some),
        ]
        with m.If(~some):
            m.d.sync += [
                some.eq(order.valid), current.eq(order.payload), left.eq(order.payload.pixels),
                pixel_last.eq(order.payload.pixels == 1), plane.eq(order.payload.plane),
                group.eq(0), granule.eq(0),
            ]  # fmt: skip
        with m.Elif(move):
            m.d.sync += [group.eq(group + 1), granule.eq(granule + 1)]
            with m.If(granule == geometry.granules - 1):
                m.d.sync += [granule.eq(0), plane.eq(plane + 1)]
            with m.If(group == geometry.groups - 1):
                m.d.sync += [
                    group.eq(0), granule.eq(0), plane.eq(current.plane), left.eq(left - 1),
                    pixel_last.eq(left == 2), some.eq(~pixel_last),
                ]  # fmt: skip

    def _tables(self, m: Module, encoder: Encoder, granule_bits: int) -> None:
        """Write an entry of a plane in as many cycles as it has groups of lanes."""
        config, geometry = self.config, self.geometry
        entry: Any = self.thresholds.payload
        lanes, bits = config.requantise_lanes, config.act_bits
        granule = Signal(range(geometry.granules))
        m.d.comb += [
            encoder.w_en.eq(self.thresholds.valid),
            encoder.w_entry.eq(entry.entry),
            encoder.w_word.eq(Cat(granule, entry.plane)),
            encoder.w_values.eq(entry.values.as_value().word_select(granule, lanes * bits)),
            self.thresholds.ready.eq(granule == geometry.granules - 1),
        ]
        assert len(granule) == granule_bits
        with m.If(self.thresholds.valid):
            m.d.sync += granule.eq(Mux(self.thresholds.ready, 0, granule + 1))
