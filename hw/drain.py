"""The drain: empties a finished accumulator bank through the requantiser."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import EngineConfig
from .plain import Plain
from .record import RECORD_BITS
from .requantise import bend_members, requantise_layout
from .sequencer import drain_layout
from .storer import store_token_layout


class Drain(wiring.Component):
    """Present every pixel's outputs, ``requantise_lanes`` a cycle, pixel after pixel.

    A token is taken when its bank has landed and the storer has taken its copy. Full rate: one
    beat per cycle from the cycle after the first address; ``release`` pulses when the bank's last
    value has left.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of drain_layout)      finished or soon finished column blocks, in order
    landed : In(1)                      pulse: one more bank is complete
    token : Out(stream)                 the storer's part of the token
    active, bank : Out(1)               a bank is being read, and which
    address : Out                       accumulator to read
    acc : In(cols x acc_bits)           its values, one cycle later
    record_index : Out                  group of channels whose records are wanted
    records : In(lanes x RECORD_BITS)   these records
    o : Out(stream of requantise_layout)
    release : Out(1)                    pulse: the bank is free
    """

    i: stream.Interface
    landed: Signal
    token: stream.Interface
    active: Signal
    bank: Signal
    address: Signal
    acc: data.View
    record_index: Signal
    records: data.View
    o: stream.Interface
    release: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.groups = config.cols // config.requantise_lanes
        super().__init__({
            "i": In(stream.Signature(drain_layout(config))),
            "landed": In(1),
            "token": Out(stream.Signature(store_token_layout(config))),
            "active": Out(1),
            "bank": Out(1),
            "address": Out(range(config.hold)),
            "acc": In(data.ArrayLayout(config.acc_bits, config.cols)),
            "record_index": Out(range(self.groups)),
            "records": In(data.ArrayLayout(RECORD_BITS, config.requantise_lanes)),
            "o": Out(stream.Signature(requantise_layout(config))),
            "release": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        lanes = self.config.requantise_lanes
        waiting = Signal(2)  # banks landed and not yet begun
        begin = Signal()
        m.d.sync += waiting.eq(waiting + self.landed - begin)

        token = Signal(drain_layout(self.config))
        pixel = Signal(range(self.config.hold))
        group = Signal(range(self.groups))
        group_last = Signal()
        m.d.comb += [
            group_last.eq(group == self.groups - 1),
            self.record_index.eq(group),
            self.token.payload.addr.eq(self.i.payload.addr),
            self.token.payload.plane_stride.eq(self.i.payload.plane_stride),
            self.token.payload.pixels.eq(self.i.payload.pixels),
            self.token.payload.lane.eq(self.i.payload.lane),
            self.token.payload.channels.eq(self.i.payload.channels),
            self.token.payload.last.eq(self.i.payload.last),
        ]

        # A register between the columns' memories and the requantiser.
        load = Signal()
        free = Signal()
        m.d.comb += free.eq(~self.o.valid | self.o.ready)
        payload = Plain(self.o.payload.shape(), name="accumulated")
        m.d.comb += self.o.payload.eq(payload)
        with m.If(free):
            m.d.sync += self.o.valid.eq(load)
            with m.Switch(group):
                for index in range(self.groups):
                    with m.Case(index):
                        for lane in range(lanes):
                            m.d.sync += payload.acc[lane].eq(self.acc[index * lanes + lane])
            m.d.sync += [
                payload.record.eq(self.records),
                payload.lo.eq(token.lo),
                payload.hi.eq(token.hi),
                *(
                    getattr(payload, name).eq(getattr(token, name))
                    for name in bend_members(self.config)
                ),
            ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    self.token.valid.eq(self.i.valid & (waiting != 0)),
                    begin.eq(self.token.valid & self.token.ready),
                    self.i.ready.eq(begin),
                ]
                m.d.sync += [token.eq(self.i.payload), pixel.eq(0), group.eq(0)]
                with m.If(begin):
                    m.next = "FETCH"
            with m.State("FETCH"):  # the memory reads pixel 0
                m.d.comb += self.active.eq(1)
                m.next = "DRAIN"
            with m.State("DRAIN"):
                step = Signal(range(self.config.hold))
                m.d.comb += [
                    self.active.eq(1),
                    load.eq(1),
                    step.eq(pixel + 1),
                    self.address.eq(Mux(free & group_last, step, pixel)),
                ]
                with m.If(free):
                    m.d.sync += group.eq(group + 1)
                    with m.If(group_last):
                        m.d.sync += [group.eq(0), pixel.eq(step)]
                        with m.If(pixel + 1 == token.pixels):
                            m.d.comb += self.release.eq(1)
                            m.d.sync += self.bank.eq(~self.bank)
                            m.next = "IDLE"
        return m
