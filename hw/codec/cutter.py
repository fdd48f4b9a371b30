"""The cutter: values of words whose number comes with each word, out of bus beats."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..plain import Plain
from .units import Units
from .unpacker import move_units


class Cutter(wiring.Component):
    """Cut runs of words out of the beats they lie in, each of as many units as it says.

    As `unpacker.Unpacker` but that words differ. Each run that has units begins in a beat of its
    own; only beats that a word needs are taken, so a run takes those it lies in and none without
    units. A word per cycle where it is no longer than a beat, else a beat per cycle; 1 cycle is
    lost from run to run. Latency 1 cycle from the beat that completes a word to the word, 1 from a
    word's size. Reset: empty.

    Parameters
    ----------
    unit_bits : int
        Bits of a unit.
    beat_units : int
        Units of a beat, a power of two.
    most : int
        Units of the longest word.
    beside : data.Layout
        What goes along with a word.

    Members
    -------
    size : In(stream of {units, offset, first, last, beside})
        0..most units; where ``first``, ``offset`` is the unit of the first beat where the run
        starts. ``last`` marks the run's last word.
    i : In(stream of beats)
    o : Out(stream of {word, beside})
        Units beyond a word's own are undefined.
    """

    size: stream.Interface
    i: stream.Interface
    o: stream.Interface

    def __init__(self, unit_bits: int, beat_units: int, most: int, beside: data.Layout) -> None:
        self.units = Units(unit_bits, beat_units, most)
        super().__init__({
            "size": In(stream.Signature(data.StructLayout({
                "units": range(most + 1), "offset": range(beat_units), "first": 1, "last": 1,
                "beside": beside,
            }))),
            "i": In(stream.Signature(beat_units * unit_bits)),
            "o": Out(stream.Signature(
                data.StructLayout({"word": most * unit_bits, "beside": beside})
            )),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        size, most, room = self.units.beat, self.units.most, self.units.held
        coming: Any = self.size.payload
        there = Signal()  # a word is at hand
        word: Any = Plain(coming.shape(), name="at_hand")
        empty = Plain(name="no_units")
        # Units held; below 0 in a new run, whose first beat starts with what is not its own.
        count = Signal(signed(room.bit_length() + 1))
        place = Signal.like(count)  # of the beat that comes
        held = Plain(data.ArrayLayout(self.units.bits, room), name="held")
        enough, take, accept, wanted, more = (
            Signal(name=n) for n in ("enough", "take", "accept", "wanted", "more")
        )
        m.d.comb += [
            enough.eq(empty | (count >= word.units)),
            self.o.valid.eq(there & enough),
            self.o.payload.word.eq(Cat(held[unit] for unit in range(most))),
            self.o.payload.beside.eq(word.beside),
            take.eq(self.o.valid & self.o.ready),
            self.size.ready.eq(~there | take),
            place.eq(Mux(take, count - word.units, count)),
            # A beat for the word at hand, or for the next one of the run.
            more.eq(self.size.valid & (coming.units != 0) & (place < coming.units)),
            wanted.eq((there & ~enough) | (take & ~word.last & more)),
            self.i.ready.eq(wanted),
            accept.eq(wanted & self.i.valid),
        ]  # fmt: skip
        m.d.sync += count.eq(Mux(accept, place + size, place))
        with m.If(self.size.ready):
            m.d.sync += [there.eq(self.size.valid), word.eq(coming), empty.eq(coming.units == 0)]
            with m.If(self.size.valid & coming.first):
                m.d.sync += count.eq(-coming.offset)
        move_units(
            m, self.units, held, take=take, units=word.units, accept=accept, place=place,
            beat=self.i.payload, least=0,
        )  # fmt: skip
        return m
