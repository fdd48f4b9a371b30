"""Bus beats at hand, as they came, and the units from any place of the first one on."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..plain import Plain
from .units import Units


class Beats(wiring.Component):
    """Hold the beats of a word and one more, and give what lies in them.

    A beat is taken while there is room, whatever it is for, and nothing moves but whole beats. What
    becomes of a word, known late in a cycle, only decides whether they move: neither whether a beat
    is taken nor where it goes. Latency 1 cycle from a beat to its units. Reset: empty.

    Parameters
    ----------
    units : Units

    Members
    -------
    i : In(stream of beats)
    held : Out(range)      beats at hand
    at : In(range)         unit of the first beat
    word : Out             units from there on, as many as the longest word has
    drop : In(range)       beats from the first on that nobody needs beside the word
    take : In(1)           these go: no more than are held, else `held` is undefined until a reset
    """

    i: stream.Interface
    held: Signal
    at: Signal
    word: Signal
    drop: Signal
    take: Signal

    def __init__(self, units: Units) -> None:
        self.units = units
        self.room = units.spanned + 1
        super().__init__({
            "i": In(stream.Signature(units.beat * units.bits)),
            "held": Out(range(self.room + 1)),
            "at": In(range(units.beat)),
            "word": Out(units.most * units.bits),
            "drop": In(range((units.beat - 1 + units.most) // units.beat + 1)),
            "take": In(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width, most, room = self.units.bits, self.units.most, self.room
        beats = Plain(data.ArrayLayout(len(self.i.payload), room), name="beats")
        come, go = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(self.held != room),
            come.eq(self.i.valid & self.i.ready),
            go.eq(self.take & (self.drop != 0)),
        ]
        m.d.sync += self.held.eq(self.held - Mux(go, self.drop, 0) + come)
        for number in range(room):
            # Beyond those that are left lies the one that comes, or what nobody reads.
            moved = Signal(len(self.i.payload), name=f"moved{number}")
            m.d.comb += moved.eq(self.i.payload)
            with m.Switch(self.drop):
                for by in range(1, min(room - number, 1 << len(self.drop))):
                    with m.Case(by), m.If(self.held > number + by):
                        m.d.comb += moved.eq(beats[number + by])
            with m.If(go | (self.held <= number)):
                m.d.sync += beats[number].eq(moved)

        # The largest step first: it is taken by most units.
        word: Value = beats.as_value()
        for bit in reversed(range(len(self.at))):
            size = width * (most + (1 << bit) - 1)
            down = Signal(size, name=f"down{bit}")
            m.d.comb += down.eq(Mux(self.at[bit], word >> (width << bit), word))
            word = down
        m.d.comb += self.word.eq(word)
        return m
