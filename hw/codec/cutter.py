"""The cutter: values of words whose number comes with each word, out of bus beats."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..plain import Plain
from .beats import Beats
from .units import Units


class Cutter(wiring.Component):
    """Cut runs of words out of the beats they lie in, each of as many units as it says.

    Each run that has units begins in a beat of its own, one without units has no beat; what is left
    of a run's last beat is dropped. A word per cycle where it is no longer than a beat, else a beat
    per cycle; 1 cycle is lost from run to run. Latency 1 cycle from the beat that completes a word
    to the word, 1 from a word's size. Beats are taken ahead of the words. Reset: empty.

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
        Units beyond a word's own are undefined and may change while it waits.
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
        size, most = self.units.beat, self.units.most
        low = size.bit_length() - 1
        coming: Any = self.size.payload
        m.submodules.beats = beats = Beats(self.units)
        wiring.connect(m, wiring.flipped(self.i), beats.i)

        # The word at hand: the units of the first beat where it starts and ends, the beats it lies
        # in, and whether its run has had any unit.
        there, begun = Signal(), Signal()
        last, beside = Plain(name="at_last"), Plain(coming.beside.shape(), name="at_beside")
        at, end = Plain(beats.at.shape(), name="at"), Plain(range(size + most), name="end")
        need = Plain(beats.held.shape(), name="need")
        take = Signal()
        m.d.comb += [
            beats.at.eq(at),
            self.o.valid.eq(there & (beats.held >= need)),
            self.o.payload.word.eq(beats.word),
            self.o.payload.beside.eq(beside),
            take.eq(self.o.valid & self.o.ready),
            self.size.ready.eq(~there | (take & ~last)),
        ]

        # The next one: where the one before ends.
        start, stop = Signal.like(at), Signal.like(end)
        m.d.comb += [
            start.eq(Mux(coming.first, coming.offset, end)),
            stop.eq(start + coming.units),
        ]
        with m.If(self.size.ready):
            m.d.sync += [
                there.eq(self.size.valid), last.eq(coming.last), beside.eq(coming.beside),
            ]  # fmt: skip
            with m.If(self.size.valid):
                m.d.sync += [
                    at.eq(start), end.eq(stop),
                    need.eq(Mux(coming.units != 0, (stop >> low) + stop[:low].any(), 0)),
                    begun.eq((coming.units != 0) | (begun & ~coming.first)),
                ]  # fmt: skip
        with m.Elif(take):
            m.d.sync += there.eq(0)

        # A beat goes with the last word that ends in it or, a cycle later, with the run.
        rest = Signal()
        m.d.sync += rest.eq(take & last & begun & end[:low].any())
        m.d.comb += [
            beats.take.eq(take | rest),
            beats.drop.eq(Mux(rest, 1, end >> low)),
        ]
        return m
