"""The decoder of zero-value compression: masks and values back to words."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..plain import Plain
from ..tree import times, tree_sum
from .beats import Beats
from .gaps import open_gaps
from .units import Units


class ZeroDecoder(wiring.Component):
    """Read runs of words as `zero_encoder.ZeroEncoder` stores them.

    A word per cycle where its code is no longer than a beat, else a beat per cycle. 2 cycles are
    lost from run to run. Latency 3 cycles from the beat that completes a word to the word. A run
    ends whatever its beats hold: words that its last beat does not complete are undefined, beats
    that no word needs are dropped. Reset: idle.

    Parameters
    ----------
    lanes : int
        Values of a word.
    act_bits : int
        Bits of a value.
    beat_bits : int
        Bits of a beat: a power of two of units, gcd(lanes, act_bits) bits each.

    Members
    -------
    run : In(stream of 16 bits)
        Words of a run, 1 or more. Taken when the run before has ended.
    i : In(stream of {data, last})
        ``last`` marks the last beat of a run.
    o : Out(stream of {values, last})
    """

    run: stream.Interface
    i: stream.Interface
    o: stream.Interface

    def __init__(self, lanes: int, act_bits: int, beat_bits: int) -> None:
        self.lanes, self.act_bits = lanes, act_bits
        self.units = Units.of_zeros(lanes, act_bits, beat_bits)
        values = data.ArrayLayout(act_bits, lanes)
        super().__init__({
            "run": In(stream.Signature(16)),
            "i": In(stream.Signature(data.StructLayout({"data": beat_bits, "last": 1}))),
            "o": Out(stream.Signature(data.StructLayout({"values": values, "last": 1}))),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        step = Signal()  # words move on
        found, mask, tight, final = self._cut(m, step)

        # A cycle to count the values below each lane, and one to put them there.
        placed = Signal()
        masked, last = Plain(self.lanes, name="mask"), Plain(name="word_last")
        waiting = Plain(data.ArrayLayout(self.act_bits, self.lanes), name="waiting")
        value = Plain(self.o.payload.shape(), name="value")
        m.d.comb += [step.eq(~self.o.valid | self.o.ready), self.o.payload.eq(value)]
        with m.If(step):
            m.d.sync += [
                placed.eq(found), masked.eq(mask), waiting.eq(tight), last.eq(final),
                self.o.valid.eq(placed), value.last.eq(last),
            ]  # fmt: skip
        tight = [waiting[lane] for lane in range(self.lanes)]
        for lane, opened in enumerate(open_gaps(m, mask, masked, tight, step)):
            with m.If(step):
                m.d.sync += value.values[lane].eq(opened)
        return m

    def _cut(self, m: Module, step: Value) -> tuple[Value, Value, Value, Value]:
        """Return whether a word is taken out of the beats, its mask, values, and if it is last."""
        width, size, most = self.units.bits, self.units.beat, self.units.most
        masks, each = self.lanes // width, self.act_bits // width
        low = size.bit_length() - 1
        running, ended, surplus = Signal(), Signal(), Signal()
        left, final = Plain(16, name="left"), Plain(name="final")

        # Each unit is held with the number of its ones, so that from mask to mask there is but one
        # addition of a few of them, and to their place. Between runs nothing is held.
        unit = data.StructLayout({"bits": width, "ones": range(width + 1)})
        beats = Beats(Units(unit.size, size, most))
        m.submodules.beats = ResetInserter(~running)(beats)
        given: Any = self.i.payload
        m.d.comb += beats.i.payload.eq(
            Cat(Cat(bits, _ones(bits)) for bits in _pieces(given.data, width))
        )
        units = [unit(piece) for piece in _pieces(beats.word, unit.size)]
        at, end = Plain(beats.at.shape(), name="at"), Signal(range(size + most))
        take, accept = Signal(), Signal()
        values = tree_sum([units[n].ones for n in range(masks)])
        m.d.comb += [
            beats.at.eq(at),
            end.eq(at + masks + times(values, each)),
            take.eq(running & step & ((Cat(Const(0, low), beats.held) >= end) | ended)),
            beats.take.eq(take),
            beats.drop.eq(end >> low),
            self.run.ready.eq(~running & ~surplus),
            beats.i.valid.eq(self.i.valid & running & ~ended),
            self.i.ready.eq((running & ~ended & beats.i.ready) | surplus),
            accept.eq(self.i.valid & self.i.ready),
        ]
        with m.If(self.run.ready):
            m.d.sync += [
                running.eq(self.run.valid), left.eq(self.run.payload),
                final.eq(self.run.payload == 1), ended.eq(0), at.eq(0),
            ]  # fmt: skip
        with m.Else():
            with m.If(accept & given.last):
                m.d.sync += [ended.eq(1), surplus.eq(0)]
            with m.If(take):
                m.d.sync += [left.eq(left - 1), final.eq(left == 2), at.eq(end)]
                with m.If(final):
                    m.d.sync += running.eq(0)
                    with m.If(~ended & ~(accept & given.last)):
                        m.d.sync += surplus.eq(1)
        mask = Cat(units[n].bits for n in range(masks))
        tight = Cat(units[n].bits for n in range(masks, most))
        return take, mask, tight, final


def _pieces(value: Value, size: int) -> list[Value]:
    return [value[at : at + size] for at in range(0, len(value), size)]


def _ones(bits: Value) -> Value:
    return tree_sum([bits[n] for n in range(len(bits))])
