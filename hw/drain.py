"""The drain: empties a finished accumulator bank through the requantiser."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import EngineConfig
from .geometry import DRAIN_READ, outputs_depth
from .plain import Plain
from .record import RECORD_BITS
from .requantise import bend_members, requantise_layout
from .sequencer import drain_layout
from .storer import store_token_layout


class Drain(wiring.Component):
    """Present every pixel's outputs, ``requantise_lanes`` a cycle, pixel after pixel.

    A token is taken when its bank has landed and the storer has taken its copy. One beat per
    cycle while there is room for it in the queue behind the requantiser: on the way nothing
    stalls. ``release`` pulses when the bank's last value has left.

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
    acc : In(cols x acc_bits)           its values, ``DRAIN_READ`` cycles later
    record_bank : Out(1), record_index : Out   group of channels whose records are wanted
    records : In(lanes x RECORD_BITS)   these records, in the same cycle
    o : Out(stream of requantise_layout, always ready)
    taken : In(1)                       pulse: an output has left the queue
    release : Out(1)                    pulse: the bank is free
    """

    i: stream.Interface
    landed: Signal
    token: stream.Interface
    active: Signal
    bank: Signal
    address: Signal
    acc: data.View
    record_bank: Signal
    record_index: Signal
    records: data.View
    o: stream.Interface
    taken: Signal
    release: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.groups = config.cols // config.requantise_lanes
        super().__init__({
            "i": In(stream.Signature(drain_layout(config))),
            "landed": In(1),
            "token": Out(stream.Signature(store_token_layout(config, coded=False))),
            "active": Out(1),
            "bank": Out(1),
            "address": Out(range(config.hold)),
            "acc": In(data.ArrayLayout(config.acc_bits, config.cols)),
            "record_bank": Out(1),
            "record_index": Out(range(self.groups)),
            "records": In(data.ArrayLayout(RECORD_BITS, config.requantise_lanes)),
            "o": Out(stream.Signature(requantise_layout(config), always_ready=True)),
            "taken": In(1),
            "release": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        lanes = config.requantise_lanes
        waiting = Signal(2)  # banks landed and not yet begun
        begin = Signal()
        m.d.sync += waiting.eq(waiting + self.landed - begin)

        token = Plain(drain_layout(config), name="token")
        pixel = Signal(range(config.hold))
        group = Signal(range(self.groups))
        issue, ends = Signal(), Signal()
        room = Signal(range(outputs_depth(config) + 1), init=outputs_depth(config))
        m.d.sync += room.eq(room + self.taken - issue)
        m.d.comb += [
            self.active.eq(issue),
            self.address.eq(pixel),
            self.token.payload.addr.eq(self.i.payload.addr),
            self.token.payload.plane_stride.eq(self.i.payload.plane_stride),
            self.token.payload.pixels.eq(self.i.payload.pixels),
            self.token.payload.lane.eq(self.i.payload.lane),
            self.token.payload.channels.eq(self.i.payload.channels),
            self.token.payload.last.eq(self.i.payload.last),
        ]

        # What belongs to the values that come from the columns' memories.
        limits = data.StructLayout({"lo": 8, "hi": 8, **bend_members(config)})
        beside = data.StructLayout({"bank": 1, "group": range(self.groups), "limits": limits})
        way = Signal(DRAIN_READ)
        ending = Signal(DRAIN_READ)
        m.d.sync += [way.eq(Cat(issue, way)), ending.eq(Cat(ends, ending))]
        here = Plain(beside, name="issued")
        m.d.comb += [
            here.bank.eq(self.bank),
            here.group.eq(group),
            *(here.limits[name].eq(getattr(token, name)) for name in limits.members),
        ]
        for stage, enable in enumerate((issue, *way[:-1])):
            later = Plain(beside, name=f"beside{stage}")
            with m.If(enable):
                m.d.sync += later.eq(here)
            here = later
        payload = Plain(self.o.payload.shape(), name="accumulated")
        m.d.comb += self.o.payload.eq(payload)
        m.d.sync += [self.o.valid.eq(way[-1]), self.release.eq(ending[-1])]
        with m.If(way[-1]):  # else what the columns read meanwhile would move the requantiser
            m.d.sync += [getattr(payload, name).eq(here.limits[name]) for name in limits.members]
            with m.Switch(here.group):
                for index in range(self.groups):
                    with m.Case(index):
                        for lane in range(lanes):
                            m.d.sync += payload.acc[lane].eq(self.acc[index * lanes + lane])
        place = Cat(self.record_bank, self.record_index)
        if config.pipeline == "deep":
            m.d.comb += place.eq(Cat(here.bank, here.group))
            with m.If(way[-1]):
                m.d.sync += payload.record.eq(self.records)
        else:  # records are wide: where there is time the requantiser's first stage reads them
            with m.If(way[-1]):
                m.d.sync += place.eq(Cat(here.bank, here.group))
            m.d.comb += payload.record.eq(self.records)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    self.token.valid.eq(self.i.valid & (waiting != 0)),
                    begin.eq(self.token.valid & self.token.ready),
                    self.i.ready.eq(begin),
                ]
                with m.If(begin):
                    m.d.sync += [token.eq(self.i.payload), pixel.eq(0), group.eq(0)]
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.comb += issue.eq(room != 0)
                with m.If(issue):
                    m.d.sync += group.eq(group + 1)
                    with m.If(group == self.groups - 1):
                        m.d.sync += [group.eq(0), pixel.eq(pixel + 1)]
                        with m.If(pixel + 1 == token.pixels):
                            m.d.comb += ends.eq(1)
                            m.d.sync += self.bank.eq(~self.bank)
                            m.next = "IDLE"
        return m
