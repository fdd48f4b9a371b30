"""The packer: words of any number of units into bus beats, without gaps."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .units import Units


class Packer(wiring.Component):
    """Lay words one behind another from a unit of the first beat on.

    A run of words starts with ``first`` and ends with ``last``; its last beat goes out when it is
    as full as it gets. ``strobe`` has a bit for each unit that is part of a word. A word is taken
    while less than a beat is held, or less than two and one goes out: a word per cycle where it
    is no longer than a beat, else a beat per cycle. Latency 1 cycle from the word that fills a
    beat to the beat. The next run is taken when the last beat of the one before has gone. Reset:
    empty.

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
    i : In(stream of {word, units, offset, first, last})
        ``units`` 1..most of ``word`` count, the rest is ignored; ``offset`` is the unit of the
        first beat where a ``first`` word goes.
    o : Out(stream of {data, strobe, last})
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, unit_bits: int, beat_units: int, most: int) -> None:
        self.units = units = Units(unit_bits, beat_units, most)
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({
                "word": most * unit_bits, "units": range(most + 1),
                "offset": range(beat_units), "first": 1, "last": 1,
            }))),
            "o": Out(stream.Signature(units.strobed)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width, size, most = self.units.bits, self.units.beat, self.units.most
        i: Any = self.i.payload
        low = size.bit_length() - 1
        room = self.units.held
        held = Signal(data.ArrayLayout(width + 1, room))  # units, and if they are part of a word
        count = Signal(range(room + 1))  # units from the beat's start, gaps before included
        ending = Signal()
        full, final, out, take = (Signal(name=n) for n in ("full", "final", "out", "take"))
        m.d.comb += [
            full.eq(count >= size),
            final.eq(ending & (count <= size)),
            self.o.valid.eq(full | ending),
            self.o.payload.data.eq(Cat(held[unit][:width] for unit in range(size))),
            self.o.payload.strobe.eq(Cat(held[unit][width] for unit in range(size))),
            self.o.payload.last.eq(final),
            out.eq(self.o.valid & self.o.ready),
            self.i.ready.eq(~ending & (~full | (out & (count < 2 * size)))),
            take.eq(self.i.valid & self.i.ready),
        ]
        # Less than a beat is left when a word is taken: the low bits of the count say where to.
        place = Signal(low)
        m.d.comb += place.eq(Mux(i.first, i.offset, count))
        word: list[Value] = []
        for unit in range(most):
            real = i.units > unit
            own = i.word.word_select(unit, width) & real.replicate(width)
            word.append(Cat(own, real))
        for unit in range(room):
            kept, added = (
                Signal(width + 1, name=f"kept{unit}"),
                Signal(width + 1, name=f"new{unit}"),
            )
            following = held[unit + size] if unit + size < room else C(0, width + 1)
            m.d.comb += kept.eq(Mux(out, following, held[unit]))
            with m.Switch(place):
                for at in range(size):
                    if 0 <= unit - at < most:
                        with m.Case(at):
                            m.d.comb += added.eq(word[unit - at])
            m.d.sync += held[unit].eq(kept | Mux(take, added, 0))
        with m.If(take):
            m.d.sync += [count.eq(place + i.units), ending.eq(i.last)]
        with m.Elif(out):
            m.d.sync += count.eq(Mux(final, 0, count - size))
        with m.If(out & final):
            m.d.sync += ending.eq(0)
        return m
