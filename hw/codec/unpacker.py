"""The unpacker: bus beats into words of any number of units."""

from __future__ import annotations

from typing import Any, cast

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..plain import Plain
from .cutter import Cutter
from .units import Units


class Unpacker(wiring.Component):
    """Cut a run of words out of the beats they lie in, as `packer.Packer` laid them.

    A `Cutter` whose words are all of the same size in a run. 2 cycles are lost from run to run.
    Reset: idle.

    Parameters
    ----------
    unit_bits : int
        Bits of a unit.
    beat_units : int
        Units of a beat, a power of two.
    most : int
        Units of the longest word.

    Members
    -------
    run : In(stream of {offset, units, words})
        Unit of the first beat where the run starts, units of a word, words (1 or more). Taken
        when the run before has ended.
    i : In(stream of beats)
    o : Out(stream of {word, last})
        Units beyond a word's own are undefined and may change while it waits; ``last`` marks the
        run's last word.
    """

    run: stream.Interface
    i: stream.Interface
    o: stream.Interface

    def __init__(self, unit_bits: int, beat_units: int, most: int) -> None:
        self.units = Units(unit_bits, beat_units, most)
        super().__init__({
            "run": In(stream.Signature(data.StructLayout({
                "offset": range(beat_units), "units": range(most + 1), "words": 16,
            }))),
            "i": In(stream.Signature(beat_units * unit_bits)),
            "o": Out(stream.Signature(
                data.StructLayout({"word": most * unit_bits, "last": 1})
            )),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        sizes, run = self.units, cast(Any, self.run.payload)
        beside = data.StructLayout({"last": 1})
        m.submodules.cutter = cutter = Cutter(sizes.bits, sizes.beat, sizes.most, beside)
        wiring.connect(m, wiring.flipped(self.i), cutter.i)
        size, out = cast(Any, cutter.size.payload), cast(Any, cutter.o.payload)
        busy = Signal()  # a run is under way
        first, final = Signal(), Signal()  # of the words whose size is still to be told
        offset = Plain(run.offset.shape(), name="offset")
        units = Plain(run.units.shape(), name="units")
        left = Plain(16, name="left")
        m.d.comb += [
            self.run.ready.eq(~busy),
            size.units.eq(units),
            size.offset.eq(offset),
            size.first.eq(first),
            size.last.eq(final),
            size.beside.last.eq(final),
            self.o.valid.eq(cutter.o.valid),
            self.o.payload.word.eq(out.word),
            self.o.payload.last.eq(out.beside.last),
            cutter.o.ready.eq(self.o.ready),
        ]
        with m.If(~busy):
            m.d.sync += [
                busy.eq(self.run.valid), cutter.size.valid.eq(self.run.valid), first.eq(1),
                offset.eq(run.offset), units.eq(run.units), left.eq(run.words),
                final.eq(run.words == 1),
            ]  # fmt: skip
        with m.Else():
            with m.If(cutter.size.valid & cutter.size.ready):
                m.d.sync += [
                    cutter.size.valid.eq(~final), first.eq(0), left.eq(left - 1),
                    final.eq(left == 2),
                ]  # fmt: skip
            with m.If(self.o.valid & self.o.ready & self.o.payload.last):
                m.d.sync += busy.eq(0)
        return m
