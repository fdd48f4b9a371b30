"""Coding: the outputs of an engine with a codec, from the requantiser to the storer."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..geometry import Geometry
from ..queue import Queue
from .encoder import Encoder
from .layout import encoder_words
from .loader import thresholds_layout
from .tokens import order_layout


class Coding(wiring.Component):
    """Encode the values of tokens.

    Latency `layout.encode_stages`; one group per cycle, with a gap of a cycle between tokens.
    Reset: empty; the tables stay.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    order : In(stream of order_layout)        tokens, before their values
    i, o : In(stream), Out(stream)            ``requantise_lanes`` values, or codes
    thresholds : In(stream of thresholds_layout)   tables as they are loaded
    halt : In(1)                              drop everything that comes
    """

    order: stream.Interface
    i: stream.Interface
    o: stream.Interface
    thresholds: stream.Interface
    halt: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.geometry = Geometry(config)
        group = data.ArrayLayout(config.act_bits, config.requantise_lanes)
        super().__init__({
            "order": In(stream.Signature(order_layout(config))),
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
        m.submodules.orders = orders = Queue(order_layout(config), 4)
        wiring.connect(m, wiring.flipped(self.order), orders.i)
        self._values(m, orders.o, encoder.i)
        self._tables(m, encoder, granule_bits)
        return m

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
