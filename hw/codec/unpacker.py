"""The unpacker: bus beats into words of any number of units."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..plain import Plain
from .units import Units


class Unpacker(wiring.Component):
    """Cut a run of words out of the beats they lie in, as `packer.Packer` laid them.

    Each run begins in a beat of its own; what is left of its last one is dropped. A word per
    cycle where it is no longer than a beat, else a beat per cycle; 2 cycles are lost from run to
    run. Latency 1 cycle from the beat that completes a word to the word. Reset: idle.

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
        Units beyond a word's own are undefined; ``last`` marks the run's last word.
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
        width, size, most = self.units.bits, self.units.beat, self.units.most
        room = self.units.held
        run: Any = self.run.payload
        running, final = Signal(), Signal()  # final: the word at hand is the run's last
        units = Signal(range(most + 1))
        left = Signal(16)
        # Units held; below 0 in a new run, whose first beat starts with what is not its own.
        count = Signal(signed(room.bit_length() + 1))
        place = Signal.like(count)  # of the beat that comes
        held = Plain(data.ArrayLayout(width, room), name="held")
        take, accept = Signal(), Signal()
        m.d.comb += [
            self.run.ready.eq(~running),
            self.o.valid.eq(running & (count >= units)),
            self.o.payload.word.eq(Cat(held[unit] for unit in range(most))),
            self.o.payload.last.eq(final),
            take.eq(self.o.valid & self.o.ready),
            place.eq(Mux(take, count - units, count)),
            self.i.ready.eq(running & (place < units) & ~(take & final)),
            accept.eq(self.i.valid & self.i.ready),
            ]  # fmt: skip
        with m.If(~running):
            m.d.sync += [
                units.eq(run.units),
                left.eq(run.words),
                final.eq(run.words == 1),
                count.eq(-run.offset),
                running.eq(self.run.valid),
            ]
        with m.Else():
            m.d.sync += count.eq(Mux(accept, place + size, place))
            with m.If(take):
                m.d.sync += [left.eq(left - 1), final.eq(left == 2), running.eq(~final)]
        move_units(
            m, self.units, held, take=take, units=units, accept=accept, place=place,
            beat=self.i.payload,
        )  # fmt: skip
        return m


def move_units(
    m: Module, sizes: Units, held: Any, *, take: Value, units: Value, accept: Value, place: Value,
    beat: Value, least: int = 1,
) -> None:  # fmt: skip
    """Drop the units of a word that is taken, and add those of a beat that comes.

    Parameters
    ----------
    m : Module
    sizes : Units
    held : View of ArrayLayout(sizes.bits, sizes.held)
        Less than a beat is left of them after a word.
    take, units : Value
        A word of ``least``..``sizes.most`` units is taken.
    accept, place, beat : Value
        A beat comes; signed: its first unit goes to ``place``, those before unit 0 nowhere.
    least : int
        0 or 1.
    """
    width, size, most, room = sizes.bits, sizes.beat, sizes.most, sizes.held
    # After a word less than a beat is left, from unit `units` on.
    kept = [held[unit] for unit in range(room)]
    for unit in range(size - 1):
        rest = Signal(width, name=f"rest{unit}")
        with m.Switch(units):
            for each in range(least, most + 1):
                with m.Case(each):
                    m.d.comb += rest.eq(held[each + unit])
        kept[unit] = Mux(take, rest, held[unit])
    parts = [beat.word_select(unit, width) for unit in range(size)]
    for unit in range(room):
        following = Signal(width, name=f"next{unit}")
        m.d.comb += following.eq(kept[unit])
        with m.If(accept), m.Switch(place):
            for at in range(1 - size, most):
                if 0 <= unit - at < size:
                    with m.Case(at):
                        m.d.comb += following.eq(parts[unit - at])
        m.d.sync += held[unit].eq(following)
