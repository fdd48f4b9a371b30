"""The decoder of zero-value compression: masks and values back to words."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..plain import Plain
from ..tree import times, tree_sum
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
        room = self.units.held  # a word that lacks a unit, and a beat
        masks, each = self.lanes // width, self.act_bits // width
        running, ended, surplus = Signal(), Signal(), Signal()
        left, final = Plain(16, name="left"), Plain(name="final")
        count = Signal(range(room + 1))
        place = Signal.like(count, name="place")  # of the beat that comes
        held = Plain(room * width, name="held")

        mask = held[: self.lanes]
        values = Signal(range(self.lanes + 1))
        units = Signal(range(most + 1))
        take, accept = Signal(), Signal()
        m.d.comb += [
            values.eq(tree_sum([mask[n] for n in range(self.lanes)])),
            units.eq(times(values, each) + masks),
            take.eq(running & step & ((count >= units) | ended)),
            place.eq(Mux(take, count - units, count)),
            self.run.ready.eq(~running & ~surplus),
            self.i.ready.eq((running & ~ended & (place < most)) | surplus),
            accept.eq(self.i.valid & self.i.ready),
        ]
        with m.If(self.run.ready):
            m.d.sync += [
                running.eq(self.run.valid), left.eq(self.run.payload),
                final.eq(self.run.payload == 1), ended.eq(0), count.eq(0),
            ]  # fmt: skip
        with m.Else():
            m.d.sync += count.eq(Mux(accept, place + size, place))
            with m.If(accept & self.i.payload.last):
                m.d.sync += [ended.eq(1), surplus.eq(0)]
            with m.If(take):
                m.d.sync += [left.eq(left - 1), final.eq(left == 2)]
                with m.If(final):
                    m.d.sync += running.eq(0)
                    with m.If(~ended & ~(accept & self.i.payload.last)):
                        m.d.sync += surplus.eq(1)

        # What is held moves down by the word, for each bit of the count of its values by itself.
        kept: Value = held >> self.lanes
        for bit in range(len(values)):
            moved = Signal.like(held, name=f"down{bit}")
            m.d.comb += moved.eq(Mux(values[bit], kept >> (self.act_bits << bit), kept))
            kept = moved
        # A beat is turned to its place; what lies beyond is not yet part of anything.
        turned: Value = self.i.payload.data
        for bit in range(size.bit_length() - 1):
            by = width << bit
            to = Signal(len(turned), name=f"turned{bit}")
            m.d.comb += to.eq(Mux(place[bit], Cat(turned[-by:], turned[:-by]), turned))
            turned = to
        for unit in range(room):
            own = Mux(take, kept.word_select(unit, width), held.word_select(unit, width))
            beat = turned.word_select(unit % size, width)
            new = Mux(accept & (place <= unit), beat, own)
            m.d.sync += held.word_select(unit, width).eq(new)
        tight = held[self.lanes : self.lanes * (1 + self.act_bits)]
        return take, mask, tight, final
